"""How far kappa of a potential is from DFT, calibrated on compounds for which both are known.

Deviations are logarithms of the ratio to DFT. Of a family of crystals they are described by their
root mean square, the spread; that of a compound is expected to be the spread of its family, in
quadrature with the numerical error. The multiplier of this sum that covers 90 % of the compounds
is found on compounds that were left out when the spreads were determined: with n of them it is the
⌈0.9 (n + 1)⌉-th smallest ratio of deviation to sum, which covers a further compound with a
probability of at least 90 % whatever the distribution of the deviations (conformal prediction:
Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, Springer 2005).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NORMAL_90 = 1.645
"""Standard deviations on either side of the mean that hold 90 % of a normal distribution."""
ANALOGY = 3.0
"""Factor by which the spread over all measured families is widened for a family that is not among
them. It is a judgement: with SevenNet-l3i5, half-Heuslers deviate five times as much as the binary
compounds of the published table (`oracle.potentials.accuracy`), so that they lie at the edge of a
90 % interval that is widened like this."""
_COVERED = 0.9
_LEAST_COMPOUNDS = 3
"""Compounds from which a family has a spread of its own."""
_LEAST_CALIBRATED = 20
"""Compounds from which the multiplier is taken from them instead of the normal distribution."""
_LEAST_SHARE = 0.5
"""Least share of the spread that is ascribed to the potential, since stated numerical errors are
themselves estimates."""


@dataclass(frozen=True)
class Comparison:
    """One compound of which kappa is known by DFT.

    Args:
        formula: its composition; polymorphs are left out together.
        family: name of its prototype.
        log_ratio: natural logarithm of kappa of the potential relative to DFT; None if the compound
            was refused (unstable or failed) although it is stable in DFT.
        numerics: stated numerical error of kappa, relative.
    """

    formula: str
    family: str
    log_ratio: float | None
    numerics: float = 0.0


@dataclass(frozen=True)
class Deviations:
    """What the compounds of one family, or of all, say together.

    Args:
        compounds: number of compounds with a kappa of the potential.
        refused: number of further compounds that are unstable or failed with the potential.
        bias: geometric mean of kappa relative to DFT.
        spread: root mean square of the logarithms of the ratios, that is, their standard deviation
            about zero; it contains bias and numerical errors.
        factor: typical factor between both kappa, ``exp(mean |ln ratio|)``.
        factor_90: factor within which 90 % of the compounds are; of fewer than nine, all.
        numerics: root mean square of the stated numerical errors, relative.
    """

    compounds: int
    refused: int
    bias: float
    spread: float
    factor: float
    factor_90: float
    numerics: float

    @property
    def potential(self) -> float:
        """The part of the spread that numerical errors do not explain; at least half of it."""
        rest = math.sqrt(max(self.spread**2 - self.numerics**2, 0.0))
        return max(rest, _LEAST_SHARE * self.spread)


@dataclass(frozen=True)
class Coverage:
    """Shares of compounds whose kappa by DFT is within 90 % intervals that did not know it.

    Args:
        share: of all compounds.
        quartiles: by stated width of the interval, the narrowest quarter of the compounds first.
        leaving: what was left out together, in words.
    """

    share: float
    quartiles: tuple[float, ...]
    leaving: str = "one formula after another"


@dataclass(frozen=True)
class MeasuredTable:
    """What was measured of one potential.

    Args:
        overall: over all families.
        families: by name of the prototype.
        multiplier_90: see the module; applies to the sum of numerics and potential.
        coverage: of the intervals that this table gives, by cross-validation.
        settings: with which kappa was computed, in a word.
    """

    overall: Deviations
    families: Mapping[str, Deviations]
    multiplier_90: float
    coverage: Coverage | None
    settings: str = "defaults"

    @property
    def source(self) -> str:
        """Where the figures come from, in a few words."""
        count = self.overall.compounds + self.overall.refused
        return f"measured here, {count} compounds of PhononDB-PBE (A. Togo), {self.settings}"

    def potential(self, family: str | None) -> tuple[float, bool]:
        """Relative error of kappa due to the potential, and whether it is only by analogy."""
        if family is not None and family in self.families:
            return self.families[family].potential, False
        return ANALOGY * self.overall.potential, True


def deviations(comparisons: Sequence[Comparison]) -> Deviations:
    """The deviations of some compounds.

    Raises:
        ValueError: none of them has a kappa of the potential.
    """
    measured = [c for c in comparisons if c.log_ratio is not None]
    logs = [c.log_ratio for c in measured if c.log_ratio is not None]
    if not logs:
        raise ValueError("given no compound with a kappa; expected at least one: measure more")
    return Deviations(
        compounds=len(logs),
        refused=len(comparisons) - len(logs),
        bias=math.exp(math.fsum(logs) / len(logs)),
        spread=_root_mean_square(logs),
        factor=math.exp(math.fsum(map(abs, logs)) / len(logs)),
        factor_90=math.exp(_covering([abs(value) for value in logs])),
        numerics=_root_mean_square([c.numerics for c in measured]),
    )


def measured_table(comparisons: Sequence[Comparison], settings: str = "defaults") -> MeasuredTable:
    """The table of one potential with its multiplier, and with the coverage of its intervals.

    Raises:
        ValueError: no compound has a kappa of the potential.
    """
    return MeasuredTable(
        deviations(comparisons),
        _spreads(comparisons),
        multiplier_90(comparisons),
        _cross_validated(comparisons),
        settings,
    )


def multiplier_90(comparisons: Sequence[Comparison]) -> float:
    """The multiplier of numerics ⊕ potential that covers 90 % of compounds that were left out."""
    measured = [c for c in comparisons if c.log_ratio is not None]
    if len(measured) < _LEAST_CALIBRATED:
        return NORMAL_90
    sums = _Sums(measured)
    return _covering(sums.deviations / sums.widths(sums.without_each()))


def _cross_validated(comparisons: Sequence[Comparison]) -> Coverage | None:
    """Coverage of formulas that neither spreads nor multiplier know; None for too few compounds."""
    measured = [c for c in comparisons if c.log_ratio is not None]
    sums = _Sums(measured)
    tested: list[tuple[float, bool]] = []
    for number in range(sums.formulas):
        left_out = sums.formula == number
        if np.count_nonzero(~left_out) < _LEAST_CALIBRATED:
            return None
        rest = sums.without_each() - sums.of_formula[number]
        ratios = sums.deviations[~left_out] / sums.widths(rest)[~left_out]
        halves = _covering(ratios) * sums.widths(sums.without_each())[left_out]
        covered = sums.deviations[left_out] <= halves
        tested += zip(halves.tolist(), covered.tolist(), strict=True)
    tested.sort()
    ends = [round(len(tested) * i / 4) for i in range(5)]
    shares = tuple(_share(tested[a:b]) for a, b in itertools.pairwise(ends))
    return Coverage(_share(tested), shares)


class _Sums:
    """Sums over compounds with a kappa, from which those of some formulas can be subtracted.

    Attributes:
        deviations: (n,), absolute logarithms of the ratios.
        numerics: (n,), relative.
        formula: (n,), number of each compound's formula.
        of_formula: (n_formulas, n_families, 3), its number of compounds in each family, and their
            sums of squares of deviations and of numerical errors.
    """

    def __init__(self, measured: Sequence[Comparison]) -> None:
        self.deviations = np.array([abs(c.log_ratio or 0.0) for c in measured])
        self.numerics = np.array([c.numerics for c in measured])
        self.formula = _numbered([c.formula for c in measured])
        self._family = _numbered([c.family for c in measured])
        self.formulas = int(self.formula.max()) + 1
        self.of_formula = np.zeros((self.formulas, int(self._family.max()) + 1, 3))
        each = np.stack([np.ones(len(measured)), self.deviations**2, self.numerics**2], axis=1)
        np.add.at(self.of_formula, (self.formula, self._family), each)

    def without_each(self) -> Array:
        """(n_formulas, n_families, 3): sums over all compounds but those of each formula."""
        return self.of_formula.sum(axis=0) - self.of_formula

    def widths(self, sums: Array) -> Array:
        """(n,): numerics ⊕ potential of each compound by the sums in the row of its formula."""
        own = _potential_part(sums)
        all_families = _potential_part(sums.sum(axis=1, keepdims=True))
        potential = np.where(sums[..., 0] >= _LEAST_COMPOUNDS, own, ANALOGY * all_families)
        return np.hypot(potential[self.formula, self._family], self.numerics)


def _potential_part(sums: Array) -> Array:
    """`Deviations.potential` of (..., 3) sums; of rounding errors below zero, zero."""
    count, deviations, numerics = np.moveaxis(np.maximum(sums, 0.0), -1, 0)
    share = np.maximum(deviations - numerics, _LEAST_SHARE**2 * deviations)
    return np.sqrt(share / np.maximum(count, 1.0))


def _numbered(names: Sequence[str]) -> NDArray[np.intp]:
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([order[name] for name in names], dtype=np.intp)


def _spreads(comparisons: Sequence[Comparison]) -> dict[str, Deviations]:
    """The deviations of each family with enough compounds."""
    by_family: dict[str, list[Comparison]] = {}
    for each in comparisons:
        by_family.setdefault(each.family, []).append(each)
    return {
        name: deviations(members)
        for name, members in by_family.items()
        if sum(c.log_ratio is not None for c in members) >= _LEAST_COMPOUNDS
    }


def _covering(values: Sequence[float] | Array) -> float:
    """The ⌈0.9 (n + 1)⌉-th smallest value, or the largest."""
    place = min(math.ceil(_COVERED * (len(values) + 1)), len(values))
    return float(sorted(values)[place - 1])


def _share(tested: Sequence[tuple[float, bool]]) -> float:
    return sum(covered for _, covered in tested) / len(tested)


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(value**2 for value in values) / len(values))
