"""Answers to queries about campaigns: plain JSON documents, from the database only."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from agents.contract.objective import Objective
from oracle.contract.evaluation import EVALUATION, Outcome, caution, scalar, unit_of
from oracle.contract.property_table import names_of
from oracle.materials.material import Material
from oracle.runtime.files import write_whole
from orchestrator.assembly.budgets import budget_of, budgets_of
from orchestrator.assembly.given_structures import with_scaling
from orchestrator.campaign import hints
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.events import Belief
from orchestrator.campaign.funnel import funnel
from orchestrator.campaign.ranking import Ranked, best_of, ranking
from orchestrator.campaign.state import CampaignState, Label
from orchestrator.queries.material_files import files_of
from orchestrator.store.store import Store

Document = dict[str, Any]


def status(store: Store, name: str) -> Document:
    """The state and progress of a campaign.

    Raises:
        UnknownCampaign: no such name.
    """
    campaign = Campaign(store, name)
    state, config = campaign.state, campaign.config
    trials = state.objective_trials()
    finished = [t for t in trials if t.status in ("DONE", "FAILED")]
    best_row = best_of(state, campaign.objective)
    running = store.is_running(name)
    return {
        "name": name,
        "state": _state_word(state, running),
        "round": len(state.rounds),
        "rounds": config.budget.rounds,
        "oracle_calls": len(finished),
        "oracle_calls_budget": config.budget.oracle_calls,
        "dft_calls": len([d for d in state.force_labels.values() if d.error is None]),
        "dft_labels_budget": config.dft.max_labels,
        "weights": None if state.weights is None else state.weights.weights,
        "healings": [
            h.model_dump(include={"round", "accepted", "reason", "weights", "labels", "errors"})
            for h in state.healings
        ],
        "confirmations": len([t for t in state.of_purpose("confirm") if t.is_finished]),
        "second_opinions": len([t for t in state.of_purpose("opinion") if t.is_finished]),
        "cheap_calls": len([t for t in state.of_purpose("cheap") if t.is_finished]),
        "failures": len([t for t in state.trials.values() if t.status == "FAILED"]),
        "unstable": len([t for t in finished if t.outcome and t.outcome.status == "unstable"]),
        "in_flight": [t.plan.id for t in state.trials.values() if t.status == "RUNNING"],
        "best": None if best_row is None else _rows(store, campaign, [best_row])[0],
        "started": state.created,
        "elapsed_s": round(_elapsed(state, running), 3),
        "cost_h": round(state.cost_s() / 3600, 6),
        "stop_reason": None if running or state.stopped is None else state.stopped.reason,
        "funnel": funnel(state),
        "notes": list(state.notes),
    }


def next_steps(store: Store, name: str) -> list[tuple[str, str]]:
    """Suggestions for a campaign that has stopped: (purpose, command) pairs.

    Raises:
        UnknownCampaign: no such name.
    """
    campaign = Campaign(store, name)
    if campaign.state.stopped is None:
        return []
    return hints.next_steps(store.home, campaign.state, campaign.config, campaign.objective)


def _state_word(state: CampaignState, running: bool) -> str:
    if running:
        return "running"
    # With neither a writer nor a recorded stop, its process has died.
    return "interrupted" if state.stopped is None else state.stopped.state


def _elapsed(state: CampaignState, running: bool) -> float:
    return state.busy_until(time.time()) if running else state.busy_s


def best(store: Store, name: str, k: int = 10) -> list[Document]:
    """The best candidates, confirmed ones first.

    Raises:
        UnknownCampaign: no such name.
    """
    campaign = Campaign(store, name)
    rows = ranking(campaign.state, campaign.objective)[:k]
    return _rows(store, campaign, rows)


def _rows(store: Store, campaign: Campaign, rows: list[Ranked]) -> list[Document]:
    # Formulas are read from the database, since computing them would import pymatgen.
    formulas = store.formulas([row.label.candidate for row in rows])
    return [_row(store, campaign, row, formulas[row.label.candidate]) for row in rows]


def _row(store: Store, campaign: Campaign, row: Ranked, formula: str) -> Document:
    label, evaluation = row.label, row.label.evaluation
    first = next(
        t.plan
        for t in campaign.state.objective_trials()  # not the agent of a low-fidelity query
        if t.plan.candidate == label.candidate
    )
    screened = campaign.state.screened.get(label.candidate, {})
    is_kappa = campaign.objective.property in names_of("kappa")
    # Labels of a space of prototypes are families; those of a pool are the user's words.
    guessed = _guesses(campaign)
    family = first.label if guessed else None
    cautions = caution(evaluation, campaign.objective.temperature)
    budget = budget_of(evaluation, row.value, row.std, family) if is_kappa else None
    return {
        "rank": row.rank,
        "candidate": label.candidate,
        "label": first.label,
        "formula": formula,
        "value": row.value,
        "unit": unit_of(evaluation, campaign.objective.property),
        "std": row.std,
        "error_budget": None if budget is None else budget.as_json(),
        "fidelity": evaluation.fidelity,
        "stable": True,
        "confirmed": label.confirmed,
        "second_opinion": opinion_document(label),
        "kappa_lbte": _in_full(campaign.objective, evaluation) if is_kappa else None,
        "low_confidence": cautions if guessed else with_scaling(evaluation, cautions),
        "front": row.front,
        "further": [_further(one, evaluation) for one in campaign.objective.further],
        "refusal": row.refusal,
        "stale": row.stale,
        "round": label.round,
        "agent": first.agent,
        "purpose": first.purpose,
        "energy_above_best_polymorph": screened.get("energy_above_best_polymorph"),
        "energy_above_hull": screened.get("energy_above_hull"),
        "formation_energy": screened.get("formation_energy"),
        "structure": structure_of(store.home, evaluation.material, formula),
        "file": file_of(store.home, evaluation.material, formula),
        "oracle": settings_of(store.home, evaluation),
        "quantity": campaign.objective.quantity,
    }


def _further(objective: Objective, evaluation: Outcome) -> Document:
    """The value of a further objective."""
    value, std = objective.value(evaluation) or (None, None)
    return {
        "quantity": objective.quantity,
        "property": objective.property,
        "goal": objective.goal,
        "value": value,
        "std": std,
        "unit": unit_of(evaluation, objective.property),
    }


def _guesses(campaign: Campaign) -> bool:
    """Whether lattice parameters of a campaign's crystals are guesses of this program."""
    return campaign.config.space.kind in ("prototypes", "crystals")


