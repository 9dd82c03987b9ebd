"""Masses and isotopes of elements for phonopy, including elements without stable isotopes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray
from phono3py.other.isotope import get_mass_variances
from phonopy.structure.atomic_data import get_atomic_data
from phonopy.structure.atoms import PhonopyAtoms

Array = NDArray[np.float64]


def phonopy_cell(cell: Array, positions: Array, symbols: Sequence[str]) -> PhonopyAtoms:
    """A phonopy cell with masses for all its elements.

    For radioactive elements without a mass in phonopy, ASE's is taken, that of the longest-lived
    isotope.

    Args:
        cell: (3, 3), row vectors, Å.
        positions: (n, 3), fractional.
        symbols: (n,), elements.
    """
    table = get_atomic_data().atom_data
    masses = [table[atomic_numbers[symbol]][3] for symbol in symbols]
    completed = None
    if None in masses:
        completed = [
            float(atomic_masses[atomic_numbers[symbol]]) if mass is None else float(mass)
            for symbol, mass in zip(symbols, masses, strict=True)
        ]
    return PhonopyAtoms(
        cell=cell, scaled_positions=positions, symbols=list(symbols), masses=completed
    )


def mass_variances(symbols: Sequence[str]) -> Array | None:
    """Relative mass variances (n,) of natural isotopes; None where phonopy's table is complete."""
    table = get_atomic_data().isotope_data
    if all(table.get(symbol) for symbol in symbols):
        return None
    return isotope_variances(symbols)


def isotope_variances(symbols: Sequence[str]) -> Array:
    """Relative mass variances (n,) of natural isotopes, ``sum_i f_i (1 - m_i / m)²``.

    An element without natural isotopes counts as having a single isotope.
    """
    table = get_atomic_data().isotope_data
    return np.array(
        [
            float(get_mass_variances(symbols=[symbol])[0]) if table.get(symbol) else 0.0
            for symbol in symbols
        ]
    )
