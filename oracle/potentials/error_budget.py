"""What the error of a conductivity consists of: numerics, potential and functional.

The three are relative standard errors of kappa, taken as independent deviations of its logarithm.
Nothing is corrected: a potential whose kappa is mostly too low has a large error, not a higher one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from oracle.potentials.accuracy import PUBLISHED, known_accuracy, measured_here
from oracle.potentials.calibration import ANALOGY, NORMAL_90, MeasuredTable

FUNCTIONAL = 0.2
"""Relative error of kappa due to the functional. Over 50 semiconductors, the mean deviation between
functionals (PBE, PBEsol, LDA, rSCAN) is more than 20 %, between DFT packages about 10 % and between
solvers of the Boltzmann equation 1 % (Srivastava, Gokhale and Jain, arXiv:2509.14702)."""
_FUNCTIONAL_SOURCE = "spread between functionals, arXiv:2509.14702"
_NUMERICS_SOURCE = "stated by the oracle: force constants and mesh"
_OF_MEAN = math.sqrt(math.pi / 2)
"""Root mean square of normal deviations over the mean of their absolute values."""
_UNKNOWN = math.log(10.0)
"""Error by analogy from which nothing is claimed: an interval of more than a decade on each side
says nothing."""
_LARGEST = 300.0  # half width of an interval, in the logarithm, so that nothing overflows
_AS_FACTOR = 0.5
"""Relative error from which it is printed as a factor."""


@dataclass(frozen=True)
class Part:
    """One part of the error.

    Args:
        relative: standard error of the logarithm of kappa; None where nothing is known of it.
        source: where it comes from, as a short text.
        short: the same in two or three words, empty where it is the same for every crystal.
        by_analogy: whether it was measured on other families of crystals only.
    """

    relative: float | None
    source: str
    short: str = ""
    by_analogy: bool = False

    @property
    def text(self) -> str:
        """``12 %: 18 rocksalt compounds``."""
        if self.relative is None:
            return "unknown"
        size = f"{100 * self.relative:.0f} %"
        if self.relative >= _AS_FACTOR:
            size = f"a factor of {math.exp(min(self.relative, _LARGEST)):.2g}"
        return f"{size}: {self.short}" if self.short else size


@dataclass(frozen=True)
class ErrorBudget:
    """The parts of the error of one conductivity, and the intervals that follow.

    An interval is None if numerics or potential are unknown. Both are symmetric in the logarithm.

    Args:
        numerics: see `Part`; relative to the same potential computed without numerical error.
        potential: relative to DFT with the functional PBE, or 0 where kappa is from DFT.
        functional: relative to DFT with another functional, and so to experiment.
        total: the known parts in quadrature, relative.
        interval_90_dft: W/m/K; holds kappa by DFT with PBE (with DFT, that of the same functional)
            with a probability of 90 %: numerics and potential.
        interval_90: W/m/K; the same of kappa with another functional or in experiment.
    """

    numerics: Part
    potential: Part
    functional: Part
    total: float
    interval_90_dft: tuple[float, float] | None
    interval_90: tuple[float, float] | None

    @property
    def text(self) -> str:
        """The interval with its parts, in one line."""
        parts = (
            f"(numerics {self.numerics.text}, potential {self.potential.text}, "
            f"functional {self.functional.text})"
        )
        if self.interval_90 is None:
            return f"unknown {parts}"
        return f"{interval_text(*self.interval_90)} W/m/K {parts}"

    def as_json(self) -> dict[str, Any]:
        """The budget as plain JSON."""
        document = asdict(self)
        for name in ("numerics", "potential", "functional"):
            del document[name]["short"]
        for name in ("interval_90_dft", "interval_90"):
            interval = document[name]
            document[name] = None if interval is None else list(interval)
        return document | {"text": self.text}


def error_budget(
    kappa: float,
    std: float | None,
    calculator: str | Mapping[str, Any],
    family: str | None,
    *,
    corrected: bool = False,
) -> ErrorBudget:
    """The error of a conductivity, part by part.

    The half width of an interval is, in the logarithm, that of numerics ⊕ potential, times the
    multiplier that covers 90 % of the measured compounds (1.645, as for a normal distribution,
    where none were measured), in quadrature with 1.645 times the functional's part.

    Args:
        kappa: W/m/K, positive.
        std: its numerical standard error, W/m/K; None where it is not known.
        calculator: the potential, as settings name it; settings of a DFT program are a mapping.
        family: name of the crystal's prototype; None if it has none.
        corrected: whether a dispersion correction was added to the potential.

    Raises:
        ValueError: `kappa` is not a positive number, or `std` is negative or not a number.
    """
    if not (math.isfinite(kappa) and kappa > 0):
        raise ValueError(f"given kappa = {kappa}; expected a positive number of W/m/K")
    if std is not None and not (math.isfinite(std) and std >= 0):
        raise ValueError(f"given std = {std}; expected a number of W/m/K that is not negative")
    numerics = Part(
        None if std is None else std / kappa,
        "not stated by the oracle" if std is None else _NUMERICS_SOURCE,
    )
    potential, multiplier = _potential(calculator, family, corrected)
    functional = Part(FUNCTIONAL, _FUNCTIONAL_SOURCE)
    known = (numerics.relative, potential.relative, functional.relative)
    to_dft = to_all = None
    if numerics.relative is not None and potential.relative is not None:
        half = multiplier * math.hypot(numerics.relative, potential.relative)
        to_dft = _around(kappa, half)
        to_all = _around(kappa, math.hypot(half, NORMAL_90 * FUNCTIONAL))
    total = math.hypot(*(part for part in known if part is not None))
    return ErrorBudget(numerics, potential, functional, total, to_dft, to_all)


def _potential(
    calculator: str | Mapping[str, Any], family: str | None, corrected: bool
) -> tuple[Part, float]:
    """The potential's part, and the multiplier that belongs to it."""
    if not isinstance(calculator, str):
        return Part(0.0, "DFT itself, with the functional of its settings", "DFT"), NORMAL_90
    measured = measured_here(calculator)
    if family is not None and not corrected:
        if measured is not None and family in measured.families:
            return _measured_part(measured, family), measured.multiplier_90
        published = _published_part(calculator, family)
        if published is not None:
            return published, NORMAL_90
    if measured is not None:
        return _analogy(measured, family, corrected), max(measured.multiplier_90, NORMAL_90)
    others = [entry.factor for (name, _), entry in PUBLISHED.items() if name == calculator]
    factors = [factor for factor in others if factor is not None]
    if factors:
        logs = [_OF_MEAN * math.log(factor) for factor in factors]
        relative = ANALOGY * math.hypot(*logs) / math.sqrt(len(logs))
        source = f"by analogy: {ANALOGY:g} times the published deviations of other families"
        if relative > _UNKNOWN:
            return Part(None, f"{source}, more than a factor of ten", "", True), NORMAL_90
        return Part(relative, source, "by analogy", by_analogy=True), NORMAL_90
    source = (
        f"nothing is known of the accuracy of {calculator}; compare some conductivities with DFT, "
        "or evaluate again with a potential of known accuracy"
    )
    return Part(None, source), NORMAL_90


