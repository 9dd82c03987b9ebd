"""The plots of a round, from the state of a campaign and the artefacts of its best candidate."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.contract.objective import Objective
from oracle.contract.evaluation import Measured, quantity_of, scalar, unit_of
from oracle.contract.property_table import names_of
from oracle.materials.superlattice import Superlattice
from orchestrator.assembly.budgets import budget_of
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.ranking import Ranked, ranking
from orchestrator.campaign.state import Trial
from orchestrator.plots.agent_plots import AgentTrial, found_by_agent
from orchestrator.plots.front_plots import FrontPoint, front
from orchestrator.plots.layer_plots import drawn_layers, transmission
from orchestrator.plots.plot_files import write_figures
from orchestrator.plots.plots import Bands, bands_and_dos, cumulative_kappa
from orchestrator.plots.trial_plots import ParityPoint, Standing, TrialPoint, best_so_far, parity

PAGE = "plots.html"
"""Name of the page with all plots of a round."""
_DRAWN = 5  # number of designs whose layers are drawn
_LETTERS = 36  # characters of a name in a title
_EXTREME = {"minimize": "lowest", "maximize": "highest", "target": "nearest"}


def round_figures(campaign: Campaign, artefacts: Path, folder: Path) -> list[Path]:
    """Write the plots of a campaign in its present state.

    Best so far and parity are always drawn; the Pareto front of several objectives, by the first
    two; what each agent found where there are several; bands,
    density of states and cumulative kappa of the candidate of rank 1 if its evaluation left the
    data.

    Args:
        campaign: its state at the end of a round.
        artefacts: folder that artefact paths are relative to.
        folder: folder of the plots.

    Returns:
        Paths of the pictures (PNG), then of one interactive page with all of them, which needs no
        network.
    """
    objective = campaign.objective
    trials = [t for t in campaign.state.objective_trials() if t.is_finished and t.outcome]
    rows = ranking(campaign.state, objective)
    unit = _unit(campaign, trials)
    name = objective.quantity
    quantity = f"{name} ({unit})" if unit else name
    by_candidate = {row.label.candidate: row for row in rows}
    figures: dict[str, Any] = {
        "best_so_far": best_so_far(
            [_trial_point(campaign, t, by_candidate) for t in trials],
            quantity=quantity,
            title=f"{_short(campaign.name)}: {_EXTREME[objective.goal]} {name} so far",
            target=objective.target,
        )
    }
    points = [p for t in trials if (p := _parity_point(campaign, t)) is not None]
    if points:
        title = f"predicted and computed {name}"
        figures["parity"] = parity(points, quantity=quantity, title=title)
    figures |= _of_front(campaign, rows, quantity)
    figures |= _of_agents(campaign, trials, by_candidate)
    figures |= _of_best(campaign, rows, artefacts, quantity)
    heading = f"{campaign.name}, round {len(campaign.state.rounds)}"
    return write_figures(figures, folder, PAGE, heading)


def rounds_folder(home: Path, name: str) -> Path:
    """The folder of a campaign's tables and plots, with one folder per round."""
    return home / "rounds" / name


def latest_page(home: Path, name: str) -> Path | None:
    """The newest page of plots of a campaign, or None."""
    return max(rounds_folder(home, name).glob(f"round-*/{PAGE}"), default=None)


def _unit(campaign: Campaign, trials: list[Trial]) -> str:
    """The unit of the first measured value; all values have the same."""
    name = campaign.objective.property
    measured = (t.outcome for t in trials if t.outcome and quantity_of(t.outcome, name))
    first = next(measured, None)
    return "" if first is None else unit_of(first, name)


def named(formula: str, label: str | None) -> str:
    """Formula and source name (prototype, or id in the pool), short enough for a title."""
    return _short(formula if label is None or label == formula else f"{formula} {label}")


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"


def _label(trial: Trial) -> str:
    assert trial.outcome is not None
    return named(trial.outcome.material.formula, trial.plan.label)


