"""Random changes of crystals: what they keep, and what they do not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pymatgen.core.structure import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from agents.spaces.prototype_table import named_prototypes
from agents.spaces.site_changes import displaced, exchanged, moved, strained
from agents.spaces.site_description import SiteDescription, sites_of
from agents.spaces.splicing import spliced
from agents.spaces.wyckoff_sites import Site, positions, random_lattice, random_sites
from oracle.materials.crystal import Crystal

GROUPS = st.integers(3, 230)
SEEDS = st.integers(0, 2**31)


def _some(group: int, rng: np.random.Generator) -> SiteDescription:
    general = positions(group)[0].multiplicity
    sites = random_sites({"Na": general, "Cl": general}, group, rng)
    assume(sites is not None)
    assert sites is not None
    lattice = random_lattice(group, rng).scale(60.0 * general)
    return SiteDescription(group, sites, lattice, tuple(rng.random(3) for _ in sites))


def _operations(structure: Structure) -> int:
    return len(SpacegroupAnalyzer(structure, symprec=1e-4).get_symmetry_operations())


@pytest.mark.parametrize("change", [displaced, moved, exchanged, strained])
@given(GROUPS, SEEDS)
@settings(max_examples=25, deadline=None)
def test_all_symmetry_stays(change: object, group: int, seed: int) -> None:
    """Every operation of the group is one of the changed crystal, which may have more."""
    assert callable(change)
    rng = np.random.default_rng(seed)
    before = _some(group, rng)
    after = change(before, rng)
    assume(after is not None)
    assert after.group == group
    matrix = after.lattice.matrix
    metric = matrix @ matrix.T
    for turn in positions(group)[0].rotations:
        np.testing.assert_allclose(turn.T @ metric @ turn, metric, atol=1e-8 * metric.max())
    assert after.lattice.volume == pytest.approx(before.lattice.volume)
    held = [Counter(x.species_string for x in one.structure()) for one in (before, after)]
    assert sum(held[0].values()) == sum(held[1].values())
    if change is not exchanged:
        assert held[0] == held[1]


@given(GROUPS, SEEDS)
@settings(max_examples=25, deadline=None)
def test_a_general_atom_keeps_the_group_or_one_above(group: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lattice = random_lattice(group, rng).scale(40.0 * positions(group)[0].multiplicity)
    before = SiteDescription(group, (Site("Na", 0),), lattice, (rng.uniform(0.05, 0.2, 3),))
    for change in (displaced, strained):
        after = change(before, rng)
        if after is not None:
            expected = len(positions(group)[0].rotations)
            assert _operations(after.structure()) % expected == 0


def test_cubic_crystals_have_no_other_shape_and_rock_salt_no_freedom() -> None:
    rng = np.random.default_rng(0)
    rock_salt = sites_of(_prototype("rocksalt"))
    assert strained(rock_salt, rng) is None
    assert displaced(rock_salt, rng) is None
    assert moved(rock_salt, rng) is None
    swapped = exchanged(rock_salt, rng)
    assert swapped is not None
    again = Crystal.from_structure(swapped.structure())
    assert again.digest == Crystal.from_structure(rock_salt.structure()).digest


def test_zincblende_becomes_rock_salt_by_a_moved_site() -> None:
    zincblende = sites_of(_prototype("zincblende"))
    found = set()
    for seed in range(12):
        child = moved(zincblende, np.random.default_rng(seed))
        assert child is not None
        found.add(Crystal.from_structure(child.structure()).spacegroup[0])
    assert found == {"F-43m", "Fm-3m"}


def test_strain_of_wurtzite_is_its_axial_ratio() -> None:
    wurtzite = sites_of(_prototype("wurtzite"))
    child = strained(wurtzite, np.random.default_rng(1))
    assert child is not None
    a, b, c = child.lattice.abc
    assert a == pytest.approx(b)
    assert c / a != pytest.approx(wurtzite.lattice.c / wurtzite.lattice.a, rel=1e-3)
    assert child.lattice.angles == pytest.approx((90, 90, 120))


def test_spliced_crystals_have_symmetry_and_the_asked_composition() -> None:
    first, second = _prototype("rocksalt", ("Mg", "O")), _prototype("cscl", ("Zn", "S"))
    groups: set[int] = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        child = spliced(first, second, _one_to_one, rng)
        if child is not None:
            counts = Counter(site.specie.symbol for site in child)
            assert set(counts) <= {"Mg", "O", "Zn", "S"}
            assert _one_to_one(dict(counts))
            groups.add(SpacegroupAnalyzer(child, symprec=0.01).get_space_group_number())
    assert groups >= {166, 221, 225}  # layers of both, and either structure


def test_nothing_is_spliced_that_may_not_be() -> None:
    first, second = _prototype("rocksalt"), _prototype("wurtzite")
    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert spliced(first, second, lambda counts: False, rng) is None


def _one_to_one(counts: dict[str, int]) -> bool:
    cations = sum(n for symbol, n in counts.items() if symbol in ("Mg", "Zn"))
    return 2 * cations == sum(counts.values())


def _prototype(name: str, symbols: tuple[str, ...] = ("Zn", "S")) -> Crystal:
    return named_prototypes()[name].decorate(symbols)
