"""Closed-form physics on numbers and arrays."""
