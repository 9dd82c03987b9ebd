from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from oracle.potentials.forces import ForceField
from oracle.potentials.table import calculator, weights_digest
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore
from surrogate.healing.fine_tuning import heal, held_out, verdict
from surrogate.healing.fine_tuning_settings import Errors, FineTuningSettings
from surrogate.healing.force_labels import ForceLabel, label
from surrogate.healing.trainable import trainable

FAST = FineTuningSettings(
    epochs=3, least_steps=0, rate=1e-3, batch=2, replay=2, held_out=0.3, averaging=0.5
)


def rattled(name: str, a: float, seed: int) -> Atoms:
    atoms = bulk(name, "rocksalt", a)
    atoms *= (2, 1, 1)
    atoms.rattle(0.08, seed=seed)
    return atoms


def labelled(teacher: str, folder: Path, n: int = 6) -> list[ForceLabel]:
    structures = [(f"BaTe-{i}", rattled("BaTe", 7.0, i)) for i in range(n)]
    return label(structures, teacher, ForceField(teacher, StageStore(folder), Context(folder)))


def replayed() -> list[Atoms]:
    return [rattled(n, a, 9) for n, a in (("NaCl", 5.6), ("KBr", 6.7), ("MgO", 4.2), ("CaS", 5.7))]


def _own(folder: Path) -> Path:
    """CHGNet's own weights, written like new ones."""
    folder.mkdir()
    path = folder / "own.pth"
    trainable("chgnet").write(path)
    return path


