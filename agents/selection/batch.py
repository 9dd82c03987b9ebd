"""From proposals to a batch: promise, holes and audits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.acquisition.functions import Belief, acquire
from agents.acquisition.pool_posterior import Screen, incumbent, screen
from agents.chemistry.duplicates import Admission
from agents.contract.objective import Objective
from agents.contract.protocol import Candidate, Space
from agents.selection.settings import SelectionSettings
from oracle.contract.evaluation import Outcome
from oracle.materials.material import Material
from surrogate.contract.protocol import Surrogate

Purpose = Literal["promise", "hole", "audit"]
Admit = Callable[[Material], bool]
_HOLE_POOL = 0.25  # holes are sought among the quarter with the largest spread


@dataclass(frozen=True)
class Selected:
    """A candidate with the reason why it was chosen.

    Args:
        candidate: what to measure.
        purpose: promise, hole or audit.
        mean: predicted, modelled scale; None before there is a surrogate, as all that follows.
        epistemic: standard deviation that labels reduce.
        aleatoric: standard deviation that they do not.
        p_stable: probability of dynamical stability.
        acquisition: log expected improvement with stability, unconditioned on the batch.
    """

    candidate: Candidate
    purpose: Purpose
    mean: float | None = None
    epistemic: float | None = None
    aleatoric: float | None = None
    p_stable: float | None = None
    acquisition: float | None = None


@dataclass(frozen=True)
class Plan:
    """A ranked list of candidates, and what is logged about it.

    Args:
        ranked: the batch, then the reserves that follow when some of it is rejected later.
        batch: how many of `ranked` were asked for (fewer when the space is used up).
        pool_spread: median epistemic spread of the free pool; None without a surrogate.
        hole_spread: mean epistemic spread of the batch's holes; None when it has none.
    """

    ranked: tuple[Selected, ...]
    batch: int
    pool_spread: float | None = None
    hole_spread: float | None = None

    @property
    def chosen(self) -> tuple[Selected, ...]:
        """The batch itself."""
        return self.ranked[: self.batch]

    @property
    def reserves(self) -> tuple[Selected, ...]:
        """What follows the batch, best first."""
        return self.ranked[self.batch :]


def slots(
    settings: SelectionSettings, batch: int, round_number: int, *, holes: bool = True
) -> dict[Purpose, int]:
    """How many of a batch serve each purpose; the sum is `batch`.

    Fractions add up over the rounds: with batches of 1 and an audit share of 0.1 every tenth
    round is an audit. Where more is due than the batch holds, audits go first
    and holes follow in the next round.

    Args:
        settings: the shares.
        batch: size of the batches.
        round_number: from 1.
        holes: whether any are known; without a surrogate none are, and promise takes their share.
    """
    audits = unknown = given_audits = given_holes = 0
    for number in range(1, round_number + 1):
        due = number * batch * settings.audits - given_audits
        audits = min(int(due + 1e-9), batch)
        due = number * batch * settings.holes - given_holes
        unknown = min(int(due + 1e-9), batch - audits)
        given_audits += audits
        given_holes += unknown
    unknown = unknown if holes else 0
    return {"promise": batch - audits - unknown, "hole": unknown, "audit": audits}


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
) -> Plan:
    """Choose a batch and its reserves.

    Args:
        batch: how many are wanted.
        round_number: from 1; decides which fractional shares are due.
        settings: the shares.
        space: audits and holes are taken from it.
        objective: what is sought.
        evaluations: all outcomes so far at the objective's fidelity.
        pending: chosen before but not yet measured.
        surrogate: fitted, or None; a `SharedSurrogate` spares a second screening.
        fidelity: of the objective.
        proposals: agent name to its candidates, best first.
        shares: agent name to its slots among the promising ones, see `portfolio.shares`.
        rng: draws the audits, and the sample of a space that is too large to list.
        admit: refuses materials that break a constraint; asked only about those considered.
        reserve: how many more are ranked; twice the batch unless given.
        excluded: digests that come last: agents' candidates and holes are sought elsewhere.
    """
    taken = [e.material for e in evaluations] + list(pending)
    admission = Admission(taken, near_duplicates=settings.near_duplicates)

    def accept(material: Material) -> bool:
        return admission.is_new(material) and admit(material) and admission(material)

    screened = _screened(space, settings, surrogate, objective, evaluations, fidelity, rng)
    counts = slots(settings, batch, round_number, holes=screened is not None)
    free = None if screened is None else screened.free(taken)
    sources: dict[Purpose, Iterator[Candidate]] = {
        "audit": _audits(space, len(taken) + batch, rng),
        "promise": _promising(proposals, shares, excluded),
        "hole": iter(()) if screened is None else _holes(screened, free, space, excluded),
    }
    wanted = batch + (2 * batch if reserve is None else reserve)
    filled = _filled(sources, counts, wanted, accept)
    described = [_described(c, p, screened, objective, surrogate, fidelity) for p, c in filled]
    size = min(batch, len(described))
    return Plan(
        _interleaved(described[:size]) + tuple(described[size:]),
        size,
        _pool_spread(screened, free),
        _hole_spread(described[:size]),
    )


def _screened(
    space: Space,
    settings: SelectionSettings,
    surrogate: Surrogate | None,
    objective: Objective,
    evaluations: Sequence[Outcome],
    fidelity: str,
    rng: np.random.Generator,
) -> Screen | None:
    """What is believed of the space, or None without a surrogate."""
    if surrogate is None:
        return None
    return screen(
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
    """Every purpose's share; what one could not fill, and the reserves, by promise first."""
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
    found: list[tuple[Purpose, Candidate]] = []
    while len(found) < count:
        candidate = next(sources[purpose], None)
        if candidate is None:
            break
        if accept(candidate.material):
            found.append((purpose, candidate))
    return found


