"""Features of many crystals for the price of about one potential evaluation each.

The numbers are those of `surrogate.features.crystal_features` but for what their cheaper making
costs: the energy-volume curve is fitted to four or five energies instead of to a dozen pressures,
and crystals share graphs. They serve to find the few of a large space that are worth exact
features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pymatgen.core.structure import Structure
from scipy import constants

from oracle.energetics.eos import EquationOfState, lowest_energy
from oracle.materials.crystal import Crystal
from oracle.potentials.table import calculator
from oracle.runtime.threads import pinned_threads
from surrogate.features.batched import BatchedPotential, Looked, Neighbours, batched
from surrogate.features.crystal_features import CrystalFeatures, features_of
from surrogate.features.descriptors import edge_descriptors, global_descriptors

VERSION = 2
"""Raised whenever the numbers change."""
_STEP = 1.05  # ratio of neighbouring lattice parameters
_STEPS = 7  # in either direction, as in `oracle.energetics.eos`
_NEAR = 1.6  # rungs of the ladder from the minimum that the curve is fitted to


@dataclass
class _Ladder:
    """A crystal at lattice parameters that are powers of `_STEP`, and at its estimated minimum."""

    crystal: Crystal
    structure: Structure
    pairs: Neighbours
    energies: dict[int, float] = field(default_factory=dict)
    nodes: dict[int, Looked] = field(default_factory=dict)
    middle: tuple[float, Looked] | None = None
    """Scale of the estimated minimum, and what was found there."""

    @property
    def bottom(self) -> int:
        """The rung of the lowest energy."""
        return min(self.energies, key=lambda k: self.energies[k])

    @property
    def wanted(self) -> list[int]:
        """Rungs to be looked at next; none once the lowest has neighbours, or none exist."""
        if not self.energies:
            return [0, -1]  # prototypes are rather made too large than too small
        around = [self.bottom - 1, self.bottom + 1]
        return [k for k in around if k not in self.energies and abs(k) <= _STEPS]

    @property
    def is_bound(self) -> bool:
        """Whether the lowest energy found lies between two others."""
        at, found = self.bottom, self.energies
        if at - 1 not in found or at + 1 not in found:
            return False
        finite = all(map(math.isfinite, found.values()))
        return finite and max(found[at - 1], found[at + 1]) > found[at]

    def estimate(self) -> float:
        """Scale of the minimum of the parabola in V^(-2/3) through three rungs."""
        rungs = [self.bottom + k for k in (-1, 0, 1)]
        x = [_STEP ** (-2 * k) for k in rungs]
        curve = np.polynomial.Polynomial.fit(x, [self.energies[k] for k in rungs], 2)
        return float(curve.deriv().roots()[0].real ** -0.5)

    def curve(self) -> EquationOfState | None:
        """The third-order Birch-Murnaghan curve, or None where it has no minimum there."""
        if self.middle is None:
            return None
        at, looked = self.middle
        near = [k for k in self.energies if abs(k - math.log(at, _STEP)) < _NEAR]
        scales = np.array([at, *(_STEP**k for k in near)])
        energies = np.array([looked.energy, *(self.energies[k] for k in near)])
        n = len(self.pairs.numbers)
        cell = self.structure.volume
        x = (cell / n * scales**3) ** (-2 / 3)
        fit = np.polynomial.Polynomial.fit(x, energies / n, 3)
        found = lowest_energy(fit.deriv(), float(x.min()), float(x.max()))
        if found is None:
            return None
        lowest, volume, modulus, derivative = found
        return EquationOfState(
            energy_per_atom=float(fit(lowest)),
            volume_per_atom=volume,
            bulk_modulus=modulus * constants.eV / constants.angstrom**3 / constants.giga,
            bulk_modulus_derivative=derivative,
            scale=float((volume * n / cell) ** (1 / 3)),
            mean_mass=float(self.structure.composition.weight) / n,
            atoms=n,
        )


def quick_features(potential: str, crystals: Sequence[Crystal]) -> list[CrystalFeatures]:
    """Approximate features of crystals, in their order.

    A pure function of the list: which crystals share a graph follows from their order. Potentials
    that cannot be asked for several crystals at once give exact features at their full cost.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        crystals: some hundreds at once; memory grows with their number.

    Raises:
        OracleError: stage ``read``; the potential is unknown or not installed.
    """
    together = batched(calculator(potential))
    if together is None:
        return [features_of(potential, crystal, None) for crystal in crystals]
    with pinned_threads():
        ladders = {
            k: _ladder(crystal, together.cutoff)
            for k, crystal in enumerate(crystals)
            if all(number in together.elements for number in _numbers(crystal))
        }
        _climb(list(ladders.values()), together)
        return [
            _features(ladders[k]) if k in ladders else _unknown(potential, crystal)
            for k, crystal in enumerate(crystals)
        ]


def _ladder(crystal: Crystal, cutoff: float) -> _Ladder:
    structure = crystal.structure()
    return _Ladder(crystal, structure, Neighbours.of(structure, cutoff * _STEP**2))


def _climb(ladders: list[_Ladder], potential: BatchedPotential) -> None:
    """Look at rungs until every minimum lies between two, then at the estimated minima."""
    while asked := [(ladder, k) for ladder in ladders for k in ladder.wanted]:
        found = potential([_at(ladder, _STEP**k, potential.cutoff) for ladder, k in asked])
        for (ladder, k), looked in zip(asked, found, strict=True):
            ladder.energies[k], ladder.nodes[k] = looked.energy, looked
    bound = [(ladder, ladder.estimate()) for ladder in ladders if ladder.is_bound]
    found = potential([_at(ladder, scale, potential.cutoff) for ladder, scale in bound])
    for (ladder, scale), looked in zip(bound, found, strict=True):
        ladder.middle = (scale, looked)


def _at(ladder: _Ladder, scale: float, cutoff: float) -> Neighbours:
    """The crystal at a scale; its pairs are listed anew where it is compressed far."""
    if scale * _STEP**2 < 1.0:
        return Neighbours.of(ladder.structure, cutoff / scale).scaled(scale, cutoff)
    return ladder.pairs.scaled(scale, cutoff)


def _features(ladder: _Ladder) -> CrystalFeatures:
    curve = ladder.curve()
    structure, note = ladder.structure, ""
    nodes = ladder.nodes[0].nodes
    if curve is None:
        note = f"eos: {ladder.crystal.formula}: its energies have no smooth minimum"
    else:
        structure = curve.structure(ladder.crystal)
        assert ladder.middle is not None
        nodes = ladder.middle[1].nodes
    return CrystalFeatures(
        nodes, edge_descriptors(structure), global_descriptors(structure, curve), note
    )


def _unknown(potential: str, crystal: Crystal) -> CrystalFeatures:
    """Features of a crystal with an element that the potential does not know."""
    structure = crystal.structure()
    return CrystalFeatures(
        np.full((len(structure), 1, 1), np.nan, dtype=np.float32),
        edge_descriptors(structure),
        global_descriptors(structure, None),
        f"features: {potential} does not know all elements of {crystal.formula}",
    )


def _numbers(crystal: Crystal) -> list[int]:
    return [int(number) for number in crystal.structure().atomic_numbers]
