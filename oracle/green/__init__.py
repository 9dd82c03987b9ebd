"""Phonon transmission of layered structures by the atomistic Green's function."""