def _trial_point(campaign: Campaign, trial: Trial, rows: dict[str, Ranked]) -> TrialPoint:
    """The candidate of a trial with its present value, which a confirmation may have changed."""
    assert trial.outcome is not None
    label = campaign.state.labels.get(trial.plan.candidate)
    current = trial.outcome if label is None else label.evaluation
    value, std = campaign.objective.value(current) or (None, None)
    row = rows.get(trial.plan.candidate)
    interval = None
    if value is not None and campaign.objective.property in names_of("kappa"):
        # Only the labels of a space of prototypes are families; those of a pool are the user's.
        family = trial.plan.label if campaign.config.space.kind == "prototypes" else None
        budget = budget_of(current, value, std, family)
        interval = None if budget is None else budget.interval_90
    rank = row.rank if row else None
    return TrialPoint(_label(trial), value, std, _standing(row), rank, interval)


def _standing(row: Ranked | None) -> Standing:
    if row is None:
        return "measured"
    if row.stale:
        return "stale"
    if row.refusal is not None:
        return "outside"
    return "confirmed" if row.label.confirmed else "measured"


def _parity_point(campaign: Campaign, trial: Trial) -> ParityPoint | None:
    """The prediction when the candidate was chosen and its outcome, in the unit of the property."""
    belief, objective = trial.plan.belief, campaign.objective
    computed = None if trial.outcome is None else objective.value(trial.outcome)
    if belief is None or computed is None:
        return None
    spread = float(np.hypot(belief.epistemic, belief.aleatoric))
    low, middle, high = (
        float(10**x) if objective.log else x
        for x in (belief.mean - spread, belief.mean, belief.mean + spread)
    )
    audit = trial.plan.purpose == "audit"
    return ParityPoint(_label(trial), computed[0], computed[1], middle, low, high, audit)


def _of_front(campaign: Campaign, rows: Sequence[Ranked], quantity: str) -> dict[str, Any]:
    """The candidates by the first two of several objectives."""
    if not campaign.objective.further:
        return {}
    second = campaign.objective.further[0]
    points, unit = [], ""
    for row in rows:
        evaluation = row.label.evaluation
        value = second.value(evaluation)
        if value is not None and row.front is not None:
            name = named(evaluation.material.formula, _plan_label(campaign, row))
            points.append(FrontPoint(name, row.value, value[0], row.front == 1))
            unit = unit_of(evaluation, second.property)
    if not points:
        return {}
    other = f"{second.quantity} ({unit})" if unit else second.quantity
    title = f"{_short(campaign.name)}: the front that no candidate beats in both"
    return {"front": front(points, x=quantity, y=other, title=title)}


def _of_agents(
    campaign: Campaign, trials: Sequence[Trial], rows: dict[str, Ranked]
) -> dict[str, Any]:
    """What each agent found, where candidates come from more than one."""
    first: dict[str, Trial] = {}
    for trial in trials:
        first.setdefault(trial.plan.candidate, trial)  # not its confirmations
    if len({trial.plan.agent for trial in first.values()}) < 2:
        return {}
    points = []
    for trial in first.values():
        row = rows.get(trial.plan.candidate)
        points.append(AgentTrial(trial.plan.agent, row.rank if row else None))
    title = f"{_short(campaign.name)}: what the agents found"
    return {"agents": found_by_agent(points, title=title)}


def _of_best(
    campaign: Campaign, rows: Sequence[Ranked], artefacts: Path, quantity: str
) -> dict[str, Any]:
    """The figures of the best candidates, chosen by the kind of material."""
    if not rows:
        return {}
    kind = rows[0].label.evaluation.material.kind
    return DRAWN.get(kind, of_spectra)(campaign, rows[:_DRAWN], artefacts, quantity)


