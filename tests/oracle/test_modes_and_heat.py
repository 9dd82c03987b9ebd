"""Sums over modes: cumulative conductivity, Grüneisen parameters, degenerate bands, meshes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.contract.evaluation import make_quantity
from oracle.formulas.changes import UNKNOWN
from oracle.materials.reciprocal import coarsened, refined
from oracle.phonon_bte import convergence
from oracle.phonon_bte.conductivity import Transport
from oracle.phonon_bte.convergence import (
    COARSER,
    OF_THE_REST,
    SHARE,
    SPARSE_SHARE,
    Judge,
    Solution,
    beyond_the_mesh,
    converged,
    error,
    has_converged,
)
from oracle.phonon_bte.cumulative import cumulative
from oracle.phonon_bte.degenerate import averaged
from oracle.phonon_bte.gruneisen import ModeGruneisen
from oracle.phonon_bte.properties import conductive_properties, estimated_kappa
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context
from oracle.runtime.errors import OracleError

TEMPERATURES = (200.0, 300.0, 700.0)


def _transport(seed: int = 0, *, coherence: bool = True) -> Transport:
    """Modes drawn at random, whose conductivities add up to the tensor."""
    rng = np.random.default_rng(seed)
    shape = (len(TEMPERATURES), 4, 6)
    modes = rng.exponential(size=shape) / 24
    particle = np.einsum("t,ij->tij", modes.sum(axis=(1, 2)), np.eye(3))
    return Transport(
        mesh=(4, 4, 4),
        points=rng.uniform(-0.5, 0.5, (4, 3)),
        particle=particle,
        coherence=0.1 * particle if coherence else None,
        frequencies=rng.uniform(0.5, 15, shape[1:]),
        weights=np.array([1, 6, 9, 48]),
        mode_kappa=modes,
        velocities=rng.normal(size=(*shape[1:], 3)) * 20,
        linewidths=rng.uniform(0.01, 0.2, shape),
        isotope_linewidths=None,
    )


class TestCumulative:
    @given(st.integers(0, 10_000))
    @settings(max_examples=20, deadline=None)
    def test_curves_rise_from_nothing_to_the_particle_part(self, seed: int) -> None:
        transport = _transport(seed)
        for number, one in enumerate(cumulative(transport, TEMPERATURES)["each"]):
            assert one["temperature"] == TEMPERATURES[number]
            for curve in (one["kappa"], one["kappa_by_length"]):
                assert np.all(np.diff(curve) >= 0)
                assert curve[-1] == pytest.approx(one["particle"])
            assert one["kappa"][0] == 0
            assert one["particle"] + one["coherence"] == pytest.approx(one["total"])

    @given(st.integers(0, 10_000), st.integers(0, 199))
    @settings(max_examples=20, deadline=None)
    def test_each_point_is_the_sum_of_the_modes_up_to_it(self, seed: int, at: int) -> None:
        transport = _transport(seed)
        found = cumulative(transport, TEMPERATURES)
        below = transport.frequencies <= found["frequency"][at]
        assert found["kappa"][at] == pytest.approx(transport.mode_kappa[0][below].sum())
        short = transport.mean_free_paths[0] / 10 <= found["mean_free_path"][at]
        assert found["kappa_by_length"][at] == pytest.approx(transport.mode_kappa[0][short].sum())

    def test_the_order_of_modes_does_not_matter(self) -> None:
        transport = _transport()
        turned = replace(
            transport,
            frequencies=transport.frequencies[::-1, ::-1],
            mode_kappa=transport.mode_kappa[:, ::-1, ::-1],
            velocities=transport.velocities[::-1, ::-1],
            linewidths=transport.linewidths[:, ::-1, ::-1],
        )
        first, second = (cumulative(one, TEMPERATURES[:1]) for one in (transport, turned))
        for name in ("frequency", "kappa", "mean_free_path", "kappa_by_length"):
            np.testing.assert_allclose(first[name], second[name], rtol=1e-12)

    def test_modes_that_do_not_move_have_no_path(self) -> None:
        still = replace(_transport(coherence=False), velocities=np.zeros((4, 6, 3)))
        found = cumulative(still, TEMPERATURES)
        assert found["mean_free_path"] == found["kappa_by_length"] == []
        assert found["coherence"] is None
        assert found["total"] == pytest.approx(found["particle"])


class TestTransport:
    @given(st.floats(0.0, 5.0))
    @settings(deadline=None)
    def test_more_scattering_of_the_same_kind_divides_conductivity(self, more: float) -> None:
        """Matthiessen: linewidths of 1 + m times the size leave 1 / (1 + m) of the heat."""
        transport = _transport(coherence=False)
        alike = replace(transport, linewidths=np.repeat(transport.linewidths[:1], 3, axis=0))
        found = alike.scattered_too(more * transport.linewidths[0])
        np.testing.assert_allclose(found, transport.mean / (1 + more), rtol=1e-12)

    def test_modes_without_linewidth_carry_nothing_and_do_not_warn(self) -> None:
        dark = replace(_transport(coherence=False), linewidths=np.zeros((3, 4, 6)))
        assert dark.scattered_too(np.zeros((4, 6))).tolist() == [0, 0, 0]
        assert not dark.mean_free_paths.any()

    def test_properties_are_per_temperature_and_scale_with_the_error(self) -> None:
        transport = _transport()
        relative = np.array([0.1, 0.2, 0.3])
        found = conductive_properties(transport, relative, TEMPERATURES)
        mean = np.trace(np.array(found["kappa"].value), axis1=1, axis2=2) / 3
        np.testing.assert_allclose(found["kappa"].std, relative * mean)
        np.testing.assert_allclose(
            np.array(found["kappa_particle"].value) + np.array(found["kappa_coherence"].value),
            found["kappa"].value,
        )
        # At most Dulong and Petit's three k_B per atom, and more of it when it is warmer.
        capacity = np.array(found["heat_capacity"].value)
        assert np.all(np.diff(capacity) > 0)
        alone = conductive_properties(replace(transport, coherence=None), relative, TEMPERATURES)
        assert "kappa_coherence" not in alone

    def test_an_estimate_is_isotropic_and_says_how_rough_it_is(self) -> None:
        slack = make_quantity("kappa_slack", [5.0, 2.0])
        found = estimated_kappa(slack)
        assert found.std == [5.0, 2.0]
        np.testing.assert_allclose(found.value, [5 * np.eye(3), 2 * np.eye(3)])


def _gruneisen(values: Any, frequencies: Any) -> ModeGruneisen:
    return ModeGruneisen(np.zeros((1, 3)), np.array([frequencies]), np.array([values]))


class TestGruneisen:
    @given(st.floats(-3, 3), st.floats(20, 2000))
    @settings(deadline=None)
    def test_of_equal_parameters_only_the_root_mean_square_loses_the_sign(
        self, value: float, temperature: float
    ) -> None:
        same = _gruneisen([value] * 3, [1.0, 4.0, 9.0])
        assert same.mean(temperature) == pytest.approx(value)
        assert same.root_mean_square(temperature) == pytest.approx(abs(value))

    def test_when_hot_all_modes_count_alike_when_cold_only_the_low_ones(self) -> None:
        found = _gruneisen([-1.0, -2.0, 3.0], [1.0, 5.0, 20.0])
        assert found.root_mean_square(1e6) == pytest.approx(np.sqrt((1 + 4 + 9) / 3), rel=1e-4)
        assert found.mean(1e6) == pytest.approx(0.0, abs=1e-4)
        # As in silicon, which contracts on heating when cold.
        assert found.mean(5.0) == pytest.approx(-1.0, rel=1e-3)
        assert found.root_mean_square(5.0) == pytest.approx(1.0, rel=1e-3)

    def test_slow_modes_are_left_out(self) -> None:
        noisy = _gruneisen([500.0, 1.5], [0.05, 5.0])
        assert noisy.mean(300.0) == pytest.approx(1.5)
        assert noisy.root_mean_square(300.0) == pytest.approx(1.5)

    def test_what_is_written_can_be_read(self, tmp_path: Path) -> None:
        found = _gruneisen([1.0, 2.0, 3.0], [1.0, 4.0, 9.0])
        with h5py.File(tmp_path / found.write(tmp_path)) as file:
            np.testing.assert_array_equal(file["gruneisen"], found.values)
            np.testing.assert_array_equal(file["frequency"], found.frequencies)
            np.testing.assert_array_equal(file["qpoint"], found.qpoints)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_degenerate_bands_share_their_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.uniform(size=(3, 2, 6))
    # The id of a band is the first band of its set; sets are runs of equal frequency.
    starts = rng.random((3, 6)) < 0.5
    starts[:, 0] = True
    ids = np.maximum.accumulate(np.where(starts, np.arange(6), 0), axis=1)
    found = averaged(weights, ids)
    for q in range(3):
        for band in range(6):
            same = ids[q] == ids[q, band]
            np.testing.assert_allclose(found[q, :, band], weights[q][:, same].mean(axis=1))
    np.testing.assert_allclose(found.sum(axis=2), weights.sum(axis=2))


class Solver:
    """Takes the place of phono3py: conductivity that approaches its limit as 1 / N."""

    def __init__(self, slope: float = 1.0) -> None:
        self.slope = slope
        self.calls: list[tuple[tuple[int, int, int], dict[str, Any]]] = []

    def __call__(
        self, phonons: Any, settings: Any, mesh: tuple[int, int, int], **options: Any
    ) -> Transport:
        self.calls.append((mesh, options))
        size = 1 - self.slope / mesh[0]
        plain = _transport(coherence=False)
        widths = np.full((4, 6), 0.05) if options.get("isotope") else None
        return replace(
            plain,
            mesh=mesh,
            particle=size * plain.particle,
            mode_kappa=size * plain.mode_kappa,
            isotope_linewidths=widths,
        )


@pytest.fixture
def solver(monkeypatch: pytest.MonkeyPatch) -> Solver:
    return _installed(monkeypatch, Solver())


def _installed(monkeypatch: pytest.MonkeyPatch, fake: Solver) -> Solver:
    """Meshes give what the solver says, and nothing lies between their points."""
    monkeypatch.setattr(convergence, "conductivity", fake)
    monkeypatch.setattr(
        convergence,
        "sparse_conductivity",
        lambda phonons, _, settings, mesh: fake(phonons, settings, mesh),
    )
    monkeypatch.setattr(convergence, "with_all_waves", lambda transport, *_: transport)
    return fake


PHONONS: Any = None  # what the solver above does not look at


class TestMeshes:
    @pytest.mark.parametrize("given", [None, (6, 6, 6)])
    def test_they_are_refined_until_twice_little_changes(
        self, solver: Solver, tmp_path: Path, given: tuple[int, int, int] | None
    ) -> None:
        settings = PhononSettings(tolerance=0.02, converge_meshes=30, mesh=given)
        history = converged(PHONONS, PHONONS, settings, (6, 6, 6), Context(tmp_path))
        sizes = [one.on_mesh.mesh for one in history]
        finer = [refined(mesh, settings.sparse) for mesh in sizes[:-1]]
        assert sizes == [(6, 6, 6), *finer]
        assert given or not np.any(np.array(sizes) % 2)
        means = np.log([one.of_all_waves.mean for one in history])
        steps = np.abs(np.diff(means, axis=0)).max(axis=1)
        small = steps < 0.02
        assert np.all(small[-2:])
        assert not np.any(small[:-2] & small[1:-1])
        assert has_converged(history, 0.02)
        assert not has_converged(history[:-1], 0.02)

    def test_a_mesh_without_velocities_has_no_answer(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        class Still(Solver):
            def __call__(self, phonons: Any, settings: Any, mesh: Any, **options: Any) -> Transport:
                given = super().__call__(phonons, settings, mesh, **options)
                return replace(given, particle=1e-30 * given.particle)

        _installed(monkeypatch, Still())
        with pytest.raises(OracleError, match="give a denser mesh"):
            converged(PHONONS, PHONONS, PhononSettings(), (5, 5, 5), Context(tmp_path))

    def test_one_small_change_by_chance_is_not_enough(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        class Stumbling(Solver):
            """The second mesh happens to give what the first gave."""

            def __call__(self, phonons: Any, settings: Any, mesh: Any, **options: Any) -> Transport:
                given = super().__call__(phonons, settings, mesh, **options)
                first = super().__call__(phonons, settings, (5, 5, 5), **options)
                return replace(first, mesh=mesh) if mesh == refined((5, 5, 5)) else given

        _installed(monkeypatch, Stumbling())
        settings = PhononSettings(tolerance=0.02, converge_meshes=30, mesh=(5, 5, 5))
        history = converged(PHONONS, PHONONS, settings, (5, 5, 5), Context(tmp_path))
        assert len(history) > 3

    def test_not_more_of_them_than_allowed(self, solver: Solver, tmp_path: Path) -> None:
        settings = PhononSettings(tolerance=1e-9, converge_meshes=3)
        assert len(converged(PHONONS, PHONONS, settings, (5, 5, 5), Context(tmp_path))) == 3
        one = PhononSettings(tolerance=1e-9, converge_meshes=1)
        assert len(converged(PHONONS, PHONONS, one, (5, 5, 5), Context(tmp_path))) == 1

    def test_the_deadline_is_looked_at_before_each(self, solver: Solver, tmp_path: Path) -> None:
        late = Context(tmp_path, deadline=0.0)
        with pytest.raises(OracleError, match="time limit") as raised:
            converged(PHONONS, PHONONS, PhononSettings(), (5, 5, 5), late)
        assert raised.value.transient
        assert len(solver.calls) == 1

    @pytest.mark.parametrize("slope", [0.5, -2.0])
    def test_the_error_follows_from_how_coarser_meshes_differ(
        self, monkeypatch: pytest.MonkeyPatch, slope: float
    ) -> None:
        fake = _installed(monkeypatch, Solver(slope))
        transport = fake(PHONONS, None, (30, 30, 30))
        by_hand = PhononSettings(mesh=(30, 30, 30))
        estimate = error(Solution(transport, transport), PHONONS, PHONONS, by_hand)
        coarse = [coarsened((30, 30, 30), ratio) for ratio in COARSER]
        assert fake.calls[1:] == [(m, {"coherence": False, "checked": False}) for m in coarse]
        changes = [np.log((1 - slope / 30) / (1 - slope / m[0])) for m in coarse]
        np.testing.assert_allclose(estimate, SHARE * np.sqrt(np.mean(np.square(changes))))

    @pytest.mark.parametrize("slope", [0.5, -2.0])
    def test_or_from_the_mesh_of_the_points_whose_lifetimes_are_computed(
        self, monkeypatch: pytest.MonkeyPatch, slope: float
    ) -> None:
        fake = _installed(monkeypatch, Solver(slope))
        transport = fake(PHONONS, None, (30, 30, 30))
        estimate = error(Solution(transport, transport), PHONONS, PHONONS, PhononSettings())
        assert fake.calls[1:] == [((15, 15, 15), {"coherence": False, "checked": False})]
        change = np.log((1 - slope / 30) / (1 - slope / 15))
        np.testing.assert_allclose(estimate, SPARSE_SHARE * np.abs(change))

    def test_what_lies_between_the_points_is_not_known_exactly(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = _installed(monkeypatch, Solver(slope=0.0))
        on_mesh = fake(PHONONS, None, (32, 32, 32))
        more = replace(on_mesh, particle=2 * on_mesh.particle)
        monkeypatch.setattr(convergence, "with_all_waves", lambda *_: more)
        estimate = error(Solution(on_mesh, more), PHONONS, PHONONS, PhononSettings())
        np.testing.assert_allclose(estimate, OF_THE_REST * np.log(2))

    def test_where_the_mesh_holds_little_of_kappa_it_is_said(self) -> None:
        transport = Solver(slope=0.0)(PHONONS, None, (32, 32, 32))
        temperatures = tuple(100.0 * (i + 1) for i in range(len(transport.particle)))
        factors = np.where(np.arange(len(temperatures)) == 0, 8.0, 1.4)
        more = replace(transport, particle=factors[:, None, None] * transport.particle)
        doubt = beyond_the_mesh(Solution(transport, more), temperatures)
        np.testing.assert_array_equal(doubt.holds, factors > 2)
        assert doubt.worst == 0
        assert "88% of it belongs to waves between the points" in doubt.text(0, True)

    def test_a_coarse_mesh_without_scattering_leaves_the_error_unknown(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _installed(monkeypatch, Solver(slope=40.0))
        transport = Solver(slope=1.0)(PHONONS, None, (32, 32, 32))
        estimate = error(Solution(transport, transport), PHONONS, PHONONS, PhononSettings())
        assert np.all(estimate > SPARSE_SHARE * UNKNOWN / 2)

    def test_isotopes_are_computed_once(self, solver: Solver) -> None:
        judge = Judge(PhononSettings(isotope=True, transport="rta"), (6, 6, 6))
        judge(PHONONS)
        second, third = judge(PHONONS), judge(PHONONS)
        assert [options["isotope"] for _, options in solver.calls] == [True, False, False]
        np.testing.assert_array_equal(second, third)
        # The widths of the first call scatter in all later ones.
        without = solver(PHONONS, None, (6, 6, 6)).mean
        assert np.all(second < without)

    def test_without_relaxation_times_isotopes_are_computed_each_time(self, solver: Solver) -> None:
        judge = Judge(PhononSettings(isotope=True, transport="lbte"), (6, 6, 6))
        judge(PHONONS)
        judge(PHONONS)
        assert [options["isotope"] for _, options in solver.calls] == [True, True]
