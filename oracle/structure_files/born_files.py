"""Which crystal a BORN file belongs to: its format does not say, so its name or folder must."""

from __future__ import annotations

import re
from pathlib import Path

from pymatgen.core.structure import Structure

from oracle.runtime.errors import OracleError
from oracle.runtime.text_files import unpacked_name
from oracle.structure_files.document_shapes import is_structure_document
from oracle.structure_files.structure_io import read_structure
from oracle.structure_files.structure_names import is_born, is_structure

_DISPLACED = re.compile(r"[SM]?POSCAR(-\d{3,})?")  # supercells written by phonopy


def charges_beside(path: Path, structure: Structure) -> Path | None:
    """The BORN file that belongs to a structure file, if there is one in its folder.

    ``NaCl.BORN``, ``BORN.NaCl`` or ``BORN_NaCl`` belong to ``NaCl.cif`` by their names; ``BORN``
    belongs to the only crystal of its folder, which several files may describe.

    Args:
        path: of the structure file.
        structure: what that file holds.

    Raises:
        OracleError: stage ``read``; ``BORN`` lies beside different crystals.
    """
    plain = unpacked_name(path.name)
    for name in dict.fromkeys((path.name, plain, Path(plain).stem)):
        for candidate in (f"{name}.BORN", f"BORN.{name}", f"BORN_{name}", f"BORN-{name}"):
            if (path.parent / candidate).is_file():
                return path.parent / candidate
    born = path.parent / "BORN"
    if not born.is_file():
        return None
    other = next((o for o in _others(path) if not _is_same(o, structure)), None)
    if other is not None:
        stem = Path(plain).stem
        raise OracleError(
            "read",
            f"{born} lies beside different crystals ({path.name}, {other.name}, ...) and does not "
            f"say whose charges it holds; if they are those of {path.name}, rename it to "
            f"{stem}.BORN or give --set born=BORN; if not, --set born=none leaves it out",
        )
    return born


def _others(path: Path) -> list[Path]:
    """Other structure files in the folder, without displaced supercells written by phonopy."""
    files = sorted(file for file in path.parent.iterdir() if file.is_file() and file != path)
    return [
        file
        for file in files
        if not is_born(file.name)
        and not file.name.startswith(".")
        and (_DISPLACED.fullmatch(file.name) is None or file.name == "POSCAR")
        and (is_structure(file) or (file.suffix == ".json" and is_structure_document(file)))
    ]


def _is_same(file: Path, structure: Structure) -> bool:
    """Whether a file holds the given crystal, in any cell and with nearly the same positions."""
    from pymatgen.analysis.structure_matcher import StructureMatcher  # imports most of SciPy

    try:
        other = read_structure(file)
    except OracleError:
        return False  # it may be a different one
    return bool(StructureMatcher().fit(structure, other))
