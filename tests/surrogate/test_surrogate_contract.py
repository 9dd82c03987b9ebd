"""The contract of all surrogates, tested on crystals, sequences, pairs and compositions."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pymatgen.core.periodic_table import Element
from scipy.stats import spearmanr

from oracle.contract.evaluation import Failed, Measured, Outcome, Quantity, Unstable
from oracle.materials.composition import Composition
from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from oracle.materials.material import Material
from oracle.materials.superlattice import Superlattice
from surrogate.contract.protocol import Calibration, Output, Posterior, Surrogate
from surrogate.contract.settings import (
    GaussianProcessSettings,
    GradientBoostingSettings,
    GraphEnsembleSettings,
    MultiFidelitySettings,
    RandomForestSettings,
)
from surrogate.features.crystal_features import CrystalFeatures
from surrogate.features.feature_store import FeatureStore
from surrogate.features.material_inputs import MaterialInputs
from surrogate.models.base import BaseSurrogate
from surrogate.models.forests import GradientBoosting, RandomForest
from surrogate.models.gaussian_process import GaussianProcess
from surrogate.models.graph.graph_ensemble import GraphEnsemble
from surrogate.models.multi_fidelity import MultiFidelityProcess
from surrogate.models.sequence_process import SequenceProcess
from surrogate.models.stability import PRIOR_STABLE

KAPPA = Output("kappa", 300.0)
METALS = ("Li", "Na", "K", "Mg", "Ca", "Zn", "Cd", "Al")
NONMETALS = ("F", "Cl", "Br", "O", "S", "Se", "N")


def crystal(k: int) -> Crystal:
    """The k-th of many distinct rocksalt cells."""
    a = 2.5 + 0.002 * k
    return Crystal(
        lattice=((0.0, a, a), (a, 0.0, a), (a, a, 0.0)),
        species=("Na", "Cl"),
        positions=((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)),
    )


def measured(
    material: Material, log_value: float, std: float | None = None, fidelity: str = "bte"
) -> Measured:
    value = 10.0**log_value
    return Measured(
        material=material,
        fidelity=fidelity,
        method="m",
        cost_s=1.0,
        stage="bte",
        temperature=(300.0,),
        properties={
            "kappa": Quantity(value=value, unit="W/m/K", std=std and std * value * np.log(10)),
            "heat_capacity": Quantity(value=40.0 + log_value, unit="J/K/mol"),
        },
    )


def unstable(material: Material, fidelity: str = "bte") -> Unstable:
    return Unstable(material=material, fidelity=fidelity, method="m", cost_s=1.0, stage="stability")


def failed(material: Material, stage: str, *, permanent: bool) -> Failed:
    return Failed(
        material=material,
        fidelity="bte",
        method="m",
        cost_s=1.0,
        stage=stage,
        message="x",
        permanent=permanent,
    )


def running(
    material: Material, log_value: float, slope: float, temperatures: Sequence[float]
) -> Measured:
    """Kappa that follows a power of the temperature; `log_value` is that at 300 K."""
    values = [10.0 ** (log_value + slope * np.log10(t / 300.0)) for t in temperatures]
    return measured(material, log_value).model_copy(
        update={
            "temperature": tuple(temperatures),
            "properties": {"kappa": Quantity(value=values, unit="W/m/K", per_temperature=True)},
        }
    )


class SurrogateContract(ABC):
    """Inherited by each pair of surrogate and kind of material, which bring a fixture `materials`:
    60 distinct ones.
    """

    @abstractmethod
    def truth(self, material: Any) -> float:
        """log10 of kappa."""

    @abstractmethod
    def make(self, outputs: Sequence[Output] = (KAPPA,), seed: int = 3) -> BaseSurrogate:
        """A surrogate that was never fitted."""

    def ask(self, surrogate: BaseSurrogate, materials: Sequence[Material]) -> Posterior:
        return surrogate.posterior(materials, outputs=[KAPPA], fidelity="bte")

    def fitted(self, evaluations: Sequence[Outcome]) -> BaseSurrogate:
        surrogate = self.make()
        surrogate.fit(evaluations)
        return surrogate

    def labels(self, materials: Sequence[Material]) -> list[Measured]:
        return [measured(m, self.truth(m)) for m in materials]

    def test_is_a_surrogate(self) -> None:
        assert isinstance(self.make(), Surrogate)

    def test_shapes_and_ranges(self, materials: list[Material]) -> None:
        surrogate = self.make((KAPPA, Output("heat_capacity", None, log=False)))
        surrogate.fit([*self.labels(materials[:8]), unstable(materials[8])])
        queried = materials[5:25]
        both = [KAPPA, Output("heat_capacity", None, log=False)]
        posterior = surrogate.posterior(queried, outputs=both, fidelity="bte")
        assert posterior.mean.shape == posterior.aleatoric.shape == (20, 2)
        assert posterior.root.shape[:2] == (2, 20)
        assert posterior.epistemic.shape == posterior.std.shape == (20, 2)
        assert np.all(posterior.epistemic > 0)
        assert np.all(posterior.aleatoric > 0)
        assert np.all((posterior.p_stable > 0) & (posterior.p_stable < 1))
        assert np.allclose(posterior.mean[:, 1] - posterior.mean[:, 0], 40.0, atol=1.0)
        one = surrogate.posterior(queried, outputs=both[1:], fidelity="bte")
        assert np.allclose(one.mean[:, 0], posterior.mean[:, 1])

    def test_equal_bit_for_bit(self, materials: list[Material]) -> None:
        evaluations: list[Outcome] = [*self.labels(materials[:9]), unstable(materials[9])]
        first = self.ask(self.fitted(evaluations), materials)
        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            surrogate = self.fitted([unstable(materials[20])])
            surrogate.fit(evaluations)  # an earlier fit has no influence
            second = self.ask(surrogate, materials)
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(before)
        assert np.array_equal(first.mean, second.mean)
        assert np.array_equal(first.root, second.root)
        assert np.array_equal(first.aleatoric, second.aleatoric)
        assert np.array_equal(first.p_stable, second.p_stable)

    def test_prior_is_wide_and_knows_no_label(self, materials: list[Material]) -> None:
        prior = self.ask(self.make(), materials)
        assert np.all(prior.std > 0.4)
        assert np.all(np.abs(prior.p_stable - PRIOR_STABLE) < 0.12)
        assert np.all(np.isfinite(prior.sample(3, np.random.default_rng(0))))

    def test_single_label_pulls_and_narrows(self, materials: list[Material]) -> None:
        before = self.ask(self.make(), materials)
        label = before.mean[0, 0] + 0.6
        after = self.ask(self.fitted([measured(materials[0], label)]), materials)
        assert abs(after.mean[0, 0] - label) < 0.15
        assert after.epistemic[0, 0] < 0.3 * before.epistemic[0, 0]
        assert np.all(np.isfinite(after.mean))
        assert after.epistemic[0, 0] == after.epistemic[:, 0].min()

    def test_learns_the_truth(self, materials: list[Material]) -> None:
        posterior = self.ask(self.fitted(self.labels(materials[:30])), materials)
        truth = np.array([self.truth(m) for m in materials])
        errors = np.abs(posterior.mean[:, 0] - truth)[30:]
        assert errors.mean() < 0.5 * np.abs(truth[30:] - truth[:30].mean()).mean()
        assert posterior.epistemic[:30].mean() < posterior.epistemic[30:].mean()

    def test_noisy_label_counts_less(self, materials: list[Material]) -> None:
        others = self.labels(materials[1:12])
        wrong = self.truth(materials[0]) + 1.0
        exact = self.ask(self.fitted([measured(materials[0], wrong), *others]), materials[:1])
        noisy = self.ask(
            self.fitted([measured(materials[0], wrong, std=2.0), *others]), materials[:1]
        )
        assert noisy.mean[0, 0] < exact.mean[0, 0] - 0.3
        right = measured(materials[0], self.truth(materials[0]))
        vague = measured(materials[0], self.truth(materials[0]), std=2.0)
        sure = self.ask(self.fitted([right, *others]), materials[:1])
        unsure = self.ask(self.fitted([vague, *others]), materials[:1])
        assert unsure.epistemic[0, 0] > sure.epistemic[0, 0]

    def test_unstable_and_failed_train_stability(self, materials: list[Material]) -> None:
        known = sorted(materials[:24], key=self.truth)
        soft, stable = known[:12], known[12:]
        surrogate = self.fitted([*self.labels(stable), *(unstable(m) for m in soft)])
        p = [self.ask(surrogate, part).p_stable for part in (soft, stable, materials[24:])]
        assert p[0].mean() < p[1].mean() - 0.15
        # Soft and stable materials outside the training set are distinguished as well.
        assert spearmanr(p[2], [self.truth(m) for m in materials[24:]]).statistic > 0.5
        stable, soft = materials[:4], materials[4:8]
        telling = self.fitted([*self.labels(stable), failed(soft[0], "relax", permanent=True)])
        silent = self.fitted([*self.labels(stable), failed(soft[0], "relax", permanent=False)])
        assert self.ask(telling, soft[:1]).p_stable < self.ask(silent, soft[:1]).p_stable
        elsewhere = self.fitted([*self.labels(stable), failed(soft[0], "bte", permanent=True)])
        assert self.ask(elsewhere, soft[:1]).p_stable == self.ask(silent, soft[:1]).p_stable

    def test_without_a_single_label_of_the_output(self, materials: list[Material]) -> None:
        posterior = self.ask(self.fitted([unstable(materials[0])]), materials)
        assert np.all(posterior.std > 0.4)

    def test_order_of_queries_does_not_matter(self, materials: list[Material]) -> None:
        surrogate = self.fitted(self.labels(materials[:8]))
        order = np.random.default_rng(0).permutation(len(materials))
        straight = self.ask(surrogate, materials).take(order)
        shuffled = self.ask(surrogate, [materials[i] for i in order])
        assert np.allclose(straight.mean, shuffled.mean, atol=1e-5)
        assert np.allclose(straight.epistemic, shuffled.epistemic, rtol=1e-3, atol=1e-4)
        assert np.allclose(straight.p_stable, shuffled.p_stable, atol=1e-5)
        some = self.ask(surrogate, [materials[i] for i in order[:3]])
        assert np.allclose(some.mean, shuffled.mean[:3], atol=1e-5)

    def test_joint_covariance(self, materials: list[Material]) -> None:
        posterior = self.ask(self.fitted(self.labels(materials[:8])), materials[:12])
        draws = posterior.sample(20_000, np.random.default_rng(1))[:, :, 0]
        expected = posterior.root[0] @ posterior.root[0].T
        scale = posterior.epistemic[:, 0]
        assert np.all(np.abs(draws.mean(axis=0) - posterior.mean[:, 0]) < 0.05 * scale)
        covariance = np.cov(draws.T)
        assert np.allclose(covariance, expected, atol=0.05 * float(scale.max()) ** 2)
        # Predictions of unlabelled materials are correlated.
        correlation = expected / np.outer(scale, scale)
        assert np.abs(np.triu(correlation[8:, 8:], k=1)).max() > 0.1

    def test_calibration_scales_the_spreads_only(self, materials: list[Material]) -> None:
        labels, surrogate = self.labels(materials[:8]), self.make()
        surrogate.fit(labels)
        plain = self.ask(surrogate, materials)
        surrogate.fit(labels, calibration=Calibration(2.0, 7))
        scaled = self.ask(surrogate, materials)
        assert np.array_equal(scaled.root, 2.0 * plain.root)
        assert np.array_equal(scaled.aleatoric, 2.0 * plain.aleatoric)
        assert np.array_equal(scaled.mean, plain.mean)
        assert np.array_equal(scaled.p_stable, plain.p_stable)
        assert scaled.calibration.trials == 7

    def test_confirmation_replaces_a_label(self, materials: list[Material]) -> None:
        others = self.labels(materials[1:10])
        old, new = measured(materials[0], 3.0), measured(materials[0], self.truth(materials[0]))
        both = self.ask(self.fitted([old, *others, new]), materials[:1])
        only = self.ask(self.fitted([new, *others]), materials[:1])
        assert np.allclose(both.mean, only.mean, atol=0.05)

    def test_good_low_fidelity_helps_and_bad_one_is_ignored(
        self, materials: list[Material]
    ) -> None:
        labels, rest = self.labels(materials[:15]), materials[15:]
        truth = np.array([self.truth(m) for m in rest])
        rng = np.random.default_rng(0)

        def error(low_fidelity: Sequence[Measured | Unstable]) -> float:
            posterior = self.ask(self.fitted([*labels, *low_fidelity]), rest)
            return float(np.abs(posterior.mean[:, 0] - truth).mean())

        labels_only = error([])
        good = [measured(m, self.truth(m) + 0.3, fidelity="cheap") for m in materials]
        bad = [measured(m, float(rng.normal(1.5, 0.5)), fidelity="cheap") for m in materials]
        assert error(good) < 0.8 * labels_only
        assert error(bad) < 1.3 * labels_only + 0.1 * truth.std()
        assert np.isfinite(error([unstable(m, fidelity="cheap") for m in materials[:5]]))

    def slope(self, material: Material) -> float:
        """Of log10 kappa with log10 of temperature; depends on the material, but not much."""
        return -1.2 + 0.1 * self.truth(material)

    def test_any_temperature_can_be_predicted(self, materials: list[Material]) -> None:
        known, rest = materials[:24], materials[24:]
        surrogate = self.make()
        hot = Output("kappa", 900.0)
        prior = surrogate.posterior(rest, outputs=[KAPPA, hot], fidelity="bte")
        assert np.allclose(prior.mean[:, 1], prior.mean[:, 0] - np.log10(3.0), atol=1e-6)
        surrogate.fit([running(m, self.truth(m), self.slope(m), (150, 300, 600)) for m in known])
        posterior = surrogate.posterior(rest, outputs=[KAPPA, hot], fidelity="bte")
        change = np.array([self.slope(m) * np.log10(3.0) for m in rest])
        errors = posterior.mean[:, 1] - posterior.mean[:, 0] - change
        assert np.abs(errors).mean() < 0.03  # nearly 0.1 with the prior's slope
        assert np.all(posterior.std[:, 1] > posterior.std[:, 0])
        assert np.allclose(self.ask(surrogate, rest).mean[:, 0], posterior.mean[:, 0])
        with pytest.raises(ValueError, match="not made for"):
            surrogate.posterior(rest, outputs=[Output("heat_capacity", 900.0)], fidelity="bte")

    def test_labels_at_other_temperatures_are_used(self, materials: list[Material]) -> None:
        truth = np.array([self.truth(m) for m in materials])
        several = [running(m, self.truth(m), self.slope(m), (300, 600)) for m in materials[:8]]
        hot = [running(m, self.truth(m), self.slope(m), (600,)) for m in materials[8:40]]
        more = self.ask(self.fitted([*several, *hot]), materials)
        few = self.ask(self.fitted(several), materials)
        for part in (slice(8, 40), slice(40, None)):  # labelled materials, and others
            errors = [np.abs(p.mean[part, 0] - truth[part]).mean() for p in (more, few)]
            assert errors[0] < 0.8 * errors[1]

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    def test_label_that_is_not_a_number(self, materials: list[Material], value: float) -> None:
        bad = measured(materials[0], 1.0).model_copy(
            update={"properties": {"kappa": Quantity(value=value, unit="W/m/K")}}
        )
        with pytest.raises(ValueError, match=r"kappa of .* is -?(nan|inf); expected a finite"):
            self.make().fit([bad])
        with pytest.raises(ValueError, match=materials[0].digest[:12]):
            self.make().fit([bad])

    def test_other_bad_labels(self, materials: list[Material]) -> None:
        def with_kappa(material: Material, quantity: Quantity) -> Measured:
            return measured(material, 1.0).model_copy(update={"properties": {"kappa": quantity}})

        negative = with_kappa(materials[0], Quantity(value=-1.0, unit="W/m/K"))
        with pytest.raises(ValueError, match="expected a positive number"):
            self.make().fit([negative])
        error = with_kappa(materials[0], Quantity(value=1.0, unit="W/m/K", std=float("nan")))
        with pytest.raises(ValueError, match="the error of kappa"):
            self.make().fit([error])
        other = with_kappa(materials[1], Quantity(value=1.0, unit="mW/m/K"))
        with pytest.raises(ValueError, match="the same unit"):
            self.make().fit([measured(materials[0], 1.0), other])

    def test_invalid_queries(self, materials: list[Material]) -> None:
        surrogate = self.fitted(self.labels(materials[:3]))
        with pytest.raises(ValueError, match="at least one"):
            surrogate.fit([])
        with pytest.raises(ValueError, match="fidelity 'bte'; asked for 'dft'"):
            surrogate.posterior(materials, outputs=[KAPPA], fidelity="dft")
        with pytest.raises(ValueError, match="not made for"):
            surrogate.posterior(materials, outputs=[Output("density")], fidelity="bte")
        with pytest.raises(ValueError, match="one kind; given: none"):
            self.ask(surrogate, [])
        with pytest.raises(ValueError, match="one kind"):
            self.ask(surrogate, [crystal(0), Superlattice(sequence="0101")])
        with pytest.raises(ValueError, match="at least one output"):
            self.make(())


class OnCrystals(SurrogateContract):
    store: FeatureStore

    @pytest.fixture
    def materials(self) -> list[Material]:
        return [crystal(k) for k in range(60)]

    @pytest.fixture(autouse=True)
    def _store(self, synthetic: Any) -> None:
        self.store = synthetic

    def truth(self, material: Any) -> float:
        return float(self.store.truth(material))  # type: ignore[attr-defined]

    def test_prior_mean_is_physical(self, materials: list[Material]) -> None:
        prior = self.ask(self.make(), materials)
        slack = [self.store.get([m])[0].globals[5] for m in materials]  # type: ignore[list-item]
        assert np.allclose(prior.mean[:, 0], slack, atol=1e-9)

    def test_crystal_without_any_known_feature(self, materials: list[Material]) -> None:
        stranger = materials[50]

        def get(crystals: Sequence[Crystal]) -> list[CrystalFeatures]:
            known = type(self.store).get(self.store, crystals)
            return [
                f
                if c.digest != stranger.digest
                else CrystalFeatures(
                    np.full((2, 1, 1), np.nan, dtype=np.float32),
                    f.edges,
                    np.full_like(f.globals, np.nan),
                    "unknown",
                )
                for c, f in zip(crystals, known, strict=True)
            ]

        surrogate = self.make()
        surrogate._inputs._store.get = get  # type: ignore[method-assign]
        surrogate.fit([*self.labels(materials[:8]), measured(stranger, 1.0)])
        posterior = self.ask(surrogate, [*materials[10:20], stranger])
        assert np.all(np.isfinite(posterior.mean))
        assert np.all(np.isfinite(posterior.root))
        single = self.ask(surrogate, [stranger])
        assert np.allclose(single.mean, posterior.mean[-1:], atol=1e-5)

    def test_large_pools_have_exact_variances(self) -> None:
        pool: list[Material] = [crystal(k) for k in range(2300)]
        surrogate = self.fitted(self.labels(pool[:10]))
        large, small = self.ask(surrogate, pool), self.ask(surrogate, pool[:300])
        assert large.root.shape[2] < small.root.shape[2]
        assert np.allclose(large.mean[:300], small.mean, atol=1e-5)
        assert np.allclose(large.epistemic[:300], small.epistemic, rtol=1e-3, atol=1e-4)
        exact = small.root[0] @ small.root[0].T
        short = large.root[0, :300] @ large.root[0, :300].T
        norm = np.outer(small.epistemic, small.epistemic)
        assert np.abs((exact - short) / norm)[10:, 10:].mean() < 0.1


class OnSequences(SurrogateContract):
    store = FeatureStore("7net-0")  # never used

    @pytest.fixture
    def materials(self) -> list[Material]:
        rng = np.random.default_rng(5)
        rows = {"".join(row): None for row in rng.choice(["0", "1"], size=(70, 10))}
        distinct: list[Material] = [Superlattice(sequence=row) for row in rows]
        return distinct[:60]

    def truth(self, material: Any) -> float:
        x = _signs(material.sequence)
        return float(1.0 + 0.3 * (x[1:] * x[:-1]).mean() + 0.2 * x.mean())

    def test_letter_absent_from_the_training_set(self, materials: list[Material]) -> None:
        surrogate = self.fitted(self.labels(materials[:8]))
        posterior = self.ask(surrogate, [Superlattice(sequence="0102010201")])
        assert np.isfinite(posterior.mean).all()

    def test_other_length(self, materials: list[Material]) -> None:
        with pytest.raises(ValueError, match="has 4 layers; expected 10"):
            self.ask(self.fitted(self.labels(materials[:3])), [Superlattice(sequence="0101")])


class OnPairs(SurrogateContract):
    store: FeatureStore

    @pytest.fixture
    def materials(self) -> list[Material]:
        single = [crystal(k) for k in range(13)]
        pairs: list[Material] = [
            Interface(crystals=(first, second))
            for first, second in itertools.combinations(single, 2)
        ]
        order = np.random.default_rng(2).permutation(len(pairs))[:60]
        return [pairs[k] for k in order]

    @pytest.fixture(autouse=True)
    def _store(self, synthetic: Any) -> None:
        self.store = synthetic

    def truth(self, material: Any) -> float:
        first, second = (self.store.truth(c) for c in material.crystals)  # type: ignore[attr-defined]
        return float(0.6 * (first + second))


class OnCompositions(SurrogateContract):
    store = FeatureStore("none")  # never asked

    @pytest.fixture
    def materials(self) -> list[Material]:
        pairs = list(itertools.product(METALS, NONMETALS, (1, 2)))
        order = np.random.default_rng(2).permutation(len(pairs))[:60]
        chosen = [pairs[k] for k in order]
        return [Composition.of({first: 1, second: n}) for first, second, n in chosen]

    def truth(self, material: Any) -> float:
        amounts = dict(material.amounts)
        mass = sum(n * Element(s).atomic_mass for s, n in amounts.items()) / sum(amounts.values())
        return float(2.0 - 0.02 * mass)


def _signs(sequence: str) -> NDArray[np.float64]:
    return np.array([2.0 * int(letter) - 1.0 for letter in sequence])


class _Graph(SurrogateContract):
    store: FeatureStore

    def make(self, outputs: Sequence[Output] = (KAPPA,), seed: int = 3) -> BaseSurrogate:
        settings = GraphEnsembleSettings(members=3, steps=20)
        return GraphEnsemble(outputs, "bte", seed=seed, store=self.store, settings=settings)


class _Process(SurrogateContract):
    store: FeatureStore

    def make(self, outputs: Sequence[Output] = (KAPPA,), seed: int = 3) -> BaseSurrogate:
        settings = GaussianProcessSettings()
        return GaussianProcess(outputs, "bte", seed=seed, store=self.store, settings=settings)


class _SequenceProcess(SurrogateContract):
    store: FeatureStore

    def make(self, outputs: Sequence[Output] = (KAPPA,), seed: int = 3) -> BaseSurrogate:
        return SequenceProcess(outputs, "bte", seed=seed, store=self.store)


class _Trees(SurrogateContract):
    """Trees have no prior of their own and no notion of distance, so tests of the consequences of
    these are weaker for them.
    """

    store: FeatureStore

    @abstractmethod
    def small(self, outputs: Sequence[Output], seed: int) -> BaseSurrogate:
        """A surrogate with few trees."""

    def make(self, outputs: Sequence[Output] = (KAPPA,), seed: int = 3) -> BaseSurrogate:
        surrogate = self.small(outputs, seed)
        surrogate._inputs = MaterialInputs(self.store)  # the truth follows from these, not elements
        return surrogate

    def test_learns_the_truth(self, materials: list[Material]) -> None:
        posterior = self.ask(self.fitted(self.labels(materials[:40])), materials)
        truth = np.array([self.truth(m) for m in materials])
        errors = np.abs(posterior.mean[:, 0] - truth)
        assert errors[40:].mean() < 0.85 * np.abs(truth[40:] - truth[:40].mean()).mean()
        assert errors[:40].mean() < errors[40:].mean()

    def test_noisy_label_counts_less(self, materials: list[Material]) -> None:
        others = self.labels(materials[1:12])
        wrong = self.truth(materials[0]) + 1.0
        exact, noisy = (
            self.ask(self.fitted([measured(materials[0], wrong, std=s), *others]), materials[:1])
            for s in (None, 2.0)
        )
        assert noisy.mean[0, 0] < exact.mean[0, 0]

    def test_single_label_pulls_and_narrows(self, materials: list[Material]) -> None:
        label = self.ask(self.make(), materials).mean[0, 0] + 0.6
        wide = self.ask(self.fitted([measured(materials[0], label)]), materials)
        assert wide.mean[0, 0] > label - 0.6  # trees predict the mean of their labels
        labels = self.labels(materials[:12])
        narrow = self.ask(self.fitted(labels), materials)
        assert narrow.epistemic.mean() < wide.epistemic.mean()

    def test_order_of_queries_does_not_matter(self, materials: list[Material]) -> None:
        surrogate = self.fitted(self.labels(materials[:8]))
        order = np.random.default_rng(0).permutation(len(materials))
        straight = self.ask(surrogate, materials).take(order)
        shuffled = self.ask(surrogate, [materials[i] for i in order])
        assert np.allclose(straight.mean, shuffled.mean)
        assert np.allclose(straight.p_stable, shuffled.p_stable)


class OnCrystalsByTrees(OnCrystals):
    def test_large_pools_have_exact_variances(self) -> None:
        pool: list[Material] = [crystal(k) for k in range(300)]
        surrogate = self.fitted(self.labels(pool[:10]))
        large, small = self.ask(surrogate, pool), self.ask(surrogate, pool[:30])
        assert np.allclose(large.root[:, :30], small.root)


class _Forest(_Trees):
    def small(self, outputs: Sequence[Output], seed: int) -> BaseSurrogate:
        settings = RandomForestSettings(trees=40)
        return RandomForest(outputs, "bte", seed=seed, store=self.store, settings=settings)


class _Boosting(_Trees):
    def small(self, outputs: Sequence[Output], seed: int) -> BaseSurrogate:
        settings = GradientBoostingSettings(members=6, trees=60, learning_rate=0.15)
        return GradientBoosting(outputs, "bte", seed=seed, store=self.store, settings=settings)


class _MultiFidelity(SurrogateContract):
    store: FeatureStore

    def make(self, outputs: Sequence[Output] = (KAPPA,), seed: int = 3) -> BaseSurrogate:
        settings = MultiFidelitySettings()
        return MultiFidelityProcess(outputs, "bte", seed=seed, store=self.store, settings=settings)


class TestGaussianProcessOnPairs(_Process, OnPairs):
    pass


class TestRandomForestOnPairs(_Forest, OnPairs):
    pass


class TestGaussianProcessOnCompositions(_Process, OnCompositions):
    pass


class TestRandomForestOnCompositions(_Forest, OnCompositions):
    pass


class TestGraphEnsembleOnCrystals(_Graph, OnCrystals):
    def test_seed_decides(self, materials: list[Material]) -> None:
        labels = self.labels(materials[:8])
        a, b = self.make(seed=1), self.make(seed=2)
        a.fit(labels)
        b.fit(labels)
        first, second = self.ask(a, materials), self.ask(b, materials)
        assert not np.array_equal(first.mean, second.mean)
        assert np.abs(first.mean - second.mean).max() < 2 * first.epistemic.max()

    def test_weights_are_written(self, materials: list[Material], tmp_path: Any) -> None:
        from safetensors.numpy import load_file

        surrogate = self.make()
        assert isinstance(surrogate, GraphEnsemble)
        with pytest.raises(ValueError, match="fit it first"):
            surrogate.save(tmp_path / "w.safetensors")
        surrogate.fit(self.labels(materials[:8]))
        surrogate.save(tmp_path / "w.safetensors")
        tensors = load_file(tmp_path / "w.safetensors")
        assert tensors["kappa@300K/network/project"].shape[0] == 3
        assert all(np.isfinite(t).all() for t in tensors.values())


class TestGraphEnsembleOnSequences(_Graph, OnSequences):
    pass


class TestGaussianProcessOnCrystals(_Process, OnCrystals):
    pass


class TestMultiFidelityOnCrystals(_MultiFidelity, OnCrystals):
    pass


class TestMultiFidelityOnSequences(_MultiFidelity, OnSequences):
    pass


class TestGaussianProcessOnSequences(_Process, OnSequences):
    def test_learns_that_direction_does_not_matter(self, materials: list[Material]) -> None:
        """A truth without direction: a sequence tells about its reverse."""
        surrogate = self.fitted(self.labels(materials[:30]))
        known = [m for m in materials[:30] if isinstance(m, Superlattice)]
        reverse = [Superlattice(sequence=m.sequence[::-1]) for m in known]
        posterior = self.ask(surrogate, reverse)
        truth = np.array([self.truth(m) for m in reverse])
        strangers = self.ask(surrogate, materials[30:])
        assert np.abs(posterior.mean[:, 0] - truth).mean() < 0.05
        assert posterior.epistemic.mean() < strangers.epistemic.mean()


class TestSequenceProcess(_SequenceProcess, OnSequences):
    pass


class TestRandomForestOnCrystals(_Forest, OnCrystalsByTrees):
    pass


class TestRandomForestOnSequences(_Forest, OnSequences):
    pass


class TestGradientBoostingOnCrystals(_Boosting, OnCrystalsByTrees):
    pass


class TestGradientBoostingOnSequences(_Boosting, OnSequences):
    pass
