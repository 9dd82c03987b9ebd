"""A stored file that is damaged is detected by its digest, named, and computed again."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Measured
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context
from oracle.runtime.stages import SUMS, StageStore

DIGEST = "ab" * 32
SETTINGS = PhononSettings(
    calculator="ase.calculators.emt:EMT",
    fc2_supercell=((2, 0, 0), (0, 2, 0), (0, 0, 2)),
    fc3_supercell=((2, 0, 0), (0, 2, 0), (0, 0, 2)),
    mesh=(4, 4, 4),
    bands=False,
)


def _metal(symbol: str, a: float) -> Crystal:
    return Crystal.from_structure(
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [symbol], [[0.0] * 3])
    )


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [_truncated, _emptied, _one_bit, _removed])
@pytest.mark.parametrize("name", ["arrays.npz", "facts.json"])
def test_a_damaged_stage_is_made_again(
    name: str, harm: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = StageStore(tmp_path)
    arrays, facts = {"a": np.arange(5.0)}, {"symbols": ["Na", "Cl"], "steps": 12}
    store.save("relax", DIGEST, arrays, facts)
    path = store.path("relax", DIGEST) / name
    harm(path)
    with caplog.at_level(logging.WARNING, "phonoscout"):
        assert store.load("relax", DIGEST) is None
    assert [str(path) in record.getMessage() for record in caplog.records] == [True]
    store.save("relax", DIGEST, {"a": np.arange(6.0)}, facts)
    stored = store.load("relax", DIGEST)
    assert stored is not None
    np.testing.assert_array_equal(stored[0]["a"], np.arange(6.0))
    assert stored[1] == facts
    assert not [p for p in tmp_path.rglob(".*") if p.is_dir()]


@pytest.mark.parametrize("harm", [None, _truncated])
def test_stages_of_earlier_versions_hold_no_digests(
    harm: Callable[[Path], None] | None, tmp_path: Path
) -> None:
    store = StageStore(tmp_path)
    store.save("relax", DIGEST, {"a": np.arange(5.0)}, {})
    (store.path("relax", DIGEST) / SUMS).unlink()
    if harm is not None:
        harm(store.path("relax", DIGEST) / "arrays.npz")
    assert (store.load("relax", DIGEST) is None) == (harm is not None)


def test_the_stage_of_another_crystal_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    oracle = PhononBTE(SETTINGS)
    silver = oracle.evaluate(_metal("Ag", 4.09), context=Context(tmp_path / "silver"))
    expected = oracle.evaluate(_metal("Cu", 3.61), context=Context(tmp_path / "undisturbed"))
    assert isinstance(silver, Measured)
    assert isinstance(expected, Measured)
    oracle.evaluate(_metal("Cu", 3.61), context=Context(tmp_path / "copper"))
    for kept in list((tmp_path / "copper").rglob("evaluation.json")):
        shutil.rmtree(kept.parent)
    (copper_relax,) = (tmp_path / "copper").glob("stages/relax/*/*")
    (silver_relax,) = (tmp_path / "silver").glob("stages/relax/*/*")
    shutil.rmtree(copper_relax)
    shutil.copytree(silver_relax, copper_relax)
    with caplog.at_level(logging.WARNING, "phonoscout"):
        again = oracle.evaluate(_metal("Cu", 3.61), context=Context(tmp_path / "copper"))
    assert isinstance(again, Measured)
    assert again.properties["kappa"] == expected.properties["kappa"]
    assert "which belongs elsewhere" in caplog.text


@pytest.mark.parametrize("name", ["STAGE", SUMS])
def test_a_home_can_be_moved_and_an_identity_cannot_be_left_out(name: str, tmp_path: Path) -> None:
    StageStore(tmp_path / "a").save("relax", DIGEST, {"a": np.arange(5.0)}, {})
    (tmp_path / "a").rename(tmp_path / "b")
    store = StageStore(tmp_path / "b")
    assert store.load("relax", DIGEST) is not None
    (store.path("relax", DIGEST) / name).unlink()
    # Without digests a folder is as earlier versions wrote it.
    assert (store.load("relax", DIGEST) is None) == (name != SUMS)


@pytest.mark.parametrize("harm", [_truncated, _one_bit, _removed])
def test_a_damaged_evaluation_is_computed_again(
    harm: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    oracle, silver = PhononBTE(SETTINGS), _metal("Ag", 4.09)
    first = oracle.evaluate(silver, context=Context(tmp_path))
    assert isinstance(first, Measured)
    (path,) = tmp_path.rglob("evaluation.json")
    harm(path)
    with caplog.at_level(logging.WARNING, "phonoscout"):
        again = oracle.evaluate(silver, context=Context(tmp_path))
    assert isinstance(again, Measured)
    assert again.properties["kappa"] == first.properties["kappa"]
    assert str(path) in caplog.text
    assert path.is_file()


def test_the_evaluation_of_another_material_is_not_believed(tmp_path: Path) -> None:
    oracle, silver, copper = PhononBTE(SETTINGS), _metal("Ag", 4.09), _metal("Cu", 3.61)
    for crystal in (silver, copper):
        assert isinstance(oracle.evaluate(crystal, context=Context(tmp_path)), Measured)
    paths = {json.loads(p.read_text())["material"]["species"][0]: p.parent for p in
             tmp_path.rglob("evaluation.json")}  # fmt: skip
    for name in ("evaluation.json", SUMS):
        (paths["Ag"] / name).write_bytes((paths["Cu"] / name).read_bytes())
    evaluation = oracle.evaluate(silver, context=Context(tmp_path))
    assert evaluation.material == silver
