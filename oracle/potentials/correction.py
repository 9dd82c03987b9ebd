"""The potential that settings name: a calculator, with a dispersion correction or without one.

Nothing heavy is imported, so that settings can be read quickly; see `oracle.potentials.dispersion`.
"""

from __future__ import annotations

from typing import Literal, overload

from oracle.potentials.dft_settings import Potential

Dispersion = Literal["d3"]
"""``d3`` adds Grimme's D3(BJ) correction to a potential."""


@overload
def potential_of(calculator: str, dispersion: Dispersion | None) -> str: ...


@overload
def potential_of(calculator: Potential, dispersion: Dispersion | None) -> Potential: ...


def potential_of(calculator: Potential, dispersion: Dispersion | None) -> Potential:
    """The source of forces: a calculator with its dispersion correction, if there is one."""
    if dispersion is None or not isinstance(calculator, str):
        return calculator
    return f"{calculator}+{dispersion}"


def check_dispersion(calculator: Potential, dispersion: Dispersion | None) -> None:
    """Refuse a correction that is named twice, or of a DFT program, which has its own.

    Raises:
        ValueError: a message that names the setting.
    """
    if isinstance(calculator, str) and calculator.endswith("+d3"):
        raise ValueError(f"calculator: got {calculator}; expected a potential, and dispersion: d3")
    if dispersion is not None and not isinstance(calculator, str):
        raise ValueError(f"dispersion: got {dispersion} with {calculator}; expected a potential")
