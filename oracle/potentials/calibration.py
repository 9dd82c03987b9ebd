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
        if family in self.families:
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
    spreads, multiplier = _spreads(comparisons), multiplier_90(comparisons)
    coverage = _cross_validated(comparisons)
    return MeasuredTable(spreads.overall, spreads.families, multiplier, coverage, settings)


def multiplier_90(comparisons: Sequence[Comparison]) -> float:
    """The multiplier of numerics ⊕ potential that covers 90 % of compounds that were left out."""
    measured = [c for c in comparisons if c.log_ratio is not None]
    if len(measured) < _LEAST_CALIBRATED:
        return NORMAL_90
    ratios = [
        abs(each.log_ratio or 0.0) / _width(_spreads(rest), each)
        for rest, left_out in folds(measured)
        for each in left_out
        if rest
    ]
    return _covering(ratios)


def folds(comparisons: Sequence[Comparison]) -> list[tuple[list[Comparison], list[Comparison]]]:
    """(rest, left out) pairs, one per formula; a formula is never on both sides."""
    return [
        (
            [c for c in comparisons if c.formula != formula],
            [c for c in comparisons if c.formula == formula],
        )
        for formula in dict.fromkeys(c.formula for c in comparisons)
    ]


def _cross_validated(comparisons: Sequence[Comparison]) -> Coverage | None:
    """The coverage by cross-validation; None if there are too few compounds to calibrate."""
    measured = [c for c in comparisons if c.log_ratio is not None]
    if len(measured) <= _LEAST_CALIBRATED:
        return None
    tested: list[tuple[float, bool]] = []
    for rest, left_out in folds(measured):
        table, multiplier = _spreads(rest), multiplier_90(rest)
        for each in left_out:
            half = multiplier * _width(table, each)
            tested.append((half, abs(each.log_ratio or 0.0) <= half))
    tested.sort()
    size = len(tested)
    ends = [round(size * i / 4) for i in range(5)]
    shares = tuple(_share(tested[a:b]) for a, b in itertools.pairwise(ends))
    return Coverage(_share(tested), shares)


def _spreads(comparisons: Sequence[Comparison]) -> MeasuredTable:
    """The deviations by family, with the multiplier of a normal distribution."""
    by_family: dict[str, list[Comparison]] = {}
    for each in comparisons:
        by_family.setdefault(each.family, []).append(each)
    families = {
        name: deviations(members)
        for name, members in by_family.items()
        if sum(c.log_ratio is not None for c in members) >= _LEAST_COMPOUNDS
    }
    return MeasuredTable(deviations(comparisons), families, NORMAL_90, None)


def _width(table: MeasuredTable, each: Comparison) -> float:
    """Numerics ⊕ potential of a compound, relative."""
    potential, _ = table.potential(each.family)
    return math.hypot(potential, each.numerics)


def _covering(values: Sequence[float]) -> float:
    """The ⌈0.9 (n + 1)⌉-th smallest value, or the largest."""
    place = min(math.ceil(_COVERED * (len(values) + 1)), len(values))
    return sorted(values)[place - 1]


def _share(tested: Sequence[tuple[float, bool]]) -> float:
    return sum(covered for _, covered in tested) / len(tested)


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(value**2 for value in values) / len(values))
