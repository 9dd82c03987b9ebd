"""Labels with their errors, what lower fidelities are worth, and slopes with temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from oracle.contract.evaluation import Failed, Measured, Outcome, Quantity, Unstable
from oracle.contract.property_table import spec_of
from oracle.materials.superlattice import Superlattice
from surrogate.contract.calibration import calibrate, coverage
from surrogate.contract.protocol import Output
from surrogate.features.inputs import Inputs
from surrogate.fidelities.trust import PRIOR, Trust, trust
from surrogate.training_data.labels import label_of, labels_of, latest, stabilities_of
from surrogate.training_data.problem import Prediction, Problem
from surrogate.training_data.scaling import TargetScale
from surrogate.training_data.temperature import TemperatureHead, TemperatureHeads

Array = NDArray[np.float64]
KAPPA = Output("kappa", 300.0)
PLAIN = Output("bulk_modulus", None, log=False)


def _material(name: str) -> Superlattice:
    return Superlattice(sequence=name)


def _common(name: str, **more: Any) -> dict[str, Any]:
    common = {"fidelity": "bte", "method": "m", "cost_s": 1.0, "stage": "bte"}
    return {"material": _material(name), **common, **more}


def _measured(name: str = "01", value: Any = 5.0, **more: Any) -> Measured:
    quantity = Quantity(value=value, unit=more.pop("unit", "GPa"), std=more.pop("std", None))
    return Measured(properties={"bulk_modulus": quantity}, **_common(name, **more))


def _warm(name: str, power: float, temperatures: tuple[float, ...] = (200.0, 400.0)) -> Measured:
    """Conductivity of 10 W/m/K at 300 K that goes as a power of temperature."""
    values = [10 * (t / 300) ** power for t in temperatures]
    kappa = Quantity(value=values, unit="W/m/K", per_temperature=True)
    return Measured(properties={"kappa": kappa}, temperature=temperatures, **_common(name))


def _failed(stage: str, *, permanent: bool = True) -> Failed:
    return Failed(message="no", permanent=permanent, **_common("00", stage=stage))


class TestLabels:
    @given(st.floats(0.01, 1e4), st.floats(0.0, 0.3))
    @settings(deadline=None)
    def test_errors_follow_the_logarithm(self, value: float, relative: float) -> None:
        """To first order: a relative error e becomes e / ln 10."""
        log = Output("bulk_modulus", None, log=True)
        found = label_of(_measured(value=value, std=relative * value), log)
        assert found is not None
        assert found[0] == pytest.approx(math.log10(value))
        half = math.log10(value * (1 + 1e-6)) - math.log10(value)
        assert found[1] == pytest.approx(relative * half / 1e-6, rel=1e-4, abs=1e-12)
        plain = label_of(_measured(value=value, std=relative * value), PLAIN)
        assert plain == pytest.approx((value, relative * value))

    @pytest.mark.parametrize(
        ("value", "std", "log", "words"),
        [
            (math.nan, None, False, "is nan; expected a finite number"),
            (-2.0, None, True, "is -2.0; expected a positive number.*logarithm"),
            (2.0, -1.0, False, "the error of .* is -1.0"),
            (2.0, math.inf, False, "the error of .* is inf"),
        ],
    )
    def test_numbers_that_cannot_be_learned(
        self, value: float, std: float | None, log: bool, words: str
    ) -> None:
        outcome = _measured("0110", value=value, std=std)
        with pytest.raises(ValueError, match=words) as raised:
            label_of(outcome, Output("bulk_modulus", None, log=log))
        assert "0110" in str(raised.value)  # says of which material

    def test_units_may_not_differ_but_may_be_missing(self) -> None:
        table: dict[str, Outcome] = {
            "a": _measured("01"), "b": _measured("001", unit=""), "c": _measured("011")
        }  # fmt: skip
        assert len(labels_of(table, PLAIN).values) == 3
        with pytest.raises(ValueError, match=r"'GPa' for .* but in 'eV/Å³' for"):
            labels_of({**table, "d": _measured("0111", unit="eV/Å³")}, PLAIN)

    def test_what_was_not_measured_has_no_label(self) -> None:
        table: dict[str, Outcome] = {
            "a": _measured("01"),
            "b": Unstable(**_common("001")),
            "c": _failed("bte"),
            "d": _warm("0011", -1.0),
        }
        found = labels_of(table, PLAIN)
        assert [m.formula for m in found.materials] == ["01"]
        assert found.noise.tolist() == [0.0]

    def test_the_latest_answer_counts_at_each_fidelity(self) -> None:
        first, second = _measured(value=1.0), _measured(value=2.0)
        other = _measured(value=9.0, fidelity="harmonic")
        by_fidelity, materials = latest([first, other, second])
        digest = _material("01").digest
        assert by_fidelity == {"bte": {digest: second}, "harmonic": {digest: other}}
        assert list(materials) == [digest]

    @pytest.mark.parametrize(
        ("outcome", "stable", "confidence"),
        [
            (_measured(), [1.0], [1.0]),
            (Unstable(**_common("01")), [0.0], [1.0]),
            (_failed("relax"), [0.0], [0.5]),
            (_failed("fc2"), [0.0], [0.5]),
            (_failed("relax", permanent=False), [], []),
            (_failed("bte"), [], []),
        ],
    )
    def test_what_outcomes_say_of_stability(
        self, outcome: Outcome, stable: list[float], confidence: list[float]
    ) -> None:
        found = stabilities_of({"a": outcome})
        assert found.stable.tolist() == stable
        assert found.confidence.tolist() == confidence


class TestTargetScale:
    @given(st.lists(st.floats(-3, 3), min_size=3, max_size=20), st.floats(0.1, 9), st.floats(-5, 5))
    @settings(deadline=None)
    def test_without_physics_it_follows_unit_and_origin(
        self, labels: list[float], unit: float, origin: float
    ) -> None:
        values = np.array(labels)
        plain = TargetScale.of(values, physical=False)
        other = TargetScale.of(unit * values + origin, physical=False)
        assert other.centre == pytest.approx(unit * plain.centre + origin, abs=1e-9)
        assert other.spread == pytest.approx(unit * plain.spread, rel=1e-6, abs=1e-4)

    def test_many_labels_outweigh_the_physical_prior(self) -> None:
        values = np.random.default_rng(0).normal(2.0, 0.05, 4000)
        found = TargetScale.of(values, physical=True)
        assert found.centre == pytest.approx(2.0, abs=0.01)
        assert found.spread == pytest.approx(0.05, rel=0.1)


@dataclass(frozen=True)
class Flat:
    """A model that predicts the same standardised slope everywhere."""

    value: float = 0.0

    def predict(self, inputs: Inputs, extras: Array) -> Prediction:
        ones = np.ones(inputs.n)
        return Prediction(self.value * ones, 0.1 * ones[:, None], 0.05 * ones)


def _flat(problem: Problem) -> Flat:
    return Flat(float(problem.targets.mean()) if len(problem.targets) else 0.0)


def _inputs(count: int) -> Inputs:
    return Inputs(count, (), (), (), (), {})


def _heads(*outcomes: Outcome) -> TemperatureHeads:
    table = {outcome.material.digest: outcome for outcome in outcomes}
    rows = {digest: k for k, digest in enumerate(table)}
    return TemperatureHeads(table, rows, _inputs(len(table)), _flat)


@dataclass(frozen=True)
class Bent(Flat):
    """A model whose slope is log10(T / 300 K), so that the property is a parabola of it."""

    def predict(self, inputs: Inputs, extras: Array) -> Prediction:
        flat = super().predict(inputs, extras)
        return Prediction(extras[:, 0], flat.root, flat.aleatoric)


class TestTemperature:
    @given(st.floats(50, 1000), st.floats(50, 1000))
    @settings(max_examples=30, deadline=None)
    def test_a_slope_that_changes_is_taken_in_the_middle(self, first: float, second: float) -> None:
        head = TemperatureHead(Bent(), TargetScale(0.0, 1.0), 0.0)
        found = head.change(_inputs(1), np.array([first]), second).mean[0]
        exact = (math.log10(second / 300) ** 2 - math.log10(first / 300) ** 2) / 2
        assert found == pytest.approx(exact, abs=1e-9)

    @given(st.floats(50, 1000), st.floats(50, 1000), st.floats(50, 1000))
    @settings(max_examples=30, deadline=None)
    def test_changes_add_up(self, first: float, second: float, third: float) -> None:
        head = TemperatureHead(Flat(0.3), TargetScale(0.1, 0.2), -1.0)
        a, b, whole = (
            head.change(_inputs(1), np.array([start]), end).mean[0]
            for start, end in ((first, second), (second, third), (first, third))
        )
        assert a + b == pytest.approx(whole, abs=1e-9)

    def test_before_any_label_conductivity_falls_as_one_over_temperature(self) -> None:
        known = spec_of("kappa").slope
        assert known is not None
        assert known[0] == -1.0
        change = _heads().of(KAPPA).change(_inputs(2), np.array([300.0, 150.0]), 600.0)
        np.testing.assert_allclose(10**change.mean, [0.5, 0.25])
        assert np.all(change.std > 0)
        assert change.std[1] == pytest.approx(2 * change.std[0])  # twice as far

    @pytest.mark.parametrize("power", [-1.6, -0.4])
    def test_slopes_are_learned_from_evaluations_at_several_temperatures(
        self, power: float
    ) -> None:
        grid = (100.0, 200.0, 400.0, 800.0)
        many = [_warm("0" * k + "1", power, grid) for k in range(1, 13)]
        change = _heads(*many).of(KAPPA).change(_inputs(1), np.array([200.0]), 400.0)
        assert change.mean[0] / math.log10(2) == pytest.approx(power, abs=0.02)

    def test_a_label_is_carried_over_from_the_nearest_temperature(self) -> None:
        here = _warm("01", -1.0, (300.0,))
        far = _warm("001", -1.0, (150.0, 100.0))
        found = _heads(here, far).labels(KAPPA)
        assert [m.formula for m in found.materials] == ["01", "001"]
        np.testing.assert_allclose(found.values, [1.0, 1.0], atol=1e-9)
        assert found.noise[0] == 0.0
        assert found.noise[1] > 0.0

    def test_no_change_where_no_slope_is_known(self) -> None:
        head = _heads().of(Output("heat_capacity", 300.0, log=False))
        change = head.change(_inputs(1), np.array([300.0]), 600.0)
        assert change.mean[0] == 0.0


def _both(seed: int, count: int, slope: float, noise: float) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    low = rng.normal(size=count)
    labels = slope * low + noise * rng.normal(size=count)
    return {
        "labels": labels, "noise": np.zeros(count), "low": low, "covariance": np.eye(count)
    }  # fmt: skip


class TestTrust:
    @given(st.integers(0, 500), st.floats(0.05, 20.0))
    @settings(max_examples=15, deadline=None)
    def test_the_unit_of_both_does_not_matter(self, seed: int, unit: float) -> None:
        table = _both(seed, 8, 1.0, 0.3)
        plain = trust(**table, spread=1.0, low_spread=1.0)
        scaled = {k: v if k == "covariance" else unit * v for k, v in table.items()}
        other = trust(**scaled, spread=unit, low_spread=unit)
        assert other.slope == pytest.approx(plain.slope)
        assert other.weight == pytest.approx(plain.weight)
        assert other.correlation == pytest.approx(plain.correlation)
        assert other.residual_size == pytest.approx(unit * plain.residual_size)

    def test_it_is_learned_from_agreement_and_from_its_absence(self) -> None:
        good = trust(**_both(0, 25, 1.0, 0.1), spread=1.0, low_spread=1.0)
        bad = trust(**_both(0, 25, 0.0, 1.0), spread=1.0, low_spread=1.0)
        assert good.slope == pytest.approx(1.0, abs=0.1)
        assert good.weight > 0.99
        assert good.residual_size < 0.3
        assert bad.weight < PRIOR.weight < good.weight
        assert bad.correlation < PRIOR.correlation < good.correlation
        assert bad.misleads > PRIOR.misleads > good.misleads

    @given(st.floats(0.0, 1.0), st.floats(0.0, 0.999))
    @settings(deadline=None)
    def test_of_given_correlations_it_is_a_mixture(self, weight: float, r: float) -> None:
        found = Trust.given(np.array([r]), np.array([1.0]), weight)
        assert found.slope == pytest.approx(weight * r)
        # Variance of a slope that is r with this probability and else 0.
        assert found.slope_spread**2 == pytest.approx(weight * (1 - weight) * r**2, abs=1e-9)
        assert found.residual_size**2 == pytest.approx(1 - weight * r**2)
        assert 0 <= found.misleads <= 1


class TestCoverage:
    def test_gaussian_errors_are_covered_as_often_as_stated(self) -> None:
        rng = np.random.default_rng(0)
        std = rng.uniform(0.1, 2, 20_000)
        truth = std * rng.normal(size=20_000)
        one, two, count = coverage(np.zeros(20_000), std, truth)
        assert (one, two, count) == pytest.approx((0.683, 0.954, 20_000), abs=0.01)
        assert calibrate(np.zeros(20_000), std, truth).scale == pytest.approx(1.0, abs=0.02)
