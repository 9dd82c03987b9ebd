"""Energies of the elements: the zero from which formation energies count.

Each element is computed with the potential itself in a few plausible ground states, of which the
lowest counts. No correction for anions is added: potentials that learned PBE share its error for
molecules, so that formation energies of oxides, fluorides and chlorides come out too high by 0.2
to 0.7 eV per anion (Wang et al., Sci. Rep. 11, 15496 (2021)).
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from oracle.energies import RelaxedEnergy, relaxed_energy, remembered, remembered_curve
from oracle.errors import OracleError
from oracle.material import Crystal
from oracle.potentials import weights_digest

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

WINDOW = 0.1  # eV/atom; what lies higher on unrelaxed curves is not relaxed
_BOX = 12.0  # Å; images of a molecule are out of reach of each other
_COMMON = ("fcc", "hcp", "bcc")


@dataclass(frozen=True)
class ElementReference:
    """The lowest structure of an element.

    Args:
        element: symbol.
        structure: name in the table of structures, or ``molecule``.
        energy_per_atom: eV.
        approximation: how it differs from the real ground state, or None.
    """

    element: str
    structure: str
    energy_per_atom: float
    approximation: str | None


@dataclass(frozen=True)
class _Template:
    """A space group, lattice (a, b, c in Å, alpha, beta, gamma in degrees) and one site each."""

    group: str
    lattice: tuple[float, float, float, float, float, float]
    sites: tuple[tuple[float, float, float], ...]


_ORIGIN = (0.0, 0.0, 0.0)
# Parameters of a typical element of each type (Wyckoff, Crystal Structures, vol. 1, and
# Donohue, The Structures of the Elements); the scale is set by the element's radius.
_TEMPLATES: dict[str, _Template] = {
    "fcc": _Template("Fm-3m", (3.61, 3.61, 3.61, 90, 90, 90), (_ORIGIN,)),
    "bcc": _Template("Im-3m", (3.16, 3.16, 3.16, 90, 90, 90), (_ORIGIN,)),
    "simple-cubic": _Template("Pm-3m", (3.35, 3.35, 3.35, 90, 90, 90), (_ORIGIN,)),
    "diamond": _Template("Fd-3m", (5.43, 5.43, 5.43, 90, 90, 90), (_ORIGIN,)),
    "hcp": _Template("P6_3/mmc", (3.21, 3.21, 5.21, 90, 90, 120), ((1 / 3, 2 / 3, 0.25),)),
    "dhcp": _Template("P6_3/mmc", (3.77, 3.77, 12.16, 90, 90, 120), (_ORIGIN, (1 / 3, 2 / 3, 0.25))),
    "samarium": _Template("R-3m", (3.63, 3.63, 26.21, 90, 90, 120), (_ORIGIN, (0, 0, 2 / 9))),
    "mercury": _Template("R-3m", (3.46, 3.46, 6.71, 90, 90, 120), (_ORIGIN,)),
    "indium": _Template("I4/mmm", (3.25, 3.25, 4.95, 90, 90, 90), (_ORIGIN,)),
    "protactinium": _Template("I4/mmm", (3.93, 3.93, 3.24, 90, 90, 90), (_ORIGIN,)),
    "white-tin": _Template("I4_1/amd", (5.83, 5.83, 3.18, 90, 90, 90), (_ORIGIN,)),
    "uranium": _Template("Cmcm", (2.85, 5.87, 4.96, 90, 90, 90), ((0, 0.1025, 0.25),)),
    "gallium": _Template("Cmce", (4.52, 7.66, 4.53, 90, 90, 90), ((0, 0.1549, 0.0810),)),
    "black-phosphorus": _Template("Cmce", (3.31, 10.48, 4.38, 90, 90, 90), ((0, 0.1017, 0.0806),)),
    "iodine": _Template("Cmce", (7.27, 4.79, 9.79, 90, 90, 90), ((0, 0.1543, 0.1174),)),
    "arsenic": _Template("R-3m", (3.76, 3.76, 10.55, 90, 90, 120), ((0, 0, 0.2271),)),
    "selenium": _Template("P3_121", (4.37, 4.37, 4.95, 90, 90, 120), ((0.2254, 0, 1 / 3),)),
    "graphite": _Template(
        "P6_3/mmc", (2.46, 2.46, 6.71, 90, 90, 120), ((0, 0, 0.25), (1 / 3, 2 / 3, 0.25))
    ),
    "alpha-boron": _Template(
        "R-3m",
        (4.91, 4.91, 12.57, 90, 90, 120),
        ((0.1188, -0.1188, 0.8914), (0.1967, -0.1967, 0.0243)),
    ),
    "alpha-manganese": _Template(
        "I-43m",
        (8.91, 8.91, 8.91, 90, 90, 90),
        (
            _ORIGIN,
            (0.317, 0.317, 0.317),
            (0.357, 0.357, 0.034),
            (0.089, 0.089, 0.282),
        ),
    ),
    "alpha-nitrogen": _Template("Pa-3", (5.66, 5.66, 5.66, 90, 90, 90), ((0.0561,) * 3,)),
}

# Å; also the shortest distance in their molecular crystals.
_BONDS = {"H": 0.75, "N": 1.11, "O": 1.23, "F": 1.42, "Cl": 1.99, "Br": 2.28, "I": 2.70, "S": 2.06}
_MOLECULAR = dict.fromkeys(("H", "N", "O", "F"), ("molecule", "alpha-nitrogen"))
_HALOGENS = dict.fromkeys(("Cl", "Br", "I"), ("molecule", "iodine"))
_PNICTOGENS = dict.fromkeys(("As", "Sb", "Bi"), ("arsenic",))
_LANTHANIDES = dict.fromkeys(
    ("La", "Ce", "Pr", "Nd", "Pm", "Sm", "Gd", "Tb"), ("dhcp", "samarium", *_COMMON)
)
CANDIDATES: dict[str, tuple[str, ...]] = {
    **_MOLECULAR,
    **_HALOGENS,
    **_PNICTOGENS,
    **_LANTHANIDES,
    "B": ("alpha-boron",),
    "C": ("graphite", "diamond"),
    "Si": ("diamond",),
    "Ge": ("diamond",),
    "Sn": ("diamond", "white-tin"),
    "P": ("black-phosphorus", "arsenic"),
    "S": ("molecule", "selenium"),
    "Se": ("selenium",),
    "Te": ("selenium",),
    "Po": ("simple-cubic",),
    "Ga": ("gallium", *_COMMON),
    "In": ("indium", *_COMMON),
    "Hg": ("mercury", *_COMMON),
    "Mn": ("alpha-manganese", *_COMMON),
    "Pa": ("protactinium", *_COMMON),
    "U": ("uranium", *_COMMON),
    "Np": ("uranium", *_COMMON),
    "Pu": ("uranium", *_COMMON),
}
"""Structures tried per element; every other element is tried as fcc, hcp and bcc."""

_MOLECULES = "free molecules or cubic molecular crystal for the solid"
APPROXIMATIONS: dict[str, str] = {
    **dict.fromkeys(("H", "N", "O", "F"), _MOLECULES),
    "B": "alpha for beta-rhombohedral boron",
    "S": "S8 rings without their packing, or helical chains",
    "Np": "simple metals or alpha uranium for alpha neptunium",
    "Pu": "simple metals or alpha uranium for alpha plutonium",
}
"""Elements whose real ground state is not among those tried."""


def element_reference(element: str, potential: str, cache_dir: Path) -> ElementReference:
    """The reference energy of an element; computed once per weights, in about 2 s.

    Args:
        element: symbol.
        potential: as for `oracle.potentials.calculator`.
        cache_dir: where it is remembered; several processes may share it.

    Raises:
        OracleError: stage ``relax``; the potential binds none of the structures tried.
    """
    if element not in atomic_numbers or element == "X":
        raise OracleError("read", f"{element!r} is not an element; expected a symbol such as 'Na'")
    names = CANDIDATES.get(element, _COMMON)
    key = {
        "element": element,
        "structures": list(names),
        "weights": weights_digest(potential),
    }

    def compute() -> dict[str, Any]:
        return asdict(_lowest(element, names, potential, cache_dir))

    return ElementReference(**remembered(cache_dir, key, compute))


def _lowest(
    element: str, names: tuple[str, ...], potential: str, cache_dir: Path
) -> ElementReference:
    relaxed: dict[str, RelaxedEnergy] = {}
    curves: dict[str, tuple[float, Structure]] = {}
    reasons: list[str] = []
    for name in names:
        try:
            if name == "molecule":
                molecule = _molecule(element)
                relaxed[name] = relaxed_energy(
                    molecule, potential, fixed_cell=True, symmetric=False
                )
            else:
                crystal = element_crystal(element, name)
                curve = remembered_curve(crystal, potential, cache_dir)
                curves[name] = (curve.energy_per_atom, curve.structure(crystal))
        except OracleError as error:
            reasons.append(f"{name}: {error.message}")
    for name in _within_window({name: energy for name, (energy, _) in curves.items()}):
        try:
            relaxed[name] = relaxed_energy(curves[name][1].to_ase_atoms(), potential)
        except OracleError as error:
            reasons.append(f"{name}: {error.message}")
    if not relaxed:
        raise OracleError(
            "relax", f"no reference energy of {element} with {potential}: {'; '.join(reasons)}"
        )
    best = min(relaxed, key=lambda name: relaxed[name].energy_per_atom)
    return ElementReference(
        element, best, relaxed[best].energy_per_atom, APPROXIMATIONS.get(element)
    )


def _within_window(energies: dict[str, float]) -> list[str]:
    lowest = min(energies.values(), default=0.0)
    return [name for name, energy in energies.items() if energy <= lowest + WINDOW]


def element_crystal(element: str, name: str) -> Crystal:
    """A structure of the table filled with an element and scaled to its radius.

    Args:
        element: symbol.
        name: for instance ``hcp``; see `CANDIDATES`.
    """
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    template = _TEMPLATES[name]
    symbols = [element] * len(template.sites)
    lattice = Lattice.from_parameters(*template.lattice)
    structure = Structure.from_spacegroup(template.group, lattice, symbols, template.sites)
    wanted = _BONDS.get(element, 2.0 * float(covalent_radii[atomic_numbers[element]]))
    return Crystal.from_structure(
        structure.scale_lattice(structure.volume * (wanted / _shortest(name)) ** 3)
    )


@functools.cache
def _shortest(name: str) -> float:
    """Shortest distance between atoms in a template, Å."""
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    template = _TEMPLATES[name]
    lattice = Lattice.from_parameters(*template.lattice)
    sites = template.sites
    structure = Structure.from_spacegroup(template.group, lattice, ["C"] * len(sites), sites)
    return float(np.min(structure.get_neighbor_list(7.0)[3]))


def _molecule(element: str) -> Atoms:
    """A dimer, or the crown of eight sulphur atoms, in a box."""
    bond = _BONDS[element]
    if element != "S":
        positions = np.array([[0, 0, 0], [bond, 0, 0]])
    else:
        # Bond angle 108°: fixes the radius of the ring by the distance of second neighbours.
        radius = 2 * bond * np.sin(np.radians(54)) / np.sqrt(2)
        height = np.sqrt(bond**2 - (2 * radius * np.sin(np.pi / 8)) ** 2) / 2
        angles = np.arange(8) * np.pi / 4
        positions = np.column_stack(
            [radius * np.cos(angles), radius * np.sin(angles), height * (-1.0) ** np.arange(8)]
        )
    atoms = Atoms([element] * len(positions), positions, cell=[_BOX] * 3, pbc=True)
    atoms.center()
    return atoms
