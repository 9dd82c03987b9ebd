"""Energies of crystals: equations of state, competing polymorphs and elements."""
