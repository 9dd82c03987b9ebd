"""The second loop, which mends a potential."""
