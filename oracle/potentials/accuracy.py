"""Known accuracy of each potential relative to density functional theory, family by family.

The figures come from our own measurements (`oracle.potentials.measured_accuracy`) and, where there
are none, from the literature and from published data; none is computed at run time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from oracle.potentials.calibration import Deviations, MeasuredTable
from oracle.potentials.measured_accuracy import MEASURED

_PHONONDB = "56 compounds of PhononDB-PBE (A. Togo), by Matbench Discovery"
_BENCHMARK = "103 compounds of PhononDB-PBE (A. Togo), by Matbench Discovery"
"""All of them rocksalts, zincblendes or wurtzites."""
_NIOBIUM = "NbCoGe, against Nequix OAM-1-PFT, which was fitted to phonons"
"""At 300 K, relative to the 23 W/m/K of that potential; published DFT has 19 at 500 K."""
_HALF_HEUSLERS = "published DFT, by benchmarks/half_heuslers.py"
"""At 300 and 500 K mostly; papers on the same compound differ by a factor of 1.75 in the median."""
_HOLE = 3.0
"""Factor from which a family is called a hole of the potential."""
_PERCENT = 1.2
"""Factor below which deviations are given in percent."""
_LEANS = 0.5
"""Least share of the typical deviation that the bias must have to be called one."""


@dataclass(frozen=True)
class Entry:
    """One line of the table.

    Args:
        factor: typical factor between kappa of the potential and of DFT, ``exp(mean |ln ratio|)``.
        bias: geometric mean of kappa relative to DFT; below 1 the potential is too soft.
        compounds: number of compounds that the factor rests on.
        imaginary: number of further compounds that are unstable (or, where measured here, failed)
            with the potential but not in DFT.
        source: where the figures come from.
        srme: symmetric relative mean error of the mode-resolved kappa (0 to 2: Póta et al.,
            arXiv:2408.00755), where only that is published; then there is no factor.
        spread: root mean square of the logarithms of the ratios to DFT, where it was measured here.
    """

    factor: float | None
    bias: float | None
    compounds: int
    imaginary: int
    source: str
    srme: float | None = None
    spread: float | None = None

    @property
    def largest(self) -> float:
        """Typical factor or, where only the SRME is known, the largest that it allows."""
        return factor_within(self.srme or 0.0) if self.factor is None else self.factor

    @property
    def text(self) -> str:
        """How far kappa is off, in words."""
        if self.factor is None:
            return f"typically off by a factor of up to {self.largest:.2g}"
        if self.spread is not None:
            spread = f"{100 * self.spread:.0f} %"
            if self.spread >= 0.5:  # a percentage of a logarithm would mislead
                spread = f"×{math.exp(self.spread):.2g}"
            return f"off by {_size(self.factor)} (bias {_signed(self.bias)}, spread {spread})"
        text = f"typically off by {_size(self.factor)}"
        return text if self.bias is None else text + _side(self.bias, self.factor)


_SRME = {
    "7net-0": 0.767,
    "7net-l3i5": 0.550,
    "chgnet": 1.717,
    "mace-mpa-0": 0.412,
    "mattersim-v1-5m": 0.574,
    "orb-v3": 0.210,
}
"""From the model cards of Matbench Discovery (``metrics.phonons.kappa_103``); that of ORB v3 was
computed in double precision with displacements of 0.03 Å."""
_BENCHMARKED = ("rocksalt", "zincblende", "wurtzite")
"""The families of the compounds over which the SRME is averaged."""
PUBLISHED: dict[tuple[str, str], Entry] = {
    ("7net-l3i5", "rocksalt"): Entry(1.24, 0.85, 17, 1, _PHONONDB),
    ("7net-l3i5", "zincblende"): Entry(1.49, 0.69, 18, 1, _PHONONDB),
    ("7net-l3i5", "wurtzite"): Entry(1.64, 0.61, 19, 0, _PHONONDB),
    ("7net-l3i5", "half-heusler"): Entry(6.6, 0.15, 1, 0, _NIOBIUM),
    ("7net-0", "half-heusler"): Entry(6.4, 0.16, 1, 0, _NIOBIUM),
    ("dpa4-neo-0704", "half-heusler"): Entry(1.16, 1.0, 26, 0, _HALF_HEUSLERS),
    ("chgnet", "rocksalt"): Entry(5.0, 0.22, 14, 4, _PHONONDB),
    ("chgnet", "zincblende"): Entry(52.0, 0.019, 18, 1, _PHONONDB),
    ("chgnet", "wurtzite"): Entry(37.0, 0.027, 14, 5, _PHONONDB),
}
"""By potential and family. Factors of 7net-l3i5 and chgnet are computed from the published kappa of
each compound without the non-analytic term (with it they change by less than 3 %). Compounds that
are counted as imaginary have no published kappa and the largest SRME, 2; for 7net-l3i5 the data
state it explicitly."""


@dataclass(frozen=True)
class AccuracyStatement:
    """What is known about a potential's accuracy for a family.

    Args:
        potential: a name of `oracle.potentials.table.POTENTIALS`, or an import path.
        family: name of a prototype.
        known: entry of the table, or None.
    """

    potential: str
    family: str
    known: Entry | None

    @property
    def text(self) -> str:
        """How far kappa is off, in a few words."""
        return "nothing is known" if self.known is None else self.known.text

    @property
    def is_hole(self) -> bool:
        """Whether the family is known to be a hole of the potential."""
        return self.known is not None and self.known.largest >= _HOLE


@dataclass(frozen=True)
class Published:
    """A potential's published error over all families.

    Args:
        srme: symmetric relative mean error of the mode-resolved kappa, 0 (exact) to 2.
        source: over which compounds it is averaged, and who published it.
    """

    srme: float
    source: str


def published_srme(potential: str) -> Published | None:
    """The published kappa_SRME of a potential, or None where no figure is known."""
    return Published(_SRME[potential], _BENCHMARK) if potential in _SRME else None


def known_accuracy(potential: str, families: Iterable[str]) -> list[AccuracyStatement]:
    """One statement per family, in the given order, even where nothing is known."""
    return [AccuracyStatement(potential, name, _entry(potential, name)) for name in families]


def measured_here(potential: str) -> MeasuredTable | None:
    """What was measured of a potential by this project itself; None where nothing was."""
    return MEASURED.get(potential)


def has_families(potential: str) -> bool:
    """Whether a potential's accuracy is known for any family of crystals."""
    published = potential in _SRME or any(name == potential for name, _ in PUBLISHED)
    return published or measured_here(potential) is not None


