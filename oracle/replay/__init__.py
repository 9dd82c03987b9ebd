"""The oracle of kind ``replay``: evaluations from a table of earlier results."""
