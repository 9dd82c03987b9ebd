"""How many candidates of a batch each agent may choose, by its success so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_PRIOR_TRIALS = 2.0  # every agent starts with this many trials of average credit
_IMPROVEMENT = 1.0  # credit for a new best value, in addition to the rank among all (0 to 1)
_SHARPNESS = 2.0  # shares are proportional to this power of the mean credit
_WINDOW = 50  # at most so many past slots are considered


@dataclass(frozen=True)
class Credit:
    """One finished trial, as the portfolio sees it.

    Args:
        agent: name of the agent that proposed it.
        round: number of the round that proposed it.
        score: of its outcome, higher is better; None if nothing was measured.
        purpose: only ``promise`` trials earn credit; ``hole`` (exploration) and ``audit`` trials,
            which no agent chose as promising, only contribute to the ranks.
    """

    agent: str
    round: int
    score: float | None
    purpose: str = "promise"


def credits(history: Sequence[Credit]) -> list[float]:
    """Credit of every trial: the fraction of scores it equals or exceeds, plus 1 for a new best.

    Trials without a value get 0. Later trials change the ranks of earlier ones.
    """
    scores = np.sort([c.score for c in history if c.score is not None])
    best = -np.inf
    result = []
    for entry in history:
        if entry.score is None:
            result.append(0.0)
            continue
        rank = float(np.searchsorted(scores, entry.score, side="right")) / len(scores)
        result.append(rank + (_IMPROVEMENT if entry.score > best else 0.0))
        best = max(best, entry.score)
    return result


def proportions(
    agents: Sequence[str],
    history: Sequence[Credit],
    *,
    floor: float = 0.1,
    half_life: float = 3.0,
) -> dict[str, float]:
    """The share of the batch that each agent has earned; the shares add up to 1.

    An agent's mean credit, with each trial weighted by 2^(-age in rounds / half_life), is shrunk
    towards the average of all agents by two trials of that average. The squares of these means are
    normalised, and shares below the floor are raised to it at the expense of the others.

    Args:
        agents: distinct names.
        history: finished trials, oldest first.
        floor: smallest share, at most 1 / number of agents.
        half_life: in rounds.
    """
    latest = max((c.round for c in history), default=0)
    earned = dict.fromkeys(agents, 0.0)
    weights = dict.fromkeys(agents, 0.0)
    for entry, credit in zip(history, credits(history), strict=True):
        if entry.purpose == "promise" and entry.agent in weights:
            weight = 2.0 ** (-(latest - entry.round) / half_life)
            earned[entry.agent] += weight * credit
            weights[entry.agent] += weight
    total = sum(weights.values())
    average = sum(earned.values()) / total if total else 0.5
    mean = np.array(
        [(earned[a] + _PRIOR_TRIALS * average) / (weights[a] + _PRIOR_TRIALS) for a in agents]
    )
    raw = mean**_SHARPNESS
    raw = raw / raw.sum() if raw.sum() > 0 else np.full(len(agents), 1.0 / len(agents))
    least = min(floor, 1.0 / len(agents))
    share = least + (1.0 - least * len(agents)) * raw
    return dict(zip(agents, share.tolist(), strict=True))


def shares(
    agents: Sequence[str],
    history: Sequence[Credit],
    batch: int,
    *,
    floor: float = 0.1,
    half_life: float = 3.0,
) -> dict[str, int]:
    """Number of the next `batch` candidates that each agent chooses; the sum is `batch`.

    Slots are assigned one by one to the agent that is furthest behind its share in a window of
    recent trials, so that batches of one are shared fairly over the rounds, too. An agent without
    any of the last 1 / floor slots comes first, so that none is ever starved.

    Args:
        agents: distinct names, in the order of the config (which breaks ties).
        history: finished trials, oldest first.
        batch: number of slots.
        floor: smallest share, at most 1 / number of agents.
        half_life: of credits, in rounds.

    Raises:
        ValueError: no agents, or a name that occurs twice.
    """
    if not agents or len(set(agents)) < len(agents):
        raise ValueError(f"agents: given {list(agents)}; expected at least one, all different")
    wanted = proportions(agents, history, floor=floor, half_life=half_life)
    least = min(floor, 1.0 / len(agents))
    patience = int(np.ceil(1.0 / max(least, 1.0 / _WINDOW)))
    slots = [c.agent for c in history if c.purpose == "promise" and c.agent in wanted]
    slots = slots[-max(patience, 2 * len(agents)) :]
    result = dict.fromkeys(agents, 0)
    for _ in range(batch):
        recent = slots[-(patience - 1) :] if patience > 1 else []
        overdue = least > 0 and len(slots) >= patience - 1
        starved = [a for a in agents if overdue and a not in recent]
        lag = {a: wanted[a] * (len(slots) + 1) - slots.count(a) for a in starved or agents}
        chosen = max(lag, key=lambda a: lag[a])  # the first of equals
        result[chosen] += 1
        slots.append(chosen)
    return result
