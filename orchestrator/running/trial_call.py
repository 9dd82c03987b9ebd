"""Creates the executor's call for a trial."""

from __future__ import annotations

from oracle.contract.evaluation import Outcome
from oracle.contract.protocol import Oracle
from oracle.replay.oracle import ReplayOracle
from orchestrator.calls.oracle_calls import EvaluationRequest, evaluate
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.state import Trial
from orchestrator.executors.protocol import Call


def call_for(
    trial: Trial, campaign: Campaign, oracles: dict[str, Oracle]
) -> Call[EvaluationRequest, Outcome]:
    """The call that evaluates the material of a trial."""
    plan, config = trial.plan, campaign.config
    oracle = campaign.oracle
    if plan.potential is not None:  # a second opinion, also where the first potential was healed
        oracle = config.oracle.model_copy(update={"calculator": plan.potential})
    if plan.full_solution:
        oracle = oracle.model_copy(update={"full_solution": True})
    request = EvaluationRequest(
        oracle=oracle,
        fidelity=plan.fidelity,
        objective=config.objective,
        level=plan.level,
        material=campaign.store.candidate(plan.candidate).material,
        label=_row_of(trial, oracles) or plan.label,
        workdir=campaign.store.home / "artefacts",
        keep_large=plan.purpose == "confirm",
    )
    return Call(
        id=plan.id,
        function=evaluate,
        payload=request,
        time_limit=config.executor.time_limit,
    )


def _row_of(trial: Trial, oracles: dict[str, Oracle]) -> str | None:
    """Id of the row of a replayed table that answers; the candidate's name may be another row's."""
    oracle = oracles.get(trial.plan.fidelity)
    return oracle.row_id(trial.plan.digest) if isinstance(oracle, ReplayOracle) else None
