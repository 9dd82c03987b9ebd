"""Physical descriptors of a crystal, and first guesses of properties made of them.

The guesses are the prior means of surrogates: crude, but with the right trend, so that a handful
of labels only has to teach the difference.
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
"""Rough standard deviations of them among simple compounds; they matter for a few labels only."""
EDGE_CENTRES: Array = np.arange(0.7, 2.2, 0.2)
"""Centres of the radial basis, in units of the cube root of the volume per atom."""
_EDGE_WIDTH = 0.15
_EDGE_CUTOFF = 2.4
_SHELL = 1.15  # neighbours within this many nearest distances are of the first shell
REFERENCE_TEMPERATURE = 300.0
"""K; where the conductivity among the descriptors is estimated."""
_COORDINATIONS = (4.0, 6.0)
_GRUNEISEN_BY_COORDINATION = (0.7, 1.5)


def global_descriptors(structure: Structure, eos: EquationOfState | None) -> Array:
    """The numbers named in `GLOBALS` (g,); NaN where the curve would be needed and is None."""
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
    """What each atom sees of each other and of its images: (a, a, b), summed over images.

    Gaussians of the distance in units of the cube root of the volume per atom, with a smooth
    cutoff. Sums over whole shells are independent of how degenerate neighbours are ordered.
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
    """Properties of each atom's element (a, 5): what is left to learn from without a potential.

    Electronegativity, log10 of the mass, row, group, and atomic radius.
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
    """Global descriptors (n, g) of n crystals as one column (n,) per name."""
    return {name: table[:, k] for k, name in enumerate(GLOBALS)}


def _log_slack(eos: EquationOfState, coordination: float) -> float:
    """log10 of Slack's kappa at 300 K, W/m/K, with the Grüneisen parameter of the coordination.

    The acoustic Grüneisen parameter, on which kappa depends squared, hardly shows in an isotropic
    energy-volume curve. Measured ones are about 0.7 for tetrahedral compounds and 1.5 for
    rocksalts: Morelli & Slack, in High Thermal Conductivity Materials (Springer 2006).
    """
    gruneisen = math.exp(
        float(np.interp(coordination, _COORDINATIONS, np.log(_GRUNEISEN_BY_COORDINATION)))
    )
    derivative = 2.0 * (gruneisen + 5.0 / 6.0)  # for which `EquationOfState.gruneisen` is this
    curve = replace(eos, bulk_modulus_derivative=derivative)
    return math.log10(curve.slack_kappa(REFERENCE_TEMPERATURE))


def _shell(structure: Structure, index: int) -> tuple[float, int]:
    """Distance (Å) of an atom's nearest neighbour, and how many are about as near."""
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
    """Pauling electronegativity; 0 for the noble gases that have none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen warns where there is none
        value = float(element.X)
    return value if math.isfinite(value) else 0.0
