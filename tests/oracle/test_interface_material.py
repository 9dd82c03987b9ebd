"""Pairs of crystals: the order of the crystals does not matter, and storing changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from oracle.contract.evaluation import EVALUATION, Measured, Quantity
from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from oracle.materials.material import Material, crystals_of
from oracle.materials.superlattice import Superlattice

EDGES = st.integers(0, 2000).map(lambda k: 1.8 + 0.001 * k)
SALTS = st.sampled_from([("Na", "Cl"), ("Mg", "O"), ("K", "Br")])


@st.composite
def crystals(draw: st.DrawFn) -> Crystal:
    a = draw(EDGES)
    return Crystal(
        lattice=((0.0, a, a), (a, 0.0, a), (a, a, 0.0)),
        species=draw(SALTS),
        positions=((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)),
    )


@given(crystals(), crystals())
def test_sides_do_not_count(first: Crystal, second: Crystal) -> None:
    one, other = Interface(crystals=(first, second)), Interface(crystals=(second, first))
    assert one.digest == other.digest
    assert one == other
    assert one.formula == other.formula
    assert {c.digest for c in crystals_of(one)} == {first.digest, second.digest}


@given(crystals(), crystals(), crystals())
def test_other_crystals_make_another_interface(a: Crystal, b: Crystal, c: Crystal) -> None:
    same = Interface(crystals=(a, b)).digest == Interface(crystals=(a, c)).digest
    assert same == (b.digest == c.digest)


@given(crystals(), crystals())
def test_is_read_as_it_was_written(first: Crystal, second: Crystal) -> None:
    pair = Interface(crystals=(first, second))
    material: TypeAdapter[Material] = TypeAdapter(Material)
    again = material.validate_json(pair.model_dump_json())
    assert isinstance(again, Interface)
    assert again == pair
    assert again.digest == pair.digest
    evaluation = Measured(
        material=pair,
        fidelity="mismatch",
        method="m",
        cost_s=1.0,
        stage="spectra",
        properties={"overlap": Quantity(value=0.5, unit="", std=0.1)},
    )
    assert EVALUATION.validate_json(EVALUATION.dump_json(evaluation)) == evaluation


def test_formula_names_both() -> None:
    salt = Crystal(lattice=((0, 2, 2), (2, 0, 2), (2, 2, 0)), species=("Na", "Cl"),
                   positions=((0, 0, 0), (0.5, 0.5, 0.5)))  # fmt: skip
    oxide = salt.model_copy(update={"species": ("Mg", "O")})
    assert Interface(crystals=(salt, oxide)).formula == "MgO | NaCl"
    assert crystals_of(salt) == (salt,)
    assert crystals_of(Superlattice(sequence="01")) == ()


def test_needs_two_crystals() -> None:
    with pytest.raises(ValidationError):
        Interface.model_validate({"crystals": []})
