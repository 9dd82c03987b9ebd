"""Accuracy and calibration of the surrogates on real data."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr

from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.crystal import Crystal
from oracle.materials.superlattice import Superlattice
from surrogate.contract.calibration import coverage
from surrogate.contract.protocol import Output
from surrogate.contract.settings import GaussianProcessSettings
from surrogate.features.feature_store import FeatureStore
from surrogate.models.base import BaseSurrogate
from surrogate.models.gaussian_process import GaussianProcess
from surrogate.models.graph.graph_ensemble import GraphEnsemble

EXAMPLES = Path(__file__).parents[3] / "shared" / "examples"
KAPPA = Output("kappa", 300.0)
Make = Callable[[FeatureStore, int], BaseSurrogate]
SURROGATES: dict[str, Make] = {
    "graph-ensemble": lambda store, seed: GraphEnsemble([KAPPA], "dft", seed=seed, store=store),
    "gaussian-process": lambda store, seed: GaussianProcess([KAPPA], "dft", seed=seed, store=store),
}


@dataclass(frozen=True)
class KappaTable:
    """Compounds with kappa of density functional theory at 300 K, W/m/K."""

    crystals: list[Crystal]
    kappa: NDArray[np.float64]
    store: FeatureStore

    def evaluations(self, index: Sequence[int] | NDArray[np.int64]) -> list[Measured]:
        return [
            Measured(
                material=self.crystals[i],
                fidelity="dft",
                method="published",
                cost_s=1.0,
                stage="bte",
                temperature=(300.0,),
                properties={"kappa": Quantity(value=float(self.kappa[i]), unit="W/m/K")},
            )
            for i in index
        ]


@pytest.fixture(scope="session")
def kappa_table(tmp_path_factory: pytest.TempPathFactory) -> KappaTable:
    """56 compounds of PhononDB, with features of 7net-0 (about 0.4 s each)."""
    if not EXAMPLES.is_dir():
        pytest.skip(f"needs the reference data in {EXAMPLES}")
    pytest.importorskip("sevenn", exc_type=ImportError)
    from pymatgen.core.structure import Structure

    truth = {
        row["id"]: row["kappa_dft"]
        for row in map(json.loads, (EXAMPLES / "crystals_table.jsonl").read_text().splitlines())
    }
    rows = [json.loads(x) for x in (EXAMPLES / "crystals_pool.jsonl").read_text().splitlines()]
    crystals = [Crystal.from_structure(Structure.from_dict(row["structure"])) for row in rows]
    store = FeatureStore("7net-0", tmp_path_factory.mktemp("features"))
    store.get(crystals)
    return KappaTable(crystals, np.array([truth[row["id"]] for row in rows]), store)


@dataclass(frozen=True)
class Trials:
    """Predictions of held-out log10 kappa, all splits in a row; `error_of_mean` is of the mean of
    the labels.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    truth: NDArray[np.float64]
    rank: float
    error_of_mean: float

    @property
    def error(self) -> float:
        return float(np.abs(self.mean - self.truth).mean())


def held_out(table: KappaTable, make: Make, labels: int, splits: int = 8) -> Trials:
    truth = np.log10(table.kappa)
    means, stds, truths, ranks, plain = [], [], [], [], []
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(truth))
        known, rest = order[:labels], order[labels:]
        surrogate = make(table.store, seed)
        surrogate.fit(table.evaluations(known))
        posterior = surrogate.posterior(
            [table.crystals[i] for i in rest], outputs=[KAPPA], fidelity="dft"
        )
        means.append(posterior.mean[:, 0])
        stds.append(posterior.std[:, 0])
        truths.append(truth[rest])
        ranks.append(spearmanr(posterior.mean[:, 0], truth[rest])[0])
        plain.append(np.abs(truth[rest] - truth[known].mean()).mean())
    return Trials(
        np.concatenate(means),
        np.concatenate(stds),
        np.concatenate(truths),
        float(np.mean(ranks)),
        float(np.mean(plain)),
    )


