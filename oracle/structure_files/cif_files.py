"""CIF files: read by pymatgen, then compared with the formula and symmetry that the file states."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure
from pymatgen.io.cif import CifFile, CifParser

from oracle.materials.crystal_checks import (
    Reading,
    Unusable,
    check_mass_number,
    isotope_refused,
)
from oracle.structure_files.cif_rounding import merge_rounded
from oracle.structure_files.cif_symmetry import check_symmetry
from oracle.structure_files.formula_text import (
    deviation,
    is_remarkable,
    mass_numbers,
    stated_amounts,
)

_OCCUPANCY = 1.0 + 1e-6  # largest sum at a site; with more, atoms that share a site would be lost
_HEADER = re.compile(r"\s*data_(\S*)", re.IGNORECASE)
_AXES = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
_NONE = ("", ".", "?")
_GROUPS = (
    "_symmetry_space_group_name_H-M",
    "_space_group_name_H-M_alt",
    "_space_group_name_Hall",
    "_symmetry_space_group_name_Hall",
    "_space_group_IT_number",
    "_symmetry_Int_Tables_number",
)
_IDENTITY = ("p1", "1")
_SCATTERERS = ("Cval", "Siva", "Sival", "Ow", "Hw")  # names of elements in scattering tables

Tags = Mapping[str, Any]


def read_cif(text: str) -> list[Reading]:
    """The structures of all blocks of a CIF that have one.

    Raises:
        Unusable: a block describes another material than can be read from it: atoms without
            position or element, hydrogen that is only counted, a formula that does not fit,
            unknown symmetry.
        ValueError: not a CIF, or no block has a structure.
    """
    readings = [reading for block in _blocks(text) for reading in _read(block)]
    if not readings:
        raise ValueError("no block holds atoms and a lattice")
    return readings


def _blocks(text: str) -> Iterator[str]:
    """The data blocks, each with its header; headers quoted in text fields do not count."""
    lines: list[str] = []
    inside = False
    for line in text.split("\n"):
        if line.startswith(";"):
            inside = not inside
        header = _HEADER.match(line)
        if header and inside:
            line = line.replace("data_", "data ", 1)
        elif header:
            if lines:
                yield "\n".join(lines)
            lines = []
            line = f"data_{header[1]}" + line[header.end() :]
        if lines or (header and not inside):
            lines.append(line)
    if lines:
        yield "\n".join(lines)


def _read(block: str) -> Iterator[Reading]:
    tags = next((part.data for part in CifFile.from_str(block).data.values()), None)
    if tags is None or _AXES[0] not in tags:
        return  # a block about the authors or a diffraction pattern
    _check_positions(tags)
    parser: Any = CifParser.from_str(block, occupancy_tolerance=_OCCUPANCY, check_cif=False)
    (section,) = parser.as_dict().values()
    occupancies = section.get("_atom_site_occupancy")
    if isinstance(occupancies, list):  # the parser's own list, changed here in place
        occupancies[:] = ["1" if value.strip() == "." else value for value in occupancies]
    if parser.feature_flags["magcif"] and not _has_magnetic_symmetry(tags):
        parser.feature_flags["magcif"] = False  # else the ordinary symmetry would be ignored
    (structure,) = parser.parse_structures(primitive=False, on_error="raise")
    if any("Defaulting to P1" in warning for warning in parser.warnings):
        _check_symmetry(tags)
    check_symmetry(structure.lattice, parser.symmetry_operations, tags)
    if not structure.is_ordered:
        yield Reading(structure)  # to be refused for that
        return
    structure, merged = merge_rounded(structure, tags)
    yield Reading(structure, (*merged, *_compared(structure, tags)))


def _check_positions(tags: Tags) -> None:
    for axis in _AXES:
        for label, value in zip(_rows(tags, "_atom_site_label"), _rows(tags, axis), strict=False):
            if value.strip() in _NONE:
                raise Unusable(
                    f"its site {label} has no position ({value.strip()!r}); expected coordinates "
                    "for every atom: add them, or remove the site if it is not an atom"
                )


def _check_symmetry(tags: Tags) -> None:
    """Refuse a space group that is named but not understood: some atoms would be missing."""
    names = [_rows(tags, key)[0].strip() for key in _GROUPS if _rows(tags, key)]
    names = [name for name in names if name not in _NONE]
    strange = [name for name in names if re.sub(r"[\s_]", "", name).lower() not in _IDENTITY]
    if strange:
        raise Unusable(
            f"its space group {strange[0]!r} is not understood and no operations are listed; "
            "expected _space_group_symop_operation_xyz"
        )


def _compared(structure: Structure, tags: Tags) -> list[str]:
    """Remarks from comparing a structure with its block's formula.

    Raises:
        Unusable: the two are different materials.
    """
    amounts = {element.symbol: float(n) for element, n in structure.composition.items()}
    key, text, ways = _stated(tags)
    _check_mass_numbers(tags, amounts)
    if not ways:
        doubts = _doubts(structure, tags)
        if doubts:
            raise Unusable(doubts[0])
        return []
    _check_isotopes(ways)
    differences = [deviation(way, amounts) for way in ways]
    fitting = [difference for difference in differences if difference is not None]
    formula = structure.composition.reduced_formula
    if fitting:
        remark = f"its atoms are {formula}, its measured formula is {text!r}; the atoms were used"
        return ([remark] if is_remarkable(min(fitting)) else []) + _counted(
            structure, tags, ways[0]
        )
    if any(deviation(way, _listed(tags)) is not None for way in ways):
        return [f"its formula {text!r} counts sites, not atoms; its atoms are {formula}"]
    raise Unusable(
        f"its atoms are {formula}, and its {key} says {text!r}; expected all atoms of the formula "
        "(hydrogen is often left out): add what is missing, or correct the formula"
    )


def _stated(tags: Tags) -> tuple[str, str, list[dict[str, float]]]:
    """Tag and text of the formula that a block gives, and the ways to read it; none if absent."""
    for key in ("_chemical_formula_sum", "_chemical_formula_structural"):
        text = " ".join(" ".join(_rows(tags, key)).split())
        ways = stated_amounts(text)
        if ways:
            return key, text, ways
    return "", "", []


def _check_isotopes(ways: list[dict[str, float]]) -> None:
    for symbol in ("D", "T"):
        if any(symbol in way for way in ways):
            raise isotope_refused(symbol)


def _check_mass_numbers(tags: Tags, amounts: Mapping[str, float]) -> None:
    """Refuse a formula in which numbers before symbols name isotopes.

    Raises:
        Unusable: names the isotope.
    """
    for number, symbol in mass_numbers(" ".join(_rows(tags, "_chemical_formula_sum")), amounts):
        check_mass_number(number, symbol)


def _listed(tags: Tags) -> dict[str, float]:
    """Amounts by element of the sites that a block lists, before symmetry is applied."""
    amounts: dict[str, float] = {}
    for name in _symbols(tags):
        symbol = _element(name)
        amounts[symbol] = amounts.get(symbol, 0.0) + 1.0
    return amounts


def _counted(structure: Structure, tags: Tags, stated: Mapping[str, float]) -> list[str]:
    """A remark if the cell has another number of formula units than the block says."""
    units = (_rows(tags, "_cell_formula_units_Z") or ["?"])[0].partition("(")[0].strip()
    actual = len(structure) / sum(stated.values())
    if not units.isdigit() or abs(actual - int(units)) < 0.1 * actual:
        return []
    # Some programs write the formula of the whole cell, and the number of units as well.
    divisible = int(units) > 0 and all(amount % int(units) == 0 for amount in stated.values())
    if divisible and abs(actual - 1) < 0.1:
        return []
    return [
        f"its cell has {actual:g} formula units, and _cell_formula_units_Z says {units}; "
        "check the setting of the space group"
    ]


def _doubts(structure: Structure, tags: Tags) -> list[str]:
    """Why atoms may have been left out or misread, where no formula is there to prove otherwise."""
    reasons = []
    hydrogens = _attached(structure, tags)
    if hydrogens:
        reasons.append(
            f"its atoms are {structure.composition.reduced_formula}, and H{hydrogens:g} of its "
            "cell is only counted as attached to them; expected coordinates for every atom: add "
            "those of hydrogen"
        )
    typed = "_atom_site_type_symbol" in tags
    labels = _rows(tags, "_atom_site_label")
    flags = _rows(tags, "_atom_site_calc_flag") or [""] * len(labels)
    for label, symbol, flag in zip(labels, _symbols(tags), flags, strict=False):
        if _is_strange(symbol, typed=typed) or flag.strip().lower() == "dum":
            reasons.append(
                f"its site {label} ({symbol!r}) is not one atom of an element; expected a "
                "symbol such as Na for each site"
            )
    return reasons


def _attached(structure: Structure, tags: Tags) -> float:
    """Number of hydrogen atoms in the cell that are counted at other atoms, without positions."""
    counts = {}
    labels, rows = _rows(tags, "_atom_site_label"), _rows(tags, "_atom_site_attached_hydrogens")
    for label, text in zip(labels, rows, strict=False):
        number = text.partition("(")[0].strip()
        counts[label] = 0.0 if number in _NONE else float(number)
    implied = structure.site_properties.get("implicit_hydrogens", [0.0] * len(structure))
    return sum(counts.get(s.label, 0.0) + float(h) for s, h in zip(structure, implied, strict=True))


def _symbols(tags: Tags) -> list[str]:
    """What names the element of each site: its type or, where no types are given, its label."""
    return _rows(tags, "_atom_site_type_symbol") or _rows(tags, "_atom_site_label")


def _element(name: str) -> str:
    """Symbol of the element that a name begins with; empty if there is none."""
    two, one = name[:2].title(), name[:1].upper()
    return next((symbol for symbol in (two, one) if Element.is_valid_symbol(symbol)), "")


def _is_strange(name: str, *, typed: bool) -> bool:
    """Whether a site's name is not a single element: a group such as ``NH4``, or a vacancy."""
    symbol = _element(name.strip())
    if not symbol or name.lower().startswith(("vac", "wat")) or re.match(r"OH|NO3|NH\d", name):
        return True
    rest = re.sub(r"[\d.+\-()*']", "", name.strip()[len(symbol) :])
    return typed and rest != "" and name.strip() not in _SCATTERERS


def _has_magnetic_symmetry(tags: Tags) -> bool:
    return any("symop_magn" in key or "space_group_magn" in key for key in tags)


def _rows(tags: Tags, key: str) -> list[str]:
    value = tags.get(key, [])
    return list(map(str, value)) if isinstance(value, list) else [str(value)]
