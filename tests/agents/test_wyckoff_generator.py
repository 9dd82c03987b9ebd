"""The generative model of crystals: what it can say, how it learns, and what it proposes."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core.composition import Composition
from pymatgen.core.lattice import Lattice
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure

from agents.chemistry.chemistry import default_elements, neutral_charges
from agents.contract.objective import Objective
from agents.contract.protocol import Candidate, Looked, Proposer
from agents.generators import examples
from agents.generators.grammar import END, Dialogue, Kind, answers, can_hold, numbers, sketched
from agents.generators.network import (
    WyckoffNetwork,
    completed,
    encoded,
    loaded,
    property_tables,
    saved,
)
from agents.generators.training import learned, steered
from agents.generators.wyckoff import WyckoffProposer, generated, shipped, weighted
from agents.proposers.settings import WyckoffSettings
from agents.spaces.crystal_space import CrystalSpace
from agents.spaces.settings import CrystalSpaceSettings
from agents.spaces.site_description import SiteDescription, sites_of
from agents.spaces.wyckoff_sites import centring, positions
from oracle.contract.evaluation import Measured, Outcome
from oracle.materials.crystal import Crystal

Measure = Callable[..., Measured]
SALTS = CrystalSpaceSettings(
    elements=("Li", "Na", "K", "Cs", "Mg", "Zn", "O", "S", "Se", "Cl", "I"),
    max_atoms=8,
    forbidden=(("Li", "O"),),
)


@functools.cache
def prototypes() -> list[SiteDescription]:
    return examples.prototypes()


@functools.cache
def _tables() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return property_tables()


def untrained(seed: int) -> WyckoffNetwork:
    """A network that knows nothing."""
    torch.manual_seed(seed)
    return WyckoffNetwork(_tables()).eval()


def repeated(dialogue: Dialogue, words: Sequence[int]) -> SiteDescription | None:
    """The crystal that a dialogue gives for known answers, each of which must be admitted."""
    question = next(dialogue)
    for number, word in enumerate(words):
        assert question.admits(word), (number, question)
        try:
            question = dialogue.send(word)
        except StopIteration as end:
            assert number == len(words) - 1
            result: SiteDescription | None = end.value
            return result
    raise AssertionError("the dialogue has not ended")


def atoms(crystal: SiteDescription) -> dict[str, int]:
    """Of each element, in the primitive cell."""
    counts: dict[str, int] = {}
    for site in crystal.sites:
        number = positions(crystal.group)[site.position].multiplicity // centring(crystal.group)
        counts[site.element] = counts.get(site.element, 0) + number
    return counts


def test_known_crystals_can_be_said_in_its_words() -> None:
    rules = CrystalSpaceSettings(
        elements=tuple(Element.from_Z(z).symbol for z in range(1, 104)),
        components=(1, 6),
        max_atoms=12,
        space_groups=tuple(range(1, 231)),
        oxidation_states="none",
    )
    rng = np.random.default_rng(0)
    matcher = StructureMatcher()
    fits = []
    for crystal in prototypes()[::9]:
        counts = atoms(crystal).values()
        if sum(counts) > 12:
            continue  # compositions of many elements and atoms take long to list
        again = repeated(sketched(rules, rng), answers(crystal)[1])
        assert again is not None
        assert again.group == crystal.group
        assert sorted(again.sites, key=str) == sorted(crystal.sites, key=str)
        structure = again.structure()
        structure.scale_lattice(crystal.lattice.volume)
        fits.append(matcher.fit(structure, crystal.structure()))
    # Words for coordinates and ratios are rounded.
    assert len(fits) > 20
    assert np.mean(fits) > 0.9


@settings(max_examples=15, deadline=None)
@given(
    elements=st.sets(st.sampled_from(default_elements()), min_size=4, max_size=8),
    seed=st.integers(0, 1000),
    atoms_at_most=st.integers(4, 14),
    groups=st.sets(st.integers(1, 230), min_size=3, max_size=40),
)
def test_whatever_is_answered_the_crystal_is_what_was_asked_for(
    elements: set[str], seed: int, atoms_at_most: int, groups: set[int]
) -> None:
    rules = CrystalSpaceSettings(
        elements=tuple(sorted(elements)),
        components=(2, 3),
        max_atoms=atoms_at_most,
        space_groups=tuple(sorted(groups)),
    )
    rng = np.random.default_rng(seed)
    network = untrained(seed)
    for crystal in completed(network, [sketched(rules, rng) for _ in range(16)], rng):
        if crystal is None:
            continue
        counts = atoms(crystal)
        assert set(counts) <= elements
        assert 2 <= len(counts) <= 3
        assert sum(counts.values()) <= atoms_at_most
        assert crystal.group in groups
        assert neutral_charges(Composition(counts), "common") is not None
        fixed = [
            site.position
            for site in crystal.sites
            if not positions(crystal.group)[site.position].freedom
        ]
        assert len(fixed) == len(set(fixed))


@settings(max_examples=60, deadline=None)
@given(group=st.integers(1, 230), counts=st.lists(st.integers(1, 7), min_size=1, max_size=3))
def test_fillings_are_possible_if_a_search_finds_one(group: int, counts: list[int]) -> None:
    table, cells = positions(group), centring(group)

    def found(left: tuple[int, ...], used: frozenset[int]) -> bool:
        if not left:
            return True
        if left[0] == 0:
            return found(left[1:], used)
        return any(
            found(
                (left[0] - one.multiplicity // cells, *left[1:]),
                used if one.freedom else used | {k},
            )
            for k, one in enumerate(table)
            if one.multiplicity // cells <= left[0] and k not in used
        )

    assert can_hold(group, tuple(counts)) == found(tuple(counts), frozenset())


def test_a_likelihood_is_the_product_of_the_chances_of_all_answers() -> None:
    network = untrained(1)
    questions, words = answers(prototypes()[3])
    total, state, tables = 0.0, None, network.tables()
    table = encoded([(questions, words)])[0]
    before = torch.zeros_like(table[0])
    for row in table:
        memory, state = network.step(torch.stack([before, row])[None], state, tables)
        kind = Kind(int(row[0]))
        scores = network.logits(memory, kind, row[3:4], tables)
        total += float(torch.log_softmax(scores, dim=-1)[0, row[6]].detach())
        before = row
    together = network.log_likelihood(encoded([(questions, words), answers(prototypes()[40])]))
    assert float(together[0].detach()) == pytest.approx(total, abs=1e-3)


def test_it_learns_what_it_is_shown_and_weights_survive_a_file(tmp_path: Path) -> None:
    salt = Crystal.from_structure(
        Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
        )
    )
    network = learned([examples.Example(sites_of(salt), complete=True)] * 8, steps=120)
    saved(network, tmp_path / "weights")
    again = loaded(tmp_path / "weights")
    rng = np.random.default_rng(0)
    crystals = completed(again, [sketched(SALTS, rng) for _ in range(20)], rng)
    formulas = [Composition(atoms(c)).reduced_formula for c in crystals if c is not None]
    assert formulas.count("NaCl") > 14
    assert {c.group for c in crystals if c is not None} >= {225}


def _mean_mass(network: WyckoffNetwork) -> float:
    rng = np.random.default_rng(3)
    sketches = completed(network, [sketched(SALTS, rng) for _ in range(100)], rng)
    compositions = [Composition(atoms(one)) for one in sketches if one is not None]
    return float(np.mean([each.weight / each.num_atoms for each in compositions]))


def _sentences(network: WyckoffNetwork, number: int) -> list[SiteDescription]:
    rng = np.random.default_rng(4)
    sketches = completed(network, [sketched(SALTS, rng) for _ in range(number)], rng)
    return [one for one in sketches if one is not None]


def test_steering_moves_it_to_what_is_rewarded_as_far_as_allowed() -> None:
    prior = shipped()
    sketches = _sentences(prior, 60)
    masses = np.array([Composition(atoms(s)).weight / sum(atoms(s).values()) for s in sketches])
    results = encoded([answers(one) for one in sketches])
    rewards = weighted(masses)
    moved = [
        _mean_mass(steered(prior, results, rewards, results, strength=strength, seed=0))
        for strength in (0.3, 30.0)
    ]
    assert moved[0] > 1.15 * _mean_mass(prior)
    assert moved[1] < moved[0]


def test_good_results_weigh_most_and_all_weights_make_one() -> None:
    weights = weighted(np.array([1.0, 3.0, 2.0, -5.0]))
    assert weights.sum() == pytest.approx(1.0)
    assert list(np.argsort(-weights)) == [1, 2, 0, 3]
    many = weighted(np.arange(100.0))
    assert many[-30:].sum() > 0.8


def test_the_shipped_model_knows_more_of_crystals_than_chance() -> None:
    rng = np.random.default_rng(0)
    batch = encoded([answers(c) for c in prototypes()[::20] if max(atoms(c).values()) < 12])
    with torch.no_grad():
        gain = shipped().log_likelihood(batch) - untrained(0).log_likelihood(batch)
    assert float((gain > 0).float().mean()) > 0.95
    written = list(itertools.islice(generated(shipped(), SALTS, rng), 128))
    assert sum(one is not None for one in written) > 32


@pytest.fixture(scope="module")
def space() -> CrystalSpace:
    return CrystalSpace(SALTS)


def _proposed(
    proposer: WyckoffProposer,
    space: CrystalSpace,
    known: Sequence[Outcome] = (),
    n: int = 5,
    seed: int = 0,
) -> list[Candidate]:
    return proposer.propose(
        n,
        space=space,
        objective=Objective(),
        evaluations=known,
        pending=(),
        surrogate=None,
        rng=np.random.default_rng(seed),
    )


@pytest.fixture(scope="module")
def proposer() -> WyckoffProposer:
    return WyckoffProposer(WyckoffSettings(number=12), SALTS)


def test_it_proposes_distinct_members_that_follow_from_the_seed(
    proposer: WyckoffProposer, space: CrystalSpace, measured: Measure
) -> None:
    assert isinstance(proposer, Proposer)
    first = _proposed(proposer, space)
    assert len({one.id for one in first}) == 5
    assert all(one.material in space for one in first)
    assert [one.id for one in _proposed(proposer, space)] == [one.id for one in first]
    assert [one.id for one in _proposed(proposer, space, seed=1)] != [one.id for one in first]
    known = [measured(one.material) for one in first]
    again = _proposed(proposer, space, known)
    assert not {one.id for one in again} & {one.id for one in first}
    assert [one.id for one in _proposed(proposer, space, known)] == [one.id for one in again]
    assert _proposed(proposer, space, n=0) == []


def test_values_with_a_caution_are_no_reward(
    proposer: WyckoffProposer, space: CrystalSpace, measured: Measure
) -> None:
    known = [measured(one.material) for one in _proposed(proposer, space, n=8)]
    doubted = [one.model_copy(update={"low_confidence": "soft"}) for one in known]
    plain = [one.id for one in _proposed(proposer, space, doubted)]
    unsteered = WyckoffProposer(WyckoffSettings(number=12, steering=0), SALTS)
    assert plain == [one.id for one in _proposed(unsteered, space, known)]
    assert plain != [one.id for one in _proposed(proposer, space, known)]


def test_an_end_is_only_said_after_elements_that_have_a_composition() -> None:
    dialogue = sketched(SALTS, np.random.default_rng(0))
    question = next(dialogue)
    assert not question.admits(END)
    question = dialogue.send(11)
    assert not question.admits(END)
    assert not question.admits(19)  # K comes before Na
    assert not question.admits(26)
    question = dialogue.send(17)
    assert question.admits(END)


ELPASOLITES = CrystalSpaceSettings(
    elements=("Cs", "K", "Bi", "Cl", "Na"),
    components=(4, 4),
    max_atoms=10,
    space_groups=(225,),
)


def test_spaces_with_few_compositions_can_be_steered(measured: Measure) -> None:
    space = CrystalSpace(ELPASOLITES)
    proposer = WyckoffProposer(WyckoffSettings(number=8), ELPASOLITES)
    known = [measured(one) for one in space.sample(5, np.random.default_rng(2))]
    assert len(known) >= 4
    for candidate in _proposed(proposer, space, known, n=2):
        assert candidate.material in space


def test_only_compositions_that_a_group_can_hold_are_said() -> None:
    rules = ELPASOLITES.model_copy(update={"space_groups": (205,), "components": (2, 2)})
    rows = numbers(("Na", "Cl"), rules)
    assert len(rows)
    assert all(can_hold(205, tuple(one)) for one in rows.tolist())
    assert not len(numbers(("Na", "K"), rules))


def test_what_is_known_is_written_again_and_not_counted_as_wanted(
    proposer: WyckoffProposer, space: CrystalSpace, measured: Measure
) -> None:
    first = _proposed(proposer, space, n=12)
    known = [measured(one.material) for one in first]
    unsteered = WyckoffProposer(WyckoffSettings(number=12, steering=0), SALTS)
    again = _proposed(unsteered, space, known, n=12)
    assert len(again) == 12
    assert unsteered.looked.valid >= 24  # the same seed: the known ones came first
    assert unsteered.looked.proposed > unsteered.looked.valid > unsteered.looked.new == 12
    _proposed(unsteered, space, n=0)
    assert unsteered.looked == Looked()


def test_steering_leaves_the_random_numbers_of_others_alone_and_ignores_their_precision() -> None:
    results = encoded([answers(one) for one in prototypes()[:6]])
    weights = weighted(np.arange(6.0))
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    one = steered(shipped(), results, weights, results, strength=1.0, seed=0)
    assert torch.equal(torch.rand(3), expected)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        two = steered(shipped(), results, weights, results, strength=1.0, seed=0)
    finally:
        torch.set_default_dtype(before)
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(first, second, atol=1e-5)
