"""Which crystals conduct well or are stiff, from charges, volumes and masses alone.

In a crystal of ions of charge z at distances d, the energy goes as z² / d and the bulk modulus as
z² / d⁴ (M. Born and K. Huang, Dynamical Theory of Crystal Lattices, section 3). With the Debye
frequency that follows from it, Slack's formula (Solid State Physics 34, 1 (1979)) gives a thermal
conductivity that goes as z³ V^(-7/6) M^(-1/2), with the volume V and the mass M per atom. Only the
order that results is of use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.composition import Composition
from pymatgen.core.structure import Structure

from agents.chemistry.chemistry import neutral_charges
from oracle.materials.crystal import Crystal

Array = NDArray[np.float64]


def _log_stiffness(charge: Array, volume: Array, mass: Array) -> Array:
    return np.asarray(2 * charge - 4 / 3 * volume)


def _log_conductivity(charge: Array, volume: Array, mass: Array) -> Array:
    return np.asarray(3 * charge - 7 / 6 * volume - mass / 2)


def _log_debye(charge: Array, volume: Array, mass: Array) -> Array:
    return np.asarray(charge - volume / 2 - mass / 2)


_ESTIMATES: dict[str, Callable[[Array, Array, Array], Array]] = {
    "kappa": _log_conductivity,
    "kappa_slack": _log_conductivity,
    "bulk_modulus": _log_stiffness,
    "shear_modulus": _log_stiffness,
    "debye_temperature": _log_debye,
    "max_frequency_thz": _log_debye,
}


def rough_order(property: str, crystals: Sequence[Crystal]) -> Array | None:
    """A number (n,) for each of n crystals that grows with a property; None where nothing is known.

    Crystals without a neutral assignment of charges count as having the median charge of the rest.
    """
    estimate = _ESTIMATES.get(property)
    if estimate is None or not crystals:
        return None
    structures = [crystal.structure() for crystal in crystals]
    charges = np.array([_log_charge(structure.composition) for structure in structures])
    known = charges[np.isfinite(charges)]
    charges[~np.isfinite(charges)] = np.median(known) if len(known) else 0.0
    return estimate(charges, *np.array([_log_volume_and_mass(one) for one in structures]).T)


def _log_charge(composition: Composition) -> float:
    """Logarithm of the mean absolute charge; NaN where no charges add up to zero."""
    charges = neutral_charges(composition)
    if charges is None:
        return math.nan
    total = sum(abs(charges[symbol]) * n for symbol, n in composition.get_el_amt_dict().items())
    return math.log10(total / composition.num_atoms) if total else math.nan


def _log_volume_and_mass(structure: Structure) -> tuple[float, float]:
    """Logarithms of volume, Å³, and mass, atomic units, per atom."""
    n = len(structure)
    return math.log10(structure.volume / n), math.log10(structure.composition.weight / n)
