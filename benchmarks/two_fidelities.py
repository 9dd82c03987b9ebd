"""Two fidelities, one of them bad: labels to full recall with and without the cheap one.

    python benchmarks/two_fidelities.py EXAMPLE [--pools 30] [--first 0] [--surrogate KIND]
        [--good PREFIX] [--arms none good bad] [--cache FOLDER] [--out FILE.jsonl]

EXAMPLE is a campaign on `pool` and `replay` with two fidelities, the shared example
``replay_crystals.yaml`` for one. Its cheap fidelity is the bad one; the good one has the columns
``kappa_<PREFIX>`` and ``stable_<PREFIX>`` of the same table.

The features of the pool take a minute, every search about ten seconds on one core.

Each random sub-pool of 80 % is searched three times with one seed, by the code that runs
campaigns: without a cheap fidelity, with the good one, with the bad one. Labels at
the high fidelity are counted. What is printed compares each with the first, pool by pool.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.spaces.finite import FiniteSpace
from oracle.replay.table import load_table
from orchestrator.assembly.build import build_executor, build_space
from orchestrator.assembly.oracles import build_oracles
from orchestrator.assembly.prepared import Prepared
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.state import CampaignState
from orchestrator.config.config import CampaignConfig
from orchestrator.config.loading import load_config, validate
from orchestrator.rounds.planning import Planner
from orchestrator.running.loop import Loop
from orchestrator.running.runner import create
from orchestrator.running.trial_call import call_for
from orchestrator.store.lease import Lease
from orchestrator.store.store import Store

Array = NDArray[np.float64]
ARMS = ("none", "good", "bad")
_SHARE = 0.8  # of the pool in every sub-pool
_SOUGHT = 0.2  # share of a sub-pool that is to be found
_BARS = {"good": 0.75, "bad": 1.05}
_RESAMPLES = 10_000


@dataclass(frozen=True)
class Search:
    """One campaign on one sub-pool.

    Args:
        pool: number of the sub-pool, and seed.
        arm: which cheap fidelity there was.
        size: materials in the sub-pool.
        sought: how many are to be found.
        found_at: number of labels at which each of them was found, ascending.
        trust: correlation that the rounds believed the cheap fidelity to have.
        seconds: wall time.
    """

    pool: int
    arm: str
    size: int
    sought: int
    found_at: tuple[int, ...]
    trust: tuple[float, ...]
    seconds: float

    @property
    def labels(self) -> int:
        """Labels to full recall."""
        return self.found_at[-1]

    @property
    def area(self) -> float:
        """Area under recall against labels from 0 to the size of the pool, as a share of it."""
        return float(np.mean([1.0 - (at - 1) / self.size for at in self.found_at]))


class _Found(Exception):
    """All materials sought were found."""


class _Watch:
    """Ends a campaign as soon as all that is sought is labelled."""

    def __init__(self, sought: set[str]) -> None:
        self._sought = sought

    def on_change(self, campaign: Campaign, in_flight: dict[str, tuple[str, float]]) -> None:
        """Do nothing within a round."""

    def on_round(self, campaign: Campaign) -> None:
        """Stop if the round has completed the set."""
        labelled = {t.plan.label for t in campaign.state.objective_trials()}
        if labelled >= self._sought:
            raise _Found


def labelled(
    config: CampaignConfig, space: FiniteSpace, sought: set[str], cache: Path
) -> CampaignState:
    """The state of a campaign once all that is sought is labelled."""
    prepared = Prepared(config, space, build_oracles(config, space))
    executor = build_executor(config.executor)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        create(store, prepared)
        with Lease.acquire(store, config.name) as lease:
            campaign = Campaign(store, config.name, token=lease.token)
            planner = Planner(config, space, prepared.oracles, executor, cache)
            loop = Loop(
                campaign,
                planner,
                executor,
                call_for=lambda trial: call_for(trial, campaign, prepared.oracles),
                observers=(_Watch(sought),),
            )
            with contextlib.suppress(_Found):
                loop.run()
        return campaign.state


def search(
    config: CampaignConfig, space: FiniteSpace, sought: set[str], cache: Path
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """(labels at which each of the sought was found, trust per round) of one campaign."""
    state = labelled(config, space, sought, cache)
    order = [trial.plan.label for trial in state.objective_trials()]
    trust = tuple(
        value
        for r in state.rounds
        for key, value in r.planned_metrics.items()
        if key.startswith("cheap_correlation")
    )
    return tuple(k for k, label in enumerate(order, start=1) if label in sought), trust


def arm_config(raw: Mapping[str, Any], arm: str, good: str, seed: int, size: int) -> CampaignConfig:
    """The example's config with the cheap fidelity of an arm, and labels for the whole pool."""
    fidelities = dict(raw["oracle"]["fidelities"])
    cheap = next(iter(fidelities))
    if arm == "none":
        del fidelities[cheap]
    elif arm == "good":
        columns = {"column": f"kappa_{good}", "stable_column": f"stable_{good}"}
        fidelities[cheap] = fidelities[cheap] | columns
    budget = {"batch": raw["budget"]["batch"], "oracle_calls": size}
    changed = {"name": f"{arm}-{seed}", "seed": seed, "budget": budget}
    oracle = {**raw["oracle"], "fidelities": fidelities}
    return validate({**raw, **changed, "oracle": oracle}, "two_fidelities")


