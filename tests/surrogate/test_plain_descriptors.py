"""Descriptors of crystals that need no potential."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.spaces.prototypes import PrototypeSpace
from agents.spaces.settings import PrototypeSpaceSettings
from oracle.materials.crystal import Crystal
from surrogate.features import plain_descriptors as plain
from surrogate.features.plain_descriptors import PlainStore, plain_descriptors

SPACE = PrototypeSpaceSettings(
    prototypes=["rocksalt", "perovskite"], elements=["Na", "K", "Mg", "F", "Cl", "O"]
)
CRYSTALS = [crystal for crystal in PrototypeSpace(SPACE) if isinstance(crystal, Crystal)]


def test_they_tell_elements_and_prototypes_apart() -> None:
    table = np.array([plain_descriptors(crystal) for crystal in CRYSTALS])
    assert table.shape == (len(CRYSTALS), 31)
    assert np.isfinite(table).all()
    assert len(np.unique(table.round(6), axis=0)) == len(CRYSTALS)


def test_they_are_those_of_sodium_chloride() -> None:
    (salt,) = (c for c in CRYSTALS if c.formula == "NaCl")
    found = plain_descriptors(salt)
    # Pauling's electronegativities; masses of Na and Cl
    assert found[[0, 5, 10]] == pytest.approx([(0.93 + 3.16) / 2, 0.93, 3.16])
    assert 10 ** found[[6, 11]] == pytest.approx([22.990, 35.45], rel=1e-4)
    assert found[-2:].tolist() == [225, 2]


def test_they_do_not_depend_on_the_cell() -> None:
    (salt,) = (c for c in CRYSTALS if c.formula == "NaCl")
    wide = Crystal.from_structure(salt.structure() * (2, 1, 1))
    assert plain_descriptors(wide) == pytest.approx(plain_descriptors(salt))


def test_a_table_is_kept_and_a_damaged_one_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plain, "_SAVED", 3)
    first = PlainStore(tmp_path).inputs(CRYSTALS)
    (path,) = tmp_path.iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(plain, "plain_descriptors", lambda crystal: pytest.fail("computed again"))
        read = PlainStore(tmp_path).inputs(CRYSTALS)
    assert np.array_equal(first.blocks[0], read.blocks[0])
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    again = PlainStore(tmp_path).inputs(CRYSTALS)
    assert f"{path} is damaged" in caplog.text
    assert np.array_equal(first.blocks[0], again.blocks[0])
