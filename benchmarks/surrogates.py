"""How much each surrogate learns per label, and whether its stated uncertainties are true.

    python benchmarks/surrogates.py TABLE [--cache FOLDER] [--splits N] [--only NAME ...]

TABLE is what `benchmarks/label_table.py` wrote. Of the crystals that were measured, 8, 16, 32 and
64 are labels, the others are asked for; 20 random splits, the same for all. Unstable ones teach
stability. Printed are mean absolute error of log10 kappa (300 K) and Spearman's rank correlation,
the error divided by that of the better baseline split by split, how much of the truth lies within
the stated 68 and 95 % intervals, and how well p_stable tells stable from unstable crystals: with
as many unstable labels as belong to those sizes, and with 64 labels of both kinds together.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.structure import Structure
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from oracle.contract.evaluation import Measured, Quantity, Unstable
from oracle.materials.crystal import Crystal
from oracle.runtime.threads import pinned_threads
from surrogate.contract.calibration import calibrate
from surrogate.contract.protocol import Output, Surrogate
from surrogate.features.composition import described
from surrogate.features.feature_store import FeatureStore
from surrogate.models.forests import GradientBoosting, RandomForest
from surrogate.models.gaussian_process import GaussianProcess
from surrogate.models.graph.graph_ensemble import GraphEnsemble

Array = NDArray[np.float64]
Outcome = Measured | Unstable
KAPPA = Output("kappa", 300.0)
SIZES = (8, 16, 32, 64)
IN_ALL = 64
"""Labels, stable and unstable together, with which stability alone is judged once more."""
BASELINES = ("random forest", "plain Gaussian process")


@dataclass(frozen=True)
class Line:
    """One crystal of the table, with its evaluations at the high and at the low fidelity."""

    crystal: Crystal
    dear: Outcome
    cheap: Outcome


@dataclass(frozen=True)
class Answer:
    """Predictions (n,) of log10 kappa with standard deviations, and p_stable of some others."""

    mean: Array
    std: Array
    auc: float


Method = Callable[[Sequence[Line], Sequence[Line], Sequence[Line], int], Answer]
"""(labels, asked for kappa, asked for stability, seed) to answer."""


def read(path: Path) -> list[Line]:
    """The table's lines that are measured or unstable."""
    content = path.read_bytes()
    text = (lzma.decompress(content) if path.suffix == ".xz" else content).decode()
    rows = [json.loads(line) for line in text.splitlines()]
    return [line(row) for row in rows if row["stable"] is not None]


def line(row: dict[str, Any]) -> Line:
    """Evaluations as the oracle would have given them."""
    crystal = Crystal.from_structure(Structure.from_dict(row["structure"]))
    return Line(
        crystal,
        _outcome(crystal, "bte", row["stable"], row["kappa_300K"], row["std_300K"]),
        _outcome(crystal, "harmonic", row["stable_harmonic"], row["kappa_harmonic"], None),
    )


def _outcome(
    crystal: Crystal, fidelity: str, stable: bool, kappa: float | None, std: float | None
) -> Outcome:
    common: dict[str, Any] = {
        "material": crystal, "fidelity": fidelity, "method": "table", "cost_s": 1.0,
        "stage": "bte",
    }  # fmt: skip
    if not stable or kappa is None:
        return Unstable(**common)
    kappa_quantity = Quantity(value=[kappa], unit="W/m/K", std=std and [std], per_temperature=True)
    return Measured(**common, temperature=(300.0,), properties={"kappa": kappa_quantity})


def _asked(surrogate: Surrogate, asked: Sequence[Line], judged: Sequence[Line]) -> Answer:
    crystals = [line.crystal for line in (*asked, *judged)]
    posterior = surrogate.posterior(crystals, outputs=[KAPPA], fidelity="bte")
    truth = [isinstance(line.dear, Measured) for line in judged]
    auc = float(roc_auc_score(truth, posterior.p_stable[len(asked) :]))
    n = len(asked)
    return Answer(posterior.mean[:n, 0], posterior.std[:n, 0], auc)


