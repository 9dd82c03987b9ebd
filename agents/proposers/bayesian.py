"""Bayesian optimisation: the batch whose measurement promises most, given all pending ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.acquisition.functions import Belief, acquire, thompson
from agents.acquisition.pool_posterior import Screen, incumbent, screen
from agents.proposers.base import BaseProposer, Idea, Situation, scattered
from agents.proposers.local_search import climbed
from agents.proposers.settings import BayesianSettings
from oracle.materials.material import Material
from surrogate.contract.protocol import Posterior

_DEFAULTS = BayesianSettings()


class BayesianProposer(BaseProposer):
    """Maximises an acquisition function over the whole pool, one candidate after another.

    Pending trials and the candidates already chosen count as measured with the value expected of
    them (Ginsbourger's kriging believer): their neighbours lose their spread, so that a batch is
    diverse. With ``thompson`` each candidate is the best of one joint draw instead. Before there
    is a surrogate, candidates are drawn at random. Of sequences or pairs too many to be listed, a
    sample is looked at and what lies uphill of its best and of the best measured, see `climbed`.

    Args:
        settings: acquisition function.
        name: see `BaseProposer`.
        fidelity: see `BaseProposer`.
        near_duplicates: see `BaseProposer`.
        pool_limit: largest space that is looked at whole.
    """

    kind = "bayesian"

    def __init__(
        self,
        settings: BayesianSettings = _DEFAULTS,
        name: str | None = None,
        *,
        fidelity: str | None = None,
        near_duplicates: bool = True,
        pool_limit: int = 100_000,
    ) -> None:
        super().__init__(name, fidelity=fidelity, near_duplicates=near_duplicates)
        self._settings = settings
        self._limit = pool_limit

    def _ideas(self, situation: Situation) -> Iterator[Idea]:
        if situation.surrogate is not None:
            screened = screen(
                situation.space,
                objective=situation.objective,
                evaluations=situation.evaluations,
                surrogate=situation.surrogate,
                fidelity=situation.fidelity,
                limit=self._limit,
                rng=situation.rng,
            )
            if situation.space.materials is None:
                screened = self._climbed(screened, situation)
            yield from self._chosen(screened, situation)
        yield from scattered(situation)

    def _climbed(self, screened: Screen, situation: Situation) -> Screen:
        """The sample, and what lies uphill of its best and of the best measured designs."""
        surrogate, best = situation.surrogate, incumbent(screened, situation.objective)
        assert surrogate is not None

        def believed(materials: Sequence[Material]) -> Posterior:
            return surrogate.posterior(
                materials, outputs=[situation.objective.output], fidelity=situation.fidelity
            )

        def value(materials: Sequence[Material]) -> NDArray[np.float64]:
            belief = Belief.of(believed(materials))
            return acquire(
                belief,
                situation.objective,
                kind="ucb" if self._settings.acquisition == "ucb" else "log-ei",
                best=best,
                beta=self._settings.beta,
            )

        met = climbed(screened.materials, situation, value)
        index = {material.digest: i for i, material in enumerate(met)}
        return Screen(met, believed(met), screened.best, index)

    def _chosen(self, screened: Screen, situation: Situation) -> Iterator[Idea]:
        free = screened.free(situation.taken)
        if self._settings.acquisition == "thompson":
            left = np.flatnonzero(free)
            drawn = thompson(
                screened.posterior.take(left),
                situation.objective,
                2 * situation.n,
                situation.rng,
            )
            yield from (Idea(screened.materials[left[i]]) for i in drawn)
            return
        belief = Belief.of(screened.posterior)
        best = incumbent(screened, situation.objective)
        for material in situation.pending:
            at = screened.index.get(material.digest)
            if at is not None:
                belief, best = _believed(belief, at, best, situation)
        while free.any():
            value = acquire(
                belief,
                situation.objective,
                kind=self._settings.acquisition,
                best=best,
                beta=self._settings.beta,
            )
            at = int(np.argmax(np.where(free, value, -np.inf)))
            yield Idea(screened.materials[at])
            free[at] = False
            belief, best = _believed(belief, at, best, situation)


def _believed(belief: Belief, at: int, best: float, situation: Situation) -> tuple[Belief, float]:
    """Belief and incumbent once a material gives what is expected of it."""
    expected = float(situation.objective.score(belief.mean[at : at + 1])[0])
    if belief.p_stable[at] > 0.5:
        best = max(best, expected)
    return belief.conditioned(at), best
