from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from numpy.typing import NDArray

from oracle.potentials.forces import ForceField
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore
from surrogate.healing.committee import disagreement, member_forces, softening
from surrogate.healing.force_labels import (
    ForceLabel,
    consistent,
    label,
    load_labels,
    save_labels,
    settings_digest,
)
from surrogate.healing.hole_size import Evidence, HoleModel
from surrogate.healing.latent import Latent, LatentSpace, latents

EMT = "ase.calculators.emt:EMT"
Array = NDArray[np.float64]


def synthetic(n: int = 5) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((4 + i, 3)) * 10.0 ** (-i) for i in range(n)]


def some_label(name: str = "Cu-0", settings: str = "a" * 64) -> ForceLabel:
    atoms = bulk("Cu", cubic=True)
    return ForceLabel(
        name,
        atoms.cell.array,
        atoms.positions,
        atoms.numbers.astype(np.int64),
        np.full((4, 3), 0.1),
        "an engine",
        settings,
        energy=-1.0,
        stress=np.arange(6.0),
    )


class TestCommittee:
    def test_softening_is_exact(self) -> None:
        truth = synthetic()
        assert softening([0.8 * f for f in truth], truth) == pytest.approx(1 / 0.8, rel=1e-12)

    def test_members_that_differ_by_softening_alone_agree(self) -> None:
        truth = synthetic()
        members = [[s * f for f in truth] for s in (0.7, 0.9, 1.1)]
        comparison = disagreement(members)
        assert comparison.spread.max() < 1e-10
        assert comparison.slopes.mean() == pytest.approx(1.0)
        assert comparison.slopes * np.array([0.7, 0.9, 1.1]) == pytest.approx(
            np.full(3, comparison.slopes[0] * 0.7)
        )

    def test_reference_slopes_give_the_truth(self) -> None:
        truth = synthetic()
        members = [[s * f for f in truth] for s in (0.7, 0.9)]
        comparison = disagreement(members, [softening(m, truth) for m in members])
        for forces, true_forces in zip(comparison.consensus, truth, strict=True):
            assert np.allclose(forces, true_forces, rtol=1e-12)
        assert comparison.deviations[0] == pytest.approx(0.3 * comparison.size)

    def test_a_hole_of_one_structure_stays_visible(self) -> None:
        truth = [f / np.sqrt(np.square(f).mean()) for f in synthetic()]
        wrong = [0.8 * f for f in truth]
        wrong[2] = 0.8 * truth[2] + np.random.default_rng(1).standard_normal(truth[2].shape)
        comparison = disagreement([truth, wrong])
        assert comparison.spread.argmax() == 2
        assert comparison.spread[2] > 5 * np.delete(comparison.spread, 2).max()

    @pytest.mark.parametrize("names", [["7net-0"], ["7net-0", "7net-0"]])
    def test_refuses_one_member(self, names: list[str], tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="at least two different potentials"):
            member_forces(names, [], StageStore(tmp_path), Context(tmp_path))
        with pytest.raises(ValueError, match="at least 2"):
            disagreement([synthetic()])

    def test_names_what_is_not_finite(self) -> None:
        bad = synthetic()
        bad[3][0, 0] = np.nan
        with pytest.raises(ValueError, match="member 1 on structure 3"):
            disagreement([synthetic(), bad])


