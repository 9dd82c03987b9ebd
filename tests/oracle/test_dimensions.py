"""In how many directions real materials extend without end."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, graphene_nanoribbon, molecule, mx2, nanotube, surface
from ase.spacegroup import crystal
from pymatgen.core.structure import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.materials.dimensions import periodic_directions


def _directions(atoms: Atoms) -> int:
    atoms = atoms.copy()
    atoms.pbc = True
    return periodic_directions(AseAtomsAdaptor.get_structure(atoms))


def _boxed(atoms: Atoms, edge: float) -> Atoms:
    atoms.set_cell(np.eye(3) * edge)
    atoms.center()
    return atoms


def _graphite(spacing: float = 3.35) -> Atoms:
    a = 2.46
    return Atoms(
        "C4",
        scaled_positions=[(0, 0, 0), (1 / 3, 2 / 3, 0), (0, 0, 0.5), (2 / 3, 1 / 3, 0.5)],
        cell=[a, a, 2 * spacing, 90, 90, 120],
    )


def _molybdenite() -> Atoms:
    return crystal(
        ["Mo", "S"],
        [(1 / 3, 2 / 3, 0.25), (1 / 3, 2 / 3, 0.621)],
        spacegroup=194,
        cellpar=[3.16, 3.16, 12.29, 90, 90, 120],
    )


def _phosphorus() -> Atoms:
    return crystal(
        "P",
        [(0, 0.10168, 0.08056)],
        spacegroup=64,
        cellpar=[3.3136, 10.478, 4.3763, 90, 90, 90],
    )


def _nitrogen() -> Atoms:
    """The cubic crystal of N2 molecules that nitrogen forms below 36 K."""
    return crystal("N", [(0.054,) * 3], spacegroup=205, cellpar=[5.66, 5.66, 5.66, 90, 90, 90])


def _tube() -> Atoms:
    tube = nanotube(4, 4, length=1)
    tube.center(vacuum=6.0, axis=(0, 1))
    return tube


def _slab() -> Atoms:
    slab = surface(bulk("NaCl", "rocksalt", a=5.64, cubic=True), (1, 0, 0), 3)
    slab.center(vacuum=6.0, axis=2)
    return slab


SOLIDS = {
    "diamond": bulk("Si"),
    "rocksalt": bulk("NaCl", "rocksalt", a=5.64),
    "caesium": bulk("Cs"),
    "argon": bulk("Ar", "fcc", a=5.3),
    "helium": bulk("He", "hcp", a=3.57, c=5.83),
    "xenon": bulk("Xe", "fcc", a=6.13),
    "graphite": _graphite(),
    "graphite of a functional without dispersion": _graphite(4.2),
    "molybdenite": _molybdenite(),
    "black phosphorus": _phosphorus(),
    "crystal of nitrogen molecules": _nitrogen(),
}
SHEETS = {
    "graphene in 15 Å": graphene(vacuum=7.5),
    "graphene in 30 Å": graphene(vacuum=15.0),
    "graphene in 7 Å": graphene(vacuum=3.5),
    "one layer of molybdenite": mx2(vacuum=7.5),
    "slab": _slab(),
}
WIRES = {
    "nanotube": _tube(),
    "ribbon": graphene_nanoribbon(3, 1, type="armchair", saturated=True, vacuum=6.0),
    "chain": Atoms("C2", positions=[(0, 0, 0), (0, 0, 1.3)], cell=[12, 12, 2.6]),
}
MOLECULES = {
    "nitrogen": _boxed(molecule("N2"), 12.0),
    "nitrogen in a small box": _boxed(molecule("N2"), 7.0),
    "benzene": _boxed(molecule("C6H6"), 15.0),
    "argon": _boxed(Atoms("Ar"), 12.0),
    "caesium": _boxed(Atoms("Cs"), 12.0),
}
CASES = [
    pytest.param(atoms, count, id=f"{count}: {name}")
    for count, atoms_by_name in ((3, SOLIDS), (2, SHEETS), (1, WIRES), (0, MOLECULES))
    for name, atoms in atoms_by_name.items()
]


@pytest.mark.parametrize(("atoms", "count"), CASES)
def test_directions_in_which_a_material_goes_on(atoms: Atoms, count: int) -> None:
    assert _directions(atoms) == count


@pytest.mark.parametrize(("atoms", "count"), CASES[::3])
def test_the_choice_of_cell_and_origin_plays_no_part(atoms: Atoms, count: int) -> None:
    other = atoms.copy()
    other.positions += (0.3, 1.7, 2.9)
    other.wrap(pbc=True)
    structure = AseAtomsAdaptor.get_structure(other)
    structure.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    assert periodic_directions(structure) == count


def test_a_molecule_above_a_sheet_leaves_the_sheet_what_it_is() -> None:
    atoms = graphene(vacuum=12.0) + Atoms("Ar", positions=[(0, 0, 22.0)])
    assert _directions(atoms) == 2


def test_an_element_without_a_known_radius_is_a_solid() -> None:
    assert periodic_directions(Structure(np.eye(3) * 3.34, ["Po"], [[0, 0, 0]])) == 3
