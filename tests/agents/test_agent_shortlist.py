from __future__ import annotations

import numpy as np
import pytest

from agents.acquisition.functions import Belief, acquire
from agents.acquisition.shortlist import Marginals, shortlist
from agents.contract.objective import Objective
from agents.contract.protocol import Breeding, Space
from agents.spaces.finite import FiniteSpace
from agents.spaces.narrowed import Narrowed
from oracle.materials.superlattice import Superlattice

OBJECTIVE = Objective("kappa", 300.0, "minimize")


@pytest.fixture
def beliefs() -> Marginals:
    rng = np.random.default_rng(3)
    n = 500
    return Marginals(
        rng.normal(size=n), rng.uniform(0.1, 1.0, n), np.full(n, 0.1), rng.uniform(0.0, 1.0, n)
    )


def test_the_most_promising_and_the_most_uncertain_are_listed(beliefs: Marginals) -> None:
    free = np.ones(500, dtype=bool)
    listed = shortlist(
        beliefs, OBJECTIVE, count=40, best=0.5, free=free, rng=np.random.default_rng(0)
    )
    assert len(listed) == len(set(listed)) == 40
    assert list(listed) == sorted(listed)
    roots = beliefs.epistemic[:, None]
    belief = Belief(beliefs.mean, roots, beliefs.epistemic, beliefs.aleatoric, beliefs.p_stable)
    promise = acquire(belief, OBJECTIVE, kind="log-ei", best=0.5)
    assert set(np.argsort(-promise)[:20]) <= set(listed)
    assert set(np.argsort(-beliefs.epistemic)[:10]) <= set(listed)


def test_only_free_materials_and_never_more_than_exist(beliefs: Marginals) -> None:
    free = np.zeros(500, dtype=bool)
    free[[3, 5, 8]] = True
    rng = np.random.default_rng(0)
    listed = shortlist(beliefs, OBJECTIVE, count=40, best=None, free=free, rng=rng)
    assert list(listed) == [3, 5, 8]


def test_a_narrowed_space_is_listed_short_and_is_whole_otherwise() -> None:
    materials = [Superlattice(sequence=f"{i:05b}") for i in range(32)]
    space = FiniteSpace(materials, [str(i) for i in range(32)])
    narrow = Narrowed(space, materials[3:6])
    assert isinstance(narrow, Space)
    rng = np.random.default_rng(0)
    assert narrow.listed(1, rng) is narrow.listed(100, rng) is narrow.shortlist
    assert narrow.size == 32
    assert materials[20] in narrow
    assert narrow.label(materials[20]) == "20"
    assert isinstance(narrow, Breeding)
    assert narrow.crossings(materials[3], materials[20], rng) != []
    assert len(narrow.sample(32, rng)) == len(list(narrow)) == 32
    assert narrow.neighbours(materials[20]) == space.neighbours(materials[20])