def _in_full(objective: Objective, evaluation: Outcome) -> float | None:
    """Kappa by full solution of the Boltzmann equation, along the direction that is sought."""
    found = scalar(evaluation, "kappa_lbte", objective.temperature, objective.direction)
    return None if found is None else found[0]


def opinion_document(label: Label) -> Document | None:
    """What a second potential says of a candidate; None where none was asked."""
    opinion = label.opinion
    if opinion is None:
        return None
    return {
        "potential": opinion.potential,
        "kappa": opinion.value,
        "std": opinion.std,
        "ratio": opinion.ratio,
        "allowed": opinion.allowed,
        "agrees": opinion.agrees,
        "reason": opinion.reason,
    }


def structure_of(home: Path, material: Material, formula: str) -> str | None:
    """Path to the material's CIF (written on demand); the formula of layer sequences and pairs.

    None if there is no CIF and the home cannot be written.
    """
    if not files_of(material.kind).cif:
        return material.formula
    (crystal,) = material.constituents()
    path = home / "structures" / f"{formula}-{material.digest[:12]}.cif"

    def write() -> None:
        from oracle.structure_files.structure_io import write_cif

        write_cif(crystal.conventional(), path)

    return _on_demand(path, write)


def file_of(home: Path, material: Material, formula: str) -> str | None:
    """Path to a file that ``phonoscout evaluate`` takes (written on demand): a CIF or JSON.

    JSON describes superlattices and pairs of crystals. None for sequences whose letters stand for
    no crystals, since these can only be looked up in a table.
    """
    if files_of(material.kind).cif:
        return structure_of(home, material, formula)
    if not material.is_defined:
        return None
    name = formula[:40].replace(" | ", "-")
    path = home / "structures" / f"{name}-{material.digest[:12]}.json"
    return _on_demand(path, lambda: write_whole(path, material.model_dump_json(indent=1).encode()))


def settings_of(home: Path, evaluation: Any) -> str | None:
    """Path to the oracle's settings of an evaluation (written on demand); None for a replay.

    ``phonoscout evaluate STRUCTURE --oracle FILE`` repeats the evaluation with them.
    """
    settings = evaluation.provenance.get("settings")
    if settings is None:
        return None
    path = home / "structures" / f"oracle-{evaluation.method[:12]}.yaml"
    text = yaml.safe_dump(settings, sort_keys=False)
    return _on_demand(path, lambda: write_whole(path, text.encode()))


def _on_demand(path: Path, write: Callable[[], None]) -> str | None:
    """Path to a file, which is written if missing; None if the home cannot be written."""
    if not path.exists():
        try:
            write()
        except OSError:
            return None
    return str(path)


