"""POSCAR files: read by pymatgen, and checked here for contradictions within the file."""

from __future__ import annotations

import re
import warnings

from pymatgen.core.structure import Structure
from pymatgen.io.vasp.inputs import BadPoscarWarning, Poscar

from oracle.materials.crystal_checks import Reading, Unusable
from oracle.structure_files.special_positions import with_special_positions

_COMMENT = re.compile(r"\s[#!]")
_SYMBOLS = 5  # index, from 0, of the line of elements; that of their numbers follows


def read_poscar(text: str) -> Reading:
    """The structure of a POSCAR, with rounded coordinates on special positions.

    Raises:
        Unusable: elements and numbers of atoms do not match, or it has more or fewer positions
            than atoms.
    """
    lines = [_COMMENT.split(line)[0].split() for line in text.splitlines()]
    if len(lines) > _SYMBOLS + 1:
        _check_counts(lines[_SYMBOLS], lines[_SYMBOLS + 1])
    try:
        with warnings.catch_warnings():
            # A file without element names would otherwise be read as hydrogen, helium, ...
            warnings.filterwarnings(
                "error", "Elements in POSCAR cannot be determined", BadPoscarWarning
            )
            structure: Structure = Poscar.from_str(text).structure
    except BadPoscarWarning as warning:
        if "Elements" not in str(warning):  # raised where a line of coordinates cannot be read
            raise Unusable(" ".join(str(warning).split())) from warning
        raise Unusable(
            "it names no elements; expected their symbols on the line above the numbers of atoms"
        ) from warning
    except IndexError as error:
        raise Unusable(
            "it ends too early; expected a position for each atom that it counts"
        ) from error
    first = _first_position(lines)
    _check_positions(lines, first, len(structure))
    if first is None or lines[first - 1][0][0] not in "dD" or not structure.is_ordered:
        return Reading(structure)
    printed = [words[:3] for words in lines[first : first + len(structure)]]
    if any(len(words) < 3 for words in printed):
        return Reading(structure)
    return Reading(*with_special_positions(structure, printed))


def _check_counts(symbols: list[str], counts: list[str]) -> None:
    named = bool(symbols) and not any(_is_number(word) for word in symbols)
    numbers = next((i for i, word in enumerate(counts) if not word.isdigit()), len(counts))
    if named and numbers and numbers != len(symbols):
        raise Unusable(
            f"it names {len(symbols)} elements ({' '.join(symbols)}) and {numbers} numbers of "
            f"atoms ({' '.join(counts[:numbers])}); expected one number for each element"
        )


def _first_position(lines: list[list[str]]) -> int | None:
    """Index of the line with the first position.

    The line before the first position begins with C, K or D. So does that of the elements in many
    crystals (Ca Ti O), whose numbers of atoms then look like a position; it is looked for below.
    """
    named = any(not _is_number(word) for word in lines[_SYMBOLS][:1])
    below = _SYMBOLS + (2 if named else 1)
    return next(
        (
            i + 1
            for i, words in enumerate(lines[below:], start=below)
            if words and words[0][0] in "cCkKdD" and all(map(_is_position, lines[i + 1 : i + 2]))
        ),
        None,
    )


def _check_positions(lines: list[list[str]], first: int | None, atoms: int) -> None:
    """Refuse a further position after the last one that the numbers of atoms allow."""
    if first is not None and any(map(_is_position, lines[first + atoms : first + atoms + 1])):
        raise Unusable(
            f"it lists more positions than its numbers of atoms add up to ({atoms}); expected as "
            "many: correct the numbers"
        )


def _is_position(words: list[str]) -> bool:
    return len(words) >= 3 and all(_is_number(word) for word in words[:3])


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
