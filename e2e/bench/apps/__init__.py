"""The programs that run inside a contestant's own environment. Each is a script: nothing here imports the others."""
