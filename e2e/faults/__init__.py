"""Faults that the stories bring about on purpose."""
