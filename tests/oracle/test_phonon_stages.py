"""Results of stages are complete or absent, and exact."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from oracle.runtime.stages import StageStore


@given(array=arrays(np.float64, array_shapes(max_dims=3), elements=st.floats(allow_nan=False)))
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_arrays_come_back_to_the_last_bit(tmp_path: Path, array: np.ndarray) -> None:
    store = StageStore(tmp_path)
    digest = hashlib.sha256(array.tobytes() + str(array.shape).encode()).hexdigest()
    store.save("stage", digest, {"array": array}, {"n": 1})
    stored = store.load("stage", digest)
    assert stored is not None
    assert stored[0]["array"].tobytes() == array.tobytes()
    assert stored[1] == {"n": 1}


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    store = StageStore(tmp_path)

    def interrupted() -> None:
        with store.directory("stage", "ab") as folder:
            (folder / "half").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.load("stage", "ab") is None
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_the_first_of_two_writers_wins(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    store.save("stage", "ab", {"x": np.ones(2)}, {"writer": 1})
    store.save("stage", "ab", {"x": np.ones(2)}, {"writer": 2})
    stored = store.load("stage", "ab")
    assert stored is not None
    assert stored[1] == {"writer": 1}
    assert len(list(store.path("stage", "ab").parent.iterdir())) == 1