def summary(potential: str) -> str | None:
    """How far kappa of rock salts, zinc blendes and wurtzites is off; None where unknown."""
    statements = known_accuracy(potential, _BENCHMARKED)
    entries = [s.known for s in statements if s.known is not None]
    factors = sorted(e.factor for e in entries if e.factor is not None)
    if not entries or len(factors) < 2:
        return entries[0].text if entries else None
    sides = {_side(e.bias, e.factor) for e in entries if e.bias is not None and e.factor}
    text = f"typically off by {_range(factors[0], factors[-1])}"
    return text + (sides.pop() if len(sides) == 1 else "")


def holes(potential: str) -> tuple[str, ...]:
    """Families that are known to be holes of a potential."""
    measured = measured_here(potential)
    families = [] if measured is None else list(measured.families)
    families += [family for name, family in PUBLISHED if name == potential]
    statements = known_accuracy(potential, dict.fromkeys(families))
    return tuple(s.family for s in statements if s.is_hole)


def factor_within(srme: float) -> float:
    """Largest factor between two values of kappa with a given SRME; infinite at 2.

    ``|a - b| / ((a + b) / 2)`` is at most the SRME, because errors of modes may cancel in the sum.
    """
    return (2 + srme) / (2 - srme) if srme < 2 else math.inf


def _entry(potential: str, family: str) -> Entry | None:
    """The measured entry, else the published one, else that of the mean over published families."""
    measured = measured_here(potential)
    if measured is not None and family in measured.families:
        return _measured_entry(measured.families[family], measured.source)
    entry = PUBLISHED.get((potential, family))
    if entry is None and family in _BENCHMARKED and potential in _SRME:
        return Entry(None, None, 103, 0, _BENCHMARK, srme=_SRME[potential])
    return entry


def _measured_entry(of: Deviations, source: str) -> Entry:
    return Entry(of.factor, of.bias, of.compounds, of.refused, source, spread=of.spread)


def _range(low: float, high: float) -> str:
    """Two factors as deviations: ``4 to 9 %``, ``a factor of 1.3 to 1.6``."""
    first, last = _size(low), _size(high)
    if first == last:
        return first
    if high < _PERCENT:
        return f"{first.removesuffix(' %')} to {last}"
    return f"{first} to {last.removeprefix('a factor of ') if low >= _PERCENT else last}"


def _size(factor: float) -> str:
    """A factor above 1 as a deviation: ``8 %``, from 1.2 on ``a factor of 1.4``."""
    if factor < _PERCENT:
        return f"{100 * (factor - 1):.0f} %"
    return f"a factor of {factor:.2g}"


def _signed(bias: float | None) -> str:
    """A bias in percent, for instance ``-12 %``; far from 1 as ``×0.12``."""
    bias = 1.0 if bias is None else bias
    return f"{100 * (bias - 1):+.0f} %" if 0.5 <= bias < 2 else f"×{bias:.2g}"


def _side(bias: float, factor: float) -> str:
    """``, mostly too low``; nothing if deviations to both sides nearly cancel."""
    if abs(math.log(bias)) < _LEANS * math.log(factor):
        return ""
    return f", mostly too {'low' if bias < 1 else 'high'}"
