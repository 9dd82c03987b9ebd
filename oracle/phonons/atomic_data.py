"""Masses and isotopes of elements for phonopy, which leaves out those that nature has none of."""

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
    """A cell of phonopy's with masses for all its elements.

    Where phonopy has none, which is so for some radioactive elements, it is the mass that ASE
    gives, of the isotope that lives longest.

    Args:
        cell: (3, 3), row vectors, Å.
        positions: (n, 3), fractional.
        symbols: (n,), elements.
    """
    known = get_atomic_data().atom_data
    masses = [known[atomic_numbers[symbol]][3] for symbol in symbols]
    given = None
    if None in masses:
        given = [
            float(atomic_masses[atomic_numbers[symbol]]) if mass is None else float(mass)
            for symbol, mass in zip(symbols, masses, strict=True)
        ]
    return PhonopyAtoms(cell=cell, scaled_positions=positions, symbols=list(symbols), masses=given)


def mass_variances(symbols: Sequence[str]) -> Array | None:
    """Relative variances (n,) of the masses of natural isotopes; None where phonopy knows all.

    An element that nature has no isotopes of counts as one of a single isotope.
    """
    known = get_atomic_data().isotope_data
    if all(known.get(symbol) for symbol in symbols):
        return None
    return np.array(
        [
            float(get_mass_variances(symbols=[symbol])[0]) if known.get(symbol) else 0.0
            for symbol in symbols
        ]
    )
