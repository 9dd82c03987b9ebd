"""Lower fidelities are used when they are good, and detected and ignored when they mislead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from oracle.contract.evaluation import Measured, Quantity, Unstable
from oracle.materials.crystal import Crystal
from surrogate.contract.protocol import Output, Posterior
from surrogate.contract.settings import (
    GaussianProcessSettings,
    GraphEnsembleSettings,
    MultiFidelitySettings,
)
from surrogate.features.feature_store import FeatureStore
from surrogate.fidelities.low_fidelity_descriptors import (
    LOW_FIDELITY_PROPERTIES,
    LowFidelityDescriptors,
)
from surrogate.fidelities.trust import PRIOR, Trust, trust
from surrogate.models.base import BaseSurrogate
from surrogate.models.gaussian_process import GaussianProcess
from surrogate.models.graph.graph_ensemble import GraphEnsemble
from surrogate.models.multi_fidelity import MultiFidelityProcess

KAPPA = Output("kappa", 300.0)
KINDS: dict[str, Any] = {
    "graph-ensemble": (GraphEnsemble, GraphEnsembleSettings(members=3, steps=15)),
    "gaussian-process": (GaussianProcess, GaussianProcessSettings()),
    "multi-fidelity": (MultiFidelityProcess, MultiFidelitySettings()),
}


def crystal(k: int) -> Crystal:
    a = 2.5 + 0.002 * k
    return Crystal(
        lattice=((0.0, a, a), (a, 0.0, a), (a, a, 0.0)),
        species=("Na", "Cl"),
        positions=((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)),
    )


MATERIALS = [crystal(k) for k in range(40)]


def measured(material: Crystal, value: float, fidelity: str, **more: Quantity) -> Measured:
    return Measured(
        material=material,
        fidelity=fidelity,
        method="m",
        cost_s=36000.0 if fidelity == "dft" else 30.0,
        stage="bte",
        temperature=(300.0,),
        properties={"kappa": Quantity(value=10.0**value, unit="W/m/K"), **more},
    )


def unstable(material: Crystal) -> Unstable:
    return Unstable(material=material, fidelity="bte", method="m", cost_s=30.0, stage="stability")


class Case:
    """A truth that descriptors explain only in part, and a good and a bad approximation of it."""

    def __init__(self, store: FeatureStore, seed: int) -> None:
        rng = np.random.default_rng(seed)
        smooth = np.array([store.truth(m) for m in MATERIALS])  # type: ignore[attr-defined]
        self.truth = smooth + 0.4 * rng.standard_normal(40)
        self.good = 0.3 + self.truth + 0.05 * rng.standard_normal(40)
        self.bad = -1.0 + 0.8 * rng.standard_normal(40)
        self.store = store

    def surrogate(self, kind: str) -> BaseSurrogate:
        surrogate_class, settings = KINDS[kind]
        surrogate: BaseSurrogate = surrogate_class(
            (KAPPA,), "dft", seed=1, store=self.store, settings=settings
        )
        return surrogate

    def labels(self, count: int) -> list[Measured]:
        return [measured(MATERIALS[k], self.truth[k], "dft") for k in range(count)]

    def low_fidelity(self, values: np.ndarray, rows: Sequence[int] = range(40)) -> list[Measured]:
        return [measured(MATERIALS[k], float(values[k]), "bte") for k in rows]

    def predicted(
        self, kind: str, evaluations: Sequence[Measured | Unstable]
    ) -> tuple[Posterior, dict[str, Trust]]:
        surrogate = self.surrogate(kind)
        surrogate.fit(evaluations)
        posterior = surrogate.posterior(MATERIALS, outputs=[KAPPA], fidelity="dft")
        return posterior, surrogate.trusts

    def error(self, posterior: Posterior, after: int) -> float:
        return float(np.abs(posterior.mean[after:, 0] - self.truth[after:]).mean())


@pytest.fixture(params=[0, 1, 2])
def case(request: pytest.FixtureRequest, synthetic: FeatureStore) -> Case:
    return Case(synthetic, request.param)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_good_fidelity_is_used(kind: str, case: Case) -> None:
    labels_only = case.error(case.predicted(kind, case.labels(12))[0], 12)
    posterior, trusts = case.predicted(kind, [*case.labels(12), *case.low_fidelity(case.good)])
    assert case.error(posterior, 12) < 0.5 * labels_only
    assert trusts["bte"].weight > 0.95
    assert trusts["bte"].correlation > 0.7
    assert trusts["bte"].misleads < 0.1


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_misleading_fidelity_is_detected_and_ignored(kind: str, case: Case) -> None:
    labels_only = case.predicted(kind, case.labels(12))[0]
    posterior, trusts = case.predicted(kind, [*case.labels(12), *case.low_fidelity(case.bad)])
    assert case.error(posterior, 12) < 1.15 * case.error(labels_only, 12)
    assert trusts["bte"].misleads > 0.5
    assert trusts["bte"].correlation < 0.4


@pytest.mark.parametrize("kind", list(KINDS))
def test_instability_at_a_lower_fidelity_is_not_decisive(kind: str, case: Case) -> None:
    """A material that is unstable at the lower fidelity keeps the uncertainty of an unknown one."""
    rows = range(35)
    evaluations: list[Measured | Unstable] = [
        *case.labels(12),
        *case.low_fidelity(case.good, rows),
        *map(unstable, MATERIALS[35:]),
    ]
    posterior, _ = case.predicted(kind, evaluations)
    assert posterior.std[35:, 0].mean() > 2.0 * posterior.std[12:35, 0].mean()
    assert posterior.p_stable[35:].min() > 0.5
    inside = np.abs(posterior.mean[35:, 0] - case.truth[35:]) < 2.5 * posterior.std[35:, 0]
    assert inside.mean() >= 0.8


@pytest.mark.parametrize("kind", list(KINDS))
def test_low_fidelity_values_without_labels_give_a_prior(kind: str, case: Case) -> None:
    posterior, trusts = case.predicted(kind, case.low_fidelity(case.good))
    order = np.corrcoef(posterior.mean[:, 0], case.truth)[0, 1]
    assert order > 0.6
    assert trusts["bte"].weight == pytest.approx(PRIOR.weight)


def test_trust_before_and_after_labels() -> None:
    assert 0.3 < PRIOR.slope < 0.7
    assert PRIOR.weight == pytest.approx(0.7)
    rng = np.random.default_rng(0)
    low = rng.standard_normal(15)

    def trust_from(labels: np.ndarray) -> Trust:
        n = len(labels)
        return trust(labels, np.zeros(n), low[:n], np.eye(n), spread=1.0, low_spread=1.0)

    correlated = trust_from(0.2 + low + 0.1 * rng.standard_normal(15))
    assert correlated.slope == pytest.approx(1.0, abs=0.1)
    assert correlated.residual_size < 0.3
    unrelated = trust_from(rng.standard_normal(15))
    assert unrelated.slope < 0.25
    few = trust_from(rng.standard_normal(2))
    assert unrelated.slope < few.slope < correlated.slope
    assert trust_from(np.zeros(0)).weight == pytest.approx(PRIOR.weight)


def test_low_fidelity_results_are_descriptors(synthetic: FeatureStore) -> None:
    """A truth that depends on a hidden variable, which only the anharmonicity reveals."""
    rng = np.random.default_rng(3)
    hidden = rng.uniform(-1.5, 0.0, 40)
    truth = np.array([synthetic.truth(m) for m in MATERIALS]) - hidden  # type: ignore[attr-defined]
    labels = [measured(MATERIALS[k], truth[k], "dft") for k in range(25)]

    def harmonic(k: int, *, informative: bool) -> Measured:
        value = Quantity(value=10.0 ** hidden[k], unit="")
        more = {"anharmonicity": value} if informative else {}
        return measured(MATERIALS[k], 1.0, "bte", **more)

    def error(*, informative: bool) -> float:
        surrogate = MultiFidelityProcess((KAPPA,), "dft", seed=0, store=synthetic)
        surrogate.fit([*labels, *(harmonic(k, informative=informative) for k in range(40))])
        posterior = surrogate.posterior(MATERIALS[25:], outputs=[KAPPA], fidelity="dft")
        return float(np.abs(posterior.mean[:, 0] - truth[25:]).mean())

    assert error(informative=True) < 0.7 * error(informative=False)


def test_descriptors_exclude_the_predicted_fidelity() -> None:
    low = measured(MATERIALS[0], 1.0, "bte", max_msd=Quantity(value=0.1, unit="Å²"))
    middle = measured(MATERIALS[0], 1.0, "fine", max_msd=Quantity(value=0.001, unit="Å²"))
    high = measured(MATERIALS[1], 1.0, "dft", max_msd=Quantity(value=0.1, unit="Å²"))
    by_fidelity = {e.fidelity: {e.material.digest: e} for e in (low, middle, high)}
    rows = LowFidelityDescriptors.of(by_fidelity, "dft").rows
    assert set(rows) == {MATERIALS[0].digest}
    column = list(LOW_FIDELITY_PROPERTIES).index("max_msd")
    assert rows[MATERIALS[0].digest][column] == pytest.approx(-2.0)
    assert np.isnan(np.delete(rows[MATERIALS[0].digest], column)).all()
