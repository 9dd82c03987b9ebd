"""What competes with a crystal."""

from __future__ import annotations

import numpy as np
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from agents.spaces.competing_phases import competing_phases
from agents.spaces.prototype_table import prototype
from oracle.materials.crystal import Crystal
from oracle.materials.superlattice import Superlattice

PEROVSKITE = prototype("perovskite").decorate(("Ca", "Ti", "O"))


def test_compounds_of_some_of_its_elements_compete() -> None:
    phases = competing_phases(PEROVSKITE)
    assert all(set(phase.species) <= {"Ca", "Ti", "O"} for phase in phases.values())
    formulas = {phase.formula for phase in phases.values()}
    assert {"CaO", "TiO2"} <= formulas
    structures = {(phase.formula, phase.spacegroup[0]) for phase in phases.values()}
    assert {("CaO", "Fm-3m"), ("TiO2", "P4_2/mnm")} <= structures
    assert competing_phases(prototype("cscl").decorate(("Ti", "Ni"))) == {}  # nothing is neutral


def test_what_a_campaign_knows_competes() -> None:
    oxide = prototype("fluorite").decorate(("Ti", "O"))
    other = prototype("rocksalt").decorate(("Mg", "O"))
    known = [oxide, other, PEROVSKITE, Superlattice(sequence="01")]
    more = {phase.digest for phase in competing_phases(PEROVSKITE, known).values()}
    assert oxide.digest in more
    assert other.digest not in more  # of other elements
    assert PEROVSKITE.digest not in more  # itself


def test_both_orders_of_a_perovskite_compete_with_others() -> None:
    other = prototype("antifluorite").decorate(("Ca", "O"))  # any crystal of the three elements
    candidate = Crystal.from_structure(
        Structure(Lattice.cubic(6.0), ["Ca", "Ti", "Ti", "O"], np.eye(4, 3) / 2)
    )
    digests = {phase.digest for phase in competing_phases(candidate, [other]).values()}
    for elements, charges in ((("Ca", "Ti", "O"), (2, 4, -2)), (("Ti", "Ca", "O"), (4, 2, -2))):
        assert prototype("perovskite").decorate(elements, charges).digest in digests
    assert other.digest in digests


def test_a_crystal_does_not_compete_with_itself_at_another_size() -> None:
    salt = prototype("rocksalt").decorate(("Na", "Cl"))
    larger = salt.structure()
    larger.scale_lattice(5.64**3 / 4)
    measured = Crystal.from_structure(larger)
    assert measured.digest != salt.digest
    phases = competing_phases(measured)
    assert phases
    assert all(phase.spacegroup[0] != "Fm-3m" for phase in phases.values())
