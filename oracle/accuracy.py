"""How far each potential is known to be from density functional theory, family by family.

Figures from the literature and from published data; none of them is measured at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_PHONONDB = (
    "56 compounds of PhononDB-PBE (A. Togo), published by Matbench Discovery; "
    "geometric mean of the error of kappa at 300 K"
)
_BENCHMARK = (
    "the 103 rocksalt, zincblende and wurtzite compounds of PhononDB-PBE (A. Togo), "
    "as Matbench Discovery lists it"
)
_NIOBIUM = (
    "NbCoGe at 300 K relative to the 23 W/m/K of Nequix OAM-1-PFT (fine-tuned on phonons); "
    "published DFT has 19 at 500 K"
)


@dataclass(frozen=True)
class Entry:
    """One line of the table.

    Args:
        factor: typical factor between kappa of potential and DFT, ``exp(mean |ln ratio|)``.
        bias: geometric mean of kappa relative to DFT; below 1 the potential is too soft.
        compounds: how many the factor rests on.
        imaginary: further compounds that the potential, unlike DFT, finds unstable.
        source: where the figures come from.
        srme: symmetric relative mean error of the mode-resolved kappa (0 to 2), where only that
            is published (Póta et al., arXiv:2408.00755); then there is no factor.
    """

    factor: float | None
    bias: float | None
    compounds: int
    imaginary: int
    source: str
    srme: float | None = None


_SRME = {
    "7net-0": 0.767,
    "7net-l3i5": 0.550,
    "chgnet": 1.717,
    "mace-mpa-0": 0.412,
    "mattersim-v1-5m": 0.574,
    "orb-v3": 0.210,
}
"""From the model cards of Matbench Discovery (``metrics.phonons.kappa_103``); those of ORB v3 were
computed in double precision with displacements of 0.03 Å."""
_7NET_0 = Entry(None, None, 103, 0, _BENCHMARK, srme=_SRME["7net-0"])
_KNOWN: dict[tuple[str, str], Entry] = {
    ("7net-l3i5", "rocksalt"): Entry(1.24, 0.85, 17, 1, _PHONONDB),
    ("7net-l3i5", "zincblende"): Entry(1.49, 0.69, 18, 1, _PHONONDB),
    ("7net-l3i5", "wurtzite"): Entry(1.64, 0.61, 19, 0, _PHONONDB),
    ("7net-l3i5", "half-heusler"): Entry(6.6, 0.15, 1, 0, _NIOBIUM),
    ("chgnet", "rocksalt"): Entry(5.0, 0.22, 14, 4, _PHONONDB),
    ("chgnet", "zincblende"): Entry(52.0, 0.019, 18, 1, _PHONONDB),
    ("chgnet", "wurtzite"): Entry(37.0, 0.027, 14, 5, _PHONONDB),
    ("7net-0", "rocksalt"): _7NET_0,
    ("7net-0", "zincblende"): _7NET_0,
    ("7net-0", "wurtzite"): _7NET_0,
    ("7net-0", "half-heusler"): Entry(6.4, 0.16, 1, 0, _NIOBIUM),
}
"""Factors of 7net-l3i5 and chgnet are computed from the published kappa of each compound without
the non-analytic term (with it they change by less than 3 %). Compounds that count as imaginary
have no published kappa and the largest SRME, 2; for 7net-l3i5 the data say so themselves."""


@dataclass(frozen=True)
class AccuracyStatement:
    """What is known of a potential on a family.

    Args:
        potential: a name of `oracle.potentials.POTENTIALS`, or an import path.
        family: a prototype's name, or ``pool``.
        known: the table's entry, or None.
    """

    potential: str
    family: str
    known: Entry | None

    @property
    def text(self) -> str:
        """One line for people."""
        if self.known is None:
            return (
                f"accuracy: no known accuracy of {self.potential} for {self.family}; "
                "check leaders with DFT or a second potential"
            )
        name, entry = f"accuracy: {self.potential} on {self.family}", self.known
        if entry.factor is None or entry.bias is None:
            return f"{name}: kappa_SRME {entry.srme} (0 is exact, 2 useless), on {entry.source}"
        side = "too low" if entry.bias < 1 else "too high"
        unstable = f", {entry.imaginary} more found unstable" if entry.imaginary else ""
        return (
            f"{name}: kappa typically off by a factor of {entry.factor:g}, mostly {side} "
            f"({_count(entry.compounds)}{unstable}); {entry.source}"
        )


@dataclass(frozen=True)
class Published:
    """A potential's published error over all families.

    Args:
        srme: symmetric relative mean error of the mode-resolved kappa, 0 (exact) to 2.
        source: which compounds it is over, and who published it.
    """

    srme: float
    source: str


def published_srme(potential: str) -> Published | None:
    """The published kappa_SRME of a potential, or None where no figure is known."""
    return Published(_SRME[potential], _BENCHMARK) if potential in _SRME else None


def known_accuracy(potential: str, families: Sequence[str]) -> list[AccuracyStatement]:
    """One statement per family, in the order given, also where nothing is known."""
    return [AccuracyStatement(potential, name, _KNOWN.get((potential, name))) for name in families]


def _count(compounds: int) -> str:
    return "1 compound" if compounds == 1 else f"{compounds} compounds"
