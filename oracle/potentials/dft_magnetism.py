"""Spin and Hubbard corrections of DFT, which have to be those of a potential's training data.

The potentials here are trained on data with the settings of the Materials Project: all calculations
are spin-polarised, and d electrons of some elements carry a Hubbard U in oxides and fluorides (A.
Jain et al., Phys. Rev. B 84, 045115 (2011)). A label without them lies on another energy surface,
so that fine-tuning would make the potential worse. Non-magnetic calculations give the same forces
where atoms have no moments; that is for the user to state, since no rule predicts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ase.data import atomic_numbers

from oracle.potentials.dft_settings import DftSettings
from oracle.runtime.errors import OracleError

MOMENTS = {
    "V": 5.0, "Cr": 5.0, "Mn": 5.0, "Fe": 5.0, "Co": 0.6, "Ni": 5.0,
    "Ce": 1.0, "Pr": 2.0, "Nd": 3.0, "Pm": 4.0, "Sm": 5.0, "Eu": 7.0, "Gd": 7.0, "Tb": 6.0,
    "Dy": 5.0, "Ho": 4.0, "Er": 3.0, "Tm": 2.0, "Yb": 1.0, "U": 0.6, "Np": 0.6, "Pu": 0.6,
}  # fmt: skip
"""Initial moments (µB) of elements whose compounds are often magnetic, as in the Materials Project;
of lanthanides those of the trivalent ions, but of Eu that of the divalent one."""
HUBBARD_U = {
    "V": 3.25, "Cr": 3.7, "Mn": 3.9, "Fe": 5.3, "Co": 3.32, "Ni": 6.2, "Mo": 4.38, "W": 6.2,
}  # fmt: skip
"""U (eV) of the Materials Project in oxides and fluorides."""
_ANIONS = {"O", "F"}
_SHELLS = (
    (38, "3d"),
    (56, "4d"),
    (71, "4f"),
    (86, "5d"),
    (118, "5f"),
)  # last atomic number of each


def check_magnetism(settings: DftSettings, symbols: Iterable[str]) -> None:
    """Refuse elements that need spin or a Hubbard U about which the settings say nothing.

    Args:
        settings: of the program.
        symbols: elements of a structure; they may repeat.

    Raises:
        OracleError: stage ``dft``; the settings lack a moment or a U for one of the elements.
    """
    present = sorted(set(symbols))
    unpolarised = {
        x: MOMENTS[x] for x in present if x in MOMENTS.keys() - settings.magnetic_moments
    }
    oxide = not _ANIONS.isdisjoint(present)
    plain = {x: HUBBARD_U[x] for x in present if x in HUBBARD_U.keys() - settings.hubbard_u}
    problems = []
    if unpolarised:
        problems.append(
            f"no initial moment of {', '.join(unpolarised)}: set magnetic_moments="
            f"{_mapping(unpolarised)}, or 0 for an element that is not magnetic"
        )
    if plain and oxide:
        problems.append(
            f"no Hubbard U of {', '.join(plain)} in an oxide or fluoride: set hubbard_u="
            f"{_mapping(plain)}, or 0 for plain DFT"
        )
    if problems:
        raise OracleError(
            "dft",
            f"{settings}: the training data of potentials have spin polarisation and Hubbard "
            f"corrections that these settings lack; {'; '.join(problems)}",
        )


def initial_moments(settings: DftSettings, symbols: Sequence[str]) -> list[float] | None:
    """Initial moment of each atom, µB; None, for a calculation without spin, where all are 0."""
    moments = [settings.magnetic_moments.get(symbol, 0.0) for symbol in symbols]
    return moments if any(moments) else None


def hubbard_shells(settings: DftSettings, symbols: Iterable[str]) -> dict[str, tuple[str, float]]:
    """Shell (such as ``3d``) and U (eV) by element; none unless O or F is among the elements."""
    present = set(symbols)
    if _ANIONS.isdisjoint(present):
        return {}
    return {
        element: (_shell(element), u)
        for element, u in sorted(settings.hubbard_u.items())
        if u and element in present
    }


def _shell(element: str) -> str:
    """The d or f shell that a transition metal, lanthanide or actinide fills."""
    number = atomic_numbers[element]
    return next(shell for last, shell in _SHELLS if number <= last)


def _mapping(values: dict[str, float]) -> str:
    return "{" + ", ".join(f"{element}: {value:g}" for element, value in values.items()) + "}"
