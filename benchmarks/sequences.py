"""How many evaluations a search over layer sequences needs until it finds the true optimum.

    python benchmarks/sequences.py TABLE [--symmetries JSON | --config FILE]
        [--property conductance] [--seeds 20] [--cap 300] [--goals minimize,maximize]
        [--policies product,plain,...] [--controls]

TABLE holds all designs: lines of ``design<TAB>value``, or JSON lines (also ``.xz``) with
``sequence`` and the property. `--symmetries` is as in ``space.symmetries`` of a config; with
`--config` designs are what a campaign of that config takes them for, between its leads. Of equal
designs the first counts. The product's policy is the proposer and the surrogate that a campaign
has by default, at their default settings; it is told the designs and the symmetries, nothing else.
``graph-ensemble`` has the same proposer with networks that pass messages between layers.
``baybe`` needs: pip install baybe.

`--controls` runs the product's on the table with its values permuted, and on spin-chain-like
landscapes that are drawn anew at each run (their seed is printed), beside the plain Gaussian
process.
"""

from __future__ import annotations

import argparse
import json
import lzma
import secrets
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from agents.contract.objective import Objective
from agents.contract.protocol import Proposer
from agents.proposers.bayesian import BayesianProposer
from agents.proposers.evolution import EvolutionProposer
from agents.proposers.random_agent import RandomProposer
from agents.spaces.finite import FiniteSpace
from agents.spaces.settings import PoolSpaceSettings
from agents.spaces.superlattice_space import superlattice_space
from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.superlattice import Stack, Superlattice
from orchestrator.assembly.build import SOUGHT
from orchestrator.config.loading import load_config
from surrogate.contract.protocol import Output, Surrogate
from surrogate.contract.settings import SequenceProcessSettings
from surrogate.features.feature_store import FeatureStore
from surrogate.models.graph.graph_ensemble import GraphEnsemble
from surrogate.models.sequence_process import SequenceProcess

Array = NDArray[np.float64]
Goal = Literal["minimize", "maximize"]
GOALS: tuple[Goal, ...] = ("minimize", "maximize")
FOUND = 1e-4  # of the optimum: what is so near counts as it


@dataclass(frozen=True)
class Landscape:
    """All distinct designs with their values."""

    name: str
    designs: tuple[Superlattice, ...]
    values: Array

    @classmethod
    def of(
        cls,
        name: str,
        table: Mapping[str, float],
        symmetries: Sequence[Any] = (),
        stack: Stack | None = None,
    ) -> Landscape:
        """Of equal designs the first counts."""
        settings = PoolSpaceSettings.model_validate({"path": "-", "symmetries": list(symmetries)})
        kept: dict[str, tuple[Superlattice, float]] = {}
        for sequence, value in table.items():
            design = Superlattice.from_sequence(
                sequence, mirror=settings.mirror, symmetries=settings.permutations, stack=stack
            )
            kept.setdefault(design.digest, (design, value))
        designs, values = zip(*kept.values(), strict=True)
        return cls(name, designs, np.array(values))

    def permuted(self, seed: int) -> Landscape:
        """The same values, at random designs."""
        values = np.random.default_rng(seed).permutation(self.values)
        return Landscape(f"{self.name}, permuted", self.designs, values)


Learner = Callable[[Sequence[Output], Goal, int], Surrogate]
"""An unfitted surrogate of a goal, with a seed."""
Search = Callable[[Landscape, Goal, int, int], int]
"""Evaluations (at most the last number) with a seed until the optimum is found."""


def sequence_process(outputs: Sequence[Output], goal: Goal, seed: int) -> Surrogate:
    """The default of campaigns for sequences, with the settings that they give it."""
    settings = SequenceProcessSettings(sought=SOUGHT[goal])
    store = FeatureStore("none")
    return SequenceProcess(outputs, "table", seed=seed, store=store, settings=settings)


def graph_ensemble(outputs: Sequence[Output], goal: Goal, seed: int) -> Surrogate:
    """Networks that pass messages between neighbouring layers."""
    return GraphEnsemble(outputs, "table", seed=seed, store=FeatureStore("none"))


def campaign(proposer: Proposer, learner: Learner | None) -> Search:
    """A search by a proposer of the product, with a surrogate or without any."""

    def search(landscape: Landscape, goal: Goal, seed: int, cap: int) -> int:
        objective = Objective("value", None, goal, log=bool((landscape.values > 0).all()))
        names = [design.sequence for design in landscape.designs]
        space = FiniteSpace(landscape.designs, names)
        values = {
            d.digest: float(v) for d, v in zip(space.materials, landscape.values, strict=True)
        }
        wanted = _wanted(landscape, goal)
        evaluations: list[Measured] = []
        for number in range(1, cap + 1):
            surrogate: Surrogate | None = None
            if evaluations and learner is not None:
                draw = int(np.random.default_rng([seed, number, 1]).integers(2**31))
                surrogate = learner([objective.output], goal, draw)
                surrogate.fit(evaluations)
            (candidate,) = proposer.propose(
                1,
                space=space,
                objective=objective,
                evaluations=evaluations,
                pending=(),
                surrogate=surrogate,
                rng=np.random.default_rng([seed, number, 2]),
            )
            value = values[candidate.material.digest]
            evaluations.append(_measured(candidate.material, value))
            if abs(value - wanted) <= FOUND * abs(wanted):
                return number
        return cap

    return search


