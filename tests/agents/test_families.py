"""Crystals are recognised as instances of prototypes, however they are written."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from agents.spaces.families import family_of
from agents.spaces.prototype_table import named_prototypes
from oracle.materials.crystal import Crystal

ELEMENTS = {
    "half-heusler": ("Zr", "Ni", "Sn"),
    "perovskite": ("K", "Mg", "F"),
    "antifluorite": ("O", "Li"),  # the anion takes the first slot
    "anti-cadmium-iodide": ("N", "Ag"),
}


@pytest.mark.parametrize("name", named_prototypes())
def test_every_prototype_is_recognised(name: str) -> None:
    elements = ELEMENTS.get(name, ("Ca", "F"))
    crystal = named_prototypes()[name].decorate(elements)
    assert family_of(crystal) == name
    structure = crystal.structure()
    structure.make_supercell([[1, 1, 0], [0, 2, 0], [1, 0, 1]])
    structure.translate_sites(range(len(structure)), [0.13, 0.29, 0.41])
    structure.perturb(1e-4, seed=1)
    assert family_of(Crystal.from_structure(structure)) == name


def test_any_order_of_a_half_heusler() -> None:
    for elements in (("Zr", "Ni", "Sn"), ("Sn", "Zr", "Ni"), ("Ni", "Sn", "Zr")):
        crystal = named_prototypes()["half-heusler"].decorate(elements)
        assert family_of(crystal) == "half-heusler"


def _heusler() -> Structure:
    positions = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.9), ["Sn", "Mn", "Cu"], positions)


def _antiperovskite() -> Structure:
    sites = [[0.0] * 3, [0.5] * 3, [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    return Structure(Lattice.cubic(4.8), ["Sn", "O", "Ca", "Ca", "Ca"], sites)


@pytest.mark.parametrize(
    "structure",
    [
        AseAtomsAdaptor.get_structure(bulk("Si", "diamond", 5.43)),
        AseAtomsAdaptor.get_structure(bulk("Al", "fcc", 4.05)),
        _heusler(),
        _antiperovskite(),
        Structure(Lattice.tetragonal(4.0, 4.1), ["Na", "Cl"], [[0.0] * 3, [0.5] * 3]),
        Structure(np.diag([3.0, 3.5, 4.0]), ["Ar", "Ne"], [[0.0] * 3, [0.5, 0.5, 0.3]]),
    ],
    ids=["diamond", "fcc", "full heusler", "antiperovskite", "tetragonal", "noble gases"],
)
def test_other_structures_are_not_recognised(structure: Structure) -> None:
    assert family_of(Crystal.from_structure(structure)) is None
