"""Third-order force constants by either method, with an error estimate for the conductivity."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from phono3py import Phono3py

from oracle.formulas.changes import change
from oracle.phonons.settings import PhononSettings
from oracle.phonons.snapshots import (
    AMPLITUDES,
    Basis,
    Equations,
    Fit,
    equations,
    random_displacements,
    second_order_fit,
    solve,
    third_order_basis,
)
from oracle.phonons.supercells import (
    as_atoms,
    displaced,
    folds_long_constants,
    pair_displacements,
    third_order,
)
from oracle.potentials.forces import ForceField

Array = NDArray[np.float64]
Conductivity = Callable[[Array], Array]
"""Gives a third of the trace of kappa (n_temperatures,), W/m/K, on a coarse mesh, for compact
third-order force constants."""
Draw = Callable[[range], Array]
"""Gives displacements (n_pairs, n_atoms, 3), Å, of the ± pairs with these numbers."""
_DRAWS = 2
_GROWTH = 0.5  # by which fraction the number of snapshots grows
_FLOOR = 0.02  # relative error that remains, by comparison with full sets, when all seems converged
_CELL = 0.05
"""Relative error because force constants end at their supercell, where nothing tells how large it
is: root mean square change from the default supercell to one of at least twice as many atoms, of
twelve binaries (docs/physics.md)."""
_PER_RESIDUAL = 8.0
"""The same in units of the root of the share of the squared forces that constants without a cutoff
do not explain, by which it is told for these crystals: from 1 % for MgO to 10 % for PbTe."""
_FOLDED = 0.1
"""The same where long constants are folded onto others and nothing tells it: about the largest
change of six zincblendes of small atoms (docs/physics.md)."""
_LARGE = 100  # atoms; the factor was found for supercells of 32 and 54
_CUT = 30.0
"""Relative error of kappa per share of the squared forces that constants within the cutoff do not
explain. SnSe: kappa falls by 25 to 60 % as this share falls from 1.4 to 0.6 % (docs/physics.md)."""
_WIDENED = 0.1  # such an error, above which the cutoff is lengthened
_MOST = 8000  # constants within a lengthened cutoff; their equations take gigabytes
_SMALL = 0.05  # Å; of larger displacements, the fifth order is a good part of what is left out
_MOST_CUT = 0.5  # largest of these errors, beyond which the share says no more


@dataclass(frozen=True)
class ThirdOrder:
    """Third-order force constants, and how they were obtained.

    Args:
        fc3: compact (n_primitive, n, n, 3, 3, 3), eV/Å³.
        scale: factor that corrects for what noise adds to the square of force constants.
        fc2: compact second-order force constants of the same supercell, eV/Å².
        kappa: (n_temperatures,), on the coarse mesh, W/m/K.
        error: (n_temperatures,), relative standard errors of kappa due to the force constants.
        supercells: number of displaced supercells.
        cutoff: longest distance between atoms, Å; None where the supercell is the limit.
        constants: number of independent force constants; None for finite differences.
        left_out: share of the squared even forces that the constants do not explain; 0 for
            displacements that are so large that higher orders count, and for finite differences,
            which tell nothing of it.
        beyond: the same without the share of noise, which does not depend on displacements.
    """

    fc3: Array
    scale: float
    fc2: Array
    kappa: Array
    error: Array
    supercells: int
    cutoff: float | None
    constants: int | None
    left_out: float = 0.0
    beyond: float = 0.0

    @property
    def cut(self) -> float:
        """Relative error of kappa by what lies beyond the cutoff."""
        return 0.0 if self.cutoff is None else min(_CUT * self.left_out, _MOST_CUT)

    @property
    def reaches_through(self) -> bool:
        """Whether constants are so long that another supercell would change kappa too much."""
        return self.cutoff is None and bool(_PER_RESIDUAL * np.sqrt(self.beyond) > _CELL)

    @property
    def scattering(self) -> Array:
        """Force constants that scattering rates are computed from, compact, eV/Å³."""
        return self.fc3 if self.scale == 1.0 else self.scale * self.fc3


class Fitted(NamedTuple):
    """Force constants by least squares; the last two are those of `ThirdOrder`.

    Args:
        fit: before the correction for noise.
        scale: factor on its force constants that corrects for it.
        kappa: (n_temperatures,), W/m/K.
        error: (n_temperatures,), relative.
    """

    fit: Fit
    scale: float
    kappa: Array
    error: Array


def finite_differences(
    phonons: Phono3py, settings: PhononSettings, field: ForceField, kappa: Conductivity
) -> ThirdOrder:
    """Force constants from displacements of all symmetry-inequivalent pairs of atoms.

    There is no redundancy from which to estimate an error; a fixed error is stated instead, with
    that of the supercell.
    """
    supercells = list(pair_displacements(phonons, settings.displacement))
    rest = field.forces(as_atoms(phonons.supercell), "fc3")
    forces = field.many(supercells, "fc3", lambda share: field.context.progress("fc3", share))
    fc2, fc3 = third_order(phonons, forces - rest)
    conductivity = kappa(fc3)
    folded = len(phonons.supercell) < _LARGE and folds_long_constants(phonons)
    cell = _FOLDED if folded else _CELL
    error = np.full(conductivity.shape, np.hypot(_FLOOR, cell))
    return ThirdOrder(fc3, 1.0, fc2, conductivity, error, len(supercells), None, None)


def adaptive(
    phonons: Phono3py,
    settings: PhononSettings,
    field: ForceField,
    kappa: Conductivity,
    reference: int,
    seed: str,
    draw: Draw | None = None,
) -> ThirdOrder:
    """Force constants fitted to ± pairs of random snapshots.

    Pairs are added until the error of kappa is below the tolerance, or `pairs_max` is reached. If
    force constants within the cutoff leave much of the forces unexplained, the cutoff is lengthened
    to what `pairs_max` pairs determine, as far as memory allows. One set of force constants serves
    all temperatures; the tolerance and the correction for noise are applied at one of them, and the
    errors at the others include what this leaves uncorrected.

    Args:
        phonons: made with ``second=False``.
        settings: of the oracle.
        field: computes forces.
        kappa: the conductivity whose error is estimated.
        reference: index of the temperature that decides how many pairs are needed.
        seed: hexadecimal digest from which the snapshots follow.
        draw: displacements of the snapshots; by default of the length that the settings give, in
            random directions that differ from atom to atom.
    """
    small = draw is None and settings.displacement <= _SMALL
    if draw is None:
        atoms, length = len(phonons.supercell), settings.displacement
        draw = functools.partial(random_displacements, atoms, displacement=length, seed=seed)
    snapshots = _Snapshots(phonons, field, draw)
    sampled = functools.partial(_sampled, snapshots, settings, kappa, reference, seed)
    basis, groups, fitted = sampled(_basis(phonons, settings, settings.pairs_start))
    if small and basis.cutoff is not None and settings.fc3_cutoff is None:
        # Noise is left out as well, which no cutoff changes.
        beyond = _reach(groups, fitted.fit)[1]
        if _CUT * beyond > _WIDENED:
            per_pair = 3 * (len(phonons.supercell) - 1) / settings.oversampling
            wider = _basis(phonons, settings, min(settings.pairs_max, int(_MOST / per_pair)))
            if wider.cutoff is not None and wider.size > basis.size:
                basis, groups, fitted = sampled(wider)
    fit, scale, best, error = fitted
    displacements, _, odd = snapshots.arrays()
    reach = _reach(groups, fit if small else None)
    cell = _cell_error(basis, *reach, folds_long_constants(phonons))
    return ThirdOrder(
        fc3=basis.compact(fit.coefficients),
        scale=scale,
        fc2=second_order_fit(phonons, displacements, odd),
        kappa=best,
        error=np.hypot(error, np.hypot(_FLOOR, cell)),
        supercells=2 * len(displacements) + 1,
        cutoff=basis.cutoff,
        constants=basis.size,
        left_out=reach[0],
        beyond=reach[1],
    )


def _basis(phonons: Phono3py, settings: PhononSettings, pairs: int) -> Basis:
    """The largest basis that so many pairs determine, within the cutoff if one is given."""
    return third_order_basis(phonons, settings.fc3_cutoff, pairs, settings.oversampling)


def _sampled(
    snapshots: _Snapshots,
    settings: PhononSettings,
    kappa: Conductivity,
    reference: int,
    seed: str,
    basis: Basis,
) -> tuple[Basis, list[Equations], Fitted]:
    """The given basis, the equations of as many snapshots as it needs, and the fit to them.

    Raises:
        OracleError: a force or a conductivity cannot be computed, or the equations have no
            solution.
    """
    pairs = max(basis.pairs_needed(settings.oversampling), snapshots.pairs)
    pairs = min(pairs, settings.pairs_max)
    groups: list[Equations] = []
    old = 0
    while True:
        snapshots.extend(pairs)
        groups = _extended(groups, basis, snapshots, old)
        fitted = _fit_with_error(basis, groups, snapshots, kappa, reference, seed)
        if fitted.error[reference] <= settings.tolerance or pairs >= settings.pairs_max:
            return basis, groups, fitted
        old, pairs = pairs, min(settings.pairs_max, pairs + max(2, round(_GROWTH * pairs)))


def _reach(groups: Sequence[Equations], fit: Fit | None) -> tuple[float, float]:
    """The shares `left_out` and `beyond` of `ThirdOrder`; zeros without a fit that tells them."""
    if fit is None:
        return 0.0, 0.0
    return fit.left_out, min(fit.left_out, _without_noise(groups, fit))


def _without_noise(groups: Sequence[Equations], fit: Fit) -> float:
    """The share of the squared forces that is not explained, without that of noise.

    Noise of forces does not depend on displacements, so that its share falls with the fourth power
    of them, in which the two groups differ; what constants leave out has one share in both.
    """
    total = _total(list(groups), [1.0] * len(groups))
    coefficients = fit.coefficients
    residuals = [
        group.square
        - 2 * float(coefficients @ group.vector)
        + float(coefficients @ group.matrix @ coefficients)
        for group in groups
    ]
    # A fit to random equations hides the same share of both variances, and mixes them.
    hidden = len(coefficients) / total.rows
    shown = 1.0 - hidden
    small, large = (
        residual / group.rows / shown for residual, group in zip(residuals, groups, strict=True)
    )
    middle, half = (small + large) / 2, (small - large) / (2 * shown)
    noise = [amplitude**-4.0 for amplitude in AMPLITUDES]
    constant = middle - half * (noise[0] + noise[1]) / (noise[0] - noise[1])
    mean_square = total.square / total.rows
    return max(0.0, constant / mean_square) if mean_square else 0.0


def _cell_error(basis: Basis, left_out: float, beyond: float, folded: bool) -> float:
    """Relative error because force constants end at their supercell.

    It is told by what they leave unexplained in the usual supercells; in larger ones, and where
    that is noise, it is at most that of an average crystal.
    """
    if basis.cutoff is not None:
        return _CELL
    least = _FOLDED if folded and basis.n_atoms < _LARGE else 0.0
    if left_out == 0:
        return max(_CELL, least)
    told = min(_PER_RESIDUAL * np.sqrt(left_out), _MOST_CUT)
    through = basis.n_atoms < _LARGE and _PER_RESIDUAL * np.sqrt(beyond) > _CELL
    return max(told if through else min(told, _CELL), least)


class _Snapshots:
    """Forces of ± pairs of snapshots, computed on demand."""

    def __init__(self, phonons: Phono3py, field: ForceField, draw: Draw) -> None:
        self._rest = as_atoms(phonons.supercell)
        self._field = field
        self._draw = draw
        self._rest_forces = field.forces(self._rest, "fc3")
        self._displacements: list[Array] = []
        self._even: list[Array] = []
        self._odd: list[Array] = []

    @property
    def pairs(self) -> int:
        """How many pairs there are."""
        return len(self._displacements)

    def extend(self, pairs: int) -> None:
        """Compute forces until there are at least `pairs` pairs."""
        start = self.pairs
        new = range(start, pairs)
        if not new:
            return
        drawn = self._draw(new)
        supercells = [displaced(self._rest, s * u) for u in drawn for s in (1.0, -1.0)]
        forces = self._field.many(
            supercells,
            "fc3",
            lambda share: self._field.context.progress("fc3", (start + share * len(new)) / pairs),
        )
        plus, minus = forces[::2], forces[1::2]
        self._displacements += list(drawn)
        self._even += list((plus + minus) / 2 - self._rest_forces)
        self._odd += list((plus - minus) / 2)

    def arrays(self) -> tuple[Array, Array, Array]:
        """Displacements, even and odd forces, each (n_pairs, n_atoms, 3)."""
        return np.array(self._displacements), np.array(self._even), np.array(self._odd)


def _extended(
    groups: list[Equations], basis: Basis, snapshots: _Snapshots, old: int
) -> list[Equations]:
    """The equations of the pairs with each of `AMPLITUDES`, with those after the first `old`."""
    displacements, even, _ = snapshots.arrays()
    kinds = len(AMPLITUDES)
    later = [slice(old + (kind - old) % kinds, None, kinds) for kind in range(kinds)]
    added = [equations(basis, displacements[part], even[part]) for part in later]
    return [g + a for g, a in zip(groups, added, strict=True)] if groups else added


def _fit_with_error(
    basis: Basis,
    groups: list[Equations],
    snapshots: _Snapshots,
    kappa: Conductivity,
    reference: int,
    seed: str,
) -> Fitted:
    """The fit, the factor on its force constants, their kappa, and its relative errors.

    Force constants from least squares are unbiased, but scattering rates depend on their squares,
    to which noise always adds, so that kappa comes out too low. Adding the same amount of noise
    again lowers it by as much again (simulation extrapolation: Cook and Stefanski, J. Am. Stat.
    Assoc. 89, 1314 (1994)); the force constants are scaled to compensate for it.

    The relative standard error is composed of half of this correction, of the scatter of the draws,
    and of the change when the fit gives more weight to smaller or to larger displacements, which
    shows contributions of higher orders or of a potential that is not smooth. The force constants
    are scaled by the bias at the reference temperature; at others, the difference between the
    biases is part of the error.
    """
    displacements, _, _ = snapshots.arrays()
    fit = solve(_total(groups, [1.0, 1.0]))
    fitted = basis.compact(fit.coefficients)
    best = kappa(fitted)
    rng = np.random.default_rng([int(seed[:16], 16), len(displacements), 1])
    noisy = [basis.compact(fit.drawn(basis, displacements, rng)) for _ in range(_DRAWS)]
    drawn = np.array([change(kappa(constants), best) for constants in noisy])
    weighted = [
        kappa(basis.compact(solve(_total(groups, weights)).coefficients))
        for weights in ([1.5, 0.5], [0.5, 1.5])
    ]
    biases = np.minimum(drawn.mean(axis=0), 0.0)
    bias = float(biases[reference])
    parts = zip(biases / 2, drawn.std(axis=0), change(*weighted), strict=True)
    error = np.hypot([np.linalg.norm(part) for part in parts], biases - bias)
    return Fitted(fit, float(np.exp(bias / 2)), best * np.exp(-bias), error)


def _total(groups: list[Equations], weights: list[float]) -> Equations:
    first, *others = (g.times(w) for g, w in zip(groups, weights, strict=True))
    for other in others:
        first = first + other
    return first
