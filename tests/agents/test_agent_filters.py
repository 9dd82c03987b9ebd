"""Which materials are admitted once, and which are rejected."""

from __future__ import annotations

import numpy as np
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from agents.chemistry.duplicates import Admission, overlap
from agents.spaces.prototype_table import prototype
from oracle.materials.crystal import Crystal
from oracle.materials.superlattice import Superlattice

SALT = prototype("rocksalt").decorate(("Na", "Cl"), (1, -1))


def scaled(crystal: Crystal, factor: float) -> Crystal:
    structure = crystal.structure()
    structure.scale_lattice(structure.volume * factor**3)
    return Crystal.from_structure(structure)


def test_every_material_is_admitted_once() -> None:
    admit = Admission([Superlattice(sequence="01")])
    assert not admit(Superlattice(sequence="01"))
    assert admit(Superlattice(sequence="10"))
    assert not admit(Superlattice(sequence="10"))
    assert admit(SALT)
    assert not admit(SALT)


def test_asking_does_not_admit() -> None:
    admit = Admission()
    assert admit.is_new(SALT)
    assert admit.is_new(SALT)


def test_near_duplicates_are_found_by_structure() -> None:
    close = scaled(SALT, 1.0004)
    assert close.digest != SALT.digest
    admit = Admission([SALT])
    assert admit.near_duplicate(close) == SALT
    assert not admit(close)
    assert Admission([SALT], near_duplicates=False)(close)


def test_differences_larger_than_rounding_are_new() -> None:
    admit = Admission([SALT])
    assert admit(scaled(SALT, 1.03))
    assert admit(prototype("zincblende").decorate(("Na", "Cl"), (1, -1)))
    assert admit(prototype("rocksalt").decorate(("K", "Cl"), (1, -1)))


def test_shifted_atoms_within_rounding_are_the_same() -> None:
    rutile = prototype("rutile").decorate(("Ti", "O"), (4, -2))
    structure = rutile.conventional()
    x = 0.305 + 2e-4
    moved = Structure.from_spacegroup(
        "P4_2/mnm", structure.lattice, ["Ti", "O"], [[0, 0, 0], [x, x, 0]]
    )
    other = Crystal.from_structure(moved)
    assert other.digest != rutile.digest
    assert not Admission([rutile])(other)


def test_overlapping_atoms_are_named() -> None:
    assert overlap(SALT) is None
    tight = scaled(SALT, 0.5)
    reason = overlap(tight)
    assert reason is not None
    assert "Na and Cl" in reason or "Cl and Na" in reason
    chain = Structure(Lattice.orthorhombic(9, 9, 1.0), ["Si"], [[0, 0, 0]])
    assert overlap(Crystal.from_structure(chain)) is not None
    assert np.isclose(tight.structure().volume, SALT.structure().volume / 8)
