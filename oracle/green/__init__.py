"""The oracle of kind ``green``: phonon transmission through superlattices by Green's functions."""