def of_kind(kind: Any, store: FeatureStore, *, cheap: bool = False) -> Method:
    """A method of this project's own surrogates, with or without the cheap fidelity of all."""

    def method(
        labels: Sequence[Line], asked: Sequence[Line], judged: Sequence[Line], seed: int
    ) -> Answer:
        surrogate = kind([KAPPA], "bte", seed=seed, store=store)
        others = (*labels, *asked, *judged) if cheap else ()
        surrogate.fit([*(x.dear for x in labels), *(x.cheap for x in others)])
        return _asked(surrogate, asked, judged)

    return method


def audited(kind: Any, store: FeatureStore) -> Method:
    """The same, with spreads calibrated as a campaign does it.

    Labels come in rounds of 8, 8, 16 and 32; all are drawn at random, so that each round's are
    audit trials of what was believed before it.
    """

    def method(
        labels: Sequence[Line], asked: Sequence[Line], judged: Sequence[Line], seed: int
    ) -> Answer:
        measured = [x for x in labels if isinstance(x.dear, Measured)]
        others = [x for x in labels if not isinstance(x.dear, Measured)]
        means, spreads, truths = [], [], []
        for count in (n for n in SIZES if n < len(measured)):
            before = [*measured[:count], *others[: round(len(others) * count / len(measured))]]
            trials = measured[count : 2 * count]
            answer = of_kind(kind, store)(before, trials, judged, seed)
            means += list(answer.mean)
            spreads += list(answer.std)
            truths += [math.log10(_kappa(x)) for x in trials]
        surrogate = kind([KAPPA], "bte", seed=seed, store=store)
        calibration = calibrate(np.array(means), np.array(spreads), np.array(truths))
        surrogate.fit([x.dear for x in labels], calibration=calibration)
        return _asked(surrogate, asked, judged)

    return method


def plain_process(
    labels: Sequence[Line], asked: Sequence[Line], judged: Sequence[Line], seed: int
) -> Answer:
    """scikit-learn's process on standardised matminer descriptors, as anyone would set it up."""
    measured = [x for x in labels if isinstance(x.dear, Measured)]
    y = np.array([math.log10(_kappa(x)) for x in measured])
    scaler = StandardScaler().fit([_row(x) for x in labels])
    x, new = (scaler.transform([_row(x) for x in part]) for part in (measured, asked))
    width = x.shape[1] ** 0.5
    kernel = ConstantKernel(1.0) * RBF(width, (0.05 * width, 50 * width)) + WhiteKernel(0.1)
    process = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1,
                                       random_state=seed)  # fmt: skip
    process.fit(x, y)
    mean, std = process.predict(new, return_std=True)
    return Answer(mean, std, float("nan"))


def _row(line: Line) -> Array:
    return np.nan_to_num(described(line.crystal))


def _kappa(line: Line) -> float:
    assert isinstance(line.dear, Measured)
    return float(line.dear.properties["kappa"].value[0])


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share out of n (Wilson, J. Am. Stat. Assoc. 22, 209 (1927))."""
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def run(
    lines: Sequence[Line], method: Method, size: int, splits: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Errors (splits, n), spreads (splits, n), ranks (splits,), AUC (splits,), seconds (splits,).

    As many unstable crystals as belong to `size` measured ones are labels too.
    """
    stable = [x for x in lines if isinstance(x.dear, Measured)]
    soft = [x for x in lines if not isinstance(x.dear, Measured)]
    truth = {x.crystal.digest: math.log10(_kappa(x)) for x in stable}
    with_them = round(size * len(soft) / len(stable))
    errors, spreads, ranks, areas, seconds = [], [], [], [], []
    for split in range(splits):
        rng = np.random.default_rng([split, 17])
        order, others = rng.permutation(len(stable)), rng.permutation(len(soft))
        labels = [*(stable[i] for i in order[:size]), *(soft[i] for i in others[:with_them])]
        asked = [stable[i] for i in order[max(SIZES) :]]
        judged = [*asked, *(soft[i] for i in others[with_them:])]
        began = time.perf_counter()
        answer = method(labels, asked, judged, split)
        seconds.append(time.perf_counter() - began)
        known = np.array([truth[x.crystal.digest] for x in asked])
        errors.append(answer.mean - known)
        spreads.append(answer.std)
        ranks.append(float(stats.spearmanr(answer.mean, known).statistic))
        areas.append(answer.auc)
    return np.array(errors), np.array(spreads), np.array(ranks), np.array(areas), np.array(seconds)


