"""Energies and forces: machine-learned and empirical potentials, and DFT."""
