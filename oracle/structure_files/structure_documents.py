"""Structures as JSON or YAML values: pymatgen's dictionaries, alone or in database documents.

Only numbers and symbols are read from them, since pymatgen's own reader would import any module
that a document names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from oracle.materials.crystal_checks import Unusable, check_periodicity, isotope_refused

_MASSES = "masses"


def structure_of(document: dict[str, Any]) -> Structure:
    """The structure in a pymatgen dictionary (``Structure.as_dict()``), without charges.

    Raises:
        Unusable: not such a dictionary, not periodic, or a symbol that is not an element.
    """
    try:
        lattice = document["lattice"]
        sites = [_site(site) for site in document["sites"]]
        cell = _cell(lattice)
        periodic = lattice.get("pbc", (True, True, True))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, Unusable):
            raise
        raise Unusable(
            f"it is not a pymatgen structure ({type(error).__name__}: {error}); "
            "expected Structure.as_dict()"
        ) from error
    check_periodicity(periodic, cell)
    if not sites:
        raise Unusable("it has no atoms; expected at least one")
    species, positions, masses = zip(*sites, strict=True)
    labels = [site.get("label") for site in document["sites"]]
    if not np.isfinite(positions).all():
        raise Unusable("a position is not a finite number; expected three for each atom")
    properties = {_MASSES: list(masses)} if any(mass is not None for mass in masses) else None
    return Structure(Lattice(cell), species, positions, labels=labels, site_properties=properties)


def _cell(lattice: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Row vectors (3, 3), Å."""
    if "matrix" in lattice:
        return np.array(lattice["matrix"], dtype=float).reshape(3, 3)
    names = ("a", "b", "c", "alpha", "beta", "gamma")
    return np.asarray(Lattice.from_parameters(*(float(lattice[name]) for name in names)).matrix)


def _site(site: dict[str, Any]) -> tuple[dict[Element, float], list[float], float | None]:
    """Occupancies by element, fractional coordinates, and the mass (u) if there is one."""
    occupancies: dict[Element, float] = {}
    for part in site["species"]:
        element = _element(str(part["element"]))
        occupancies[element] = occupancies.get(element, 0.0) + float(part.get("occu", 1))
    position = np.array(site["abc"], dtype=float).reshape(3).tolist()
    mass = (site.get("properties") or {}).get(_MASSES)
    return occupancies, position, None if mass is None else float(mass)


def _element(symbol: str) -> Element:
    if symbol in ("D", "T"):
        raise isotope_refused(symbol)
    if not Element.is_valid_symbol(symbol):
        raise Unusable(f"{symbol!r} is not an element; expected symbols such as Na")
    return Element(symbol)
