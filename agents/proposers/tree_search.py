"""Monte-Carlo tree search over prefixes (first layers) of layer sequences.

As in Dieb, Ju, Yoshizoe, Hou, Shiomi and Tsuda, Sci. Technol. Adv. Mater. 18, 498 (2017): a node is
a prefix, its value is the mean rank of the measured designs below it, and the descent balances the
value against how rarely a node was visited (UCT: Kocsis and Szepesvári, 2006).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.proposers.base import BaseProposer, Idea, Situation, ranked, scattered
from agents.proposers.settings import TreeSearchSettings
from oracle.materials.superlattice import Superlattice

_LIMIT = 100_000  # most designs in the tree
_ROLLOUTS = 32  # completions of a prefix that are compared
_DEFAULTS = TreeSearchSettings()


class TreeSearchProposer(BaseProposer):
    """Completes promising prefixes of sequences; for crystals, proposes at random.

    A prefix is completed by the random completion with the largest expected improvement, or by any
    of them without a surrogate.

    Args:
        settings: weight of exploration.
        name: see `BaseProposer`.
        fidelity: see `BaseProposer`.
        near_duplicates: see `BaseProposer`.
    """

    kind = "tree-search"

    def __init__(
        self,
        settings: TreeSearchSettings = _DEFAULTS,
        name: str | None = None,
        *,
        fidelity: str | None = None,
        near_duplicates: bool = True,
    ) -> None:
        super().__init__(name, fidelity=fidelity, near_duplicates=near_duplicates)
        self._settings = settings

    def _ideas(self, situation: Situation) -> Iterator[Idea]:
        drawn = situation.space.listed(_LIMIT, situation.rng)
        designs = [m for m in drawn if isinstance(m, Superlattice)]
        if designs and situation.best is not None:
            yield from self._descents(designs, situation)
        yield from scattered(situation)

    def _descents(self, designs: Sequence[Superlattice], situation: Situation) -> Iterator[Idea]:
        taken = {m.digest for m in situation.taken}
        free = [d for d in designs if d.digest not in taken]
        measured, worth = _measured(situation)
        length = max(len(d.sequence) for d in [*free, *measured])
        open_ = _table([d.sequence for d in free], length)
        visited = _table([d.sequence for d in measured], length)
        is_free = np.ones(len(free), dtype=bool)
        for _ in range(2 * situation.n):
            if not is_free.any():
                return
            below = _descend(
                open_, is_free, visited, worth, self._settings.exploration, situation.rng
            )
            completions = situation.rng.permutation(below)[:_ROLLOUTS]
            best = ranked([Idea(free[int(at)]) for at in completions], situation)[0]
            yield best
            at = next(int(i) for i in completions if free[int(i)] is best.material)
            is_free[at] = False
            # The chosen design counts as visited, with an average rank until it is measured.
            visited = np.concatenate([visited, open_[at : at + 1]])
            worth = np.append(worth, 0.5)


def _measured(situation: Situation) -> tuple[list[Superlattice], NDArray[np.float64]]:
    """Measured designs, and their ranks from 0 to 1; the rank is 0 for those without a value."""
    designs: list[Superlattice] = []
    scores: list[float] = []
    for evaluation in situation.evaluations:
        if isinstance(evaluation.material, Superlattice):
            score = situation.objective.score_of(evaluation)
            designs.append(evaluation.material)
            scores.append(-np.inf if score is None else score)
    ranks = np.searchsorted(np.sort(scores), scores, side="right") / max(len(scores), 1)
    return designs, np.where(np.isfinite(scores), ranks, 0.0)


def _descend(
    open_: NDArray[np.int64],
    is_free: NDArray[np.bool_],
    visited: NDArray[np.int64],
    worth: NDArray[np.float64],
    exploration: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Rows of the free designs below the prefix at which the descent ends."""
    below, visited_below = np.flatnonzero(is_free), np.arange(len(visited))
    for depth in range(open_.shape[1]):
        letters = np.unique(open_[below, depth])
        entered = [visited_below[visited[visited_below, depth] == letter] for letter in letters]
        fresh = [k for k, rows in enumerate(entered) if not len(rows)]
        if fresh:
            chosen = int(rng.choice(fresh))
        else:
            total = np.log(max(len(visited_below), 1) + 1.0)
            value = [
                worth[rows].mean() + exploration * np.sqrt(2.0 * total / len(rows))
                for rows in entered
            ]
            chosen = int(np.argmax(value))
        below = below[open_[below, depth] == letters[chosen]]
        visited_below = entered[chosen]
        if not len(visited_below) or len(below) == 1:
            break
    return below


def _table(sequences: Sequence[str], length: int) -> NDArray[np.int64]:
    """Unicode code points of the letters (n, length), -1 beyond the end of a sequence."""
    rows = [[ord(letter) for letter in s] + [-1] * (length - len(s)) for s in sequences]
    return np.array(rows, dtype=np.int64).reshape(len(rows), length)
