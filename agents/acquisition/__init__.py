"""Acquisition functions: the value of measuring a candidate, from a posterior."""
