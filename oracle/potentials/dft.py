"""Density functional theory as a source of forces: calculators, and the digest of their settings.

What runs a calculation is in `oracle/potentials/dft_engines.py` and is imported only when needed.
GPAW and Quantum ESPRESSO run in processes of their own, so that neither MPI nor a crash affects the
process of the oracle.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from oracle.runtime.errors import SetupError
from oracle.runtime.files import digest_of_path

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

from oracle.potentials.dft_settings import DftSettings, EspressoSettings, GpawSettings, science

VERSION = 1
"""Part of every digest; to be raised when forces with the same settings would change."""
_INSTALL = (
    "apt-get install libxc-dev libopenblas-dev libopenmpi-dev openmpi-bin g++, "
    "then pip install 'phonoscout[dft]'"
)


def calculator(settings: DftSettings) -> Calculator:
    """An ASE calculator that gives energy (eV), forces (eV/Å) and stress (eV/Å³).

    Every call begins with the same initial guess, so that forces depend only on the structure, not
    on what was computed before.

    Raises:
        SetupError: a package, binary or pseudopotential is missing.
    """
    check(settings)
    from oracle.potentials import dft_engines

    if isinstance(settings, GpawSettings):
        return dft_engines.Gpaw(settings)
    return dft_engines.Espresso(settings)


def digest(settings: DftSettings) -> str:
    """SHA-256 of all that changes the forces: settings, GPAW's versions, pseudopotential files.

    Neither cores and commands are part of it nor the version of pw.x, which the program states only
    when it runs; change `scf_tolerance_ry` a little to keep results of two versions apart.

    Raises:
        SetupError: a package, binary or pseudopotential is missing.
    """
    from oracle.runtime.digests import digest_of  # with numpy, which settings do without

    check(settings)
    sources: dict[str, Any]
    if isinstance(settings, GpawSettings):
        sources = {name: _version(name) for name in ("gpaw", "gpaw-data")}
        sources["path"] = os.environ.get("GPAW_SETUP_PATH")
    else:
        sources = {
            element: digest_of_path(settings.pseudo_dir / name)
            for element, name in settings.pseudopotentials.items()
        }
    return digest_of({"version": VERSION, "settings": science(settings), "sources": sources})


def check(settings: DftSettings) -> None:
    """Check that everything a calculation needs is there, without running it.

    Raises:
        SetupError: a package, binary or pseudopotential is missing.
    """
    words = settings.launcher()
    if isinstance(settings, GpawSettings):
        if importlib.util.find_spec("gpaw") is None:
            raise SetupError(f"calculator gpaw needs the package gpaw; {_INSTALL}")
        advice = "install openmpi-bin, set mpi, or set cores to 1"
    else:
        _check_pseudopotentials(settings)
        advice = "install quantum-espresso or set command"
    missing = [words[i] for i in _programs(words) if shutil.which(words[i]) is None]
    if missing:
        raise SetupError(f"calculator {settings.engine}: no program {missing[0]!r}; {advice}")


def _check_pseudopotentials(settings: EspressoSettings) -> None:
    if not settings.pseudo_dir.is_dir():
        raise SetupError(f"calculator espresso: no folder {settings.pseudo_dir}; set pseudo_dir")
    for element, name in settings.pseudopotentials.items():
        if not (settings.pseudo_dir / name).is_file():
            raise SetupError(
                f"calculator espresso: no pseudopotential {name!r} of {element} in "
                f"{settings.pseudo_dir}; put it there or change pseudopotentials",
            )


def _programs(words: list[str]) -> list[int]:
    """Positions of programs in a command: the first word, and pw.x after a launcher."""
    return sorted({*range(min(1, len(words))), *(i for i, w in enumerate(words) if "pw.x" in w)})


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
