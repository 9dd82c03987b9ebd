"""Where `phonoscout evaluate` takes Born effective charges from: settings, or a file beside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.structure import Structure
from rich.console import Console

from oracle.phonons.born import charge_excess, read_born
from oracle.phonons.settings import PhononSettings
from oracle.structure_files.born_files import charges_beside
from orchestrator.config.errors import ConfigError

_LARGEST_EXCESS = 0.02  # e per atom; the sum of converged charges is smaller


@dataclass(frozen=True)
class ChargesChoice:
    """Where Born effective charges are taken from, unless the settings contain them.

    Args:
        file: a file in phonopy's format; None: one beside the structure file, if there is any.
        wanted: whether charges are used at all.
    """

    file: Path | None = None
    wanted: bool = True


def take_choice(raw: dict[str, Any], folder: Path) -> ChargesChoice:
    """Remove ``born: PATH`` or ``born: none`` from raw settings, which accept only charges there.

    ``none`` also leaves out the charges that force constants show, unless they are asked for.

    Args:
        raw: settings as given; changed in place.
        folder: folder of relative paths.

    Raises:
        ConfigError: the file does not exist.
    """
    born = raw.get("born")
    if born is False or (isinstance(born, str) and born.lower() == "none"):
        del raw["born"]
        raw.setdefault("fitted_charges", False)
        return ChargesChoice(wanted=False)
    if not isinstance(born, str):
        return ChargesChoice()
    del raw["born"]
    path = folder / born
    if not path.is_file():
        raise ConfigError(
            f"oracle.born: {path} does not exist or is not a file{_relative(born, folder)}; "
            "expected one in phonopy's BORN format, or none"
        )
    return ChargesChoice(file=path)


def _relative(given: str, folder: Path) -> str:
    """What a path is relative to, if it is."""
    if Path(given).is_absolute():
        return ""
    whose = "the folder where you are" if folder == Path.cwd() else "the folder of the settings"
    return f" (given {given!r}, relative to {whose})"


def with_charges(
    settings: PhononSettings,
    choice: ChargesChoice,
    path: Path,
    structure: Structure,
    conventional: Structure,
    rotation: NDArray[np.float64],
    console: Console,
) -> PhononSettings:
    """Add the charges of a crystal to settings, and report on the console where they come from.

    Args:
        settings: returned unchanged if they contain charges, or compute them.
        choice: where to take charges from.
        path: the structure file.
        structure: the structure in it.
        conventional: conventional cell of its canonical crystal.
        rotation: (3, 3), rotates vectors from the frame of `structure` to that of `conventional`.
        console: where messages are printed (stderr).

    Raises:
        OracleError: stage ``read``; the file belongs to another crystal, or it cannot be decided
            to which.
    """
    if settings.born is not None or not choice.wanted:
        return settings
    born = choice.file or charges_beside(path, structure)
    if born is None:
        return settings
    console.print(
        f"charges and dielectric tensor from {born}", highlight=False, markup=False, soft_wrap=True
    )
    charges = read_born(born, structure, conventional, rotation)
    excess = charge_excess(charges)
    if excess > _LARGEST_EXCESS:
        console.print(
            f"{born}: its charges add up to {excess:.2f} e per atom, not to 0",
            style="yellow",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    return settings.model_copy(update={"born": charges})
