"""The training loop for fine-tuning a universal potential; see `surrogate.healing.fine_tuning`."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor

from oracle.runtime.files import digest_of_path
from surrogate.healing.fine_tuning_settings import Errors, FineTuningSettings
from surrogate.healing.force_labels import ForceLabel
from surrogate.healing.trainable import Trainable, trainable

_FORCE_FLOOR = 0.05  # eV/Å; smaller forces contribute by their absolute, not relative, error
_STRESS_SCALE = 0.01  # eV/Å³; stress of a typical solid whose lattice parameter is 0.4 % off
_WARM_UP = 0.1  # fraction of the steps during which the learning rate grows
_REPLAY_HELD_OUT = 0.25  # fraction of the replayed structures that measure forgetting
_CLIP = 1.0  # of the gradient's norm


@dataclass(frozen=True, eq=False)
class Example:
    """One structure with its target forces and stress.

    Args:
        graph: input of the potential, from `Trainable.graph`.
        forces: (n, 3), eV/Å.
        stress: (6,), eV/Å³, or None.
    """

    graph: Any
    forces: Tensor
    stress: Tensor | None

    @property
    def scale(self) -> float:
        """Typical size of the forces, eV/Å, by which errors are divided."""
        return math.sqrt(float(self.forces.square().mean()) + _FORCE_FLOOR**2)


@dataclass
class Loop:
    """Training examples, the potential's weights and their moving average.

    Args:
        student: the potential that is trained.
        train: labels that are trained on.
        held: held-out labels, which decide the best epoch.
        replay: replayed structures, which are trained on to prevent forgetting.
        away: structures of other materials, never trained on, which measure forgetting.
        relative: whether errors on `away` are relative to the forces there, because no reference
            labels of those structures exist.
        settings: of the training.
    """

    student: Trainable
    train: list[Example]
    held: list[Example]
    replay: list[Example]
    away: list[Example]
    relative: bool
    settings: FineTuningSettings
    _average: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)
    _original: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def prepared(
        cls,
        original: str,
        labels: Sequence[ForceLabel],
        is_held_out: NDArray[np.bool_],
        replay: Sequence[Atoms],
        elsewhere: Sequence[ForceLabel],
        settings: FineTuningSettings,
    ) -> Loop:
        """A loop ready to run; for the arguments see `surrogate.healing.fine_tuning.heal`."""
        student = trainable(original)
        examples = [_example(student, one) for one in labels]
        order = np.random.default_rng(settings.seed).permutation(len(replay))
        n_elsewhere = max(1, round(_REPLAY_HELD_OUT * len(replay)))
        own_examples = [_self_labelled_example(student, replay[i]) for i in order]
        return cls(
            student,
            [one for one, is_out in zip(examples, is_held_out, strict=True) if not is_out],
            [one for one, is_out in zip(examples, is_held_out, strict=True) if is_out],
            own_examples if elsewhere else own_examples[n_elsewhere:],
            [_example(student, one) for one in elsewhere] or own_examples[:n_elsewhere],
            not elsewhere,
            settings,
        )

    @property
    def family(self) -> str:
        """Name of the family under which the written weights are loaded."""
        return self.student.family

    def run(self, done: Callable[[float], None] | None = None) -> tuple[int, int]:
        """Train, and restore the weights that were best on held-out labels.

        Returns:
            Number of epochs run, and the best epoch.
        """
        settings = self.settings
        rng = np.random.default_rng([settings.seed, 1])
        weights = [w for w in self.student.model.parameters() if w.requires_grad]
        optimizer = torch.optim.Adam(weights, lr=settings.rate)
        steps_per_epoch = -(-len(self.train) // settings.batch)
        epochs_per_check = max(1, -(-settings.least_steps // (steps_per_epoch * settings.epochs)))
        epochs = (
            epochs_per_check * settings.epochs
        )  # the held-out error is checked `settings.epochs` times
        steps = epochs * steps_per_epoch
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: _rate(n, steps))
        self._original, self._average = _copied(self.student), _copied(self.student)
        best, best_error, best_epoch = copy.deepcopy(self._average), math.inf, 0
        epoch = 0
        for epoch in range(1, epochs + 1):
            for labels, replayed in self._batches(rng):
                optimizer.zero_grad()
                self._backward(labels, 1.0)
                self._backward(replayed, settings.replay_weight)
                torch.nn.utils.clip_grad_norm_(weights, _CLIP)
                optimizer.step()
                schedule.step()
                self._update_average()
            if epoch % epochs_per_check:
                continue
            error = self._with_average(self._held_error)
            if error < best_error:
                best, best_error, best_epoch = copy.deepcopy(self._average), error, epoch
            if done is not None:
                done(epoch / epochs)
            if epoch - best_epoch >= settings.patience * epochs_per_check:
                break
        self.student.model.load_state_dict(best)
        return epoch, best_epoch

    def draw_back(self, limit: float, steps: int) -> float:
        """Interpolate back towards the original weights until the error elsewhere is acceptable.

        Interpolated weights keep most of what was learned and forget far less (M. Wortsman et al.,
        CVPR 2022, 7959).

        Args:
            limit: largest acceptable error elsewhere.
            steps: number of equal interpolation steps, tried from the trained weights backwards.

        Returns:
            The fraction of the trained weights that is kept. It is 1, and the weights are
            unchanged, where even the smallest fraction exceeds the limit.
        """
        learned = _copied(self.student)
        for step in range(steps - 1, 0, -1):
            self.student.model.load_state_dict(
                {k: _between(old, learned[k], step / steps) for k, old in self._original.items()}
            )
            if self._elsewhere() <= limit:
                return step / steps
        self.student.model.load_state_dict(learned)
        return 1.0

    def errors(self) -> Errors:
        """Errors of the present weights."""
        return _errors(self.student, self.held, self.away, relative=self.relative)

    def errors_of(self, potential: str) -> Errors:
        """Errors of another potential of the same family on the same structures."""
        other = trainable(potential)
        if other.family != self.family:
            raise ValueError(
                f"current: got {potential!r}; expected weights of the family {self.family!r}, "
                "which is to be fine-tuned"
            )
        return _errors(other, self.held, self.away, relative=self.relative)

    def written(self, folder: Path) -> Path:
        """Write the weights to a file named after their digest, and return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            path = Path(scratch) / "weights.pth"
            self.student.write(path)
            target = folder.absolute() / f"{self.family}-{digest_of_path(path)[:16]}.pth"
            path.replace(target)
        return target

    def _batches(self, rng: np.random.Generator) -> Iterator[tuple[list[Example], list[Example]]]:
        """Batches of labels in random order, each with randomly drawn replayed structures."""
        order, size = rng.permutation(len(self.train)), self.settings.batch
        for start in range(0, len(order), size):
            count = min(self.settings.replay, len(self.replay))
            drawn = rng.choice(len(self.replay), count, replace=False)
            labels = [self.train[i] for i in order[start : start + size]]
            yield labels, [self.replay[i] for i in drawn]

    def _backward(self, examples: list[Example], weight: float) -> None:
        """Accumulate the gradient of the examples' mean loss."""
        for one in examples:
            forces, stress = self.student.predict(one.graph)
            loss = (forces - one.forces).square().mean() / one.scale**2
            if one.stress is not None:
                stress_error = (stress - one.stress).square().mean() / _STRESS_SCALE**2
                loss = loss + self.settings.stress_weight * stress_error
            torch.autograd.backward(loss * (weight / len(examples)))

    def _update_average(self) -> None:
        """Update the exponential moving average of the weights."""
        keep = self.settings.averaging
        for name, value in self.student.model.state_dict().items():
            if value.is_floating_point():
                self._average[name].mul_(keep).add_(value, alpha=1 - keep)
            else:
                self._average[name].copy_(value)

    def _with_average(self, measure: Callable[[], float]) -> float:
        """Evaluate a function with the averaged weights in place."""
        moving = _copied(self.student)
        self.student.model.load_state_dict(self._average)
        try:
            return measure()
        finally:
            self.student.model.load_state_dict(moving)

    def _elsewhere(self) -> float:
        return _elsewhere(self.student, self.away, relative=self.relative)

    def _held_error(self) -> float:
        """Relative force error on the held-out labels, each with the same weight."""
        squares = [
            float(_deviation(self.student, one).square().mean()) / one.scale**2 for one in self.held
        ]
        return math.sqrt(sum(squares) / len(squares))


