"""Learned approximations of the oracle that know their uncertainty."""
