"""Energies of crystals: equations of state, polymorphs and elements."""