class TestForceLabels:
    def test_computed_once_and_read_back_to_the_last_bit(self, tmp_path: Path) -> None:
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=1)
        field = ForceField(EMT, StageStore(tmp_path), Context(tmp_path))
        first = label([("Cu-0", atoms)], EMT, field)
        assert first[0].settings == settings_digest(EMT)
        assert first[0].formula == "Cu"
        assert first[0].stress is not None
        again = label([("Cu-0", atoms)], EMT, field)
        path = tmp_path / "labels.jsonl"
        save_labels(path, first)
        for other in (again[0], load_labels(path)[0]):
            for name in ("cell", "positions", "numbers", "forces", "stress"):
                assert np.array_equal(getattr(first[0], name), getattr(other, name))
            assert other.digest == first[0].digest
            assert other.energy == first[0].energy

    def test_field_of_another_engine(self, tmp_path: Path) -> None:
        field = ForceField(EMT, StageStore(tmp_path), Context(tmp_path))
        with pytest.raises(ValueError, match="force field belongs to"):
            label([], "chgnet", field)

    def test_nan_names_the_record(self) -> None:
        with pytest.raises(ValueError, match="'NbCoGe-3': forces is not finite"):
            replace(some_label("NbCoGe-3"), forces=np.full((4, 3), np.nan))
        with pytest.raises(ValueError, match="'x': energy is not finite"):
            replace(some_label("x"), energy=float("inf"))
        with pytest.raises(ValueError, match=r"'x': forces has the shape \(3, 3\)"):
            replace(some_label("x"), forces=np.zeros((3, 3)))

    def test_mixed_settings_and_empty_sets(self) -> None:
        with pytest.raises(ValueError, match="'b' was made with settings bbbbbbbbbbbb"):
            consistent([some_label("a"), some_label("b", "b" * 64)])
        with pytest.raises(ValueError, match="no labels"):
            consistent([])
        with pytest.raises(ValueError, match="'a' is given twice"):
            consistent([some_label("a"), some_label("a")])

    def test_files_of_other_units_or_none(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.jsonl"
        save_labels(path, [some_label()])
        path.write_text(path.read_text().replace("eV, Å", "Ry, Bohr"))
        with pytest.raises(ValueError, match="line 1, label 'Cu-0': its units are 'Ry, Bohr'"):
            load_labels(path)
        path.write_text("nonsense\n")
        with pytest.raises(ValueError, match="line 1 is not a label"):
            load_labels(path)
        path.write_text("")
        with pytest.raises(ValueError, match="no labels"):
            load_labels(path)


def points(values: Array, version: str = "v") -> list[Latent]:
    return [Latent(np.array([[x, 0.1 * x]]), np.ones(1), version) for x in values]


class TestLatent:
    def test_copies_are_alike_and_far_ones_are_not(self) -> None:
        structures = points(np.array([0.0, 0.0, 1.0, 5.0]))
        space = LatentSpace.of(structures)
        kernel = space.kernel(structures, structures)
        assert np.allclose(np.diag(kernel), 1.0)
        assert kernel[0, 1] == pytest.approx(1.0)
        assert kernel[0, 3] < kernel[0, 2] < 1.0
        assert np.linalg.eigvalsh(kernel).min() > -1e-12

    def test_distance_from_trusted(self) -> None:
        structures = points(np.array([0.0, 1.0, 5.0]))
        distance = LatentSpace.of(structures).distance(structures, structures[:1])
        assert distance[0] == pytest.approx(0.0, abs=1e-12)
        assert distance[2] == pytest.approx(5 * distance[1])
        assert np.isinf(LatentSpace.of(structures).distance(structures, [])).all()

    def test_features_of_another_version(self) -> None:
        space = LatentSpace.of(points(np.arange(3.0)))
        with pytest.raises(ValueError, match="compute the features again"):
            space.kernel(points(np.arange(2.0), "w"), points(np.arange(2.0), "w"))
        with pytest.raises(
            ValueError, match="features of structure 1 were computed with weights w"
        ):
            LatentSpace.of([*points(np.arange(1.0)), *points(np.arange(1.0), "w")])

    def test_of_a_potential(self) -> None:
        atoms = bulk("NaCl", "rocksalt", 5.6)
        wide = bulk("NaCl", "rocksalt", 6.4)
        features = latents("chgnet", [atoms, atoms * (2, 1, 1), wide])
        assert features[0].weights == pytest.approx([0.5, 0.5])
        assert np.allclose(features[0].rows, features[1].rows, atol=1e-4)
        assert not np.allclose(features[0].rows, features[2].rows, atol=1e-2)


class TestHoleModel:
    @staticmethod
    def evidence(n: int, seed: int = 0) -> tuple[Evidence, Array]:
        """Errors of twice the deviation, and of eight times that in a hole at x > 3."""
        rng = np.random.default_rng(seed)
        x = rng.uniform(0, 5, n)
        deviation = rng.uniform(0.01, 0.1, n)
        truth = 2 * deviation * np.where(x > 3, 4.0, 1.0) * np.exp(0.1 * rng.standard_normal(n))
        return Evidence(deviation, np.full(n, 0.3), np.full(n, np.inf), points(x)), truth

    def test_prior_says_that_it_rests_on_nothing(self) -> None:
        evidence, _ = self.evidence(6)
        sizes = HoleModel(LatentSpace.of(evidence.latents)).predict(evidence)
        assert sizes.labels == 0
        assert list(np.argsort(sizes.force_error)) == list(np.argsort(evidence.deviation))
        assert (sizes.force_error > 0).all()

    def test_labels_calibrate_it_and_show_holes_of_all_members(self) -> None:
        evidence, truth = self.evidence(20)
        others, other_truth = self.evidence(200, seed=1)
        prior = HoleModel(LatentSpace.of(evidence.latents))
        model = prior.fitted(evidence, truth)
        sizes = model.predict(others)
        assert sizes.labels == 20
        errors = np.log(other_truth) - sizes.log_mean
        assert (
            np.abs(errors).mean()
            < 0.35 * np.abs(np.log(other_truth) - prior.predict(others).log_mean).mean()
        )
        assert np.abs(errors).mean() < 0.35
        assert (sizes.log_std < prior.predict(others).log_std).all()

    def test_uncertain_where_no_label_is_near(self) -> None:
        evidence, truth = self.evidence(20)
        model = HoleModel(LatentSpace.of(evidence.latents)).fitted(evidence, truth)
        far = Evidence(
            np.full(2, 0.05), np.full(2, 0.3), np.full(2, np.inf), points(np.array([2.0, 60.0]))
        )
        sizes = model.predict(far)
        assert sizes.log_std[1] > 1.3 * sizes.log_std[0]

    def test_bad_errors(self) -> None:
        evidence, truth = self.evidence(4)
        model = HoleModel(LatentSpace.of(evidence.latents))
        truth[2] = np.nan
        with pytest.raises(ValueError, match="error 2 is nan"):
            model.fitted(evidence, truth)
        with pytest.raises(ValueError, match="at least one"):
            model.fitted(evidence.take([]), np.zeros(0))
        with pytest.raises(ValueError, match="deviation"):
            Evidence(np.array([np.nan]), np.ones(1), np.ones(1), points(np.zeros(1)))
