"""Generators of crystals that stand outside of this project."""
