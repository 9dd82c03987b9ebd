"""The contract of all proposers, and the purpose of each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from agents.contract.objective import Objective
from agents.contract.protocol import Candidate, Proposer, candidate_id
from agents.proposers.base import BaseProposer
from agents.proposers.bayesian import BayesianProposer
from agents.proposers.evolution import EvolutionProposer
from agents.proposers.random_agent import RandomProposer
from agents.proposers.settings import BayesianSettings, EvolutionSettings, SubstitutionSettings
from agents.proposers.substitution import SubstitutionProposer
from agents.proposers.tree_search import TreeSearchProposer
from agents.spaces.finite import FiniteSpace
from oracle.contract.evaluation import Failed, Measured, Outcome, Unstable
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from surrogate.contract.protocol import Surrogate

Measure = Callable[..., Measured]
OBJECTIVE = Objective()


def outcomes(space: FiniteSpace, measured: Measure, n: int) -> list[Outcome]:
    """n outcomes of which every fourth is unstable and every seventh failed."""
    candidates: list[Outcome] = []
    common = {"fidelity": "bte", "method": "m", "cost_s": 1.0}
    for i, material in enumerate(space.materials[:: max(1, space.size // n)][:n]):
        if i % 4 == 3:
            candidates.append(Unstable(material=material, stage="stability", **common))
        elif i % 7 == 6:
            candidates.append(
                Failed(material=material, stage="relax", message="x", permanent=True, **common)
            )
        else:
            candidates.append(measured(material))
    return candidates


class ProposerContract:
    """Inherited by the tests of every proposer."""

    def make(self) -> BaseProposer:
        raise AssertionError("each test class makes its proposer")

    def propose(
        self,
        n: int,
        space: FiniteSpace,
        evaluations: list[Outcome],
        surrogate: Surrogate | None,
        pending: list[Material] | None = None,
        seed: int = 0,
    ) -> list[Candidate]:
        if surrogate is not None:
            surrogate.fit(evaluations)
        return self.make().propose(
            n,
            space=space,
            objective=OBJECTIVE,
            evaluations=evaluations,
            pending=pending or [],
            surrogate=surrogate,
            rng=np.random.default_rng(seed),
        )

    def test_is_a_proposer(self) -> None:
        proposer = self.make()
        assert isinstance(proposer, Proposer)
        assert proposer.name == proposer.kind

    @pytest.mark.parametrize("labels", [0, 1, 9])
    @pytest.mark.parametrize("informed", [False, True])
    def test_gives_new_members_of_the_space(
        self,
        space: FiniteSpace,
        measured: Measure,
        surrogate: Surrogate,
        labels: int,
        informed: bool,
    ) -> None:
        evaluations = outcomes(space, measured, labels) if labels else []
        pending = list(space.materials[-3:])
        model = surrogate if informed and labels else None
        candidates = self.propose(5, space, evaluations, model, pending)
        digests = [c.material.digest for c in candidates]
        taken = {m.digest for m in [*(e.material for e in evaluations), *pending]}
        assert len(digests) == len(set(digests)) == 5
        assert not taken & set(digests)
        assert all(c.material in space for c in candidates)
        assert all(c.label == space.label(c.material) for c in candidates)
        assert all(c.agent == self.make().name for c in candidates)

    def test_is_a_function_of_the_generator(
        self, space: FiniteSpace, measured: Measure, surrogate: Surrogate
    ) -> None:
        evaluations = outcomes(space, measured, 8)
        first, second = (self.propose(6, space, evaluations, surrogate) for _ in range(2))
        assert [c.id for c in first] == [c.id for c in second]

    def test_an_exhausted_space_gives_its_last_members(
        self, space: FiniteSpace, measured: Measure, surrogate: Surrogate
    ) -> None:
        evaluations: list[Outcome] = [measured(m) for m in space.materials[2:-1]]
        pending = [space.materials[-1]]
        candidates = self.propose(5, space, evaluations, surrogate, pending)
        assert {c.material.digest for c in candidates} == {m.digest for m in space.materials[:2]}
        everything: list[Outcome] = [measured(m) for m in space.materials]
        assert self.propose(5, space, everything, surrogate) == []

    def test_a_request_for_none_gives_none(self, space: FiniteSpace, measured: Measure) -> None:
        assert self.propose(0, space, outcomes(space, measured, 4), None) == []


class TestRandom(ProposerContract):
    def make(self) -> BaseProposer:
        return RandomProposer()

    def test_is_uniform(self, sequences: FiniteSpace) -> None:
        counts = dict.fromkeys((m.digest for m in sequences), 0)
        for seed in range(600):
            for candidate in self.propose(4, sequences, [], None, seed=seed):
                counts[candidate.material.digest] += 1
        expected = 600 * 4 / sequences.size
        chi2 = sum((c - expected) ** 2 / expected for c in counts.values())
        assert chi2 < sequences.size + 5 * np.sqrt(2 * sequences.size)


class TestSubstitution(ProposerContract):
    def make(self) -> BaseProposer:
        return SubstitutionProposer(SubstitutionSettings(parents=3))

    def test_changes_the_best(self, space: FiniteSpace, measured: Measure) -> None:
        best, worse = space.materials[3], space.materials[20]
        evaluations: list[Outcome] = [measured(worse, 100.0), measured(best, 0.1)]
        candidates = self.propose(3, space, evaluations, None)
        assert candidates[0].parents == (candidate_id(best),)
        nearest = [m for m in space.neighbours(best) if m.digest != worse.digest]
        assert candidates[0].material.digest == nearest[0].digest

    def test_the_surrogate_ranks_neighbours(
        self, space: FiniteSpace, measured: Measure, surrogate: Surrogate
    ) -> None:
        evaluations = outcomes(space, measured, 12)
        plain = self.propose(4, space, evaluations, None)
        informed = self.propose(4, space, evaluations, surrogate)
        assert [c.id for c in plain] != [c.id for c in informed]


class TestTreeSearch(ProposerContract):
    def make(self) -> BaseProposer:
        return TreeSearchProposer()


class TestEvolution(ProposerContract):
    def make(self) -> BaseProposer:
        return EvolutionProposer()

    def test_crossover_mixes_two_parents(self, space: FiniteSpace, measured: Measure) -> None:
        proposer = EvolutionProposer(EvolutionSettings(mutation=0, strain=0))
        evaluations: list[Outcome] = [measured(m) for m in space.materials[::9]]
        candidates = proposer.propose(
            4,
            space=space,
            objective=OBJECTIVE,
            evaluations=evaluations,
            pending=[],
            surrogate=None,
            rng=np.random.default_rng(1),
        )
        bred = [c for c in candidates if c.parents]
        assert bred
        assert all(len(c.parents) == 2 for c in bred)
        by_id = {candidate_id(m): m for m in space.materials}
        for candidate in bred:
            if isinstance(candidate.material, Crystal):
                parents = [by_id[p] for p in candidate.parents]
                genes = {s for p in parents if isinstance(p, Crystal) for s in p.species}
                assert set(candidate.material.species) <= genes

    def test_strain_keeps_the_prototype(self, crystals: FiniteSpace, measured: Measure) -> None:
        proposer = EvolutionProposer(EvolutionSettings(crossover=0, mutation=0, strain=1))
        parent = crystals.materials[0]
        (child,) = proposer.propose(
            1,
            space=crystals,
            objective=OBJECTIVE,
            evaluations=[measured(parent)],
            pending=[],
            surrogate=None,
            rng=np.random.default_rng(0),
        )
        assert child.label == crystals.label(parent)


class _Bayesian(ProposerContract):
    settings = BayesianSettings()

    def make(self) -> BaseProposer:
        return BayesianProposer(self.settings)

    def test_finds_the_optimum_sooner_than_chance(
        self, space: FiniteSpace, measured: Measure, surrogate: Surrogate
    ) -> None:
        evaluations: list[Outcome] = [measured(m) for m in space.materials[:2]]
        target = min(measured(m).properties["kappa"].value for m in space.materials)
        for step in range(25):
            (candidate,) = self.propose(1, space, evaluations, surrogate, seed=step)
            evaluations.append(measured(candidate.material))
        best = min(e.properties["kappa"].value for e in evaluations if isinstance(e, Measured))
        # 25 random draws find the best of 60 and more with less than even odds.
        assert np.log10(best) - np.log10(target) < 0.01


class TestBayesianLogEi(_Bayesian):
    settings = BayesianSettings(acquisition="log-ei")

    def test_a_batch_is_diverse(
        self, crystals: FiniteSpace, measured: Measure, surrogate: Surrogate
    ) -> None:
        evaluations = outcomes(crystals, measured, 6)
        surrogate.fit(evaluations)
        candidates = self.propose(6, crystals, evaluations, surrogate)
        x = np.sort([int(c.material.digest[:8], 16) / 16**8 for c in candidates])
        all_x = np.sort([int(m.digest[:8], 16) / 16**8 for m in crystals.materials])
        assert np.ptp(x) > 0.3
        # The six best by plain acquisition would be neighbours on the hidden coordinate.
        assert np.diff(x).max() > 5 * np.median(np.diff(all_x))

    def test_pending_trials_push_the_choice_away(
        self, crystals: FiniteSpace, measured: Measure, surrogate: Surrogate
    ) -> None:
        evaluations = outcomes(crystals, measured, 6)
        first = self.propose(2, crystals, evaluations, surrogate)
        again = self.propose(1, crystals, evaluations, surrogate, [first[0].material])
        assert again[0].id == first[1].id


class TestBayesianUcb(_Bayesian):
    settings = BayesianSettings(acquisition="ucb", beta=2.0)


class TestBayesianThompson(_Bayesian):
    settings = BayesianSettings(acquisition="thompson")
