"""Physical descriptors of a crystal, and rough estimates of its properties from them.

The estimates are prior means of the surrogates: crude, but with the right trend, so that a handful
of labels only has to correct them.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.periodic_table import Element, Species
from pymatgen.core.structure import Structure

from oracle.energetics.eos import EquationOfState

Array = NDArray[np.float64]

GLOBALS = (
    "log_volume",
    "log_mass",
    "log_bulk_modulus",
    "gruneisen",
    "log_debye",
    "log_slack",
    "energy",
    "electronegativity",
    "electronegativity_range",
    "log_atoms",
    "log_mass_ratio",
    "mass_variance",
    "nearest_distance",
    "coordination",
)
"""Names of a crystal's global descriptors, in order; log is to base 10."""
GLOBAL_SPREADS: Array = np.array(
    [0.2, 0.25, 0.3, 0.5, 0.2, 0.5, 1.5, 0.4, 0.8, 0.2, 0.5, 0.3, 0.07, 1.5]
)
"""Rough standard deviations of the descriptors among simple compounds, used with few labels."""
EDGE_CENTRES: Array = np.arange(0.7, 2.2, 0.2)
"""Centres of the radial basis, in units of the cube root of the volume per atom."""
_EDGE_WIDTH = 0.15
_EDGE_CUTOFF = 2.4
_SHELL = 1.15  # the first shell reaches to this multiple of the nearest-neighbour distance
REFERENCE_TEMPERATURE = 300.0
"""Temperature of the descriptor ``log_slack``, K."""
_COORDINATIONS = (4.0, 6.0)
_GRUNEISEN_BY_COORDINATION = (0.7, 1.5)


def global_descriptors(structure: Structure, eos: EquationOfState | None) -> Array:
    """The descriptors (g,) named in `GLOBALS`; without `eos`, NaN for those that need it."""
    masses = np.array([float(site.specie.atomic_mass) for site in structure])
    affinities = np.array([_electronegativity(site.specie) for site in structure])
    spacing = (structure.volume / len(structure)) ** (1 / 3)
    distances = [_shell(structure, i) for i in range(len(structure))]
    coordination = float(np.mean([count for _, count in distances]))
    nan = math.nan
    values = {
        "log_volume": math.log10(structure.volume / len(structure)),
        "log_mass": math.log10(masses.mean()),
        "log_bulk_modulus": nan if eos is None else math.log10(eos.bulk_modulus),
        "gruneisen": nan if eos is None else eos.gruneisen,
        "log_debye": nan if eos is None else math.log10(eos.debye_temperature),
        "log_slack": nan if eos is None else _log_slack(eos, coordination),
        "energy": nan if eos is None else eos.energy_per_atom,
        "electronegativity": affinities.mean(),
        "electronegativity_range": np.ptp(affinities),
        "log_atoms": math.log10(len(structure)),
        "log_mass_ratio": math.log10(masses.max() / masses.min()),
        "mass_variance": float(masses.var() / masses.mean() ** 2),
        "nearest_distance": min(near for near, _ in distances) / spacing,
        "coordination": coordination,
    }
    return np.array([float(values[name]) for name in GLOBALS])


def edge_descriptors(structure: Structure) -> NDArray[np.float32]:
    """Radial basis functions of the distances between atoms, summed over images: (a, a, b).

    Gaussians of the distance in units of the cube root of the volume per atom, with a smooth
    cutoff. Sums over whole shells do not depend on the order of equally distant neighbours.
    """
    n = len(structure)
    spacing = (structure.volume / n) ** (1 / 3)
    centres, others, _, distances = structure.get_neighbor_list(_EDGE_CUTOFF * spacing)
    reduced = distances[:, None] / spacing
    basis = np.exp(-0.5 * ((reduced - EDGE_CENTRES) / _EDGE_WIDTH) ** 2)
    basis *= 0.5 + 0.5 * np.cos(np.pi * reduced / _EDGE_CUTOFF)
    edges = np.zeros((n, n, len(EDGE_CENTRES)))
    np.add.at(edges, (centres, others), basis)
    return edges.astype(np.float32)


def element_descriptors(structure: Structure) -> NDArray[np.float32]:
    """Properties of each atom's element (a, 5), used where a potential offers no features.

    Electronegativity, log10 of the mass, row, group, and atomic radius (Å).
    """
    rows = [
        (
            _electronegativity(site.specie),
            math.log10(float(site.specie.atomic_mass)),
            float(site.specie.row),
            float(site.specie.group),
            float(site.specie.atomic_radius or 1.5),
        )
        for site in structure
    ]
    return np.array(rows, dtype=np.float32)


def columns(table: Array) -> dict[str, Array]:
    """Columns (n,) of the global descriptors (n, g) of n crystals, by name."""
    return {name: table[:, k] for k, name in enumerate(GLOBALS)}


def _log_slack(eos: EquationOfState, coordination: float) -> float:
    """log10 of Slack's kappa (W/m/K) at 300 K, with a Grüneisen parameter from the coordination.

    kappa depends on the square of the acoustic Grüneisen parameter, about which an isotropic
    energy-volume curve says little. Measured values are about 0.7 for tetrahedral compounds and
    1.5 for rocksalts: Morelli & Slack, in High Thermal Conductivity Materials (Springer 2006).
    """
    gruneisen = math.exp(
        float(np.interp(coordination, _COORDINATIONS, np.log(_GRUNEISEN_BY_COORDINATION)))
    )
    derivative = 2.0 * (gruneisen + 5.0 / 6.0)  # inverts `EquationOfState.gruneisen`
    curve = replace(eos, bulk_modulus_derivative=derivative)
    return math.log10(curve.slack_kappa(REFERENCE_TEMPERATURE))


def _shell(structure: Structure, index: int) -> tuple[float, int]:
    """Distance (Å) of an atom's nearest neighbour, and the number of atoms in its first shell."""
    radius = 1.5 * (structure.volume / len(structure)) ** (1 / 3)
    distances: list[float] = []
    while not distances:
        distances = [
            neighbour.nn_distance for neighbour in structure.get_neighbors(structure[index], radius)
        ]
        radius *= 1.5
    near = min(distances)
    return near, sum(distance < _SHELL * near for distance in distances)


def _electronegativity(element: Element | Species) -> float:
    """Pauling electronegativity; 0 for noble gases without one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns where an element has none
        value = float(element.X)
    return value if math.isfinite(value) else 0.0
