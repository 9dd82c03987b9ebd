"""Approximate features of many crystals, at the cost of about one force evaluation each.

They approximate the features of `surrogate.features.crystal_features`: the energy-volume curve is
fitted to four or five energies instead of a dozen pressures, and many crystals share one graph.
They serve to select the few members of a large space for which exact features are worth computing.
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
from surrogate.features.batched import BatchedPotential, CellEvaluation, Neighbours, batched
from surrogate.features.crystal_features import CrystalFeatures, features_of
from surrogate.features.descriptors import edge_descriptors, global_descriptors

VERSION = 2
"""Increased whenever the numbers change."""
_STEP = 1.05  # ratio of neighbouring lattice parameters
_STEPS = 7  # most steps in either direction, as in `oracle.energetics.eos`
_NEAR = 1.6  # the curve is fitted to rungs within this many steps of the minimum


@dataclass
class _Ladder:
    """A crystal scaled by powers of `_STEP` (rungs), and at its estimated energy minimum."""

    crystal: Crystal
    structure: Structure
    pairs: Neighbours
    energies: dict[int, float] = field(default_factory=dict)
    nodes: dict[int, CellEvaluation] = field(default_factory=dict)
    middle: tuple[float, CellEvaluation] | None = None
    """Scale of the estimated minimum, and the evaluation there."""

    @property
    def bottom(self) -> int:
        """The rung of the lowest energy."""
        return min(self.energies, key=lambda k: self.energies[k])

    @property
    def wanted(self) -> list[int]:
        """Rungs to evaluate next; empty once both neighbours of the lowest one are evaluated."""
        if not self.energies:
            return [0, -1]  # initial cells of prototypes tend to be too large
        around = [self.bottom - 1, self.bottom + 1]
        return [k for k in around if k not in self.energies and abs(k) <= _STEPS]

    @property
    def is_bound(self) -> bool:
        """Whether the lowest energy lies between two higher ones."""
        lowest, energies = self.bottom, self.energies
        if lowest - 1 not in energies or lowest + 1 not in energies:
            return False
        finite = all(map(math.isfinite, energies.values()))
        return finite and max(energies[lowest - 1], energies[lowest + 1]) > energies[lowest]

    def estimate(self) -> float:
        """Scale of the minimum of the parabola in V^(-2/3) through three rungs."""
        rungs = [self.bottom + k for k in (-1, 0, 1)]
        x = [_STEP ** (-2 * k) for k in rungs]
        curve = np.polynomial.Polynomial.fit(x, [self.energies[k] for k in rungs], 2)
        return float(curve.deriv().roots()[0].real ** -0.5)

    def curve(self) -> EquationOfState | None:
        """The third-order Birch-Murnaghan curve; None where it has no minimum in the range."""
        if self.middle is None:
            return None
        scale, evaluation = self.middle
        near = [k for k in self.energies if abs(k - math.log(scale, _STEP)) < _NEAR]
        scales = np.array([scale, *(_STEP**k for k in near)])
        energies = np.array([evaluation.energy, *(self.energies[k] for k in near)])
        n = len(self.pairs.numbers)
        cell = self.structure.volume
        x = (cell / n * scales**3) ** (-2 / 3)
        fit = np.polynomial.Polynomial.fit(x, energies / n, 3)
        minimum = lowest_energy(fit.deriv(), float(x.min()), float(x.max()))
        if minimum is None:
            return None
        lowest, volume, modulus, derivative = minimum
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

    The result depends only on the list: its order decides which crystals share a graph. Potentials
    that cannot evaluate several crystals at once give exact features at full cost.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        crystals: up to some hundreds; memory grows with their number.

    Raises:
        OracleError: stage ``read``; the potential is unknown or not installed.
    """
    batched_potential = batched(calculator(potential))
    if batched_potential is None:
        return [features_of(potential, crystal, None) for crystal in crystals]
    with pinned_threads():
        ladders = {
            k: _ladder(crystal, batched_potential.cutoff)
            for k, crystal in enumerate(crystals)
            if all(number in batched_potential.elements for number in _numbers(crystal))
        }
        _climb(list(ladders.values()), batched_potential)
        return [
            _features(ladders[k]) if k in ladders else _unknown(potential, crystal)
            for k, crystal in enumerate(crystals)
        ]


def _ladder(crystal: Crystal, cutoff: float) -> _Ladder:
    structure = crystal.structure()
    return _Ladder(crystal, structure, Neighbours.of(structure, cutoff * _STEP**2))


def _climb(ladders: list[_Ladder], potential: BatchedPotential) -> None:
    """Evaluate rungs until every minimum is bracketed, then evaluate the estimated minima."""
    while requests := [(ladder, k) for ladder in ladders for k in ladder.wanted]:
        evaluations = potential([_at(ladder, _STEP**k, potential.cutoff) for ladder, k in requests])
        for (ladder, k), evaluation in zip(requests, evaluations, strict=True):
            ladder.energies[k], ladder.nodes[k] = evaluation.energy, evaluation
    bound = [(ladder, ladder.estimate()) for ladder in ladders if ladder.is_bound]
    evaluations = potential([_at(ladder, scale, potential.cutoff) for ladder, scale in bound])
    for (ladder, scale), evaluation in zip(bound, evaluations, strict=True):
        ladder.middle = (scale, evaluation)


def _at(ladder: _Ladder, scale: float, cutoff: float) -> Neighbours:
    """The pairs of the scaled crystal; the neighbour list is rebuilt for strong compression."""
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
    """Features of a crystal with an element that the potential does not support."""
    structure = crystal.structure()
    return CrystalFeatures(
        np.full((len(structure), 1, 1), np.nan, dtype=np.float32),
        edge_descriptors(structure),
        global_descriptors(structure, None),
        f"features: {potential} does not know all elements of {crystal.formula}",
    )


def _numbers(crystal: Crystal) -> list[int]:
    return [int(number) for number in crystal.structure().atomic_numbers]
