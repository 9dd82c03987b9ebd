"""Which charges `phonoscout evaluate` gives a crystal: what it is told, or what lies beside."""

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

_TOLD = 0.02  # e per atom; converged charges add up to less


@dataclass(frozen=True)
class ChargesChoice:
    """Where charges are taken from, unless the settings hold them.

    Args:
        file: in phonopy's format; None looks beside the structure.
        wanted: whether any are.
    """

    file: Path | None = None
    wanted: bool = True


def take_choice(raw: dict[str, Any], folder: Path) -> ChargesChoice:
    """Take ``born: PATH`` or ``born: none`` out of raw settings, which know charges only.

    Args:
        raw: settings as given; changed in place.
        folder: of relative paths.

    Raises:
        ConfigError: the file does not exist.
    """
    given = raw.get("born")
    if given is False or (isinstance(given, str) and given.lower() == "none"):
        del raw["born"]
        return ChargesChoice(wanted=False)
    if not isinstance(given, str):
        return ChargesChoice()
    del raw["born"]
    path = folder / given
    if not path.is_file():
        raise ConfigError(
            f"oracle.born: {path} does not exist or is not a file; expected one in phonopy's BORN "
            "format, or none"
        )
    return ChargesChoice(file=path)


def with_charges(
    settings: PhononSettings,
    choice: ChargesChoice,
    path: Path,
    given: Structure,
    conventional: Structure,
    rotation: NDArray[np.float64],
    console: Console,
) -> PhononSettings:
    """The settings with the charges of a crystal, of which the user hears.

    Args:
        settings: left alone where they have charges, or compute them.
        choice: where to take them from.
        path: of the structure file.
        given: the structure in it.
        conventional: cell of its canonical crystal.
        rotation: (3, 3), takes vectors of the given frame into that of `conventional`.
        console: where it is said (stderr).

    Raises:
        OracleError: stage ``read``; a file that is not of this crystal, or may be of another.
    """
    if settings.born is not None or not choice.wanted:
        return settings
    born = choice.file or charges_beside(path, given)
    if born is None:
        return settings
    console.print(
        f"charges and dielectric tensor from {born}", highlight=False, markup=False, soft_wrap=True
    )
    charges = read_born(born, given, conventional, rotation)
    excess = charge_excess(charges)
    if excess > _TOLD:
        console.print(
            f"{born}: its charges add up to {excess:.2f} e per atom, not to 0",
            style="yellow",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    return settings.model_copy(update={"born": charges})
