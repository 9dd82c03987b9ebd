"""Functions that run in workers."""