def ratio(ours: Array, theirs: Array) -> tuple[float, float, float]:
    """Geometric mean of paired ratios with its 95 % interval, from n splits."""
    logs = np.log(ours / theirs)
    half = float(stats.t.ppf(0.975, len(logs) - 1)) * logs.std(ddof=1) / math.sqrt(len(logs))
    return tuple(float(np.exp(logs.mean() + h)) for h in (0.0, -half, half))  # type: ignore[return-value]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=None)
    arguments = parser.parse_args()
    lines = read(arguments.table)
    cache = arguments.cache or Path(tempfile.mkdtemp())
    store = FeatureStore("7net-0", cache)
    store.get([x.crystal for x in lines])
    softer = FeatureStore("7net-0", cache, phonons=True)
    began = time.perf_counter()
    softer.get([x.crystal for x in lines])
    phonons_s = time.perf_counter() - began
    methods: dict[str, Method] = {
        "random forest": of_kind(RandomForest, store),
        "plain Gaussian process": plain_process,
        "gradient boosting": of_kind(GradientBoosting, store),
        "Gaussian process on the potential's features": of_kind(GaussianProcess, store),
        "graph ensemble": of_kind(GraphEnsemble, store),
        "graph ensemble, phonons of a doubled cell": of_kind(GraphEnsemble, softer),
        "the same, calibrated by audits": audited(GraphEnsemble, softer),
        "graph ensemble, harmonic known": of_kind(GraphEnsemble, store, cheap=True),
    }
    if arguments.only:
        methods = {k: v for k, v in methods.items() if k in arguments.only}
    stable = sum(isinstance(x.dear, Measured) for x in lines)
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}")
    print(f"{len(lines)} crystals, {stable} stable; {arguments.splits} splits")
    print(f"{phonons_s:.0f} s for the phonons of all doubled cells, less where they were cached\n")
    print("| surrogate | labels | error | Spearman | to the better baseline | within 68 % "
          "| within 95 % | spread and error | AUC of p_stable | s |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    mae: dict[tuple[str, int], Array] = {}
    with pinned_threads():
        for name, method in methods.items():
            for size in SIZES:
                errors, spreads, ranks, areas, seconds = run(lines, method, size, arguments.splits)
                mae[name, size] = np.abs(errors).mean(axis=1)
                against = [mae[b, size] for b in BASELINES if (b, size) in mae]
                text = ""
                if name not in BASELINES and against:
                    best = min(against, key=lambda x: float(x.mean()))
                    text = "{:.2f} ({:.2f} to {:.2f})".format(*ratio(mae[name, size], best))
                scores = np.abs(errors) / spreads
                shares = [float((scores < z).mean()) for z in (0.9945, 1.96)]
                bounds = [wilson(s, scores.size) for s in shares]
                within = [
                    f"{s:.2f} ({a:.2f}-{b:.2f})" for s, (a, b) in zip(shares, bounds, strict=True)
                ]
                rho = stats.spearmanr(spreads.ravel(), np.abs(errors).ravel()).statistic
                print(
                    f"| {name} | {size} | {mae[name, size].mean():.3f} | {ranks.mean():.2f} "
                    f"| {text} | {within[0]} | {within[1]} | {rho:.2f} | {areas.mean():.2f} "
                    f"| {seconds.mean():.1f} |",
                    flush=True,
                )
        few = round(IN_ALL * stable / len(lines))
        print(f"\n{IN_ALL} labels in all, of which {few} stable:\n")
        print("| surrogate | AUC of p_stable | worst split |")
        print("|---|---|---|")
        for name, method in methods.items():
            *_, areas, _ = run(lines, method, few, arguments.splits)
            print(f"| {name} | {areas.mean():.2f} | {areas.min():.2f} |", flush=True)


if __name__ == "__main__":
    main()
