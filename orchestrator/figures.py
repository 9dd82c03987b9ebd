"""The plots of a round, from a campaign's state and the artefacts of its leader."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oracle.material import Superlattice
from orchestrator.campaign import Campaign
from orchestrator.layer_plots import drawn_layers, transmission
from orchestrator.plot_files import write_figures
from orchestrator.plots import (
    Bands,
    ParityPoint,
    TrialPoint,
    bands_and_dos,
    best_so_far,
    cumulative_kappa,
    parity,
)
from orchestrator.state import Ranked, Trial, leaders

_DRAWN = 5  # designs whose layers are drawn


def round_figures(campaign: Campaign, artefacts: Path, folder: Path) -> list[Path]:
    """Write the plots of the campaign as it stands.

    Best so far and parity always; bands, density of states and cumulative kappa of the leader
    where its evaluation left them.

    Args:
        campaign: folded up to the end of a round.
        artefacts: folder that artefact paths are relative to.
        folder: where to.

    Returns:
        Pictures (PNG), then one page with all of them (interactive, needs no network).
    """
    objective = campaign.objective
    trials = [t for t in campaign.state.objective_trials() if t.is_finished and t.outcome]
    unit = _unit(campaign, trials)
    quantity = f"{objective.property} ({unit})" if unit else objective.property
    figures: dict[str, Any] = {
        "best_so_far": best_so_far(
            [_trial_point(campaign, t) for t in trials],
            goal=objective.goal,
            target=objective.target,
            log=objective.log,
            quantity=quantity,
        )
    }
    points = [p for t in trials if (p := _parity_point(campaign, t)) is not None]
    if points:
        figures["parity"] = parity(points, quantity=quantity)
    figures |= _of_leader(campaign, artefacts, quantity)
    return write_figures(figures, folder, "plots.html")


def _unit(campaign: Campaign, trials: list[Trial]) -> str:
    for trial in trials:
        quantity = trial.outcome and trial.outcome.properties.get(campaign.objective.property)
        if quantity:
            return quantity.unit
    return ""


def _label(trial: Trial) -> str:
    assert trial.outcome is not None
    return f"{trial.outcome.material.formula} {trial.plan.label or ''}".strip()


def _trial_point(campaign: Campaign, trial: Trial) -> TrialPoint:
    assert trial.outcome is not None
    label = campaign.state.labels.get(trial.plan.candidate)
    current = trial.outcome if label is None else label.evaluation
    found = campaign.objective.value(current)
    return TrialPoint(_label(trial), None if found is None else found[0])


def _parity_point(campaign: Campaign, trial: Trial) -> ParityPoint | None:
    """Prediction at the time of the choice against the outcome, on the property's own scale."""
    belief, objective = trial.plan.belief, campaign.objective
    found = None if trial.outcome is None else objective.value(trial.outcome)
    if belief is None or found is None:
        return None
    spread = float(np.hypot(belief.epistemic, belief.aleatoric))
    low, middle, high = (
        float(10**x) if objective.log else x
        for x in (belief.mean - spread, belief.mean, belief.mean + spread)
    )
    audit = trial.plan.purpose == "audit"
    return ParityPoint(_label(trial), found[0], found[1], middle, low, high, audit)


def _of_leader(campaign: Campaign, artefacts: Path, quantity: str) -> dict[str, Any]:
    """Bands with density of states and cumulative kappa, where the leader has them."""
    best = leaders(campaign.state, campaign.objective, _DRAWN)
    if best and isinstance(best[0].label.evaluation.material, Superlattice):
        return _of_sequences(best, artefacts, quantity)
    for row in best[:1]:
        evaluation = row.label.evaluation
        path = artefacts / evaluation.artefacts.get("phonons", "")
        if not path.is_file():
            return {}
        data = json.loads(path.read_text())
        title = evaluation.material.formula
        figures: dict[str, Any] = {}
        if data.get("distances"):
            bands = Bands(
                [np.array(d) for d in data["distances"]],
                [np.array(f) for f in data["frequencies"]],
                data["labels"],
                data["connections"],
            )
            frequency, dos = np.array(data["dos_frequency"]), np.array(data["dos"])
            figures["bands"] = bands_and_dos(bands, frequency, dos, title=title)
        if "cumulative_kappa" in data:
            curve = data["cumulative_kappa"]
            figures["cumulative_kappa"] = cumulative_kappa(
                np.array(curve["frequency"]),
                np.array(curve["kappa"]),
                temperature=getattr(evaluation, "temperature", (0.0,))[0],
                title=title,
            )
        return figures
    return {}


def _of_sequences(best: Sequence[Ranked], artefacts: Path, quantity: str) -> dict[str, Any]:
    """The best designs as coloured layers, and what the first lets through where it says so."""
    first = best[0].label.evaluation
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
        figures["transmission"] = transmission(
            np.array(data["frequencies_thz"]),
            np.array(data["modes_per_cell"]),
            np.array(data["lead_modes_per_cell"]) if "lead_modes_per_cell" in data else None,
            title=first.material.sequence,
        )
    return figures
