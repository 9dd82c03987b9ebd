"""The numerical parts, each against an independent formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import TypeAdapter, ValidationError
from scipy.stats import multivariate_normal

from surrogate.contract.calibration import calibrate, coverage
from surrogate.contract.settings import GraphEnsembleSettings, SurrogateSettings
from surrogate.kernels.block_kernel import BlockKernel
from surrogate.kernels.compression import Compressor
from surrogate.models.graph.fitting import (
    Training,
    bootstrap,
    last_layer,
    negative_log_evidence,
    start_scales,
    train,
)
from surrogate.models.graph.network import Graphs, Networks, Shape, depths, features
from surrogate.models.stability import PRIOR_STABLE, StabilityModel
from surrogate.training_data.scaling import Columns, TargetScale

SHAPE = Shape(members=2, nodes=5, edges=3, width=4, blocks=(3, 2), waves=6, extras=3)


def some_graphs(n: int = 7) -> Graphs:
    draw = torch.Generator().manual_seed(0)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=draw, dtype=torch.float64)

    return Graphs(
        n,
        (torch.arange(n),),
        (normal(n, 3, 2, 5),),
        (normal(n, 3, 3, 3).abs(),),
        (normal(n, 3), normal(n, 2)),
        normal(n, 3),
    )


class TestCalibration:
    def test_recovers_a_wrong_scale(self) -> None:
        rng = np.random.default_rng(0)
        truth = rng.normal(0.0, 2.0, 400)
        calibration = calibrate(np.zeros(400), np.ones(400), truth)
        assert calibration.trials == 400
        assert calibration.scale == pytest.approx(2.0, rel=0.1)
        one, two, n = coverage(np.zeros(400), np.full(400, calibration.scale), truth)
        assert n == 400
        assert one == pytest.approx(0.683, abs=0.06)
        assert two == pytest.approx(0.954, abs=0.04)

    def test_few_trials_move_little(self) -> None:
        assert calibrate(np.array([]), np.array([]), np.array([])).scale == 1.0
        single = calibrate(np.zeros(1), np.ones(1), np.array([3.0])).scale
        assert single == pytest.approx(np.sqrt((4 + 9) / 5))
        outlier = calibrate(np.zeros(1), np.ones(1), np.array([1e6])).scale
        assert outlier == pytest.approx(np.sqrt((4 + 16) / 5))

    @given(z=arrays(float, st.integers(1, 30), elements=st.floats(-3, 3)))
    def test_scale_lies_between_1_and_that_of_the_data(self, z: np.ndarray) -> None:
        scale = calibrate(np.zeros(len(z)), np.ones(len(z)), z).scale
        rms = float(np.sqrt(np.mean(np.square(z))))
        assert min(1.0, rms) - 1e-12 <= scale <= max(1.0, rms) + 1e-12

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match="the same shape"):
            calibrate(np.zeros(2), np.ones(3), np.zeros(3))
        with pytest.raises(ValueError, match="positive"):
            coverage(np.zeros(2), np.array([1.0, 0.0]), np.zeros(2))


class TestScaling:
    def test_standardises_and_survives_gaps(self) -> None:
        table = np.random.default_rng(0).normal(3.0, 2.0, (200, 2))
        table[0, 0] = np.nan
        scaled = Columns.of(table, np.ones(2)).apply(table)
        assert scaled[0, 0] == 0.0
        assert np.allclose(scaled.mean(axis=0), 0, atol=0.02)
        assert np.allclose(scaled.std(axis=0), 1, atol=0.02)

    def test_one_row_uses_the_typical_spread(self) -> None:
        columns = Columns.of(np.array([[5.0]]), np.array([0.2]))
        assert columns.apply(np.array([[5.2]]))[0, 0] == pytest.approx(np.sqrt(2))
        assert columns.apply(np.array([[99.0]]))[0, 0] == 5.0

    def test_target_without_physics_follows_the_labels(self) -> None:
        scale = TargetScale.of(np.array([2.0, 2.1, 2.2]), physical=False)
        assert scale.centre == pytest.approx(2.1)
        assert scale.spread == pytest.approx(np.std([2.0, 2.1, 2.2]))
        constant = TargetScale.of(np.full(4, 2.0), physical=False)
        assert constant.spread > 0

    def test_physical_target_is_shrunk(self) -> None:
        assert TargetScale.of(np.array([]), physical=True) == TargetScale(0.0, 0.5)
        assert TargetScale.of(np.array([0.4]), physical=True).centre == pytest.approx(0.2)


class TestCompressor:
    @settings(deadline=None)
    @given(seed=st.integers(0, 1000), rank=st.integers(1, 6))
    def test_keeps_variances(self, seed: int, rank: int) -> None:
        root = np.random.default_rng(seed).standard_normal((20, 8))
        short = Compressor.of(root, rank)(root)
        assert short.shape == (20, rank)
        assert np.allclose(np.square(short).sum(axis=1), np.square(root).sum(axis=1))

    def test_is_exact_where_the_rank_suffices(self) -> None:
        rng = np.random.default_rng(0)
        root = rng.standard_normal((20, 3)) @ rng.standard_normal((3, 8))
        short = Compressor.of(root, 3)(root)
        assert np.allclose(short @ short.T, root @ root.T)


class TestStability:
    def test_prior(self) -> None:
        model = StabilityModel.fit(np.zeros((0, 2)), np.zeros(0), np.zeros(0))
        typical = np.array([[1.0, 0.98]])
        assert model.probability(typical)[0] == pytest.approx(PRIOR_STABLE, abs=0.02)

    def test_separates_and_is_maximal(self) -> None:
        rng = np.random.default_rng(1)
        x = np.c_[np.ones(60), rng.standard_normal((60, 2))]
        stable = (x[:, 1] > 0).astype(float)
        model = StabilityModel.fit(x, stable, np.ones(60))
        p = model.probability(x)
        assert p[stable == 1].min() > 0.3
        assert np.mean((p > 0.5) == (stable == 1)) > 0.95
        # The gradient of the log posterior vanishes at the weights.
        logit, variance = model.logits(x)
        gradient = 2.0 * x.T @ (stable - 1 / (1 + np.exp(-logit))) - model.weights
        assert np.abs(gradient).max() < 1e-8
        assert np.all(variance > 0)

    def test_confidence_is_a_weight(self) -> None:
        x = np.ones((1, 1))
        p = [
            StabilityModel.fit(x, np.zeros(1), np.array([c])).probability(x)[0]
            for c in (0.0, 0.5, 1.0)
        ]
        assert p[0] > p[1] > p[2]


class TestLastLayer:
    @pytest.mark.parametrize("columns", [4, 9])  # fewer or more than labels
    def test_evidence_is_that_of_the_gaussian(self, columns: int) -> None:
        rng = np.random.default_rng(0)
        phi, y = rng.standard_normal((1, 6, columns)), rng.standard_normal(6)
        noise, log_noise = np.full(6, 0.3), np.log(0.2)
        evidence = negative_log_evidence(
            torch.from_numpy(phi),
            torch.from_numpy(y),
            torch.from_numpy(noise),
            torch.tensor([log_noise]),
            torch.ones(1, 6, dtype=torch.float64),
        )
        covariance = phi[0] @ phi[0].T + (0.3**2 + 0.2**2 + 1e-6) * np.eye(6)
        expected = -multivariate_normal(np.zeros(6), covariance).logpdf(y)
        assert float(evidence[0]) + 3 * np.log(2 * np.pi) == pytest.approx(expected)

    def test_posterior_is_that_of_the_gaussian_process(self) -> None:
        rng = np.random.default_rng(0)
        phi, y = rng.standard_normal((2, 6, 9)), rng.standard_normal(6)
        noise = np.array([0.1, 0.2, 0.3, 0.1, 0.5, 0.1])
        layer = last_layer(
            torch.from_numpy(phi),
            torch.from_numpy(y),
            torch.from_numpy(noise),
            torch.tensor([np.log(0.2), np.log(0.1)]),
        )
        new = rng.standard_normal((3, 9))
        for e, sigma in enumerate((0.2, 0.1)):
            gram = phi[e] @ phi[e].T + np.diag(noise**2 + sigma**2 + 1e-6)
            gain = new @ phi[e].T @ np.linalg.inv(gram)
            assert np.allclose(new @ layer.mean[e].numpy(), gain @ y)
            root = new @ layer.root[e].numpy()
            assert np.allclose(root @ root.T, new @ new.T - gain @ phi[e] @ new.T)

    def test_bootstrap_keeps_every_label(self) -> None:
        shares = bootstrap(4, 50, torch.Generator().manual_seed(0))
        assert torch.all(shares > 0)
        assert torch.allclose(shares.mean(dim=1), torch.ones(4, dtype=torch.float64))


class TestNetworks:
    def networks(self) -> Networks:
        return Networks.random(SHAPE, torch.Generator().manual_seed(1))

    def test_order_of_atoms_does_not_matter(self) -> None:
        graphs, order = some_graphs(), torch.tensor([2, 0, 1])
        turned = Graphs(
            graphs.n,
            graphs.rows,
            (graphs.nodes[0][:, order],),
            (graphs.edges[0][:, order][:, :, order],),
            graphs.blocks,
            graphs.extras,
        )
        networks, scales = self.networks(), start_scales(SHAPE)
        straight = features(networks, scales, graphs)
        assert straight.shape == (2, 7, SHAPE.features)
        assert torch.allclose(straight, features(networks, scales, turned))

    def test_members_use_different_layers(self) -> None:
        graphs, networks = some_graphs(), self.networks()
        assert depths(2, 2) == [0, 1]
        assert depths(6, 3) == [0, 0, 1, 1, 2, 2]
        assert depths(2, 3) == [0, 1]
        before = networks.embed(graphs)
        for layer, member in ((-1, 0), (-2, 1)):
            nodes = graphs.nodes[0].clone()
            nodes[:, :, layer] += 1.0
            other = networks.embed(replace(graphs, nodes=(nodes,)))
            assert not torch.allclose(other[member], before[member], atol=1e-2)
            assert torch.equal(other[1 - member], before[1 - member])

    def test_neighbours_matter(self) -> None:
        graphs, networks = some_graphs(), self.networks()
        without_neighbours = Graphs(
            graphs.n,
            graphs.rows,
            graphs.nodes,
            (0 * graphs.edges[0],),
            graphs.blocks,
            graphs.extras,
        )
        assert not torch.allclose(
            networks.embed(graphs), networks.embed(without_neighbours), atol=1e-2
        )

    def test_one_graph_for_all_is_the_same_as_many_equal_ones(self) -> None:
        graphs, networks = some_graphs(), self.networks()
        shared = graphs.edges[0][:1]

        def with_edges(edges: torch.Tensor) -> torch.Tensor:
            return networks.embed(
                Graphs(graphs.n, graphs.rows, graphs.nodes, (edges,), graphs.blocks, graphs.extras)
            )

        assert torch.allclose(with_edges(shared), with_edges(shared.expand(7, -1, -1, -1)))

    def test_training_raises_the_evidence_and_stays_near_its_start(self) -> None:
        graphs, networks, scales = some_graphs(40), self.networks(), start_scales(SHAPE)
        hidden = networks.embed(graphs)[0] @ torch.ones(4, dtype=torch.float64)
        targets = torch.sin(3 * hidden)
        noise, ones = torch.zeros(40), torch.ones(2, 40, dtype=torch.float64)

        def evidence(n: Networks, s: object) -> float:
            assert isinstance(s, type(scales))
            phi = features(n, s, graphs)
            return float(negative_log_evidence(phi, targets, noise, s.noise, ones).sum())

        by_anchoring = {}
        for anchoring in (1.0, 1e4):
            how = Training(steps=40, rate=0.01, anchoring=anchoring)
            trained, fitted = train(
                networks, scales, graphs, targets, noise, how, torch.Generator().manual_seed(2)
            )
            moved = float((trained.project - networks.project).abs().max())
            by_anchoring[anchoring] = (evidence(trained, fitted), moved)
        assert by_anchoring[1.0][0] < by_anchoring[1e4][0] < evidence(networks, scales)
        assert by_anchoring[1e4][1] < 0.1 * by_anchoring[1.0][1]


class TestBlockKernel:
    def kernel(self) -> BlockKernel:
        kernel = BlockKernel((4, 3), 1, np.array([3, 2, 1, 0, 6, 5, 4]))
        return kernel.eval()

    def test_is_a_covariance_with_its_diagonal(self) -> None:
        x = torch.randn(12, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        with torch.no_grad():
            k = self.kernel().forward(x, x)
            diagonal = self.kernel().forward(x, x, diag=True)
        assert torch.allclose(k, k.T)
        assert float(torch.linalg.eigvalsh(k).min()) > -1e-9
        assert torch.allclose(k.diagonal(), diagonal)

    def test_full_reflection(self) -> None:
        x = torch.randn(5, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        reverse = x.clone()
        reverse[:, :7] = x[:, [3, 2, 1, 0, 6, 5, 4]]
        kernel = self.kernel()
        with torch.no_grad():
            kernel.log_mirror.fill_(50.0)  # a share of 1
            assert torch.allclose(kernel.forward(x, x), kernel.forward(x, reverse))
            kernel.log_mirror.fill_(-50.0)  # none
            assert not torch.allclose(kernel.forward(x, x), kernel.forward(x, reverse))


class TestSettings:
    def test_round_trip_by_kind(self) -> None:
        adapter: TypeAdapter[SurrogateSettings] = TypeAdapter(SurrogateSettings)
        settings_ = adapter.validate_python({"kind": "graph-ensemble", "members": 3})
        assert settings_ == GraphEnsembleSettings(members=3)
        assert adapter.validate_json(adapter.dump_json(settings_)) == settings_

    @pytest.mark.parametrize(
        "bad",
        [
            {"kind": "forest"},
            {"kind": "graph-ensemble", "members": 1},
            {"kind": "gaussian-process", "x": 1},
        ],
    )
    def test_refuses(self, bad: dict[str, object]) -> None:
        adapter: TypeAdapter[SurrogateSettings] = TypeAdapter(SurrogateSettings)
        with pytest.raises(ValidationError):
            adapter.validate_python(bad)
