"""Quick features approximate the exact ones with a fraction of the potential evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.materials.crystal import Crystal
from oracle.potentials.table import calculator
from surrogate.features import shards
from surrogate.features.batched import Neighbours, batched
from surrogate.features.crystal_features import features_of
from surrogate.features.descriptors import GLOBALS
from surrogate.features.quick_features import quick_features
from surrogate.features.shards import ShardStore, shard_features

pytest.importorskip("sevenn", reason="the extra phonoscout[sevenn] is not installed")
POTENTIAL = "7net-0"
EMT = "ase.calculators.emt:EMT"


def rocksalt(cation: str, anion: str, a: float) -> Crystal:
    lattice = Lattice.cubic(a)
    return Crystal.from_structure(
        Structure.from_spacegroup("Fm-3m", lattice, [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])
    )


def fluorite(cation: str, anion: str, a: float) -> Crystal:
    lattice = Lattice.cubic(a)
    return Crystal.from_structure(
        Structure.from_spacegroup(
            "Fm-3m", lattice, [cation, anion], [[0, 0, 0], [0.25, 0.25, 0.25]]
        )
    )


CRYSTALS = [
    rocksalt("Na", "Cl", 5.6),
    rocksalt("Mg", "O", 4.3),
    rocksalt("Pb", "Te", 6.4),
    fluorite("Ca", "F", 5.5),
]


def test_energies_are_those_of_one_crystal_alone() -> None:
    batched_potential = batched(calculator(POTENTIAL))
    assert batched_potential is not None
    evaluations = batched_potential(
        [Neighbours.of(c.structure(), batched_potential.cutoff) for c in CRYSTALS]
    )
    for crystal, evaluation in zip(CRYSTALS, evaluations, strict=True):
        structure = crystal.structure()
        atoms = Atoms(
            list(crystal.species),
            scaled_positions=structure.frac_coords,
            cell=structure.lattice.matrix,
            pbc=True,
            calculator=calculator(POTENTIAL),
        )
        assert evaluation.energy == pytest.approx(atoms.get_potential_energy(), abs=2e-5)
        assert len(evaluation.nodes) == len(crystal.species)


def test_near_the_exact_features_at_any_given_volume() -> None:
    # One cell far too large, and one so small that the neighbour list has to be rebuilt.
    crystals = [*CRYSTALS, rocksalt("Na", "Cl", 7.0), rocksalt("Na", "Cl", 4.6)]
    quick = quick_features(POTENTIAL, crystals)
    exact = [features_of(POTENTIAL, crystal, None) for crystal in CRYSTALS]
    allowed = {"log_volume": 0.005, "log_bulk_modulus": 0.05, "log_debye": 0.025, "log_slack": 0.08}
    for features, true in zip(quick, [*exact, exact[0], exact[0]], strict=True):
        assert features.note == ""
        for name, tolerance in allowed.items():
            at = GLOBALS.index(name)
            assert features.globals[at] == pytest.approx(true.globals[at], abs=tolerance), name
        assert np.linalg.norm(features.nodes - true.nodes) < 0.1 * np.linalg.norm(true.nodes)
        assert features.edges == pytest.approx(true.edges, abs=0.05 * float(true.edges.max()))


def test_an_unknown_element_affects_no_other_crystal() -> None:
    stranger = rocksalt("Og", "Cl", 6.0)
    single = quick_features(POTENTIAL, [CRYSTALS[0]])
    strange, plain = quick_features(POTENTIAL, [stranger, CRYSTALS[0]])
    assert "Og" in strange.note
    assert np.isnan(strange.nodes).all()
    assert plain.nodes == pytest.approx(single[0].nodes, abs=1e-4)


def test_a_shard_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shard_features(POTENTIAL, CRYSTALS, tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(shards, "quick_features", refuse)
    again = shard_features(POTENTIAL, CRYSTALS, tmp_path)
    for one, two in zip(first, again, strict=True):
        assert one.note == two.note
        assert np.array_equal(one.nodes, two.nodes)
        assert np.array_equal(one.edges, two.edges)
        assert np.array_equal(one.globals, two.globals)
    with pytest.raises(AssertionError, match="computed again"):
        shard_features(POTENTIAL, CRYSTALS[::-1], tmp_path)


def test_other_potentials_give_exact_features() -> None:
    copper = Crystal.from_structure(Structure(Lattice.cubic(2.9), ["Cu"], [[0, 0, 0]]))
    (quick,) = quick_features(EMT, [copper])
    exact = features_of(EMT, copper, None)
    assert np.array_equal(quick.globals, exact.globals)


def test_a_store_keeps_one_shard(tmp_path: Path) -> None:
    store = ShardStore(POTENTIAL, tmp_path)
    store.load(CRYSTALS[:2])
    quick = store.get(CRYSTALS[:2])
    store.load(CRYSTALS[2:])
    exact = store.get(CRYSTALS[:1])
    assert np.array_equal(exact[0].globals, features_of(POTENTIAL, CRYSTALS[0], None).globals)
    assert not np.array_equal(exact[0].globals, quick[0].globals)