def show(store: Store, candidate: str) -> Document:
    """Everything known of a candidate: its result, and why it was evaluated.

    Args:
        store: database of the home.
        candidate: its id, or a unique beginning of it.

    Raises:
        UnknownCandidate: no id, or more than one, begins like this.
    """
    # Imported here since it needs pymatgen, which `best` and `status` do not.
    from oracle.contract.report import evaluation_json

    stored = store.candidate(candidate)
    histories = [
        document
        for row in store.campaigns()
        if (document := _why(Campaign(store, row.name), stored.id)) is not None
    ]
    current = next((h.pop("_current") for h in reversed(histories) if h.get("_current")), None)
    guessed = [history.pop("_guessed", True) for history in histories]
    for history in histories:
        history.pop("_current", None)
    document = {} if current is None else evaluation_json(current)
    if current is not None:
        if not all(guessed):
            document["low_confidence"] = with_scaling(current, document["low_confidence"])
        document["error_budget"] = budgets_of(current)
        paths = {n: store.home / "artefacts" / path for n, path in current.artefacts.items()}
        document["artefacts"] = {name: str(p) for name, p in paths.items() if p.exists()}
    return {
        **document,
        "candidate": stored.id,
        "label": stored.label,
        "formula": stored.formula,
        "structure": structure_of(store.home, stored.material, stored.formula),
        "why": histories,
    }


def _why(campaign: Campaign, candidate: str) -> Document | None:
    """The history of a candidate in one campaign; its evaluation under ``_current``."""
    state = campaign.state
    trials = [t for t in state.trials.values() if t.plan.candidate == candidate]
    if not trials:
        if candidate not in state.rejected:
            return None
        return {
            "campaign": campaign.name,
            "rejected": state.rejected[candidate],
            "screened": state.screened.get(candidate),
        }
    label = state.labels.get(candidate)
    rank = next(
        (r.rank for r in ranking(state, campaign.objective) if r.label.candidate == candidate), None
    )
    return {
        "campaign": campaign.name,
        "quantity": campaign.objective.quantity,
        "rank": rank,
        "confirmed": label.confirmed if label else False,
        "demotions": label.demotions if label else 0,
        "second_opinion": opinion_document(label) if label else None,
        "screened": state.screened.get(candidate),
        "trials": [_trial(campaign, t) for t in trials],
        "_current": label.evaluation if label else None,
        "_guessed": _guesses(campaign),
    }


def _trial(campaign: Campaign, trial: Any) -> Document:
    plan = trial.plan
    result = None if trial.outcome is None else campaign.objective.value(trial.outcome)
    return {
        "trial": plan.id,
        "round": trial.round,
        "status": trial.status,
        "agent": plan.agent,
        "purpose": plan.purpose,
        "parents": list(plan.parents),
        "parent_formulas": _formulas(campaign.store, plan.parents),
        "fidelity": plan.fidelity,
        "level": plan.level,
        "potential": plan.potential,
        "predicted": None if plan.belief is None else plan.belief.model_dump(),
        "expected": None if plan.belief is None else _expected(campaign.objective, plan.belief),
        "acquisition": plan.acquisition,
        "outcome": None if trial.outcome is None else trial.outcome.status,
        "value": None if result is None else result[0],
        "std": None if result is None else result[1],
        "cost_s": trial.cost_s,
        "attempts": trial.attempts,
        "reused": trial.reused,
        "error": trial.last_error,
        "changed": _changed(campaign, trial),
    }


def _formulas(store: Store, names: Sequence[str]) -> list[str]:
    """Formulas of candidates; the id of a candidate that is not stored."""
    formulas = store.formulas(list(names))
    return [formulas.get(name, name) for name in names]


def _expected(objective: Objective, belief: Belief) -> Document:
    """The prediction in the unit of the property: median, and one standard deviation around it."""
    spread = (belief.epistemic**2 + belief.aleatoric**2) ** 0.5
    ends = {"low": belief.mean - spread, "value": belief.mean, "high": belief.mean + spread}
    return {key: 10.0**end if objective.log else end for key, end in ends.items()}


def _changed(campaign: Campaign, trial: Any) -> Document | None:
    """What the result changed: whether it is a new best, and its surprise in sigmas.

    Trials of one round run side by side; they count in the order in which they were planned.
    """
    objective, state = campaign.objective, campaign.state
    score = None if trial.outcome is None else objective.score_of(trial.outcome)
    if score is None:
        return None
    planned = {name: place for place, name in enumerate(state.trials)}  # ids, as planned
    earlier = [
        s
        for t in state.objective_trials()
        if planned[t.plan.id] < planned[trial.plan.id] and t.outcome is not None
        if (s := objective.score_of(t.outcome)) is not None
    ]
    belief = trial.plan.belief
    surprise = None
    if belief is not None:
        result = objective.value(trial.outcome)
        spread = (belief.epistemic**2 + belief.aleatoric**2) ** 0.5
        if result is not None and spread > 0:
            surprise = (objective.modelled(result[0]) - belief.mean) / spread
    return {"new_best": not earlier or score > max(earlier), "surprise_sigmas": surprise}


def evaluation_document(evaluation: Any) -> Document:
    """An evaluation in its stored form, for exports."""
    return dict(EVALUATION.dump_python(evaluation, mode="json"))