class TestHeal:
    @pytest.mark.parametrize(("student", "teacher"), [("chgnet", "7net-0"), ("7net-0", "chgnet")])
    def test_better_weights_are_written_and_load_by_name(
        self, student: str, teacher: str, tmp_path: Path
    ) -> None:
        labels = labelled(teacher, tmp_path)
        settings = replace(FAST, tolerance=10.0)
        healed = heal(student, labels, replayed(), tmp_path / "weights", settings=settings)
        assert healed.accepted, healed.reason
        assert healed.after.held_out < 0.9 * healed.before.held_out
        assert healed.before.elsewhere == pytest.approx(0.0, abs=1e-4)
        assert sum(healed.labels) == 6
        assert healed.weights is not None
        assert healed.potential == f"{student.split('-')[0]}:{healed.weights}"
        assert healed.digest == weights_digest(healed.potential) != weights_digest(student)
        held = held_out(labels, settings.held_out, settings.seed)
        squares = []
        for one in (one for one, out in zip(labels, held, strict=True) if out):
            atoms = one.atoms
            atoms.calc = calculator(healed.potential)
            squares.append(np.square(atoms.get_forces() - one.forces).mean())
        assert np.sqrt(np.mean(squares)) == pytest.approx(healed.after.held_out, rel=1e-3)
        torch.load(healed.weights, weights_only=True)  # no pickled classes
        if student == "chgnet":  # training on the same labels again brings no improvement
            again = heal(
                student,
                labels,
                replayed(),
                tmp_path / "weights",
                current=healed.potential,
                settings=replace(settings, epochs=1),
            )
            assert not again.accepted
            assert again.before.held_out == pytest.approx(healed.after.held_out, rel=1e-3)
            assert again.potential == healed.potential
            assert again.digest == healed.digest

    def test_the_same_seed_gives_the_same_weights(self, tmp_path: Path) -> None:
        labels, settings = labelled("7net-0", tmp_path), replace(FAST, epochs=1, tolerance=10.0)
        digests = [
            heal("chgnet", labels, replayed(), tmp_path / name, settings=settings).digest
            for name in ("a", "b")
        ]
        assert digests[0] == digests[1]

    def test_weights_that_forget_are_refused(self, tmp_path: Path) -> None:
        labels = labelled("7net-0", tmp_path)
        settings = replace(FAST, epochs=2, replay_weight=0.0, tolerance=1e-6)
        healed = heal("chgnet", labels, replayed(), tmp_path / "weights", settings=settings)
        assert not healed.accepted
        assert healed.reason.startswith("worse elsewhere")
        assert healed.potential == "chgnet"
        assert healed.weights is None
        assert healed.digest == weights_digest("chgnet")
        assert not (tmp_path / "weights").exists()

    def test_weights_that_forget_are_interpolated_back(self, tmp_path: Path) -> None:
        labels = labelled("7net-0", tmp_path)
        free = replace(FAST, epochs=2, replay_weight=0.0, tolerance=10.0)
        far = heal("chgnet", labels, replayed(), tmp_path / "far", settings=free)
        assert far.share == 1.0
        limit = far.after.elsewhere / 2
        # The error elsewhere, relative to the original weights, was 0; so this is the limit itself.
        settings = replace(free, tolerance=limit)
        near = heal("chgnet", labels, replayed(), tmp_path / "near", settings=settings)
        assert near.accepted, near.reason
        assert 0.2 < near.share < 0.8
        assert f"{near.share:.0%} of the way" in near.reason
        assert near.after.elsewhere <= limit
        assert far.after.held_out < near.after.held_out < near.before.held_out
        # One more step would exceed the limit, and the weights lie on a straight line.
        folder = tmp_path / "weights"
        assert far.weights is not None
        assert near.weights is not None
        old, new, between = (
            torch.load(path, weights_only=True)["model"]["state_dict"]
            for path in (_own(folder), far.weights, near.weights)
        )
        for name, value in between.items():
            if value.is_floating_point():
                wanted = old[name] + near.share * (new[name] - old[name])
                torch.testing.assert_close(value, wanted)
        assert near.after.elsewhere > 0.7 * limit

    def test_weights_that_learn_nothing_are_refused(self, tmp_path: Path) -> None:
        labels = labelled("chgnet", tmp_path)  # its own: nothing to learn
        settings = replace(FAST, epochs=1)
        healed = heal("chgnet", labels, replayed(), tmp_path / "weights", settings=settings)
        assert not healed.accepted
        assert healed.reason.startswith("no better on held-out labels")

    def test_bad_input(self, tmp_path: Path) -> None:
        labels = labelled("7net-0", tmp_path, 2)
        with pytest.raises(ValueError, match="no labels"):
            heal("chgnet", [], replayed(), tmp_path)
        with pytest.raises(ValueError, match="got 1 label"):
            heal("chgnet", labels[:1], replayed(), tmp_path)
        with pytest.raises(ValueError, match="structures to replay"):
            heal("chgnet", labels, [], tmp_path)
        mixed = [labels[0], replace(labels[1], settings="b" * 64)]
        with pytest.raises(ValueError, match="'BaTe-1' was made with settings bbbb"):
            heal("chgnet", mixed, replayed(), tmp_path)
        with pytest.raises(ValueError, match="expected one of SevenNet or CHGNet"):
            heal("nequix-oam-1-pft", labels, replayed(), tmp_path)
        with pytest.raises(ValueError, match="expected weights of the family 'chgnet'"):
            heal("chgnet", labels, replayed(), tmp_path, current="7net-0")
        with pytest.raises(ValueError, match="several functionals"):
            trainable("7net-mf-0")
        with pytest.raises(ValueError, match="no weights at"):
            trainable("chgnet:/nowhere/weights.pth")


class TestVerdict:
    def test_reference_elsewhere(self) -> None:
        before = Errors(0.1, 0.02)
        assert verdict(before, Errors(0.05, 0.0209), True, 0.05)[0]
        assert not verdict(before, Errors(0.05, 0.0211), True, 0.05)[0]
        assert not verdict(before, Errors(0.1, 0.01), True, 0.05)[0]
        assert not verdict(before, Errors(float("nan"), 0.01), True, 0.05)[0]

    def test_original_elsewhere(self) -> None:
        accepted, reason = verdict(Errors(0.1, 0.0), Errors(0.05, 0.06), False, 0.05)
        assert not accepted
        assert "0.1000 to 0.0500 eV/Å" in reason
        assert verdict(Errors(0.1, 0.0), Errors(0.05, 0.04), False, 0.05)[0]


def test_held_out_labels_stay_held_out(tmp_path: Path) -> None:
    labels = labelled("ase.calculators.lj:LennardJones", tmp_path, 30)
    few, many = (held_out(labels[:n], 0.2, 0) for n in (20, 30))
    assert np.array_equal(few, many[:20])
    assert 1 <= few.sum() <= 10
    assert held_out(labels[:2], 0.0, 0).sum() == held_out(labels[:2], 1.0, 0).sum() == 1
