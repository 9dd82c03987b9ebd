"""Estimates the time and memory that a campaign would need, without starting it."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from oracle.energetics.speed import seconds_of_64_atoms
from oracle.potentials.table import POTENTIALS
from orchestrator.assembly.build import surrogate_settings
from orchestrator.assembly.notes import campaign_notes
from orchestrator.assembly.prepared import Prepared, prepare
from orchestrator.config.config import CampaignConfig
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors.serial_executor import SerialExecutor
from orchestrator.rounds import coarse
from orchestrator.running.preflight import check_potentials
from orchestrator.running.prices import CallPrices, prices_of

_GIB_DRIVER = 2.0  # memory of the planner, the surrogate and MLflow
_STARTUP_S = {"ray": 25.0, "serial": 8.0}
_PLANNING_S = 4.0  # for one round: fit, proposals, plots
_PLANNING_FAST_S = 0.5  # the same where no neural network is fitted
_AGAIN = 1.5  # confirmations per leader, because some are demoted and others take their place
_SHARED = 1.25  # slowdown of a core while all others work too
_LAST = 1.15  # slowdown because workers wait for the last call of a batch
_CHECKED = 1.4  # candidates that the constraint gate checks per label


def estimate(config: CampaignConfig) -> dict[str, Any]:
    """Size of the space and oracle calls, with estimates of core hours, minutes and memory.

    Forces are timed with the campaign's own potential on a few of its candidates, which takes some
    seconds; the rest follows from the sizes of supercells and meshes. In the document, `cost` gives
    the core minutes of each kind of work, and `assumptions` what the estimates are based on.

    Raises:
        ConfigError: as for a launch.
    """
    prepared = prepare(config)
    _check_own_features(config, prepared)
    calls = _calls(config, prepared)
    rounds = -(-calls // config.budget.batch)
    prices = prices_of(config, prepared)
    confirmations = _confirmations(config, prepared, calls)
    parallel = _parallel(config, prepared, prices, calls, confirmations)
    serial = {"planning": _planning(config, prepared, prices, rounds)}
    workers = _workers(config)
    at_once = max(1, min(workers, config.budget.batch))
    slower = _SHARED * _LAST if at_once > 1 else 1.0
    core_s = sum(parallel.values()) + sum(serial.values())
    wall_s = sum(parallel.values()) * slower / at_once + sum(serial.values()) + _startup(config)
    return {
        "name": config.name,
        "space": config.space.kind,
        "space_size": prepared.space.size,
        "methods": prepared.methods,
        "rounds": rounds,
        "oracle_calls": calls,
        "confirmations": confirmations,
        "second_opinions": _opinions(config, confirmations),
        "seconds_per_call": _rounded(prices.call_s),
        "seconds_per_confirmation": _rounded(prices.confirmation_s),
        "cost": {
            f"{name}_core_minutes": _rounded(s / 60) for name, s in (parallel | serial).items()
        },
        "core_hours": round(core_s / 3600, 4),
        "wall_minutes": round(_capped(config, wall_s) / 60, 2),
        "recorded_hours": round(prices.recorded_s * calls / 3600, 4),
        "memory_gib": round(_GIB_DRIVER + prices.memory_gib * workers, 1),
        "assumptions": _assumptions(config, prices, workers, at_once),
        "notes": [*campaign_notes(config, prepared.space), *prepared.notes],
    }


def described(document: dict[str, Any]) -> list[str]:
    """The document of `estimate` as lines of text."""
    d = document
    lines = [
        f"{d['name']}: about {_minutes(d['wall_minutes'])} here, {d['core_hours']:.2g} core hours, "
        f"{d['memory_gib']:g} GiB",
        f"{d['oracle_calls']} evaluations of {_seconds(d['seconds_per_call'])}, "
        f"{d['confirmations']} confirmations of {_seconds(d['seconds_per_confirmation'])}, "
        f"{d['rounds']} rounds",
    ]
    if d["recorded_hours"]:
        lines.append(f"charged to the budget: {d['recorded_hours']:.3g} recorded hours")
    for name, minutes in d["cost"].items():
        label = name.removesuffix("_core_minutes").replace("_", " ")
        lines.append(f"  {label:<20} {minutes:8.1f} core minutes")
    return [*lines, *d["assumptions"], *d["notes"]]


def _check_own_features(config: CampaignConfig, prepared: Prepared) -> None:
    """Load a user's own potential from which the surrogate's features are computed, as workers do.

    Raises:
        ConfigError: it cannot be loaded.
    """
    if surrogate_settings(config, prepared.space).features in (*POTENTIALS, "none"):
        return
    executor = SerialExecutor(ExecutorSettings(kind="serial"))
    check_potentials(executor, config, prepared.space, potential=None)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 99.5 else f"{seconds:.0f} s"


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _calls(config: CampaignConfig, prepared: Prepared) -> int:
    calls = config.budget.oracle_calls
    if config.budget.rounds is not None:
        calls = min(calls, config.budget.rounds * config.budget.batch)
    return calls if prepared.space.size is None else min(calls, prepared.space.size)


def _confirmations(config: CampaignConfig, prepared: Prepared, calls: int) -> int:
    """Expected number of confirmations; some leaders need two, and some are replaced."""
    settings = config.confirmation
    if list(prepared.oracles.values())[-1].tightened(1) is None:
        return 0
    return min(math.ceil(_AGAIN * settings.leaders), settings.max_calls, calls)


def _opinions(config: CampaignConfig, confirmations: int) -> int:
    """Expected number of second opinions: one for each leader that is confirmed."""
    settings = config.confirmation
    return 0 if settings.second_opinion is None else min(settings.leaders, confirmations)


def _parallel(
    config: CampaignConfig, prepared: Prepared, prices: CallPrices, calls: int, confirmations: int
) -> dict[str, float]:
    """Core seconds of the work that is done in workers, by kind of work."""
    rounds = -(-calls // config.budget.batch)
    # Each worker prepares the layers for itself; force constants of crystals are shared.
    preparing = min(_workers(config), config.budget.batch) if prices.each_worker else 1
    confirming = prices.confirmation_once_s * preparing + prices.confirmation_s * confirmations
    seconds = {
        "evaluations": prices.once_s * preparing + prices.call_s * calls,
        "confirmations": confirming if confirmations else 0.0,
        "second_opinions": prices.opinion_s * _opinions(config, confirmations),
    }
    if prices.query_s:
        first = 2 * config.budget.batch * prices.query_s
        share = config.budget.cheap_share * prices.call_s * calls
        seconds["cheaper_fidelities"] = max(share, first) if config.budget.cheap_share else 0.0
    seconds["screening"] = prices.constraint_s * calls * _CHECKED
    seconds["features"] = prices.feature_s * _with_features(config, prepared, rounds)
    if config.dft.heals:
        seconds |= prices.healing
    return {name: value for name, value in seconds.items() if value}


def _with_features(config: CampaignConfig, prepared: Prepared, rounds: int) -> int:
    """Number of crystals for which features are computed."""
    space, limit = prepared.space, config.selection.pool_limit
    # Of an unbounded space, a few more are predicted than are drawn, in every round.
    size = space.size or len(space.listed(limit, np.random.default_rng(0))) * rounds
    if prepared.space.reading.crystals:
        return prepared.space.reading.crystals
    surrogate = surrogate_settings(config, prepared.space)
    if surrogate.features == "none":
        return 0
    if coarse.needs_choice(space, surrogate, config.selection):
        # In every round, about a quarter of the places go to crystals that had none before.
        most = config.selection.exact_limit
        return min(size, most + rounds * most // 4)
    return size


def _planning(config: CampaignConfig, prepared: Prepared, prices: CallPrices, rounds: int) -> float:
    kind = surrogate_settings(config, prepared.space).kind
    each = _PLANNING_S if kind == "graph-ensemble" else _PLANNING_FAST_S
    return rounds * each * prices.slowness


def _startup(config: CampaignConfig) -> float:
    return _STARTUP_S[config.executor.kind]


def _capped(config: CampaignConfig, wall_s: float) -> float:
    return wall_s if config.budget.wall_time is None else min(wall_s, config.budget.wall_time)


def _workers(config: CampaignConfig) -> int:
    if config.executor.kind == "serial":
        return 1
    return config.executor.workers or max(1, (os.cpu_count() or 1) // config.executor.cpus_per_call)


def _assumptions(
    config: CampaignConfig, prices: CallPrices, workers: int, at_once: int
) -> list[str]:
    """What the estimates are based on, one line each."""
    lines = [f"workers: {workers}, of which a batch keeps {at_once} busy", *prices.assumptions]
    if prices.timed is not None:
        lines.insert(0, _machine(prices))
    if config.budget.wall_time is not None:
        lines.append(f"budget.wall_time ends it after {config.budget.wall_time / 60:g} min")
    return lines


def _machine(prices: CallPrices) -> str:
    potential = str(prices.timed)
    try:
        text = f"forces of 64 atoms {seconds_of_64_atoms(potential):.2g} s ({potential})"
    except Exception:  # a potential that is not made for sodium or chlorine
        text = f"forces of {potential} timed on candidates"
    return f"machine: {text}, linear algebra at {1 / prices.slowness:.2g} of the reference"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
