"""Bayesian optimisation: maximises an acquisition function, given all pending trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.acquisition.functions import Belief, acquire, thompson
from agents.acquisition.hypervolume import front_values, ranked_by_front
from agents.acquisition.pool_posterior import PoolPosterior, incumbent, pool_posterior
from agents.proposers.base import BaseProposer, Idea, Situation, scattered
from agents.proposers.local_search import climbed
from agents.proposers.settings import BayesianSettings
from oracle.materials.material import Material
from surrogate.contract.protocol import Posterior

_DEFAULTS = BayesianSettings()


class BayesianProposer(BaseProposer):
    """Maximises an acquisition function over the whole pool, one candidate after another.

    Pending trials and candidates already chosen count as measured with their expected value
    (Ginsbourger's kriging believer): this reduces the uncertainty of their neighbours, so that a
    batch is diverse. With ``thompson``, each candidate is the best of one joint posterior sample
    instead. Without a surrogate, candidates are drawn at random. In spaces too large to list, a
    random sample is considered, together with the designs met in a local search from the best of it
    and from the best measured designs, see `climbed`.

    Args:
        settings: acquisition function.
        name: see `BaseProposer`.
        fidelity: see `BaseProposer`.
        near_duplicates: see `BaseProposer`.
        pool_limit: largest space that is considered completely.
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
            pool = pool_posterior(
                situation.space,
                objective=situation.objective,
                evaluations=situation.evaluations,
                surrogate=situation.surrogate,
                fidelity=situation.fidelity,
                limit=self._limit,
                rng=situation.rng,
            )
            if situation.space.materials is None:
                pool = self._climbed(pool, situation)
            yield from self._chosen(pool, situation)
        yield from scattered(situation)

    def _climbed(self, pool: PoolPosterior, situation: Situation) -> PoolPosterior:
        """The sample, extended by a local search from its best and the best measured designs."""
        surrogate, best = situation.surrogate, incumbent(pool, situation.objective)
        assert surrogate is not None
        known = situation.known_scores

        def believed(materials: Sequence[Material]) -> Posterior:
            return surrogate.posterior(
                materials, outputs=situation.objective.outputs, fidelity=situation.fidelity
            )

        def value(materials: Sequence[Material]) -> NDArray[np.float64]:
            posterior = believed(materials)
            if situation.objective.further and len(known):
                return front_values(posterior, situation.objective, known)
            belief = Belief.of(posterior)
            return acquire(
                belief,
                situation.objective,
                kind="ucb" if self._settings.acquisition == "ucb" else "log-ei",
                best=best,
                beta=self._settings.beta,
            )

        designs = climbed(pool.materials, situation, value)
        index = {material.digest: i for i, material in enumerate(designs)}
        return PoolPosterior(designs, believed(designs), pool.best, index)

    def _chosen(self, pool: PoolPosterior, situation: Situation) -> Iterator[Idea]:
        free = pool.free(situation.taken)
        known = situation.known_scores
        if situation.objective.further and len(known):
            yield from _for_the_front(pool, situation, free, known)
            return
        if self._settings.acquisition == "thompson":
            available = np.flatnonzero(free)
            best_in_draws = thompson(
                pool.posterior.take(available),
                situation.objective,
                2 * situation.n,
                situation.rng,
            )
            yield from (Idea(pool.materials[available[i]]) for i in best_in_draws)
            return
        belief = Belief.of(pool.posterior)
        best = incumbent(pool, situation.objective)
        for material in situation.pending:
            at = pool.index.get(material.digest)
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
            yield Idea(pool.materials[at])
            free[at] = False
            belief, best = _believed(belief, at, best, situation)


def _for_the_front(
    pool: PoolPosterior,
    situation: Situation,
    free: NDArray[np.bool_],
    known: NDArray[np.float64],
) -> Iterator[Idea]:
    """Materials that are expected to enlarge the Pareto front most."""
    busy = [pool.index[m.digest] for m in situation.pending if m.digest in pool.index]
    kept = np.flatnonzero(free | np.isin(np.arange(len(free)), busy))
    pending = np.flatnonzero(np.isin(kept, busy)).tolist()
    posterior, objective = pool.posterior.take(kept), situation.objective
    for at in ranked_by_front(posterior, objective, known, len(kept), pending):
        yield Idea(pool.materials[kept[at]])


def _believed(belief: Belief, at: int, best: float, situation: Situation) -> tuple[Belief, float]:
    """Belief and best score if a material is measured with its expected value."""
    expected = float(situation.objective.score(belief.mean[at : at + 1])[0])
    if belief.p_stable[at] > 0.5:
        best = max(best, expected)
    return belief.conditioned(at), best
