"""The open space of crystals: of the asked chemistry and symmetry by construction."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pymatgen.core.composition import Composition
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from agents.chemistry.chemistry import default_elements, neutral_charges
from agents.chemistry.duplicates import overlap
from agents.contract.objective import Objective
from agents.contract.protocol import Breeding, Mutating, Space
from agents.proposers.evolution import EvolutionProposer
from agents.proposers.settings import EvolutionSettings
from agents.spaces.crystal_space import CrystalSpace
from agents.spaces.random_crystals import numbers_of_atoms, sized
from agents.spaces.settings import CrystalSpaceSettings
from agents.spaces.wyckoff_sites import Site, built, positions, random_lattice, random_sites
from oracle.contract.evaluation import Measured, Outcome
from oracle.materials.crystal import Crystal
from oracle.materials.superlattice import Superlattice

ROOT = Path(__file__).parents[2]
ELEMENTS = ("Li", "Na", "K", "Mg", "Ca", "Zn", "O", "S", "Se", "Cl", "Br")


@pytest.fixture(scope="module")
def space() -> CrystalSpace:
    return CrystalSpace(
        CrystalSpaceSettings(elements=ELEMENTS, max_atoms=8, forbidden=(("Li", "O"),))
    )


@pytest.fixture(scope="module")
def members(space: CrystalSpace) -> list[Crystal]:
    found = space.sample(30, np.random.default_rng(1))
    return [one for one in found if isinstance(one, Crystal)]


def test_is_a_space_with_crossover(space: CrystalSpace) -> None:
    assert isinstance(space, Space)
    assert isinstance(space, Breeding)
    assert space.size is None
    assert space.materials is None
    with pytest.raises(TypeError, match="unbounded"):
        iter(space)


def test_draws_are_distinct_members_and_follow_from_the_seed(
    space: CrystalSpace, members: list[Crystal]
) -> None:
    assert len({one.digest for one in members}) == len(members) == 30
    assert all(one in space for one in members)
    again = space.sample(30, np.random.default_rng(1))
    assert [one.digest for one in again] == [one.digest for one in members]
    assert len(space.listed(5, np.random.default_rng(2))) == 5


def test_draws_are_of_the_asked_chemistry(members: list[Crystal]) -> None:
    assert len({one.spacegroup[1] for one in members}) > 5
    assert len({one.formula for one in members}) > 20
    for crystal in members:
        elements = set(crystal.species)
        assert 2 <= len(elements) <= 3
        assert elements <= set(ELEMENTS)
        assert not {"Li", "O"} <= elements
        assert len(crystal.species) <= 8
        assert neutral_charges(Composition("".join(crystal.species))) is not None
        assert overlap(crystal) is None


def test_neighbours_have_one_or_two_other_elements(
    space: CrystalSpace, members: list[Crystal]
) -> None:
    some = 0
    for crystal in members[:8]:
        near = [one for one in space.neighbours(crystal) if isinstance(one, Crystal)]
        assert all(one in space for one in near)
        assert crystal.digest not in {one.digest for one in near}
        gone = [set(crystal.species) - set(one.species) for one in near]
        assert all(1 <= len(each) <= 2 for each in gone)
        assert all(one.spacegroup == crystal.spacegroup for one in near)
        some += len(near)
    assert some > 8


def test_rock_salt_leads_to_its_likely_relatives(space: CrystalSpace) -> None:
    rock_salt = sized(
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0.0] * 3, [0.5] * 3])
    )
    assert rock_salt is not None
    formulas = [one.formula for one in space.neighbours(rock_salt)]
    assert set(formulas[:3]) == {"KCl", "LiCl", "NaBr"}
    assert formulas.index("MgO") < formulas.index("ZnSe")


def test_crossings_have_elements_of_both(space: CrystalSpace, members: list[Crystal]) -> None:
    some = 0
    for first, second in zip(members[:8], members[8:16], strict=True):
        children = space.crossings(first, second, np.random.default_rng(0))
        assert all(child in space for child in children)
        for child in children:
            assert isinstance(child, Crystal)
            assert set(child.species) <= {*first.species, *second.species}
        some += len(children)
    assert some > 4


def test_some_children_have_a_structure_of_neither_parent(
    space: CrystalSpace, members: list[Crystal]
) -> None:
    new = 0
    for first, second in zip(members[:8], members[8:16], strict=True):
        children = space.crossings(first, second, np.random.default_rng(0))
        groups = {first.spacegroup, second.spacegroup}
        new += sum(one.spacegroup not in groups for one in children if isinstance(one, Crystal))
    assert new > 4


def test_strain_changes_the_shape_only(space: CrystalSpace, members: list[Crystal]) -> None:
    for crystal in members[:6]:
        children = space.strained(crystal)
        assert crystal.digest not in {one.digest for one in children}
        assert children == space.strained(crystal)
        for child in children:
            assert child in space
            assert isinstance(child, Crystal)
            assert sorted(child.species) == sorted(crystal.species)
        assert bool(children) == (crystal.spacegroup[1] < 195)


def test_mutations_are_members_and_follow_from_the_seed(
    space: CrystalSpace, members: list[Crystal]
) -> None:
    assert isinstance(space, Mutating)
    some = 0
    for crystal in members[:8]:
        first, again = (space.mutated(crystal, np.random.default_rng(5)) for _ in range(2))
        digests = [one.digest for one in first]
        assert digests == [one.digest for one in again]
        assert len(set(digests)) == len(digests)
        assert crystal.digest not in digests
        for child in first:
            assert child in space
            assert isinstance(child, Crystal)
            assert set(child.species) == set(crystal.species)
            assert len(child.species) <= len(crystal.species)
        some += len(first)
    assert some > 8


def test_evolution_uses_every_operator_of_the_space(
    space: CrystalSpace, members: list[Crystal], measured: Callable[..., Measured]
) -> None:
    evaluations: list[Outcome] = [measured(one) for one in members[:8]]
    for only in ("crossover", "mutation", "strain"):
        weights = dict.fromkeys(("crossover", "mutation", "strain"), 0.0) | {only: 1.0}
        candidates = EvolutionProposer(EvolutionSettings(**weights, parents=6)).propose(
            2,
            space=space,
            objective=Objective(),
            evaluations=evaluations,
            pending=[],
            surrogate=None,
            rng=np.random.default_rng(0),
        )
        assert len(candidates) == 2
        assert all(one.material in space for one in candidates)
        assert all(len(one.parents) == (2 if only == "crossover" else 1) for one in candidates)


def test_a_replacement_can_be_taken_back(space: CrystalSpace, members: list[Crystal]) -> None:
    """Volumes do not depend on where a crystal came from, so that it is known again."""
    back = 0
    for crystal in members[:10]:
        for other in space.neighbours(crystal)[:3]:
            again = {one.digest for one in space.neighbours(other)}
            back += crystal.digest in again
            same = [one for one in space.neighbours(other) if one.formula == crystal.formula]
            assert all(one.digest == crystal.digest for one in same)
    assert back > 5


def test_children_do_not_depend_on_the_hashes_of_a_process(tmp_path: Path) -> None:
    """K and Rb, Cu and Si, and C and Se have equal electronegativities."""
    program = tmp_path / "crossed.py"
    program.write_text(
        "import numpy as np\n"
        "from agents.spaces.crystal_space import CrystalSpace\n"
        "from agents.spaces.settings import CrystalSpaceSettings\n"
        "space = CrystalSpace(CrystalSpaceSettings(elements=('K', 'Rb', 'Cl', 'S'), max_atoms=5))\n"
        "members = space.sample(6, np.random.default_rng(0))\n"
        "for first, second in zip(members, members[1:]):\n"
        "    for child in space.crossings(first, second, np.random.default_rng(1)):\n"
        "        print(child.digest)\n"
    )
    printed = [
        subprocess.run(
            [sys.executable, str(program)],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0].count("\n") > 2
    assert printed[0] == printed[1]


def test_volumes_are_those_of_bond_lengths(members: list[Crystal]) -> None:
    from pymatgen.analysis.structure_prediction.volume_predictor import DLSVolumePredictor

    for crystal in members:
        structure = crystal.structure()
        predictor = DLSVolumePredictor(min_scaling=None, max_scaling=None)  # type: ignore[no-untyped-call]
        predicted = predictor.predict(structure)
        assert predicted == pytest.approx(structure.volume, rel=0.02)


def test_a_chiral_group_comes_with_its_mirror_image() -> None:
    space = CrystalSpace(
        CrystalSpaceSettings(elements=("Na", "Cl"), max_atoms=8, space_groups=(76,))
    )
    drawn = space.sample(4, np.random.default_rng(0))
    assert len(drawn) == 4
    assert {one.spacegroup[1] for one in drawn if isinstance(one, Crystal)} <= {76, 78}


def test_many_elements_take_no_longer(members: list[Crystal]) -> None:
    """Compositions are looked for when their elements are drawn."""
    space = CrystalSpace(
        CrystalSpaceSettings(elements=default_elements(), components=(2, 4), max_atoms=12)
    )
    assert len(space.sample(3, np.random.default_rng(0))) == 3


def test_strangers(space: CrystalSpace, members: list[Crystal]) -> None:
    sequence = Superlattice(sequence="not-a-member")
    forbidden = Crystal(
        lattice=((2.0, 0.0, 2.0), (2.0, 2.0, 0.0), (0.0, 2.0, 2.0)),
        species=("Cs", "I"),
        positions=((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)),
    )
    for stranger in (sequence, forbidden):
        assert stranger not in space
        assert space.neighbours(stranger) == []
        assert space.label(stranger) is None
        assert space.crossings(stranger, members[0], np.random.default_rng(0)) == []
        assert space.mutated(stranger, np.random.default_rng(0)) == []
        assert space.strained(stranger) == []
    assert space.label(members[0]) == members[0].spacegroup[0]


def test_asked_space_groups_only() -> None:
    cubic = CrystalSpace(
        CrystalSpaceSettings(elements=("Na", "Cl", "K"), max_atoms=6, space_groups=(216, 221, 225))
    )
    drawn = cubic.sample(4, np.random.default_rng(0))
    assert drawn
    for crystal in drawn:
        assert isinstance(crystal, Crystal)
        assert crystal.spacegroup[1] in (216, 221, 225)


def test_metals_need_no_charges() -> None:
    space = CrystalSpace(
        CrystalSpaceSettings(elements=("Cu", "Au"), max_atoms=4, oxidation_states="none")
    )
    assert {one.formula for one in space.sample(8, np.random.default_rng(0))} >= {"CuAu"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"elements": []}, "at least 1 item"),
        ({"elements": ["Na"], "exclude_elements": ["Na"]}, "leaves nothing"),
        ({"elements": ["Na", "Cl"], "components": [3, 2]}, "smallest and a largest"),
        ({"elements": ["Na", "Cl"], "components": [3, 3]}, "give more elements"),
        ({"elements": ["Na", "Cl"], "space_groups": [231]}, "less than or equal to 230"),
        ({"elements": ["Na", "Cl"], "space_groups": []}, "at least 1 item"),
        ({"elements": ["Na", "Xx"]}, "not an element"),
        ({"elements": ["Na", "Cl", "Rf"]}, "given Rf.*elements up to Lr"),
        ({"elements": ["Na", "Cl"], "forbidden": [[]]}, "at least 1 item"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CrystalSpaceSettings.model_validate(given)


def test_no_neutral_composition() -> None:
    with pytest.raises(ValueError, match=r"no composition of 2 to 3 .* oxidation_states: none"):
        CrystalSpace(CrystalSpaceSettings(elements=("Na", "K")))


def test_a_space_group_without_the_wanted_positions() -> None:
    """The smallest sites of Ia-3d hold 8 atoms of the primitive cell."""
    with pytest.raises(ValueError, match=r"no crystal of at most 4 atoms .* groups 230; allow"):
        CrystalSpace(CrystalSpaceSettings(elements=("Na", "Cl"), max_atoms=4, space_groups=(230,)))


@given(st.integers(1, 230), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_the_general_position_has_the_symmetry_of_its_group(group: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lattice = random_lattice(group, rng).scale(20.0 * positions(group)[0].multiplicity)
    structure = built(group, [Site("Na", 0)], lattice, [rng.uniform(0.03, 0.22, 3)])
    found = SpacegroupAnalyzer(structure, symprec=1e-4)
    operations = found.get_symmetry_operations()
    assert len(operations) % len(positions(group)[0].rotations) == 0  # the group, or one above it


@given(st.integers(1, 230), st.integers(1, 3), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_sites_hold_the_numbers_of_atoms(group: int, units: int, seed: int) -> None:
    rng, table = np.random.default_rng(seed), positions(group)
    general = table[0].multiplicity
    counts = {"Na": general * units, "Cl": 2 * general}
    sites = random_sites(counts, group, rng)
    assume(sites is not None)  # few draws fail, of which hypothesis complains
    assert sites is not None
    for element, wanted in counts.items():
        held = [table[s.position].multiplicity for s in sites if s.element == element]
        assert sum(held) == wanted
    fixed = [s.position for s in sites if table[s.position].freedom == 0]
    assert len(fixed) == len(set(fixed))


@pytest.mark.parametrize("rule", ["common", "any"])
@pytest.mark.parametrize("elements", [("Na", "Cl"), ("Fe", "O"), ("Ba", "Ti", "O"), ("Na", "K")])
def test_many_compositions_are_told_at_once_to_be_neutral(
    elements: tuple[str, ...], rule: Literal["common", "any"]
) -> None:
    given = CrystalSpaceSettings(elements=elements, max_atoms=9, oxidation_states=rule)
    found = numbers_of_atoms(elements, given).tolist()
    everything = CrystalSpaceSettings(elements=elements, max_atoms=9, oxidation_states="none")
    possible = numbers_of_atoms(elements, everything).tolist()
    assert len(possible) == len({tuple(one) for one in possible})
    assert all(math.gcd(*one) == 1 and sum(one) <= 9 for one in possible)
    expected = [
        one
        for one in possible
        if neutral_charges(Composition(dict(zip(elements, one, strict=True))), rule)
    ]
    assert found == expected
    if elements == ("Na", "Cl"):
        assert [1, 1] in found


def test_too_many_compositions_are_refused() -> None:
    with pytest.raises(ValidationError, match="given 8 elements in 40 atoms, which have more than"):
        CrystalSpaceSettings(elements=ELEMENTS, components=(2, 8), max_atoms=40)
    with pytest.raises(ValueError, match="no composition of 5 to 5"):
        CrystalSpace(
            CrystalSpaceSettings(
                elements=("Fe", "Co", "Ni", "Cu", "Ti", "V", "Cr"), components=(5, 5), max_atoms=20
            )
        )