def _measured_part(measured: MeasuredTable, family: str) -> Part:
    relative, _ = measured.potential(family)
    compounds = f"{measured.families[family].compounds} {family} compounds"
    return Part(relative, f"{compounds} at 300 K; {measured.source}", compounds)


def _analogy(measured: MeasuredTable, family: str | None, corrected: bool) -> Part:
    relative, _ = measured.potential(None)
    why = "with dispersion" if corrected else f"{family or 'this structure'} was not measured"
    names = ", ".join(measured.families) or "all families"
    source = f"by analogy ({why}): {ANALOGY:g} times that of {names}; {measured.source}"
    return Part(relative, source, "by analogy", by_analogy=True)


def _published_part(potential: str, family: str) -> Part | None:
    """From a published typical factor, or from the largest that a published SRME allows."""
    entry = known_accuracy(potential, [family])[0].known
    if entry is None or not math.isfinite(entry.largest):
        return None
    short = "published" if entry.factor is not None else "published bound"
    return Part(_OF_MEAN * math.log(entry.largest), f"{entry.text}; {entry.source}", short)


def _around(kappa: float, half: float) -> tuple[float, float]:
    half = min(half, _LARGEST)
    return kappa * math.exp(-half), kappa * math.exp(half)


def interval_text(low: float, high: float) -> str:
    """``5.9 to 9.8``: both ends with two significant digits, more where these would be equal."""
    first, last = _rounded(low, 2), _rounded(high, 2)
    if float(first) == float(last):
        first, last = _rounded(low, 4), _rounded(high, 4)
    return f"{first} to {last}"


def _rounded(value: float, digits: int) -> str:
    if not 1e-4 <= value < 1e6:  # beyond, zeros would hide the digits
        return f"{value:.{digits - 1}e}"
    place = digits - 1 - math.floor(math.log10(value))
    return f"{round(value, place):.{max(place, 0)}f}"