def of_spectra(
    campaign: Campaign, rows: Sequence[Ranked], artefacts: Path, quantity: str
) -> dict[str, Any]:
    """Bands with density of states and cumulative kappa of rank 1, if its evaluation left them."""
    evaluation = rows[0].label.evaluation
    path = artefacts / evaluation.artefacts.get("phonons", "")
    if not path.is_file() or not isinstance(evaluation, Measured):
        return {}
    data = json.loads(path.read_text())
    name = named(evaluation.material.formula, _plan_label(campaign, rows[0]))
    figures: dict[str, Any] = {}
    if data.get("distances"):
        bands = Bands(
            [np.array(d) for d in data["distances"]],
            [np.array(f) for f in data["frequencies"]],
            data["labels"],
            data["connections"],
        )
        frequency, dos = np.array(data["dos_frequency"]), np.array(data["dos"])
        title = f"{name}, {_valued(campaign.objective, rows[0], evaluation)}"
        figures["bands"] = bands_and_dos(bands, frequency, dos, title=title)
    if data.get("cumulative_kappa"):
        wanted = campaign.objective.temperature
        figures["cumulative_kappa"] = cumulative_of(
            data["cumulative_kappa"], evaluation, name, wanted
        )
    return figures


def _plan_label(campaign: Campaign, row: Ranked) -> str | None:
    return campaign.state.trials[row.label.trial].plan.label


def _valued(objective: Objective, row: Ranked, evaluation: Measured) -> str:
    """The objective's quantity and value, for a title."""
    unit = unit_of(evaluation, objective.property)
    return f"{objective.quantity}: {row.value:.3g} {unit}".strip()


def cumulative_of(
    curves: dict[str, Any], evaluation: Measured, name: str, wanted: float | None
) -> Any:
    """Cumulative kappa at the temperature nearest to the wanted one, with the total of the table.

    Earlier versions stored one curve, at the first temperature, without its temperature.
    """
    first = evaluation.temperature[0]
    each = curves.get("each") or [curves]
    curve = min(each, key=lambda c: abs(c.get("temperature", first) - (wanted or first)))
    temperature = float(curve.get("temperature", first))
    total = scalar(evaluation, "kappa", temperature)
    return cumulative_kappa(
        np.array(curve["frequency"]),
        np.array(curve["kappa"]),
        temperature=temperature,
        title=f"{name}, {temperature:g} K",
        total=None if total is None else total[0],
        part=f"{curve.get('part', 'particle')}-like part",
    )


def _of_sequences(
    campaign: Campaign, best: Sequence[Ranked], artefacts: Path, quantity: str
) -> dict[str, Any]:
    """The best designs as coloured layers, and the transmission of the first if it was computed."""
    first = best[0].label.evaluation
    assert isinstance(first, Measured)
    assert isinstance(first.material, Superlattice)
    stack = first.material.stack
    designs = [(f"{row.value:.4g}", row.label.evaluation.material.formula) for row in best]
    figures: dict[str, Any] = {
        "layers": drawn_layers(
            designs,
            names={} if stack is None else {k: c.formula for k, c in stack.layers},
            leads=None if stack is None else stack.leads,
            quantity=quantity,
        )
    }
    path = artefacts / first.artefacts.get("transmission", "")
    if path.is_file():
        data = json.loads(path.read_text())
        name = named(first.material.sequence, None)
        figures["transmission"] = transmission(
            np.array(data["frequencies_thz"]),
            np.array(data["modes_per_cell"]),
            np.array(data["lead_modes_per_cell"]) if "lead_modes_per_cell" in data else None,
            title=f"{name}, {_valued(campaign.objective, best[0], first)}",
        )
    return figures


DRAWN: dict[str, Callable[[Campaign, Sequence[Ranked], Path, str], dict[str, Any]]] = {
    "superlattice": _of_sequences,
}
"""Functions that draw the best candidates, by kind of material; `of_spectra` for all other kinds.
Their arguments: campaign, best of its ranking, folder of artefacts, and quantity with its unit."""
