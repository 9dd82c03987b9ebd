"""The oracle of kind ``phonon-bte``: phonons of crystals and their Boltzmann equation."""
