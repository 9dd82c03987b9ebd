"""The error budget of a conductivity: its parts, its intervals, and what they are called."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oracle.potentials import accuracy
from oracle.potentials.accuracy import holes, known_accuracy, summary
from oracle.potentials.calibration import ANALOGY, NORMAL_90, Deviations, MeasuredTable
from oracle.potentials.error_budget import FUNCTIONAL, ErrorBudget, error_budget, interval_text
from oracle.potentials.table import POTENTIALS

KAPPA = st.floats(1e-3, 1e4)
ERROR = st.floats(0, 3)
QUICK = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
GPAW = {"engine": "gpaw", "xc": "PBE"}


def _deviations(spread: float, bias: float = 0.97, compounds: int = 18) -> Deviations:
    return Deviations(compounds, 1, bias, spread, math.exp(0.8 * spread), math.exp(2 * spread), 0.0)


TABLE = MeasuredTable(
    overall=_deviations(0.15, compounds=37),
    families={"rocksalt": _deviations(0.1), "wurtzite": _deviations(0.2, compounds=19)},
    multiplier_90=1.8,
    coverage=None,
)


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """One potential with measurements of known figures, all others as published."""
    monkeypatch.setattr(accuracy, "MEASURED", {"mine": TABLE})


def _widths(budget: ErrorBudget) -> tuple[float, float]:
    """Logarithmic half widths, without and with the functional."""
    assert budget.interval_90_dft is not None
    assert budget.interval_90 is not None
    inner, outer = budget.interval_90_dft, budget.interval_90
    return math.log(inner[1] / inner[0]) / 2, math.log(outer[1] / outer[0]) / 2


@QUICK
@given(KAPPA, ERROR, st.sampled_from(["rocksalt", "wurtzite", "perovskite", None]))
def test_parts_add_up_in_quadrature(kappa: float, error: float, family: str | None) -> None:
    budget = error_budget(kappa, error * kappa, "mine", family)
    numerics, potential = budget.numerics.relative, budget.potential.relative
    assert numerics == pytest.approx(error)
    assert potential is not None
    assert budget.total == pytest.approx(math.hypot(error, potential, FUNCTIONAL))
    inner, outer = _widths(budget)
    assert inner == pytest.approx(1.8 * math.hypot(error, potential))
    assert outer == pytest.approx(math.hypot(inner, NORMAL_90 * FUNCTIONAL))


@QUICK
@given(KAPPA, ERROR, st.sampled_from(["mine", "7net-l3i5", GPAW]), st.sampled_from(["wurtzite"]))
def test_intervals_contain_kappa_and_grow_with_the_functional(
    kappa: float, error: float, calculator: str, family: str
) -> None:
    budget = error_budget(kappa, error * kappa, calculator, family)
    assert budget.interval_90_dft is not None
    assert budget.interval_90 is not None
    (low, high), (lowest, highest) = budget.interval_90_dft, budget.interval_90
    assert 0 <= lowest < low <= kappa * (1 + 1e-12)
    assert kappa * (1 - 1e-12) <= high < highest


@QUICK
@given(KAPPA, st.tuples(ERROR, ERROR))
def test_every_part_widens_the_interval(kappa: float, errors: tuple[float, float]) -> None:
    small, large = sorted(errors)
    for family in ("rocksalt", "perovskite"):
        narrow, wide = (error_budget(kappa, e * kappa, "mine", family) for e in (small, large))
        assert narrow.total <= wide.total
        assert _widths(narrow) <= _widths(wide)
    families = ("rocksalt", "wurtzite", "perovskite")  # less and less is known
    totals = [error_budget(kappa, small * kappa, "mine", family).total for family in families]
    assert totals == sorted(set(totals))


def test_where_each_figure_of_a_potential_is_from() -> None:
    measured = error_budget(8.0, 0.3, "mine", "rocksalt").potential
    assert measured.relative == pytest.approx(0.1)
    assert "18 rocksalt compounds" in measured.source
    assert "measured here, 38 compounds of PhononDB-PBE (A. Togo)" in measured.source
    assert not measured.by_analogy
    for family in ("perovskite", None):
        analogy = error_budget(8.0, 0.3, "mine", family).potential
        assert analogy.relative == pytest.approx(ANALOGY * 0.15)
        assert "by analogy" in analogy.source
        assert "rocksalt, wurtzite" in analogy.source
        assert analogy.by_analogy
    published = error_budget(8.0, 0.3, "7net-l3i5", "zincblende").potential
    assert published.relative == pytest.approx(math.log(1.49) * math.sqrt(math.pi / 2))
    assert "Matbench Discovery" in published.source
    other = error_budget(8.0, 0.3, "7net-l3i5", "perovskite").potential
    assert other.by_analogy
    assert other.relative is None  # half-Heuslers, a hole, are among the other families
    mild = error_budget(8.0, 0.3, "mine", "perovskite").potential
    assert mild.relative is not None
    assert mild.relative > (measured.relative or math.inf)


def test_a_dispersion_correction_makes_a_potential_another_one() -> None:
    plain = error_budget(8.0, 0.3, "mine", "rocksalt")
    corrected = error_budget(8.0, 0.3, "mine", "rocksalt", corrected=True)
    assert corrected.potential.by_analogy
    assert "with dispersion" in corrected.potential.source
    assert corrected.total > plain.total


@pytest.mark.parametrize("potential", ["tersoff", "my.module:potential", "7net:/weights/of/mine"])
def test_of_an_unknown_potential_no_interval_is_claimed(potential: str) -> None:
    budget = error_budget(8.0, 0.4, potential, "rocksalt")
    assert budget.potential.relative is None
    assert "compare some conductivities with DFT" in budget.potential.source
    assert budget.interval_90 is None
    assert budget.interval_90_dft is None
    assert budget.total == pytest.approx(math.hypot(0.05, FUNCTIONAL))
    assert budget.text == "unknown (numerics 5 %, potential unknown, functional 20 %)"


def test_unknown_numerics_claim_no_interval_either() -> None:
    budget = error_budget(8.0, None, "mine", "rocksalt")
    assert budget.numerics.relative is None
    assert budget.interval_90 is None
    assert "not stated" in budget.numerics.source


def test_dft_is_its_own_reference() -> None:
    budget = error_budget(8.0, 0.4, GPAW, "half-heusler")
    assert budget.potential.relative == 0
    inner, _ = _widths(budget)
    assert inner == pytest.approx(NORMAL_90 * 0.05)


def test_the_line_for_people() -> None:
    assert error_budget(7.6, 0.3, "mine", "rocksalt").text == (
        "5.2 to 11 W/m/K (numerics 4 %, potential 10 %: 18 rocksalt compounds, functional 20 %)"
    )
    far = error_budget(7.6, 0.3, "chgnet", "rocksalt").text  # 5 to the power of √(π/2)
    assert "potential a factor of 7.5: published" in far


@QUICK
@given(KAPPA, st.floats(0, 4))
def test_ends_are_told_apart(low: float, width: float) -> None:
    first, last = interval_text(low, low * math.exp(0.02 + width)).split(" to ")
    assert float(first) < float(last)
    assert float(first) == pytest.approx(low, rel=0.051)


@pytest.mark.parametrize("family", ["rocksalt", "zincblende", "half-heusler", "perovskite", None])
@pytest.mark.parametrize("calculator", ["mine", *POTENTIALS])
def test_the_budget_is_plain_json(calculator: str, family: str | None) -> None:
    budget = error_budget(0.5, 0.02, calculator, family)
    document = budget.as_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    for part in ("numerics", "potential", "functional"):
        assert set(document[part]) == {"relative", "source", "by_analogy"}
        assert document[part]["source"]
    assert document["text"] == budget.text


@pytest.mark.parametrize(
    ("kappa", "std"), [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (math.inf, 1.0), (1.0, -1.0)]
)
def test_what_is_no_conductivity_is_refused(kappa: float, std: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        error_budget(kappa, std, "mine", "rocksalt")


def test_measured_entries_come_before_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    table = MeasuredTable(_deviations(0.6), {"rocksalt": _deviations(1.5, bias=0.3)}, 1.7, None)
    monkeypatch.setattr(accuracy, "MEASURED", {"7net-l3i5": table})
    rocksalt, zincblende = known_accuracy("7net-l3i5", ["rocksalt", "zincblende"])
    assert rocksalt.known is not None
    assert rocksalt.known.source == table.source
    assert rocksalt.text == "off by a factor of 3.3 (bias ×0.3, spread ×4.5)"
    assert rocksalt.known.imaginary == 1
    assert zincblende.text == "typically off by a factor of 1.5, mostly too low"
    assert holes("7net-l3i5") == ("rocksalt", "half-heusler")
    assert holes("7net-0") == ("half-heusler",)


def test_small_deviations_are_in_percent_and_cancel_without_a_side() -> None:
    assert known_accuracy("mine", ["rocksalt"])[0].text == "off by 8 % (bias -3 %, spread 10 %)"
    assert summary("mine") == "typically off by 8 to 17 %"


def test_a_guess_beyond_a_factor_of_ten_is_no_interval() -> None:
    budget = error_budget(100.0, 5.0, "7net-0", "diamond")
    assert budget.potential.relative is None
    assert "factor of ten" in budget.potential.source
    assert budget.interval_90 is None


def test_a_huge_error_does_not_overflow() -> None:
    budget = error_budget(1.0, 5000.0, "7net-0", "rocksalt")
    assert budget.interval_90 is not None
    assert budget.text
