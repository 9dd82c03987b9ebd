"""Selection of a batch from proposals: promising, exploration and audit candidates.

Exploration candidates are those about which the surrogate is most uncertain. Their purpose is
recorded as ``hole``, a name that older homes hold; it has nothing to do with holes of a potential.
Audit candidates are drawn at random, to measure the surrogate's calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.acquisition.functions import Belief, acquire
from agents.acquisition.pool_posterior import PoolPosterior, incumbent, pool_posterior
from agents.chemistry.duplicates import Admission
from agents.contract.objective import Objective
from agents.contract.protocol import Candidate, Space
from agents.selection.settings import SelectionSettings
from oracle.contract.evaluation import Outcome
from oracle.materials.material import Material
from surrogate.contract.protocol import Surrogate

Purpose = Literal["promise", "hole", "audit"]
Admit = Callable[[Material], bool]
_EXPLORED = 0.25  # exploration candidates come from the quarter with the largest uncertainty


@dataclass(frozen=True)
class Selected:
    """A candidate with the purpose it was chosen for and its prediction at that time.

    All predictions are None before there is a surrogate.

    Args:
        candidate: the material to measure.
        purpose: ``promise``, ``hole`` (exploration) or ``audit``.
        mean: predicted mean on the modelled scale.
        epistemic: standard deviation that more labels would reduce.
        aleatoric: standard deviation that they would not reduce.
        p_stable: probability of dynamical stability.
        acquisition: log expected improvement including stability, not conditioned on the batch.
    """

    candidate: Candidate
    purpose: Purpose
    mean: float | None = None
    epistemic: float | None = None
    aleatoric: float | None = None
    p_stable: float | None = None
    acquisition: float | None = None


@dataclass(frozen=True)
class Selection:
    """A ranked list of candidates, with summary statistics.

    Args:
        ranked: the batch, followed by reserves that replace members that are rejected later.
        batch: size of the batch (smaller than requested when the space is exhausted).
        pool_spread: median epistemic uncertainty of the free pool; None without a surrogate.
        exploration_spread: mean epistemic uncertainty of the exploration candidates in the batch;
            None if there are none.
    """

    ranked: tuple[Selected, ...]
    batch: int
    pool_spread: float | None = None
    exploration_spread: float | None = None

    @property
    def chosen(self) -> tuple[Selected, ...]:
        """The batch itself."""
        return self.ranked[: self.batch]

    @property
    def reserves(self) -> tuple[Selected, ...]:
        """The candidates after the batch, best first."""
        return self.ranked[self.batch :]

    @property
    def spreads(self) -> dict[str, float]:
        """As metrics: mean spread of exploration, and median of the pool, which must be smaller."""
        spreads = {"hole_spread": self.exploration_spread, "pool_spread": self.pool_spread}
        return {name: value for name, value in spreads.items() if value is not None}


def slots(
    settings: SelectionSettings, batch: int, round_number: int, *, explore: bool = True
) -> dict[Purpose, int]:
    """Number of candidates for each purpose in a batch; the sum is `batch`.

    Fractions accumulate over the rounds: with batches of 1 and an audit share of 0.1, every tenth
    round is an audit. If more is due than the batch holds, audits come first, and exploration
    follows in the next round.

    Args:
        settings: the shares.
        batch: size of the batches.
        round_number: number of the round, from 1.
        explore: whether exploration is possible; without a surrogate it is not, and its share goes
            to promising candidates.
    """
    audits = exploring = past_audits = past_exploring = 0
    for number in range(1, round_number + 1):
        due = number * batch * settings.audits - past_audits
        audits = min(int(due + 1e-9), batch)
        due = number * batch * settings.holes - past_exploring
        exploring = min(int(due + 1e-9), batch - audits)
        past_audits += audits
        past_exploring += exploring
    exploring = exploring if explore else 0
    return {"promise": batch - audits - exploring, "hole": exploring, "audit": audits}


def select(
    batch: int,
    *,
    round_number: int,
    settings: SelectionSettings,
    space: Space,
    objective: Objective,
    evaluations: Sequence[Outcome],
    pending: Sequence[Material],
    surrogate: Surrogate | None,
    fidelity: str,
    proposals: Mapping[str, Sequence[Candidate]],
    shares: Mapping[str, int],
    rng: np.random.Generator,
    admit: Admit = lambda material: True,
    reserve: int | None = None,
    excluded: frozenset[str] = frozenset(),
) -> Selection:
    """Choose a batch and its reserves.

    Args:
        batch: number of candidates to choose.
        round_number: number of the round, from 1; it decides which fractional shares are due.
        settings: the shares.
        space: source of audit and exploration candidates.
        objective: of the campaign.
        evaluations: all outcomes so far at the objective's fidelity.
        pending: materials already chosen but not yet measured.
        surrogate: fitted, or None; a `SharedSurrogate` avoids predicting the space twice.
        fidelity: of the objective.
        proposals: candidates of each agent, best first, by its name.
        shares: number of promising candidates from each agent, by its name, see `portfolio.shares`.
        rng: draws the audits, and the sample of a space that is too large to list.
        admit: returns False for materials that violate a constraint; called as late as possible.
        reserve: number of reserves to rank; the default is twice the batch.
        excluded: digests of materials that are unlikely to be worth a label; promising and
            exploration candidates are taken from other materials first.
    """
    taken = [e.material for e in evaluations] + list(pending)
    admission = Admission(taken, near_duplicates=settings.near_duplicates)

    def accept(material: Material) -> bool:
        return admission.is_new(material) and admit(material) and admission(material)

    pool = _pool(space, settings, surrogate, objective, evaluations, fidelity, rng)
    counts = slots(settings, batch, round_number, explore=pool is not None)
    free = None if pool is None else pool.free(taken)
    sources: dict[Purpose, Iterator[Candidate]] = {
        "audit": _audit_draws(space, len(taken) + batch, rng),
        "promise": _promising(proposals, shares, excluded),
        "hole": iter(()) if pool is None else _exploration(pool, free, space, excluded),
    }
    filled = _filled(sources, counts, batch + (2 * batch if reserve is None else reserve), accept)
    selected = [_described(c, p, pool, objective, surrogate, fidelity) for p, c in filled]
    chosen, rest = selected[:batch], tuple(selected[batch:])
    spreads = _pool_spread(pool, free), _exploration_spread(chosen)
    return Selection(_interleaved(chosen) + rest, len(chosen), *spreads)


def _pool(
    space: Space,
    settings: SelectionSettings,
    surrogate: Surrogate | None,
    objective: Objective,
    evaluations: Sequence[Outcome],
    fidelity: str,
    rng: np.random.Generator,
) -> PoolPosterior | None:
    """The posterior over the space, or None without a surrogate."""
    if surrogate is None:
        return None
    return pool_posterior(
        space,
        objective=objective,
        evaluations=evaluations,
        surrogate=surrogate,
        fidelity=fidelity,
        limit=settings.pool_limit,
        rng=rng,
    )


def _filled(
    sources: Mapping[Purpose, Iterator[Candidate]],
    counts: Mapping[Purpose, int],
    wanted: int,
    accept: Admit,
) -> list[tuple[Purpose, Candidate]]:
    """Candidates for each purpose; missing ones and reserves are filled by promise first."""
    filled: list[tuple[Purpose, Candidate]] = []
    first: tuple[Purpose, ...] = ("audit", "promise", "hole")
    for purpose in first:
        filled += _take(sources, purpose, counts[purpose], accept)
    then: tuple[Purpose, ...] = ("promise", "hole", "audit")
    for purpose in then:
        filled += _take(sources, purpose, wanted - len(filled), accept)
    return filled


def _take(
    sources: Mapping[Purpose, Iterator[Candidate]], purpose: Purpose, count: int, accept: Admit
) -> list[tuple[Purpose, Candidate]]:
    """The next acceptable candidates of one purpose."""
    taken: list[tuple[Purpose, Candidate]] = []
    while len(taken) < count:
        candidate = next(sources[purpose], None)
        if candidate is None:
            break
        if accept(candidate.material):
            taken.append((purpose, candidate))
    return taken


def _promising(
    proposals: Mapping[str, Sequence[Candidate]],
    shares: Mapping[str, int],
    excluded: frozenset[str] = frozenset(),
) -> Iterator[Candidate]:
    """First the share of every agent, alternating by rank; then all other candidates by rank.

    Excluded candidates come at the very end, in the same order.
    """
    last = []
    for candidate in _in_turns(proposals, shares):
        if candidate.material.digest in excluded:
            last.append(candidate)
        else:
            yield candidate
    yield from last


def _in_turns(
    proposals: Mapping[str, Sequence[Candidate]], shares: Mapping[str, int]
) -> Iterator[Candidate]:
    agents = [agent for agent in shares if agent in proposals]
    rest: list[tuple[int, Candidate]] = []
    longest = max((len(proposals[agent]) for agent in agents), default=0)
    for rank in range(longest):
        for agent in agents:
            if rank < len(proposals[agent]):
                candidate = proposals[agent][rank]
                if rank < shares[agent]:
                    yield candidate
                else:
                    rest.append((rank - shares[agent], candidate))
    rest.sort(key=lambda pair: pair[0])  # stable
    yield from (candidate for _, candidate in rest)


def _audit_draws(space: Space, expected: int, rng: np.random.Generator) -> Iterator[Candidate]:
    """Uniform draws without replacement, in growing samples until the space is exhausted."""
    count = expected
    while True:
        for material in space.sample(count, rng):
            yield Candidate(material, "audit", label=space.label(material))
        if space.size is None or count >= space.size:
            return
        count = min(2 * count, space.size)


def _exploration(
    pool: PoolPosterior,
    free: NDArray[np.bool_] | None,
    space: Space,
    excluded: frozenset[str] = frozenset(),
) -> Iterator[Candidate]:
    """The free materials with the largest uncertainty, each conditioned on those before it.

    Only the quarter with the largest uncertainty is considered, so that the mean over the chosen
    materials exceeds the median of the pool whatever the conditioning does.
    """
    belief = Belief.of(pool.posterior)
    spread = belief.first_spread
    if free is None or not free.any():
        return
    if excluded:
        free = free & np.array([m.digest not in excluded for m in pool.materials])
        if not free.any():
            return
    candidates = free & (spread >= np.quantile(spread[free], 1.0 - _EXPLORED))
    while candidates.any():
        at = int(np.argmax(np.where(candidates, belief.spread, -np.inf)))
        material = pool.materials[at]
        yield Candidate(material, "hole", label=space.label(material))
        candidates[at] = False
        belief = belief.conditioned(at)


def _described(
    candidate: Candidate,
    purpose: Purpose,
    pool: PoolPosterior | None,
    objective: Objective,
    surrogate: Surrogate | None,
    fidelity: str,
) -> Selected:
    """The candidate with the surrogate's present prediction."""
    if pool is None or surrogate is None:
        return Selected(candidate, purpose)
    at = pool.index.get(candidate.material.digest)
    if at is None:
        posterior = surrogate.posterior(
            [candidate.material], outputs=[objective.output], fidelity=fidelity
        )
    else:
        posterior = pool.posterior.take(np.array([at]))
    value = acquire(Belief.of(posterior), objective, kind="log-ei", best=incumbent(pool, objective))
    return Selected(
        candidate,
        purpose,
        float(posterior.mean[0, 0]),
        float(posterior.epistemic[0, 0]),
        float(posterior.aleatoric[0, 0]),
        float(posterior.p_stable[0]),
        float(value[0]),
    )


def _interleaved(chosen: Sequence[Selected]) -> tuple[Selected, ...]:
    """Promise first, then exploration, then audits: the least important are cancelled first."""
    order = {"promise": 0, "hole": 1, "audit": 2}
    return tuple(sorted(chosen, key=lambda s: order[s.purpose]))


def _pool_spread(pool: PoolPosterior | None, free: NDArray[np.bool_] | None) -> float | None:
    if pool is None or free is None or not free.any():
        return None
    return float(np.median(pool.posterior.epistemic[free, 0]))


def _exploration_spread(chosen: Sequence[Selected]) -> float | None:
    spreads = [s.epistemic for s in chosen if s.purpose == "hole" and s.epistemic is not None]
    return float(np.mean(spreads)) if spreads else None
