"""The oracle of kind ``replay``: answers from a table."""
