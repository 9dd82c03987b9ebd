"""The oracle of kind ``phonon-bte``: phonons of crystals and the Boltzmann equation."""
