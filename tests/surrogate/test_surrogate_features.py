from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.materials.crystal import Crystal
from surrogate.contract.protocol import Output
from surrogate.features.crystal_features import CrystalFeatures, features_of, is_cached
from surrogate.features.descriptors import (
    GLOBAL_SPREADS,
    GLOBALS,
    columns,
    edge_descriptors,
    global_descriptors,
)
from surrogate.features.feature_store import FeatureStore
from surrogate.features.node_features import LAYERS, node_features
from surrogate.features.sequence_features import Chains
from surrogate.training_data.prior import prior_mean

EMT = "ase.calculators.emt:EMT"


def rocksalt(cation: str, anion: str, a: float) -> Structure:
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )


def copper(a: float = 3.7) -> Crystal:
    return Crystal.from_structure(
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Cu"], [[0, 0, 0]])
    )


class TestFeaturesOf:
    def test_at_equilibrium_whatever_cell_was_given(self) -> None:
        wide, narrow = features_of(EMT, copper(3.8), None), features_of(EMT, copper(3.4), None)
        assert np.allclose(wide.globals, narrow.globals, rtol=1e-3)
        assert wide.globals[GLOBALS.index("log_volume")] == pytest.approx(
            np.log10(3.59**3 / 4), abs=0.01
        )
        assert wide.note == ""

    def test_coordination_of_close_packing(self) -> None:
        values = dict(zip(GLOBALS, features_of(EMT, copper(), None).globals, strict=True))
        assert values["coordination"] == 12
        assert values["nearest_distance"] == pytest.approx(2 ** (1 / 6))

    def test_cache_is_exact_and_by_material_and_potential(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        crystal = copper()
        first = features_of(EMT, crystal, tmp_path)
        assert is_cached(EMT, crystal, tmp_path)
        assert not is_cached(EMT, copper(3.4), tmp_path)
        assert not is_cached("ase.calculators.emt:Other", crystal, tmp_path)

        def refuse(*_: object) -> None:
            raise AssertionError("computed again")

        monkeypatch.setattr("surrogate.features.crystal_features._computed", refuse)
        again = features_of(EMT, crystal, tmp_path)
        for name in ("nodes", "edges", "globals"):
            one, other = getattr(first, name), getattr(again, name)
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
        assert not list(tmp_path.rglob("*.partial"))

    def test_crystal_the_potential_does_not_support(self, tmp_path: Path) -> None:
        crystal = Crystal.from_structure(rocksalt("Na", "Cl", 5.6))
        features = features_of(EMT, crystal, tmp_path)
        assert "NaCl" in features.note
        assert np.isnan(features.globals[GLOBALS.index("log_slack")])
        assert np.isfinite(features.globals[GLOBALS.index("log_mass")])
        assert features_of(EMT, crystal, tmp_path).note == features.note

    def test_unknown_potential_is_the_users_error(self) -> None:
        from oracle.runtime.errors import OracleError

        with pytest.raises(OracleError, match="unknown calculator '8net'"):
            features_of("8net", copper(), None)


class TestStore:
    def test_computes_each_crystal_once_through_the_mapper(self) -> None:
        computed: list[Crystal] = []

        def mapper(
            function: Callable[[Crystal], CrystalFeatures], crystals: list[Crystal]
        ) -> Iterable[CrystalFeatures]:
            computed.extend(crystals)
            return map(function, crystals)

        store = FeatureStore(EMT, None, mapper)
        first = store.get([copper(), copper(3.5), copper()])
        assert len(computed) == 2
        assert first[0] is first[2]
        store.get([copper(3.5)])
        assert len(computed) == 2

    def test_inputs_hold_every_crystal_once(self) -> None:
        aluminium = Structure.from_spacegroup(
            "Fm-3m", Lattice.cubic(4.0), ["Al", "Cu"], [[0, 0, 0], [0.5, 0.5, 0.5]]
        )
        crystals = [copper(), Crystal.from_structure(aluminium), copper(3.5)]
        inputs = FeatureStore(EMT).inputs(crystals)
        rows = np.concatenate([group.rows for group in inputs.groups])
        assert sorted(rows) == [0, 1, 2]
        assert {group.nodes.shape[1] for group in inputs.groups} == {1, 2}
        reverse = inputs.take(np.array([2, 0]))
        assert np.array_equal(reverse.blocks[0], inputs.blocks[0][[2, 0]])
        assert np.allclose(reverse.pooled(), inputs.pooled()[[2, 0]])
        parts = {int(r): part.pooled()[k] for rs, part in inputs.parts(1) for k, r in enumerate(rs)}
        assert all(np.allclose(parts[k], inputs.pooled()[k]) for k in range(3))


class TestPotentials:
    # CHGNet collects volumes, which may carry gradients, in a list of floats.
    @pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad:UserWarning")
    @pytest.mark.parametrize(("potential", "width"), [("7net-0", 128), ("chgnet", 64)])
    def test_nodes_are_invariant(self, potential: str, width: int) -> None:
        pytest.importorskip("sevenn" if width == 128 else "chgnet", exc_type=ImportError)
        salt = features_of(potential, Crystal.from_structure(rocksalt("Na", "Cl", 5.5)), None)
        assert salt.nodes.shape == (2, LAYERS, width)
        assert np.isfinite(salt.nodes).all()
        again = features_of(potential, Crystal.from_structure(rocksalt("Na", "Cl", 5.5)), None)
        assert np.array_equal(salt.nodes, again.nodes)
        wider = features_of(potential, Crystal.from_structure(rocksalt("Na", "Cl", 5.8)), None)
        assert np.allclose(wider.nodes, salt.nodes, atol=0.02 * np.abs(salt.nodes).max())
        # The four sodium atoms of the conventional cell are alike.
        nodes = node_features(potential, rocksalt("Na", "Cl", 5.5))
        assert np.allclose(nodes[:4], nodes[0], atol=1e-4)
        assert not np.allclose(nodes[4], nodes[0], atol=1e-2)
        # Each layer has something of its own to say.
        first, second, last = nodes.swapaxes(0, 1)
        assert not np.allclose(first, second, atol=1e-2)
        assert not np.allclose(second, last, atol=1e-2)


class TestDescriptors:
    @settings(max_examples=15, deadline=None)
    @given(
        shift=st.lists(st.floats(0, 1), min_size=3, max_size=3),
        angle=st.floats(0, 3.1),
        scale=st.floats(0.8, 1.3),
    )
    def test_edges_do_not_depend_on_the_frame(
        self, shift: list[float], angle: float, scale: float
    ) -> None:
        structure = Structure(
            Lattice.hexagonal(3.8, 6.2),
            ["Zn", "Zn", "S", "S"],
            [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.37], [2 / 3, 1 / 3, 0.87]],
        )
        moved = structure.copy()
        moved.translate_sites(range(4), shift)
        turn = np.array(
            [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
        )
        moved = Structure(
            Lattice(scale * moved.lattice.matrix @ turn.T), moved.species, moved.frac_coords
        )
        edges = edge_descriptors(structure)
        assert np.allclose(edges, edge_descriptors(moved), atol=1e-3)
        assert np.allclose(edges, edges.transpose(1, 0, 2))

    def test_every_descriptor_has_a_spread(self) -> None:
        assert len(GLOBALS) == len(GLOBAL_SPREADS)
        values = global_descriptors(rocksalt("Mg", "O", 4.2), None)
        known = dict(zip(GLOBALS, values, strict=True))
        assert known["electronegativity_range"] == pytest.approx(3.44 - 1.31)
        assert known["log_mass"] == pytest.approx(np.log10((24.305 + 15.999) / 2), abs=1e-4)
        assert known["coordination"] == 6

    def test_noble_gas_has_no_electronegativity(self) -> None:
        argon = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.3), ["Ar"], [[0, 0, 0]])
        values = dict(zip(GLOBALS, global_descriptors(argon, None), strict=True))
        assert values["electronegativity"] == 0.0

    def test_slack_orders_diamond_silicon_and_salt(self) -> None:
        """Measured 2,200, 150 and 7 W/m/K at 300 K: right within a factor of 4."""
        from oracle.energetics.eos import EquationOfState

        def slack(volume: float, modulus: float, mass: float, structure: Structure) -> float:
            eos = EquationOfState(-1.0, volume, modulus, 4.0, 1.0, mass, 2)
            table = global_descriptors(structure, eos)[None]
            mean = prior_mean(Output("kappa", 300.0), columns(table))
            assert mean is not None
            hot = prior_mean(Output("kappa", 600.0), columns(table))
            assert hot is not None
            assert mean[0] - hot[0] == pytest.approx(np.log10(2))
            return float(10 ** mean[0])

        def diamond(element: str, a: float) -> Structure:
            return Structure.from_spacegroup(
                "Fd-3m", Lattice.cubic(a), [element], [[0, 0, 0]]
            ).get_primitive_structure()

        estimates = [
            slack(5.67, 443.0, 12.011, diamond("C", 3.567)),
            slack(20.0, 98.0, 28.085, diamond("Si", 5.431)),
            slack(22.4, 25.0, 29.22, rocksalt("Na", "Cl", 5.64).get_primitive_structure()),
        ]
        for value, measured in zip(estimates, (2200.0, 150.0, 7.0), strict=True):
            assert measured / 4 < value < measured * 4

    def test_other_priors(self) -> None:
        table = np.full((1, len(GLOBALS)), 2.0)
        assert prior_mean(Output("bulk_modulus"), columns(table)) == pytest.approx(2.0)
        linear = prior_mean(Output("bulk_modulus", log=False), columns(table))
        assert linear == pytest.approx(100.0)
        frequency = prior_mean(Output("max_frequency", log=False), columns(table))
        assert frequency == pytest.approx(100.0 * 0.0208366, rel=1e-4)  # THz per K
        assert prior_mean(Output("conductance"), columns(table)) is None


SEQUENCES = st.lists(
    st.text(alphabet="012", min_size=8, max_size=8), min_size=1, max_size=6, unique=True
)


class TestChains:
    @given(sequences=SEQUENCES)
    def test_reversal_permutes_columns(self, sequences: list[str]) -> None:
        chains = Chains.of(["01201201"])
        straight = chains.inputs(sequences)
        reverse = chains.inputs([s[::-1] for s in sequences])
        for block, back, order in zip(
            straight.blocks, reverse.blocks, straight.mirrors, strict=True
        ):
            assert np.array_equal(block[:, order], back)
            assert np.array_equal(order[order], np.arange(len(order)))
        assert np.allclose(straight.groups[0].nodes[:, ::-1], reverse.groups[0].nodes)

    @given(sequences=SEQUENCES)
    def test_distinct_sequences_have_distinct_descriptors(self, sequences: list[str]) -> None:
        blocks = Chains.of(["01201201"]).inputs(sequences).blocks[0]
        assert len(np.unique(blocks, axis=0)) == len(sequences)

    def test_single_layer(self) -> None:
        inputs = Chains.of(["0"]).inputs(["0", "1"])
        assert all(np.isfinite(block).all() for block in inputs.blocks)
