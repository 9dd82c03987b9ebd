"""Holes of a potential: how wrong it is expected to be, and which supercells to label with DFT."""
