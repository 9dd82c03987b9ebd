"""What competes with a crystal."""

from __future__ import annotations

from agents.spaces.competing_phases import competing_phases
from agents.spaces.prototype_table import prototype
from oracle.materials.superlattice import Superlattice

PEROVSKITE = prototype("perovskite").decorate(("Ca", "Ti", "O"))


def test_compounds_of_some_of_its_elements_compete() -> None:
    phases = competing_phases(PEROVSKITE)
    assert all(set(phase.species) <= {"Ca", "Ti", "O"} for phase in phases.values())
    formulas = {phase.formula for phase in phases.values()}
    assert {"CaO", "TiO2"} <= formulas
    assert {"CaO rocksalt", "TiO2 rutile"} <= set(phases)
    assert competing_phases(prototype("cscl").decorate(("Ti", "Ni"))) == {}  # nothing is neutral


def test_what_a_campaign_knows_competes() -> None:
    oxide = prototype("fluorite").decorate(("Ti", "O"))
    other = prototype("rocksalt").decorate(("Mg", "O"))
    known = [oxide, other, PEROVSKITE, Superlattice(sequence="01")]
    more = {phase.digest for phase in competing_phases(PEROVSKITE, known).values()}
    assert oxide.digest in more
    assert other.digest not in more  # of other elements
    assert PEROVSKITE.digest not in more  # itself