def plain(landscape: Landscape, goal: Goal, seed: int, cap: int) -> int:
    """Matérn process on occupancies and neighbour products, expected improvement."""
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize

    letters = _letters(landscape)
    signs = np.eye(letters.max() + 1)[letters][:, :, 1:].reshape(len(letters), -1) * 2.0 - 1.0
    alike = np.where(letters[:, 1:] == letters[:, :-1], 1.0, -1.0)
    x = torch.from_numpy(np.concatenate([signs, alike], axis=1))

    def model(x: Any, y: Any) -> Any:
        return SingleTaskGP(x, y, outcome_transform=Standardize(1))

    return _by_botorch(model, x, landscape, goal, seed, cap)


def categorical(landscape: Landscape, goal: Goal, seed: int, cap: int) -> int:
    """BoTorch's own kernel for categories (Hamming distances with a scale per layer)."""
    from botorch.models import MixedSingleTaskGP
    from botorch.models.transforms import Standardize

    letters = torch.from_numpy(_letters(landscape)).double()
    dims = list(range(letters.shape[1]))

    def model(x: Any, y: Any) -> Any:
        return MixedSingleTaskGP(x, y, cat_dims=dims, outcome_transform=Standardize(1))

    return _by_botorch(model, letters, landscape, goal, seed, cap)


