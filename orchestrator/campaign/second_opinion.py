"""Which leaders a second potential evaluates as well, and whether the two potentials agree.

A confirmation finds numerical errors of the oracle. Errors of its potential show only where another
potential, of another architecture and other training data, gives another conductivity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agents.contract.objective import Objective
from oracle.contract.evaluation import Failed, Measured, Outcome, Unstable
from oracle.potentials.calibration import NORMAL_90
from oracle.potentials.kinship import likeness
from orchestrator.assembly.budgets import budget_of
from orchestrator.campaign import events as ev
from orchestrator.campaign.ranking import leaders
from orchestrator.campaign.state import CampaignState, Label
from orchestrator.config.budget_settings import ConfirmationSettings

UNKNOWN_ERROR = 0.5
"""Error of the logarithm of kappa that is taken for a potential of which no error is known. It is a
judgement: about that of a potential which is typically off by a factor of 1.5."""
_LARGEST = 300.0  # of a logarithm, so that its exponential is finite
_SAYS_LITTLE = 5.0
"""Factor between two conductivities from which its being allowed is worth a remark."""


def to_ask(
    state: CampaignState, objective: Objective, settings: ConfirmationSettings, *, final: bool
) -> list[Label]:
    """Confirmed leaders that the second potential is to evaluate now.

    These are as many as are confirmed: the first leader during a campaign, all of them at its end,
    when leaders with which the second potential disagrees leave their places to the next ones.

    Args:
        state: of the campaign.
        objective: what is sought.
        settings: which potential, and how many leaders.
        final: whether the campaign would otherwise end now.
    """
    if settings.second_opinion is None:
        return []
    places = settings.leaders if final else min(1, settings.leaders) * settings.each_round
    asked: list[Label] = []
    for label in (row.label for row in leaders(state, objective) if row.label.confirmed):
        if places == 0:
            break
        if label.opinion is None or label.opinion.potential != settings.second_opinion:
            asked.append(label)
            places -= 1
        else:
            places -= not (final and label.is_disputed)
    return asked


@dataclass(frozen=True)
class _Number:
    """A conductivity with its errors.

    Args:
        value: W/m/K.
        std: its numerical standard error; None where the oracle states none.
        numerics: the same, relative.
        potential: error due to the potential, relative.
    """

    value: float
    std: float | None
    numerics: float
    potential: float


def judge(
    label: Label,
    answer: Outcome,
    objective: Objective,
    settings: ConfirmationSettings,
    plan: ev.TrialPlan,
    family: str | None = None,
) -> ev.SecondOpinion:
    """Compare a confirmed leader with its evaluation by the second potential.

    They agree if ``|ln(kappa_1 / kappa_2)|`` is at most 1.645 times the quadratic sum of the
    numerical errors of both and of the errors of both potentials, as the error budget has them
    (`UNKNOWN_ERROR` where it has none): 90 % of pairs with such errors, if they are normal. A
    potential that finds the crystal unstable disagrees; one that fails has no opinion.

    Args:
        label: of the leader.
        answer: of the second potential.
        objective: what is sought.
        settings: the error of evaluations that state none.
        plan: of the trial that gave the answer.
        family: name of the crystal's prototype, where the space tells it.
    """
    assert plan.potential is not None  # the trial is a second opinion
    silent = ev.SecondOpinion(
        trial=plan.id,
        candidate=label.candidate,
        potential=plan.potential,
        value=None,
        agrees=None,
        reason="",
    )

    def opinion(agrees: bool | None, reason: str, **numbers: float | None) -> ev.SecondOpinion:
        return silent.model_copy(update={"agrees": agrees, "reason": reason, **numbers})

    if isinstance(answer, Failed):
        return opinion(None, f"no opinion, failed at {answer.stage}: {answer.message}")
    if isinstance(answer, Unstable):
        return opinion(False, f"disagrees: unstable with {plan.potential}{_because(answer)}")
    first = _number(label.evaluation, objective, settings, family)
    second = _number(answer, objective, settings, family)
    if first is None or second is None:
        return opinion(None, f"no opinion: {objective.property} was not given")
    log = math.log(second.value / first.value)
    parts = (first.numerics, second.numerics, first.potential, second.potential)
    allowed = NORMAL_90 * math.hypot(*parts)
    agrees = abs(log) <= allowed
    return opinion(
        agrees,
        _in_words(agrees, abs(log), allowed, _alike(label, plan.potential)),
        value=second.value,
        std=second.std,
        ratio=second.value / first.value,
        allowed=math.exp(min(allowed, _LARGEST)),
    )


def _number(
    evaluation: Outcome, objective: Objective, settings: ConfirmationSettings, family: str | None
) -> _Number | None:
    """Conductivity and errors of an evaluation; None where it has no positive conductivity."""
    value_and_error = objective.value(evaluation)
    if value_and_error is None or value_and_error[0] <= 0:
        return None
    value, std = value_and_error
    budget = budget_of(evaluation, value, std, family)
    potential = None if budget is None else budget.potential.relative
    return _Number(
        value,
        std,
        settings.default_error if std is None else std / value,
        UNKNOWN_ERROR if potential is None else potential,
    )


def _because(answer: Unstable) -> str:
    return f" ({answer.reason})" if answer.reason else ""


def _alike(label: Label, second: str) -> str | None:
    """Why agreement of the two potentials says little, if it does."""
    assert isinstance(label.evaluation, Measured)  # it is confirmed
    used = (label.evaluation.provenance.get("settings") or {}).get("calculator")
    return likeness(used, second) if isinstance(used, str) else None


def _in_words(agrees: bool, log: float, allowed: float, alike: str | None) -> str:
    sizes = [math.exp(min(size, _LARGEST)) for size in (log, allowed)]
    text = (
        f"{'agrees' if agrees else 'disagrees'}: the values differ by a factor of {sizes[0]:.2f}, "
        f"where the errors of both allow {sizes[1]:.3g}"
    )
    if agrees and sizes[1] > _SAYS_LITTLE:
        text += ", which says little"
    return f"{text}; {alike}" if agrees and alike else text
