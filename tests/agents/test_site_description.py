"""Crystals as Wyckoff positions, and back."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pymatgen.analysis.prototypes import (  # type: ignore[attr-defined]  # not in __all__
    AFLOW_PROTOTYPE_LIBRARY,
)
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from agents.spaces.site_description import sites_of
from agents.spaces.wyckoff_sites import Site, built, positions, random_lattice, random_sites
from oracle.materials.crystal import Crystal
from oracle.runtime.errors import OracleError

_MATCHER = StructureMatcher(ltol=0.01, stol=0.02, angle_tol=0.5, scale=False)


def _returns(crystal: Crystal) -> bool:
    again = Crystal.from_structure(sites_of(crystal).structure())
    return again.digest == crystal.digest or bool(
        again.spacegroup == crystal.spacegroup
        and _MATCHER.fit(crystal.structure(), again.structure())
    )


@pytest.mark.parametrize("part", range(8))
def test_prototypes_come_back(part: int) -> None:
    """Structures of the AFLOW library, in settings of all kinds and with origins of all kinds."""
    structures = [entry["snl"].structure for entry in AFLOW_PROTOTYPE_LIBRARY[part::8]]
    crystals = [Crystal.from_structure(one) for one in structures if len(one) < 100]
    assert len(crystals) > 30
    assert [one.formula for one in crystals if not _returns(one)] == []


@given(st.integers(2, 230), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_random_crystals_come_back(group: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    general = positions(group)[0].multiplicity
    sites = random_sites({"Na": general, "Cl": general // 2 or 1}, group, rng)
    assume(sites is not None)
    assert sites is not None
    lattice = random_lattice(group, rng).scale(30.0 * general)
    structure = built(group, sites, lattice, [rng.random(3) for _ in sites])
    try:
        crystal = Crystal.from_structure(structure)
    except OracleError:  # atoms at the same place
        assume(False)
    assert _returns(crystal)


def test_wurtzite_has_two_sites_of_one_free_coordinate() -> None:
    crystal = Crystal.from_structure(
        Structure.from_spacegroup(
            "P6_3mc",
            Lattice.hexagonal(3.82, 6.26),
            ["Zn", "S"],
            [[1 / 3, 2 / 3, 0.0], [1 / 3, 2 / 3, 0.375]],
        )
    )
    found = sites_of(crystal)
    table = positions(186)
    assert found.group == 186
    assert {table[site.position].letter for site in found.sites} == {"b"}
    assert {table[site.position].freedom for site in found.sites} == {1}
    assert found.lattice.a == pytest.approx(3.82)
    assert found.lattice.c == pytest.approx(6.26)


def test_the_origin_is_the_one_of_the_tables() -> None:
    """Diamond is on 8a of Fd-3m, at (1/8, 1/8, 1/8) from the centre of inversion."""
    crystal = Crystal.from_structure(
        Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.57), ["C"], [[0.0, 0.0, 0.0]])
    )
    found = sites_of(crystal)
    (site,) = found.sites
    assert found.group == 227
    assert positions(227)[site.position].letter in "ab"
    assert len(found.structure()) == 8


def test_without_symmetry_every_atom_is_on_a_site_of_its_own() -> None:
    rng = np.random.default_rng(3)
    structure = Structure(
        Lattice.from_parameters(4.1, 5.2, 6.3, 81, 97, 102), ["K", "Cl", "Br"], rng.random((3, 3))
    )
    found = sites_of(Crystal.from_structure(structure))
    assert found.group == 1
    assert Counter(site.element for site in found.sites) == {"K": 1, "Cl": 1, "Br": 1}
    assert all(isinstance(site, Site) and site.position == 0 for site in found.sites)
