"""How far two potentials are independent of each other: their architectures and training data.

Two potentials of one architecture, or fitted to the same calculations, may share an error, so that
their agreement says little. The entries are from the authors' model cards, as Matbench Discovery
collects them (``models/*/*.yml``: ``training_sets``), except where a comment names another source.
"""

from __future__ import annotations

from dataclasses import dataclass

from oracle.potentials.dispersion import without_dispersion
from oracle.runtime.local_inputs import FAMILY_NAMES


@dataclass(frozen=True)
class Origin:
    """What a potential was made from.

    Args:
        architecture: of the model; potentials of one architecture share a name here.
        training: names of its training data; None where they are not known.
    """

    architecture: str
    training: frozenset[str] | None


_MP, _OMAT, _ALEX = "MPtrj", "OMat24", "Alexandria"
"""The data of Deng et al., arXiv:2302.14231; of Barroso-Luque et al., arXiv:2410.12771; and of
Schmidt et al., arXiv:2210.00579, of which sAlex is a part."""
_NEQUIP = "NequIP"
"""SevenNet and Nequix are implementations of it (Batzner et al., arXiv:2101.03164)."""
_ARCHITECTURES = {
    "7net": _NEQUIP,
    "nequix": _NEQUIP,
    "chgnet": "CHGNet",
    "mace": "MACE",
    "mattersim": "M3GNet",
    "orb": "Orb",
    "dpa4": "DPA4",
}
"""By family. That of ``matgl`` is not here, because it loads models of several architectures."""


def _origin(family: str, *training: str) -> Origin:
    return Origin(_ARCHITECTURES[family], frozenset(training))


ORIGINS: dict[str, Origin] = {
    "7net-0": _origin("7net", _MP),
    "7net-l3i5": _origin("7net", _MP),
    "7net-mf-0": _origin("7net", _MP, "r2SCAN of the Materials Project"),
    "chgnet": _origin("chgnet", _MP),
    # Fine-tuned from the one before: release notes of chgnet 0.4.1.
    "chgnet-r2scan": _origin("chgnet", _MP, "r2SCAN of the Materials Project"),
    # README of nequix.
    "nequix-oam-1-pft": _origin("nequix", _OMAT, _ALEX, _MP, "phonons of the MDR database"),
    # Model card of DPA4-OMat24.
    **{f"dpa4-{size}": _origin("dpa4", _OMAT) for size in ("nano", "mini", "neo", "air", "plus")},
    # The wheel that contains it does not say on what it was trained.
    "dpa4-neo-0704": Origin(_ARCHITECTURES["dpa4"], None),
    "mace-mpa-0": _origin("mace", _MP, _ALEX),
    "mattersim-v1-5m": _origin("mattersim", "MatterSim"),
    "orb-v3": _origin("orb", _MP, _ALEX),
    # Each was fitted to measured properties, by different authors.
    "tersoff": Origin("Tersoff", frozenset()),
    "stillinger-weber": Origin("Stillinger-Weber", frozenset()),
}
"""By the names of `oracle.potentials.table.POTENTIALS`."""


def likeness(first: str, second: str) -> str | None:
    """Why the agreement of two potentials says little; None where they are independent.

    Potentials are independent if both their architectures and all of their training data differ.
    What is not known does not count as different.

    Args:
        first: a name as in `oracle.calculator`.
        second: another one.
    """
    one, other = origin_of(first), origin_of(second)
    unknown = [name for name, o in ((first, one), (second, other)) if o is None]
    if one is None or other is None:
        return f"nothing is known of the architecture and training data of {_listed(unknown)}"
    if one.architecture == other.architecture:
        return f"both have the architecture {one.architecture}"
    if one.training is None or other.training is None:
        names = [n for n, o in ((first, one), (second, other)) if o.training is None]
        return f"the training data of {_listed(names)} are not known"
    shared = sorted(one.training & other.training)
    return f"both were trained on {_listed(shared)}" if shared else None


def origin_of(potential: str) -> Origin | None:
    """What a potential was made from; None where nothing is known, as of import paths."""
    name = without_dispersion(potential) or potential
    family, colon, _ = name.partition(":")
    if colon and family in FAMILY_NAMES:
        architecture = _ARCHITECTURES.get(family)
        return None if architecture is None else Origin(architecture, None)
    return ORIGINS.get(name)


def _listed(names: list[str]) -> str:
    return " and ".join(names)
