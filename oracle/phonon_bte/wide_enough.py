"""Third-order force constants in a supercell that is wide enough for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from phono3py import Phono3py

from oracle.phonons import supercells
from oracle.phonons.relax import Relaxed
from oracle.phonons.second_order import Harmonic
from oracle.phonons.settings import PhononSettings
from oracle.phonons.third_order import ThirdOrder

Fitted = Callable[[Phono3py, Harmonic], ThirdOrder]
"""Third-order force constants in the third-order supercell of both descriptions of a crystal, of
which the first has no second order."""


def in_wide_enough_cell(
    relaxed: Relaxed, crystal: Harmonic, settings: PhononSettings, fitted: Fitted
) -> tuple[Phono3py, Harmonic, ThirdOrder]:
    """Force constants in the usual supercell, or in a larger one if they reach through that.

    In lead tellurides and others with resonant bonds, the usual supercell of 54 atoms folds
    constants back onto themselves, and kappa changes by 5 to 30 % in one of 128 atoms; what the fit
    leaves unexplained tells which crystals these are. It does not in zincblendes of small atoms,
    whose kappa changes by up to 10 %; these are known by their symmetry (docs/physics.md).

    Args:
        relaxed: the conventional cell.
        crystal: with its second-order force constants.
        settings: of the oracle.
        fitted: finds the force constants.

    Returns:
        phono3py's description without a second order, the crystal with the same third-order
        supercell, and its force constants.
    """
    small = supercells.phonons3(relaxed, settings, second=False)
    wider, spent = supercells.unfolded_third_order(small, settings), 0
    if wider is None:
        third = fitted(small, crystal)
        # Hundreds of forces by a DFT program would take days.
        affordable = isinstance(settings.calculator, str) and third.reaches_through
        wider = supercells.wider_third_order(small, settings) if affordable else None
        if wider is None:
            return small, crystal, third
        spent = third.supercells
    small = supercells.with_third_order(small, wider)
    crystal = replace(crystal, phonons=supercells.with_third_order(crystal.phonons, wider))
    again = fitted(small, crystal)
    return small, crystal, replace(again, supercells=spent + again.supercells)
