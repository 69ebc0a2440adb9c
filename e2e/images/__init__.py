"""Trials of the runtime's images: each serves a tiny model of every format it is for, as a restricted pod would."""
