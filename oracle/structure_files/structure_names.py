"""Which files of a folder are structures, judged by their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from oracle.runtime.text_files import unpacked_name

CIF = (".cif", ".mcif")
DOCUMENTS = (".json", ".yaml", ".yml")
POSCAR = (".vasp", ".poscar")
SUFFIXES = (*CIF, *POSCAR, ".xyz", ".extxyz")
"""Endings of structure files in a folder, compressed or not; ``.json`` is judged by content."""

_POSCAR_NAMES = ("POSCAR", "CONTCAR")
_MAYBE = (
    *(".xsf", ".axsf", ".traj", ".cssr", ".res", ".pdb", ".gen", ".cell", ".db", ".xtl", ".cfg"),
    *(".lmp", ".lammps", ".pwi", ".pwo", ".struct", ".aims", ".zip", ".tar", ".tgz", ".7z"),
)
_MAYBE_NAMES = ("xdatcar", "outcar", "vasprun", "geometry.in")
_HOME = "phonoscout.db"  # marks a home, whose files are results, not inputs


def is_poscar(name: str) -> bool:
    """Whether a name, without the ending of a compressed file, is that of a VASP structure file."""
    return (
        name.startswith(_POSCAR_NAMES)
        or name.endswith(_POSCAR_NAMES)
        or name.lower().endswith(POSCAR)
        or name.lower() in ("poscar", "contcar")
    )


def is_structure(path: Path) -> bool:
    """Whether a file's name is that of a structure file that can be read."""
    plain = unpacked_name(path.name)
    return is_poscar(plain) or plain.lower().endswith(SUFFIXES)


def is_perhaps_structure(path: Path) -> bool:
    """Whether a file may be meant as a structure although its format is not read from folders."""
    plain = unpacked_name(path.name).lower()
    return plain.endswith(_MAYBE) or plain.startswith(_MAYBE_NAMES)


def files_below(folder: Path) -> Iterator[Path]:
    """Regular files in a folder and its subfolders, in a fixed order.

    Hidden files and folders are left out, and so are homes of campaigns, whose structures are
    results.
    """
    files: list[Path] = []
    for parent, subfolders, names in os.walk(folder):
        current = Path(parent)
        if current != folder and _HOME in names:
            subfolders.clear()
            continue
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files += [current / name for name in names if not name.startswith(".")]
    yield from (file for file in sorted(files) if file.is_file())


def is_born(name: str) -> bool:
    """Whether a name is that of a BORN file: ``BORN``, ``NaCl.BORN``, ``BORN_NaCl``, ..."""
    return name == "BORN" or name.endswith(".BORN") or name.startswith(("BORN.", "BORN_", "BORN-"))