def _by_botorch(
    model: Callable[[Any, Any], Any], x: Any, landscape: Landscape, goal: Goal, seed: int, cap: int
) -> int:
    """Expected improvement over all designs after five random ones."""
    from botorch import fit_gpytorch_mll
    from botorch.acquisition import LogExpectedImprovement
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(seed)
    scores = landscape.values if goal == "maximize" else -landscape.values
    wanted = scores.max()
    wanted -= FOUND * abs(wanted)
    evaluated = list(np.random.default_rng(seed).choice(len(scores), min(5, cap), replace=False))
    for number, at in enumerate(evaluated, start=1):
        if scores[at] >= wanted:
            return number
    while len(evaluated) < cap:
        y = torch.from_numpy(scores[evaluated])[:, None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = model(x[evaluated], y)
            fit_gpytorch_mll(ExactMarginalLogLikelihood(fitted.likelihood, fitted))
            with torch.no_grad():
                value = LogExpectedImprovement(fitted, best_f=y.max())(x[:, None, :]).numpy()
        value[evaluated] = -np.inf
        evaluated.append(int(value.argmax()))
        if scores[evaluated[-1]] >= wanted:
            break
    return len(evaluated)


def baybe(landscape: Landscape, goal: Goal, seed: int, cap: int) -> int:
    """BayBE's categorical parameters and its default recommender, over the distinct designs."""
    import pandas
    from baybe import Campaign
    from baybe.objectives import SingleTargetObjective
    from baybe.parameters import CategoricalParameter
    from baybe.searchspace import SearchSpace
    from baybe.targets import NumericalTarget

    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  its generator is numpy's global one
    names = [f"layer {k}" for k in range(len(landscape.designs[0].sequence))]
    table = pandas.DataFrame([list(d.sequence) for d in landscape.designs], columns=names)
    letters = {name: sorted(set(table[name])) for name in names}
    layers = [CategoricalParameter(n, values=x) for n, x in letters.items() if len(x) > 1]
    columns = [layer.name for layer in layers]
    target = NumericalTarget("value", minimize=goal == "minimize")
    search = Campaign(
        SearchSpace.from_dataframe(table[columns], layers), SingleTargetObjective(target)
    )
    rows = {tuple(row): k for k, row in enumerate(table[columns].itertuples(index=False))}
    wanted = _wanted(landscape, goal)
    for number in range(1, cap + 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asked = search.recommend(1)
        value = float(landscape.values[rows[tuple(asked[columns].iloc[0])]])
        if abs(value - wanted) <= FOUND * abs(wanted):
            return number
        search.add_measurements(asked.assign(value=value))
    return cap


POLICIES: dict[str, Search] = {
    "product": campaign(BayesianProposer(), sequence_process),
    "graph-ensemble": campaign(BayesianProposer(), graph_ensemble),
    "random": campaign(RandomProposer(), None),
    "genetic": campaign(EvolutionProposer(), None),
    "plain": plain,
    "categorical": categorical,
    "baybe": baybe,
}


def spin_chain(seed: int, length: int = 12) -> Landscape:
    """Short-range and one periodic coupling, fields and triples, all drawn at random."""
    rng = np.random.default_rng(seed)
    bits = (np.arange(2**length)[:, None] >> np.arange(length)) & 1
    spins = 2.0 * bits - 1.0
    energy = np.zeros(len(spins))
    for distance in (1, 2, 3, int(rng.integers(4, 7))):
        coupling = rng.normal() / (distance if distance < 4 else 1.0)
        energy += coupling * (spins[:, distance:] * spins[:, :-distance]).sum(axis=1)
    field = rng.normal(size=length) * 0.3
    energy += spins @ (field + field[::-1]) / 2.0
    energy += 0.5 * rng.normal() * (spins[:, 2:] * spins[:, 1:-1] * spins[:, :-2]).sum(axis=1)
    values = np.exp(0.3 * (energy - energy.mean()) / energy.std())
    table = {"".join(map(str, row)): float(v) for row, v in zip(bits, values, strict=True)}
    return Landscape.of(f"spin chain {seed}", table, ["mirror"])


def read_table(path: Path, name: str) -> dict[str, float]:
    """Design to value, in the order of the file."""
    raw = path.read_bytes()
    text = (lzma.decompress(raw) if path.suffix == ".xz" else raw).decode()
    lines = [line for line in text.splitlines() if line.strip()]
    if ".jsonl" in path.name:
        rows = [json.loads(line) for line in lines]
        return {str(r.get("sequence", r.get("id"))): float(r[name]) for r in rows if name in r}
    return {design: float(value) for design, value in map(str.split, lines)}


def _stack(path: Path) -> Stack | None:
    """Layers and leads of a config's designs."""
    settings: Any = load_config(path).space
    space: Any = superlattice_space(settings)
    return next(iter(space)).stack


def _wanted(landscape: Landscape, goal: Goal) -> float:
    return float(landscape.values.min() if goal == "minimize" else landscape.values.max())


def _measured(design: Any, value: float) -> Measured:
    return Measured(
        material=design,
        fidelity="table",
        method="table",
        cost_s=1.0,
        stage="lookup",
        properties={"value": Quantity(value=value, unit="")},
    )


def _letters(landscape: Landscape) -> NDArray[np.int64]:
    names = sorted({letter for design in landscape.designs for letter in design.sequence})
    return np.array([[names.index(letter) for letter in d.sequence] for d in landscape.designs])


def report(
    label: str, policy: str, goal: Goal, runs: Sequence[tuple[Landscape, int]], cap: int
) -> None:
    """One row of the table."""
    began = time.perf_counter()
    counts = [POLICIES[policy](landscape, goal, seed, cap) for landscape, seed in runs]
    each = (time.perf_counter() - began) / sum(counts)
    share = 100.0 / len(runs[0][0].values)
    print(
        f"| {label} | {len(runs[0][0].values)} | {goal} | {policy} | {np.median(counts):g} "
        f"({share * np.median(counts):.2f} %) | {np.quantile(counts, 0.95):.1f} | {max(counts)}"
        f"{' (cap)' if max(counts) == cap else ''} | {each:.2f} s |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--symmetries", type=json.loads, default=[])
    parser.add_argument("--config", type=Path, default=None)
    parser.add_argument("--goals", default=",".join(GOALS))
    parser.add_argument("--property", default="conductance")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cap", type=int, default=300)
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--controls", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = read_table(arguments.table, arguments.property)
    stack = None if arguments.config is None else _stack(arguments.config)
    landscape = Landscape.of(arguments.table.name, table, arguments.symmetries, stack)
    print("| designs | distinct | goal | policy | median | 95th percentile | worst | each |")
    print("|---|---|---|---|---|---|---|---|")
    names = arguments.policies.split(",")
    goals = [goal for goal in GOALS if goal in arguments.goals.split(",")]
    for goal in goals:
        for policy in names:
            runs = [(landscape, seed) for seed in range(arguments.seeds)]
            report(landscape.name, policy, goal, runs, arguments.cap)
    if arguments.controls:
        runs = [(landscape.permuted(seed), seed) for seed in range(arguments.seeds)]
        report(f"{landscape.name}, permuted", "product", "minimize", runs, arguments.cap)
        first = secrets.randbelow(10**6)
        chains = [(spin_chain(first + seed), seed) for seed in range(arguments.seeds)]
        for goal in goals:
            for policy in ("product", "plain"):
                label = f"spin chains {first} and on"
                report(label, policy, goal, chains, arguments.cap)


if __name__ == "__main__":
    main()
