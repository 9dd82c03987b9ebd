from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.holes.hole_assessment import assess
from agents.holes.hole_hunter import Hunt, hunt
from agents.holes.supercell_pool import PoolEntry, SupercellPoolSettings, supercell_pool
from agents.spaces.prototype_table import prototype
from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore
from surrogate.healing.force_labels import label
from surrogate.healing.hole_size import HoleSizes
from surrogate.healing.latent import Latent, LatentSpace

Array = NDArray[np.float64]


def points(values: Array) -> list[Latent]:
    return [Latent(np.array([[x]]), np.ones(1), "v") for x in values]


def sizes(errors: Array) -> HoleSizes:
    one = np.ones(len(errors))
    return HoleSizes(errors, np.log(errors), 0.3 * one, errors / 0.3, 0)


def hunted(
    at: Array,
    errors: Array,
    budget: int,
    labelled: Array | None = None,
    least: float = 0.0,
    groups: list[int] | None = None,
) -> Hunt:
    ids = [f"s{i}" for i in range(len(at))]
    where = points(at)
    return hunt(
        ids,
        where,
        sizes(errors),
        LatentSpace.of(points(np.arange(8.0))),
        budget=budget,
        labelled=[] if labelled is None else points(labelled),
        least=least,
        groups=groups,
    )


class TestHunt:
    # Five displacements of each of four compounds, the first two of which are holes.
    at = np.repeat([0.0, 10.0, 20.0, 30.0], 5)
    errors = np.repeat([0.4, 0.3, 0.2, 0.1], 5)

    def test_no_copies_of_one_hole(self) -> None:
        hunt_result = hunted(self.at, self.errors, 4)
        assert [w.index // 5 for w in hunt_result.wanted] == [0, 1, 2, 3]
        assert hunt_result.after < 0.4 * hunt_result.before
        assert sum(w.share for w in hunt_result.wanted) == pytest.approx(
            1 - (hunt_result.after / hunt_result.before) ** 2
        )
        assert "0.400 eV/Å (from the prior alone)" in hunt_result.wanted[0].reason

    def test_labelled_structures_are_not_chosen_again(self) -> None:
        hunt_result = hunted(self.at, self.errors, 1, labelled=np.array([0.0, 0.0]))
        assert hunt_result.wanted[0].index // 5 == 1

    def test_many_similar_structures_come_before_a_single_one(self) -> None:
        at, errors = np.array([0.0, 0.0, 0.0, 0.0, 20.0]), np.array([0.2, 0.2, 0.2, 0.2, 0.3])
        assert hunted(at, errors, 1).wanted[0].index < 4

    def test_one_of_each_group_comes_before_all_others(self) -> None:
        groups = np.repeat([-1, -1, 0, 1], 5).tolist()
        wanted = hunted(self.at, self.errors, 5, groups=groups).wanted
        assert [w.index // 5 for w in wanted[:4]] == [2, 3, 0, 1]
        # Only where they are holes.
        wanted = hunted(self.at, self.errors, 5, groups=groups, least=0.15).wanted
        assert [w.index // 5 for w in wanted[:3]] == [2, 0, 1]

    def test_no_more_than_the_budget_the_pool_and_the_holes(self) -> None:
        assert hunted(self.at, self.errors, 0).wanted == ()
        assert len(hunted(self.at, self.errors, 99).wanted) == 20
        assert len(hunted(self.at, self.errors, 99, least=0.25).wanted) == 10

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match="empty pool"):
            hunted(np.zeros(0), np.zeros(0), 1)
        with pytest.raises(ValueError, match="budget: got -1"):
            hunted(self.at, self.errors, -1)
        with pytest.raises(ValueError, match="sizes has 3 entries; expected 20"):
            hunted(self.at, self.errors[:3], 1)


EMT, OTHER = "ase.calculators.emt:EMT", "ase.calculators.lj:LennardJones"


class TestAssess:
    def entries(self, folder: Path) -> list[PoolEntry]:
        crystals = [prototype("cscl").decorate(pair) for pair in (("Ni", "Al"), ("Cu", "Au"))]
        field = ForceField(EMT, StageStore(folder), Context(folder))
        return supercell_pool(crystals, field, SupercellPoolSettings(copies=3, most_atoms=8))

    def test_from_supercells_to_what_is_worth_labelling(self, tmp_path: Path) -> None:
        entries, store, context = self.entries(tmp_path), StageStore(tmp_path), Context(tmp_path)
        first = assess(entries, [EMT, OTHER], store, context)
        assert first.sizes.labels == 0
        hunt_result = first.hunt(2)
        assert hunt_result.wanted[0].index // 3 != hunt_result.wanted[1].index // 3
        teacher = ForceField(OTHER, store, context)
        wanted = [(w.id, entries[w.index].atoms) for w in hunt_result.wanted]
        labels = label(wanted, OTHER, teacher)
        second = assess(entries, [EMT, OTHER], store, context, labels=labels)
        assert second.sizes.labels == 2
        assert second.slopes[1] == pytest.approx(1.0)  # the teacher needs no correction
        assert (second.sizes.log_std < first.sizes.log_std).any()

    def test_empty_pool(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="empty pool"):
            assess([], [EMT, OTHER], StageStore(tmp_path), Context(tmp_path))


def test_pool_follows_from_the_material(tmp_path: Path) -> None:
    crystal = prototype("rocksalt").decorate(("Ni", "Al"))
    field = ForceField(EMT, StageStore(tmp_path), Context(tmp_path))
    first = supercell_pool([crystal], field, SupercellPoolSettings(copies=2, most_atoms=20))
    again = supercell_pool([crystal], field, SupercellPoolSettings(copies=3, most_atoms=20))
    assert [len(e.atoms) for e in first] == [16, 16]
    assert len({e.id for e in again}) == 3
    for one, other in zip(first, again, strict=False):
        assert np.array_equal(one.atoms.positions, other.atoms.positions)
        assert one.material == crystal
