"""Covariance functions and their linear algebra."""
