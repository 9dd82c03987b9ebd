"""The order of crystals by charges, volumes and masses."""

from __future__ import annotations

import math

import pytest
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor

from agents.chemistry.rough_estimates import rough_order
from oracle.materials.crystal import Crystal


def _rocksalt(name: str, a: float) -> Crystal:
    return Crystal.from_structure(AseAtomsAdaptor.get_structure(bulk(name, "rocksalt", a=a)))


def test_divalent_ions_conduct_better_than_monovalent_ones_and_light_ones_than_heavy_ones() -> None:
    crystals = [_rocksalt("MgO", 4.21), _rocksalt("LiF", 4.03), _rocksalt("CsI", 7.7)]
    order = rough_order("kappa", crystals)
    assert order is not None
    assert order[0] > order[1] > order[2]


def test_powers_of_the_charge_and_of_the_volume() -> None:
    near, far, divalent = _rocksalt("NaCl", 5.0), _rocksalt("NaCl", 6.0), _rocksalt("CaO", 5.0)
    stiff = rough_order("bulk_modulus", [near, far, divalent])
    assert stiff is not None
    assert stiff[0] - stiff[1] == pytest.approx(4 * math.log10(6 / 5))  # d to the power of -4
    assert stiff[2] - stiff[0] == pytest.approx(2 * math.log10(2))  # z squared


def test_what_has_no_charges_counts_as_the_median() -> None:
    metal = Crystal.from_structure(AseAtomsAdaptor.get_structure(bulk("Cu", "fcc", a=3.6)))
    salts = [_rocksalt("NaCl", 5.64), _rocksalt("MgO", 4.21), _rocksalt("LiF", 4.03)]
    found = rough_order("bulk_modulus", [metal, *salts])
    assert found is not None
    volume = 3.6**3 / 4
    assert found[0] == pytest.approx(-4 / 3 * math.log10(volume))  # monovalent
    assert rough_order("bulk_modulus", [metal]) == pytest.approx(-4 / 3 * math.log10(volume))


def test_nothing_is_known_of_other_properties() -> None:
    assert rough_order("band_gap", [_rocksalt("NaCl", 5.64)]) is None
    assert rough_order("kappa", []) is None