def lowest(labels: Iterable[str], truth: Mapping[str, float]) -> set[str]:
    """The fifth of the labels with the lowest truth."""
    ordered = sorted(labels, key=lambda name: truth[name])
    return set(ordered[: round(_SOUGHT * len(ordered))])


class SubSpace(FiniteSpace):
    """A part of a pool, which still knows the ids of its materials."""

    def __init__(self, pool: Any, kept: Sequence[int]) -> None:
        materials = [pool.materials[k] for k in kept]
        labels = [str(pool.label(material)) for material in materials]
        super().__init__(materials, labels)
        self.ids = {m.digest: name for m, name in zip(materials, labels, strict=True)}


def searches(options: argparse.Namespace, cache: Path) -> Iterable[Search]:
    """All campaigns, one after another."""
    raw = load_config(options.example).model_dump(mode="json")
    if options.surrogate:
        raw["surrogate"] = {"kind": options.surrogate, "features": raw["surrogate"]["features"]}
    space = build_space(validate(raw, "two_fidelities").space)
    truth = _truth(raw)
    cache.mkdir(parents=True, exist_ok=True)
    for number in range(options.first, options.first + options.pools):
        rng = np.random.default_rng([2024, number])
        count = round(_SHARE * (space.size or 0))
        kept = sorted(rng.choice(space.size or 0, count, replace=False).tolist())
        part = SubSpace(space, kept)
        sought = lowest(part.ids.values(), truth)
        for arm in options.arms:
            config = arm_config(raw, arm, options.good, number, count)
            began = time.perf_counter()
            found_at, trust = search(config, part, sought, cache)
            seconds = time.perf_counter() - began
            yield Search(number, arm, count, len(sought), found_at, trust, seconds)


def _truth(raw: Mapping[str, Any]) -> dict[str, float]:
    column = list(raw["oracle"]["fidelities"].values())[-1]["column"]
    table, _ = load_table(Path(raw["oracle"]["table"]))
    return {name: float(row[column]) for name, row in table.items()}


def interval(values: Array, rng: np.random.Generator) -> tuple[float, float, float]:
    """Geometric mean of paired ratios (n,), and its 95 % bootstrap interval over the pairs."""
    logs = np.log(values)
    means = logs[rng.integers(len(logs), size=(_RESAMPLES, len(logs)))].mean(axis=1)
    low, high = np.exp(np.percentile(means, [2.5, 97.5]))
    return float(np.exp(logs.mean())), float(low), float(high)


def table(searches: Sequence[Search]) -> list[str]:
    """Lines of a Markdown table: what every arm needs, and paired ratios to the first."""
    by_arm = {arm: {s.pool: s for s in searches if s.arm == arm} for arm in ARMS}
    lines = [
        "| cheap fidelity | pools | labels to full recall | area | labels, ratio of means | "
        "paired ratio (95 %) | labels to half (paired) | area − area without (95 %) | "
        "correlation believed at the end | bar |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for arm, own in by_arm.items():
        pools = sorted(own.keys() & by_arm["none"].keys()) if by_arm["none"] else sorted(own)
        if not pools:
            continue
        labels = np.array([own[k].labels for k in pools], dtype=float)
        areas = np.array([own[k].area for k in pools])
        text = f"| {arm} | {len(pools)} | {labels.mean():.1f} | {areas.mean():.3f} |"
        if arm != "none" and by_arm["none"]:
            text += _paired([own[k] for k in pools], [by_arm["none"][k] for k in pools], arm)
        lines.append(text)
    return lines


def _paired(own: Sequence[Search], plain: Sequence[Search], arm: str) -> str:
    rng = np.random.default_rng(0)
    labels = np.array([[a.labels, b.labels] for a, b in zip(own, plain, strict=True)], dtype=float)
    half = np.array(
        [[s.found_at[s.sought // 2] for s in pair] for pair in zip(own, plain, strict=True)],
        dtype=float,
    )
    areas = np.array([a.area - b.area for a, b in zip(own, plain, strict=True)])
    draws = areas[rng.integers(len(areas), size=(_RESAMPLES, len(areas)))].mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    mean, least, most = interval(labels[:, 0] / labels[:, 1], rng)
    halves = interval(half[:, 0] / half[:, 1], rng)[0]
    believed = float(np.mean([s.trust[-1] for s in own if s.trust]))
    ratio = labels[:, 0].mean() / labels[:, 1].mean()
    return (
        f" {ratio:.2f} | {mean:.2f} ({least:.2f} to {most:.2f}) | {halves:.2f} | "
        f"{areas.mean():+.3f} ({low:+.3f} to {high:+.3f}) | {believed:.2f} | {_BARS[arm]:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("example", type=Path)
    parser.add_argument("--pools", type=int, default=30)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--surrogate")
    parser.add_argument("--good", default="l3i5")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--cache", type=Path, help="keeps features for the next run")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for result in searches(options, options.cache or Path(folder)):
            results.append(result)
            print(
                f"pool {result.pool} {result.arm}: {result.labels} labels, "
                f"area {result.area:.3f}, {result.seconds:.1f} s",
                flush=True,
            )
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(asdict(result)) + "\n")
    print("\n" + "\n".join(table(results)))


if __name__ == "__main__":
    main()
