"""Proposers, one file per kind."""
