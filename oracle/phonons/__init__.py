"""Relaxation and the force constants of one crystal, of second and third order."""
