"""Which files of a folder are structures, by their names: what is read, and what only looks so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from oracle.runtime.text_files import unpacked_name

CIF = (".cif", ".mcif")
DOCUMENTS = (".json", ".yaml", ".yml")
POSCAR = (".vasp", ".poscar")
SUFFIXES = (*CIF, *POSCAR, ".xyz", ".extxyz")
"""Endings of structure files in a folder, packed or not; ``.json`` counts by its content."""

_POSCAR_NAMES = ("POSCAR", "CONTCAR")
_MAYBE = (
    *(".xsf", ".axsf", ".traj", ".cssr", ".res", ".pdb", ".gen", ".cell", ".db", ".xtl", ".cfg"),
    *(".lmp", ".lammps", ".pwi", ".pwo", ".struct", ".aims", ".zip", ".tar", ".tgz", ".7z"),
)
_MAYBE_NAMES = ("xdatcar", "outcar", "vasprun", "geometry.in")
_HOME = "phonoscout.db"  # marks a home, whose files are results and not inputs


def is_poscar(name: str) -> bool:
    """Whether a name, unpacked, is one of VASP's structure files."""
    return (
        name.startswith(_POSCAR_NAMES)
        or name.endswith(_POSCAR_NAMES)
        or name.lower().endswith(POSCAR)
        or name.lower() in ("poscar", "contcar")
    )


def is_structure(path: Path) -> bool:
    """Whether a file's name says that it holds a crystal that can be read."""
    plain = unpacked_name(path.name)
    return is_poscar(plain) or plain.lower().endswith(SUFFIXES)


def is_perhaps_structure(path: Path) -> bool:
    """Whether a file that is not read from a folder may yet be meant as a structure."""
    plain = unpacked_name(path.name).lower()
    return plain.endswith(_MAYBE) or plain.startswith(_MAYBE_NAMES)


def files_below(folder: Path) -> Iterator[Path]:
    """Regular files of a folder and those below it, in a fixed order.

    Hidden files and folders are left out, and homes of campaigns, which hold structures as results.
    """
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        if here != folder and _HOME in names:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [here / name for name in names if not name.startswith(".")]
    yield from (file for file in sorted(found) if file.is_file())


def is_born(name: str) -> bool:
    """Whether a name is that of a file of charges: ``BORN``, ``NaCl.BORN``, ``BORN_NaCl``, ..."""
    return name == "BORN" or name.endswith(".BORN") or name.startswith(("BORN.", "BORN_", "BORN-"))
