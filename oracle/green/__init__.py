"""The oracle of kind ``green``: Green's functions of phonons through superlattices."""
