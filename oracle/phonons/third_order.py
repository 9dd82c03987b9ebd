"""Third-order force constants by either engine, with an honest error of the conductivity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
from oracle.phonons.supercells import as_atoms, displaced, pair_displacements, third_order
from oracle.potentials.forces import ForceField

Array = NDArray[np.float64]
Conductivity = Callable[[Array], Array]
"""A third of the trace of kappa (n_temperatures,) for compact third-order constants, on a coarse
mesh."""
_DRAWS = 2
_GROWTH = 0.5  # share by which snapshots are added
_FLOOR = 0.02  # relative; what comparisons with full sets leave where both look converged


@dataclass(frozen=True)
class ThirdOrder:
    """Third-order force constants and what they rest on.

    Args:
        fc3: compact (n_primitive, n, n, 3, 3, 3), eV/Å³.
        scattering: the same corrected for what noise adds to its square, for rates of scattering.
        fc2: compact second order of the same supercell, eV/Å².
        kappa: on the coarse mesh (n_temperatures,), W/m/K.
        error: relative standard errors that they give kappa (n_temperatures,).
        supercells: displaced supercells used.
        cutoff: Å, longest pair of atoms; None where the supercell is the limit.
        constants: number of independent constants, None for finite differences.
    """

    fc3: Array
    scattering: Array
    fc2: Array
    kappa: Array
    error: Array
    supercells: int
    cutoff: float | None
    constants: int | None


def finite_differences(
    phonons: Phono3py, settings: PhononSettings, field: ForceField, kappa: Conductivity
) -> ThirdOrder:
    """All pairs of displaced atoms that symmetry leaves different.

    The stated error is the floor alone: there is no redundancy to estimate it from.
    """
    supercells = list(pair_displacements(phonons, settings.displacement))
    rest = field.forces(as_atoms(phonons.supercell), "fc3")
    forces = field.many(supercells, "fc3", lambda share: field.context.progress("fc3", share))
    fc2, fc3 = third_order(phonons, forces - rest)
    found = kappa(fc3)
    error = np.full(found.shape, _FLOOR)
    return ThirdOrder(fc3, fc3, fc2, found, error, len(supercells), None, None)


def adaptive(
    phonons: Phono3py,
    settings: PhononSettings,
    field: ForceField,
    kappa: Conductivity,
    reference: int,
    seed: str,
) -> ThirdOrder:
    """± pairs of random snapshots until kappa is known to the tolerance, or the most are used.

    The tolerance and the correction for noise are those of one temperature, since one set of
    constants serves all; at the others the error says what that leaves.

    Args:
        phonons: made with ``second=False``.
        settings: of the oracle.
        field: gives forces.
        kappa: what the errors are judged by.
        reference: index of the temperature that decides how many pairs are drawn.
        seed: hexadecimal digest that the snapshots follow from.
    """
    basis = third_order_basis(
        phonons, settings.fc3_cutoff, settings.pairs_start, settings.oversampling
    )
    snapshots = _Snapshots(phonons, field, settings.displacement, seed)
    wanted = min(basis.pairs_needed(settings.oversampling), settings.pairs_max)
    while True:
        snapshots.extend(wanted)
        fit, scattering, best, error = _judged(basis, snapshots, kappa, reference, seed)
        if error[reference] <= settings.tolerance or wanted >= settings.pairs_max:
            break
        wanted = min(settings.pairs_max, wanted + max(2, round(_GROWTH * wanted)))
    displacements, _, odd = snapshots.arrays()
    return ThirdOrder(
        fc3=basis.compact(fit.coefficients),
        scattering=scattering,
        fc2=second_order_fit(phonons, displacements, odd),
        kappa=best,
        error=np.hypot(error, _FLOOR),
        supercells=2 * wanted + 1,
        cutoff=basis.cutoff,
        constants=basis.size,
    )


class _Snapshots:
    """Forces of ± pairs, more of them on demand."""

    def __init__(
        self, phonons: Phono3py, field: ForceField, displacement: float, seed: str
    ) -> None:
        self._rest = as_atoms(phonons.supercell)
        self._field = field
        self._displacement = displacement
        self._seed = seed
        self._rest_forces = field.forces(self._rest, "fc3")
        self._displacements: list[Array] = []
        self._even: list[Array] = []
        self._odd: list[Array] = []

    def extend(self, pairs: int) -> None:
        """Have at least so many pairs."""
        start = len(self._displacements)
        new = range(start, pairs)
        drawn = random_displacements(len(self._rest), new, self._displacement, self._seed)
        both = [displaced(self._rest, s * u) for u in drawn for s in (1.0, -1.0)]
        forces = self._field.many(
            both,
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


def _judged(
    basis: Basis, snapshots: _Snapshots, kappa: Conductivity, reference: int, seed: str
) -> tuple[Fit, Array, Array, Array]:
    """The fit, the constants that scattering is computed from, their kappa, and its errors.

    Least squares leaves constants without bias, but scattering goes with their squares, to which
    noise only ever adds, so that kappa comes out too low. One more draw of the same noise lowers
    it once more by as much (simulation extrapolation, Cook and Stefanski, J. Am. Stat. Assoc. 89,
    1314 (1994)); the constants are scaled to take that back.

    The relative standard error is made of half of this correction, of the scatter of the draws,
    and of the change when the fit gives more weight to smaller or to larger displacements: that
    differs where higher orders, or a potential that is not smooth, leak in. Away from the reference
    temperature, by whose bias the constants are scaled, the difference of the biases joins them.
    """
    displacements, even, _ = snapshots.arrays()
    groups = [
        equations(basis, displacements[k :: len(AMPLITUDES)], even[k :: len(AMPLITUDES)])
        for k in range(len(AMPLITUDES))
    ]
    fit = solve(_total(groups, [1.0, 1.0]))
    fitted = basis.compact(fit.coefficients)
    best = kappa(fitted)
    rng = np.random.default_rng([int(seed[:16], 16), len(displacements), 1])
    noisy = [basis.compact(fit.drawn(basis, displacements, rng)) for _ in range(_DRAWS)]
    drawn = np.array([change(kappa(constants), best) for constants in noisy])
    leaning = [
        kappa(basis.compact(solve(_total(groups, weights)).coefficients))
        for weights in ([1.5, 0.5], [0.5, 1.5])
    ]
    biases = np.minimum(drawn.mean(axis=0), 0.0)
    bias = float(biases[reference])
    parts = zip(biases / 2, drawn.std(axis=0), change(*leaning), strict=True)
    error = np.hypot([np.linalg.norm(part) for part in parts], biases - bias)
    return fit, fitted * np.exp(bias / 2), best * np.exp(-bias), error


def _total(groups: list[Equations], weights: list[float]) -> Equations:
    first, *others = (g.times(w) for g, w in zip(groups, weights, strict=True))
    for other in others:
        first = first + other
    return first
