"""Prototypes: initial lattice parameters, chemistry, canonical forms, competitors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.composition import Composition

from agents.chemistry.chemistry import (
    closed_shell_triples,
    default_elements,
    is_metallic,
    neutral_charges,
    neutral_decorations,
)
from agents.spaces.prototype_table import competitors, named_prototypes, prototype
from agents.spaces.prototypes import PrototypeSpace
from agents.spaces.settings import PROTOTYPE_NAMES, PrototypeSpaceSettings
from oracle.materials.crystal import Crystal

# Lattice parameters in Å at room temperature, CRC Handbook and the references of the prototypes.
KNOWN = [
    ("rocksalt", ("Na", "Cl"), (1, -1), 5.640),
    ("rocksalt", ("Mg", "O"), (2, -2), 4.212),
    ("rocksalt", ("Pb", "Te"), (2, -2), 6.462),
    ("rocksalt", ("Sc", "N"), (3, -3), 4.50),
    ("zincblende", ("Zn", "S"), (2, -2), 5.410),
    ("zincblende", ("Ga", "As"), (3, -3), 5.653),
    ("zincblende", ("B", "N"), (3, -3), 3.615),
    ("zincblende", ("Si", "C"), (4, -4), 4.360),
    ("wurtzite", ("Be", "O"), (2, -2), 2.698),
    ("wurtzite", ("Ga", "N"), (3, -3), 3.189),
    ("cscl", ("Cs", "Cl"), (1, -1), 4.123),
    ("fluorite", ("Ca", "F"), (2, -1), 5.463),
    ("antifluorite", ("O", "Li"), (-2, 1), 4.619),
    ("antifluorite", ("Si", "Mg"), (-4, 2), 6.35),
    ("rutile", ("Ti", "O"), (4, -2), 4.593),
    ("cadmium-iodide", ("Mg", "I"), (2, -1), 4.15),
    ("perovskite", ("Sr", "Ti", "O"), (2, 4, -2), 3.905),
    ("perovskite", ("Cs", "Pb", "I"), (1, 2, -1), 6.29),
    ("half-heusler", ("Zr", "Ni", "Sn"), None, 6.11),
    ("half-heusler", ("Li", "Zn", "As"), None, 5.94),
]


@pytest.mark.parametrize(("name", "elements", "charges", "known"), KNOWN)
def test_start_lattice_parameters_are_within_a_tenth(
    name: str, elements: tuple[str, ...], charges: tuple[int, ...] | None, known: float
) -> None:
    lattice_parameter = prototype(name).decorate(elements, charges).conventional().lattice.a
    assert lattice_parameter == pytest.approx(known, rel=0.10)


def test_wurtzite_starts_with_the_ideal_axial_ratio() -> None:
    lattice = prototype("wurtzite").decorate(("Be", "O"), (2, -2)).conventional().lattice
    assert lattice.c / lattice.a == pytest.approx(np.sqrt(8 / 3), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "number", "atoms"),
    [
        ("rocksalt", 225, 2),
        ("cscl", 221, 2),
        ("zincblende", 216, 2),
        ("wurtzite", 186, 4),
        ("nickel-arsenide", 194, 4),
        ("fluorite", 225, 3),
        ("antifluorite", 225, 3),
        ("rutile", 136, 6),
        ("cadmium-iodide", 164, 3),
        ("anti-cadmium-iodide", 164, 3),
        ("half-heusler", 216, 3),
        ("perovskite", 221, 5),
    ],
)
def test_prototypes_have_their_space_group(name: str, number: int, atoms: int) -> None:
    base = prototype(name)
    elements = ("Ca", "Ti", "O")[: len(base.stoichiometry)]
    assert base.decorate(elements).spacegroup[1] == number
    assert base.atoms == atoms


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(PROTOTYPE_NAMES),
    st.lists(
        st.sampled_from(default_elements(lanthanides=True)), min_size=3, max_size=3, unique=True
    ),
)
def test_decorations_are_canonical(name: str, symbols: list[str]) -> None:
    base = named_prototypes()[name]
    crystal = base.decorate(symbols[: len(base.stoichiometry)])
    assert Crystal.from_structure(crystal.structure()) == crystal
    assert Crystal.from_structure(crystal.conventional()) == crystal


@pytest.mark.parametrize("formula", ["NaCl", "MgO", "GaAs", "PbTe", "SiC", "SrTiO3", "Mg2Si"])
def test_neutral_compounds_pass(formula: str) -> None:
    assert neutral_charges(Composition(formula)) is not None


@pytest.mark.parametrize("formula", ["NaCl2", "NaMg", "MgCl", "SrTiO2", "ClF"])
def test_charged_compounds_do_not(formula: str) -> None:
    assert neutral_charges(Composition(formula)) is None


def test_decorations_are_valid_for_smact() -> None:
    from smact.screening import smact_validity

    elements = ("Na", "Mg", "Ti", "Zn", "Pb", "Si", "N", "O", "Te", "Cl")
    result = {
        names: charges
        for names, charges in neutral_decorations((1, 2), elements, ("cation", "anion"))
    }
    assert ("Mg", "Cl") in result
    assert ("Ti", "O") in result
    assert ("Na", "Cl") not in result
    for names, charges in result.items():
        assert charges[0] + 2 * charges[1] == 0
        assert smact_validity(f"{names[0]}{names[1]}2", include_alloys=False)


def test_all_oxidation_states_of_smact_are_available() -> None:
    def count(rule: str) -> int:
        return len(list(neutral_decorations((1, 1), ("Na", "S", "Sb"), None, rule)))  # type: ignore[arg-type]

    assert count("any") > count("common")


@pytest.mark.parametrize("formula", ["NaCl", "GaAs", "PbTe", "CuCl", "ScN", "NbCoSn", "LiZnAs"])
def test_semiconductors_are_not_metals(formula: str) -> None:
    assert not is_metallic(Composition(formula))


@pytest.mark.parametrize("formula", ["NaMg", "VN", "CrAs", "Al", "TiNi"])
def test_metals_are(formula: str) -> None:
    assert is_metallic(Composition(formula))


def test_half_heuslers_have_8_or_18_valence_electrons() -> None:
    result = set(closed_shell_triples(("Zr", "Nb", "Ni", "Co", "Li", "Zn", "Mg", "Sn", "As")))
    assert ("Zr", "Ni", "Sn") in result
    assert ("Nb", "Co", "Sn") in result
    assert ("Li", "Zn", "As") in result
    assert ("Li", "Mg", "As") in result
    assert not {t for t in result if set(t) == {"Nb", "Ni", "Sn"}}


def test_competitors_of_rock_salt() -> None:
    salt = prototype("rocksalt").decorate(("Na", "Cl"), (1, -1))
    result = competitors(salt)
    assert set(result) == {"cscl", "zincblende", "wurtzite", "nickel-arsenide"}
    assert all(other.formula == "NaCl" for other in result.values())
    # Recognised at any lattice parameter: a crystal does not compete with itself.
    structure = salt.structure()
    structure.scale_lattice(structure.volume * 1.1)
    assert set(competitors(Crystal.from_structure(structure))) == set(result)


def test_competitors_keep_roles_and_orders() -> None:
    lithia = prototype("antifluorite").decorate(("O", "Li"), (-2, 1))
    assert set(competitors(lithia)) == {"anti-cadmium-iodide"}
    heusler = prototype("half-heusler").decorate(("Zr", "Ni", "Sn"))
    rivals = competitors(heusler)
    assert len(rivals) == 2
    assert len({heusler.digest, *(r.digest for r in rivals.values())}) == 3
    assert all(r.spacegroup[1] == 216 for r in rivals.values())


def test_a_space_is_neutral_complete_and_ordered() -> None:
    chosen = PrototypeSpaceSettings(
        prototypes=("zincblende", "rocksalt"), elements=("Na", "Mg", "O", "Cl", "Ga", "N", "K")
    )
    space = PrototypeSpace(chosen)
    formulas = {m.formula for m in space}
    assert formulas == {"NaCl", "KCl", "MgO", "GaN"}
    assert [space.label(m) for m in space] == ["zincblende"] * 4 + ["rocksalt"] * 4
    assert [m.digest for m in PrototypeSpace(chosen)] == [m.digest for m in space]


def test_excluded_elements_and_large_cells_stay_out() -> None:
    base = PrototypeSpaceSettings(prototypes=("rocksalt", "wurtzite"), exclude_elements=("Tl",))
    space = PrototypeSpace(base)
    assert not any("Tl" in m.formula or "Tc" in m.formula for m in space)
    small = PrototypeSpace(base.model_copy(update={"max_atoms": 2}))
    assert {small.label(m) for m in small} == {"rocksalt"}


def test_any_aflow_prototype_can_be_named() -> None:
    elements = ("Na", "K", "Cl")
    named = PrototypeSpace(PrototypeSpaceSettings(prototypes=("rocksalt",), elements=elements))
    tagged = PrototypeSpace(
        PrototypeSpaceSettings(prototypes=("aflow:AB_cF8_225_a_b",), elements=elements)
    )
    assert {m.digest for m in tagged} == {m.digest for m in named}
    unknown = PrototypeSpaceSettings(prototypes=("aflow:AB_cF8_225_z_z",))
    with pytest.raises(ValueError, match="AB_cF8_225_a_b"):
        PrototypeSpace(unknown)
