"""What a campaign would take: sizes and estimates, without starting anything."""

from __future__ import annotations

import math
import os
from typing import Any

from oracle.energetics.speed import seconds_of_64_atoms
from oracle.potentials.table import POTENTIALS
from orchestrator.assembly.build import surrogate_settings
from orchestrator.assembly.notes import campaign_notes
from orchestrator.assembly.prepared import Prepared, prepare
from orchestrator.config.config import CampaignConfig
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors.serial_executor import SerialExecutor
from orchestrator.running.preflight import try_named
from orchestrator.running.prices import CallPrices, prices_of

_GIB_DRIVER = 2.0  # planner, surrogate, MLflow
_STARTUP_S = {"ray": 25.0, "serial": 8.0}
_PLANNING_S = 4.0  # of a round: fit, proposals, plots
_PLANNING_FAST_S = 0.5  # the same where no network is fitted
_AGAIN = 1.5  # confirmations per leader, because some move and others take their place
_SHARED = 1.25  # cores that all work are slower than one alone
_LAST = 1.15  # workers that wait for the last of a batch
_EARLIER_SCREENED = 1.4  # candidates screened per label


def estimate(config: CampaignConfig) -> dict[str, Any]:
    """Size of the space, oracle calls, core hours, minutes and memory; estimates but for the size.

    Forces are timed with the campaign's own potential on a few of its candidates, which takes some
    seconds; the rest follows from the sizes of supercells and meshes. `cost` has the minutes of one
    core by what they are for, `assumptions` what they rest on.

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
    """The same for people, in lines."""
    d = document
    found = [
        f"{d['name']}: about {_minutes(d['wall_minutes'])} here, {d['core_hours']:.2g} core hours, "
        f"{d['memory_gib']:g} GiB",
        f"{d['oracle_calls']} evaluations of {d['seconds_per_call']:.2g} s, "
        f"{d['confirmations']} confirmations of {d['seconds_per_confirmation']:.2g} s, "
        f"{d['rounds']} rounds",
    ]
    if d["recorded_hours"]:
        found.append(f"charged to the budget: {d['recorded_hours']:.3g} recorded hours")
    for name, minutes in d["cost"].items():
        label = name.removesuffix("_core_minutes").replace("_", " ")
        found.append(f"  {label:<20} {minutes:8.1f} core minutes")
    return [*found, *d["assumptions"], *d["notes"]]


def _check_own_features(config: CampaignConfig, prepared: Prepared) -> None:
    """Load a potential of the user's own that the surrogate learns from, as the workers will.

    Raises:
        ConfigError: it cannot be loaded.
    """
    if surrogate_settings(config, prepared.space).features in (*POTENTIALS, "none"):
        return
    executor = SerialExecutor(ExecutorSettings(kind="serial"))
    try_named(executor, config, prepared.space, potential=None)


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
    """Calls at tighter settings: for some leaders more than one, and some lose their place."""
    settings = config.confirmation
    if list(prepared.oracles.values())[-1].tightened(1) is None:
        return 0
    return min(math.ceil(_AGAIN * settings.leaders), settings.max_calls, calls)


def _parallel(
    config: CampaignConfig, prepared: Prepared, prices: CallPrices, calls: int, confirmations: int
) -> dict[str, float]:
    """Seconds of one core of what the workers do."""
    # Each worker makes layers ready for itself; force constants of crystals are shared.
    makers = min(_workers(config), config.budget.batch) if prices.each_worker else 1
    again = prices.confirmation_once_s * makers + prices.confirmation_s * confirmations
    found = {
        "evaluations": prices.once_s * makers + prices.call_s * calls,
        "confirmations": again if confirmations else 0.0,
    }
    if prices.look_s:
        first = 2 * config.budget.batch * prices.look_s
        share = config.budget.cheap_share * prices.call_s * calls
        found["cheaper_fidelities"] = max(share, first) if config.budget.cheap_share else 0.0
    found["screening"] = prices.screening_s * calls * _EARLIER_SCREENED
    found["features"] = prices.feature_s * _with_features(config, prepared)
    if config.dft.heals:
        found |= prices.healing
    return {name: seconds for name, seconds in found.items() if seconds}


def _with_features(config: CampaignConfig, prepared: Prepared) -> int:
    """Crystals of which the surrogate computes features."""
    size = prepared.space.size or config.selection.pool_limit
    if prepared.space.reading.crystals:
        return prepared.space.reading.crystals
    if surrogate_settings(config, prepared.space).features == "none":
        return 0
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
    """What the figures rest on, one line each."""
    found = [f"workers: {workers}, of which a batch keeps {at_once} busy", *prices.assumptions]
    if prices.timed is not None:
        found.insert(0, _machine(prices))
    if config.budget.wall_time is not None:
        found.append(f"budget.wall_time ends it after {config.budget.wall_time / 60:g} min")
    return found


def _machine(prices: CallPrices) -> str:
    potential = str(prices.timed)
    try:
        text = f"forces of 64 atoms {seconds_of_64_atoms(potential):.2g} s ({potential})"
    except Exception:  # a potential that does not know sodium or chlorine
        text = f"forces of {potential} timed on candidates"
    return f"machine: {text}, linear algebra at {1 / prices.slowness:.2g} of the reference"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
