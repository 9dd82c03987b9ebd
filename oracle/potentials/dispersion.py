"""Grimme's D3 dispersion correction, added to a potential that was trained without dispersion.

A potential ``NAME+d3`` is the potential ``NAME`` plus D3 with the damping of Becke and Johnson and
the parameters of its functional (S. Grimme, S. Ehrlich and L. Goerigk, J. Comput. Chem. 32, 1456
(2011)), computed by the package simple-dftd3. Three-body terms are left out, as is usual in solids.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from ase.calculators.calculator import Calculator
from ase.calculators.mixing import SumCalculator
from ase.units import Bohr

from oracle.runtime.digests import digest_of
from oracle.runtime.errors import SetupError

_SUFFIX = "+d3"
_VERSION = 1
"""Part of every digest; to be raised when forces of the same potential would change."""
_FUNCTIONALS = {"chgnet-r2scan": "r2SCAN"}
"""Functionals of the training data, where it is not PBE."""
_EMPIRICAL = frozenset({"tersoff", "stillinger-weber"})
_CUTOFF = 60 * Bohr
_WIDTH = 10 * Bohr
"""The sum over pairs is switched off smoothly before the cutoff: an abrupt end makes forces differ
from the slope of the energy by 1e-5 eV/Å."""


def with_dispersion(potential: str) -> str:
    """The name of a potential together with D3."""
    return potential + _SUFFIX


def without_dispersion(potential: str) -> str | None:
    """The potential to which D3 is added; None for a potential without it."""
    return potential.removesuffix(_SUFFIX) if potential.endswith(_SUFFIX) else None


def corrected(potential: str, loaded: Calculator) -> Calculator:
    """The sum of a potential and D3.

    Args:
        potential: its name, without D3.
        loaded: its ASE calculator.

    Raises:
        SetupError: the package is not installed, or the potential has no functional.
    """
    functional = _functional(potential)
    from dftd3.ase import DFTD3

    cutoffs = {"disp2": _CUTOFF, "width2": _WIDTH}
    correction: Any = DFTD3(method=functional, damping="d3bj", realspace_cutoff=cutoffs)
    return SumCalculator([loaded, correction])


def digest(potential: str, weights: str) -> str:
    """SHA-256 of a potential with D3, from that of its weights.

    Raises:
        SetupError: the package is not installed, or the potential has no functional.
    """
    return digest_of({"weights": weights, "d3": _functional(potential), "version": _VERSION})


def _functional(potential: str) -> str:
    """The functional for whose parameters D3 is asked, after checking that D3 is there."""
    if potential in _EMPIRICAL:
        raise SetupError(
            f"dispersion: got d3 with {potential}, which was fitted to experiments; expected a "
            "potential trained on DFT, whose functional D3 has parameters for"
        )
    if importlib.util.find_spec("dftd3") is None:
        raise SetupError("dispersion: d3 needs dftd3; pip install 'phonoscout[d3]'")
    return _FUNCTIONALS.get(potential, "PBE")