def _promising(
    proposals: Mapping[str, Sequence[Candidate]],
    shares: Mapping[str, int],
    excluded: frozenset[str] = frozenset(),
) -> Iterator[Candidate]:
    """First every agent's share, in turns by rank; then all that is left, by rank.

    Excluded ones come at the very end, in the same order.
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


def _audits(space: Space, expected: int, rng: np.random.Generator) -> Iterator[Candidate]:
    """Uniform draws without replacement, more and more of them."""
    count = expected
    while True:
        for material in space.sample(count, rng):
            yield Candidate(material, "audit", label=space.label(material))
        if space.size is None or count >= space.size:
            return
        count = min(2 * count, space.size)


def _holes(
    screened: Screen,
    free: NDArray[np.bool_] | None,
    space: Space,
    excluded: frozenset[str] = frozenset(),
) -> Iterator[Candidate]:
    """The free materials with the largest spread, each conditioned on those before it.

    Only the upper quarter by spread is considered, so that the mean of the chosen exceeds the
    median of the pool whatever the conditioning does.
    """
    belief = Belief.of(screened.posterior)
    spread = belief.first_spread
    if free is None or not free.any():
        return
    if excluded:
        free = free & np.array([m.digest not in excluded for m in screened.materials])
        if not free.any():
            return
    open_ = free & (spread >= np.quantile(spread[free], 1.0 - _HOLE_POOL))
    while open_.any():
        at = int(np.argmax(np.where(open_, belief.spread, -np.inf)))
        material = screened.materials[at]
        yield Candidate(material, "hole", label=space.label(material))
        open_[at] = False
        belief = belief.conditioned(at)


def _described(
    candidate: Candidate,
    purpose: Purpose,
    screened: Screen | None,
    objective: Objective,
    surrogate: Surrogate | None,
    fidelity: str,
) -> Selected:
    """The candidate with what the surrogate believes of it now."""
    if screened is None or surrogate is None:
        return Selected(candidate, purpose)
    at = screened.index.get(candidate.material.digest)
    if at is None:
        posterior = surrogate.posterior(
            [candidate.material], outputs=[objective.output], fidelity=fidelity
        )
    else:
        posterior = screened.posterior.take(np.array([at]))
    value = acquire(
        Belief.of(posterior), objective, kind="log-ei", best=incumbent(screened, objective)
    )
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
    """Promise first, then holes, then audits: what is cancelled last should matter most."""
    order = {"promise": 0, "hole": 1, "audit": 2}
    return tuple(sorted(chosen, key=lambda s: order[s.purpose]))


def _pool_spread(screened: Screen | None, free: NDArray[np.bool_] | None) -> float | None:
    if screened is None or free is None or not free.any():
        return None
    return float(np.median(screened.posterior.epistemic[free, 0]))


def _hole_spread(chosen: Sequence[Selected]) -> float | None:
    spreads = [s.epistemic for s in chosen if s.purpose == "hole" and s.epistemic is not None]
    return float(np.mean(spreads)) if spreads else None