def _rate(step: int, steps: int) -> float:
    """Learning rate relative to its maximum: a linear warm-up, then a cosine decay to zero."""
    warm = max(1, round(_WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _example(student: Trainable, one: ForceLabel) -> Example:
    stress = None if one.stress is None else _tensor(student, one.stress)
    return Example(student.graph(one.atoms), _tensor(student, one.forces), stress)


def _self_labelled_example(student: Trainable, atoms: Atoms) -> Example:
    """A structure with the potential's present forces and stress as targets."""
    graph = student.graph(atoms)
    forces, stress = student.predict(graph)
    return Example(graph, forces.detach(), stress.detach())


def _tensor(student: Trainable, values: NDArray[np.float64]) -> Tensor:
    like = next(student.model.parameters())
    return torch.as_tensor(values, dtype=like.dtype, device=like.device)


def _copied(student: Trainable) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in student.model.state_dict().items()}


def _deviation(student: Trainable, one: Example) -> Tensor:
    return (student.predict(one.graph)[0] - one.forces).detach()


def _errors(
    student: Trainable, held: Sequence[Example], away: Sequence[Example], *, relative: bool
) -> Errors:
    return Errors(
        _rms([_deviation(student, one) for one in held]),
        _elsewhere(student, away, relative=relative),
    )


def _elsewhere(student: Trainable, away: Sequence[Example], *, relative: bool) -> float:
    size = _rms([one.forces for one in away]) if relative else 1.0
    return _rms([_deviation(student, one) for one in away]) / size


def _between(old: Tensor, new: Tensor, share: float) -> Tensor:
    """Linear interpolation from old (0) to new (1); integers such as counters are the new ones."""
    return torch.lerp(old, new, share) if new.is_floating_point() else new


def _rms(parts: Sequence[Tensor]) -> float:
    return float(torch.cat([part.reshape(-1) for part in parts]).square().mean().sqrt())
