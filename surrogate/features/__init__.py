"""Descriptors of materials, as arrays for the models."""
