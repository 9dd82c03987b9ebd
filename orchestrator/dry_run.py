"""What a campaign would take: sizes and estimates, without starting anything."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from agents.interface_space import InterfaceSpace
from oracle.material import crystals_of
from orchestrator.config import CampaignConfig
from orchestrator.notes import campaign_notes
from orchestrator.runner import prepare

_SECONDS_PER_CALL = {"harmonic": 6.0, "bte": 20.0, "mismatch": 15.0}
"""Of a 2-atom cell with 7net-0 on one core; benchmarks/README.md has the measurements."""
_ATOMS = 2.0
_SCALING = 1.5  # of the seconds with the atoms of the primitive cell
_POTENTIAL = {"7net-0": 1.0, "7net-l3i5": 4.5, "7net-mf-0": 1.1, "chgnet": 0.6}
_GIB_PER_WORKER = 1.5
_GIB_DRIVER = 2.0
_TIGHT = 3.0  # cost of a confirmation in calls


def estimate(config: CampaignConfig) -> dict[str, Any]:
    """Size of the space, oracle calls, core hours and memory; all but the size are estimates.

    Raises:
        ConfigError: as for a launch.
    """
    prepared = prepare(config)
    calls = config.budget.oracle_calls
    if config.budget.rounds is not None:
        calls = min(calls, config.budget.rounds * config.budget.batch)
    if prepared.space.size is not None:
        calls = min(calls, prepared.space.size)
    confirmations = min(config.confirmation.leaders, config.confirmation.max_calls, calls)
    seconds = _seconds_per_call(config, prepared.space, calls)
    cores = _cores(config)
    total = seconds * (calls + _TIGHT * confirmations)
    workers = config.executor.workers or max(1, cores // config.executor.cpus_per_call)
    return {
        "name": config.name,
        "space": config.space.kind,
        "space_size": prepared.space.size,
        "methods": prepared.methods,
        "rounds": config.budget.rounds or -(-calls // config.budget.batch),
        "oracle_calls": calls,
        "confirmations": confirmations,
        "core_hours": round(total / 3600, 4),
        "wall_minutes": round(total / min(workers, config.budget.batch) / 60, 2),
        "memory_gib": round(_GIB_DRIVER + _GIB_PER_WORKER * workers, 1),
        "notes": list(campaign_notes(config, prepared.space)),
    }


def _seconds_per_call(config: CampaignConfig, space: Any, calls: int) -> float:
    if config.oracle.kind == "replay":
        return 0.0
    sample = space.sample(50, np.random.default_rng(0))
    atoms = [len(crystal.species) for m in sample for crystal in crystals_of(m)]
    mean = sum((n / _ATOMS) ** _SCALING for n in atoms) / max(1, len(atoms))
    mean *= _POTENTIAL.get(str(config.oracle.calculator), 1.0)
    if isinstance(space, InterfaceSpace):  # each crystal is computed once in all its pairs
        crystals = min(len(space.crystals), 2 * calls)
        return _SECONDS_PER_CALL["mismatch"] * mean * crystals / max(1, calls)
    return _SECONDS_PER_CALL["bte"] * mean


def _cores(config: CampaignConfig) -> int:
    return 1 if config.executor.kind == "serial" else os.cpu_count() or 1
