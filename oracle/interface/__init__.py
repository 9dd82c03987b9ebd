"""The oracle of kind ``interface``: thermal conductance between two crystals."""