@pytest.mark.parametrize("kind", sorted(SURROGATES))
class TestOnPhononDB:
    """Kappa of 56 compounds by density functional theory, features of 7net-0."""

    def test_thirty_labels(self, kappa_table: KappaTable, kind: str) -> None:
        trials = held_out(kappa_table, SURROGATES[kind], 30)
        assert trials.error < 0.5 * trials.error_of_mean
        assert trials.rank > 0.8
        one, two, n = coverage(trials.mean, trials.std, trials.truth)
        assert n == 8 * 26
        assert 0.55 <= one <= 0.80
        assert 0.85 <= two <= 0.99
        assert spearmanr(trials.std, np.abs(trials.mean - trials.truth))[0] > 0.25

    def test_five_labels_need_the_prior(
        self, kappa_table: KappaTable, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with_prior = held_out(kappa_table, SURROGATES[kind], 5)
        monkeypatch.setattr(
            "surrogate.training_data.targets.prior_mean", lambda output, descriptors: None
        )
        without = held_out(kappa_table, SURROGATES[kind], 5)
        assert with_prior.error < 0.9 * without.error
        assert with_prior.error < 0.75 * with_prior.error_of_mean
        assert with_prior.rank > 0.65

    def test_before_any_label(self, kappa_table: KappaTable, kind: str) -> None:
        posterior = SURROGATES[kind](kappa_table.store, 0).posterior(
            kappa_table.crystals, outputs=[KAPPA], fidelity="dft"
        )
        truth = np.log10(kappa_table.kappa)
        assert spearmanr(posterior.mean[:, 0], truth)[0] > 0.55
        one, two, _ = coverage(posterior.mean[:, 0], posterior.std[:, 0], truth)
        assert one > 0.55
        assert two > 0.9


def test_expected_improvement_finds_the_best_sequence() -> None:
    """Lowest conductance of 1,798 arrangements of silicon and germanium layers."""
    if not EXAMPLES.is_dir():
        pytest.skip(f"needs the reference data in {EXAMPLES}")
    rows = [json.loads(x) for x in (EXAMPLES / "sequences_table.jsonl").read_text().splitlines()]
    pool = [Superlattice(sequence=row["id"]) for row in rows]
    truth = np.log10([row["conductance"] for row in rows])
    output = Output("conductance")
    # Expected improvement needs no covariance between sequences, only exact variances.
    quick = GaussianProcessSettings(exact_limit=100)
    calls = []
    for seed in (1, 2, 3):
        known = list(np.random.default_rng(seed).choice(len(pool), 5, replace=False))
        while truth[known].min() > truth.min() and len(known) < 70:
            surrogate = GaussianProcess(
                [output], "green", seed=seed, store=FeatureStore("7net-0"), settings=quick
            )
            surrogate.fit(
                [
                    Measured(
                        material=pool[i],
                        fidelity="green",
                        method="table",
                        cost_s=1.0,
                        stage="lookup",
                        properties={"conductance": Quantity(value=10.0 ** truth[i], unit="")},
                    )
                    for i in known
                ]
            )
            posterior = surrogate.posterior(pool, outputs=[output], fidelity="green")
            mean, spread = posterior.mean[:, 0], posterior.epistemic[:, 0]
            gain = (truth[known].min() - mean) / spread
            promise = spread * (gain * norm.cdf(gain) + norm.pdf(gain))
            promise[known] = -np.inf
            known.append(int(np.argmax(promise)))
        calls.append(len(known))
    # At random, 70 of 1,798 would hold the best once in 26 searches.
    assert sorted(calls)[1] < 45
    assert max(calls) < 70


def test_a_table_without_noise_does_not_stop_the_process() -> None:
    """Integer counts without noise: the likelihood has no maximum in the noise scale."""
    output = Output("conductance")
    rng = np.random.default_rng(0)
    designs = sorted({"".join(rng.choice(list("01"), 16)) for _ in range(900)})
    # The best come first, as in a campaign that has found them.
    designs.sort(key=lambda d: sum(a != b for a, b in itertools.pairwise(d)))
    values = [100.0 + sum(a != b for a, b in itertools.pairwise(d)) for d in designs]
    surrogate = GaussianProcess([output], "table", seed=0, store=FeatureStore("7net-0"))
    for known in (100, 400, 600):
        surrogate.fit(
            [
                Measured(
                    material=Superlattice(sequence=design),
                    fidelity="table",
                    method="table",
                    cost_s=0.0,
                    stage="lookup",
                    properties={"conductance": Quantity(value=value, unit="")},
                )
                for design, value in zip(designs[:known], values[:known], strict=True)
            ]
        )
        left = [Superlattice(sequence=d) for d in designs[known : known + 100]]
        posterior = surrogate.posterior(left, outputs=[output], fidelity="table")
        assert np.isfinite(posterior.mean).all()
        assert np.isfinite(posterior.std).all()
        rank_correlation = spearmanr(posterior.mean[:, 0], values[known : known + 100]).statistic
        assert np.isnan(rank_correlation) or rank_correlation > 0.5  # all left may be equally good
