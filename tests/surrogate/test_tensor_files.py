"""Cached features: damaged files are detected, reported and computed again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from surrogate.features.tensor_files import read_tensors, write_tensors

ARRAYS = {"nodes": np.arange(6, dtype=np.float32).reshape(2, 3), "globals": np.array([1.5, np.nan])}


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(bytes(content))


def test_arrays_and_notes_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.safetensors"
    assert read_tensors(path) is None
    write_tensors(path, ARRAYS, {"note": "eos: none"})
    stored = read_tensors(path)
    assert stored is not None
    assert stored[1] == {"note": "eos: none"}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(stored[0][name], array)
        assert stored[0][name].dtype == array.dtype


@pytest.mark.parametrize("harm", [_truncated, _one_bit])
def test_a_damaged_file_is_named(
    harm: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(path, ARRAYS, {})
    harm(path)
    with caplog.at_level(logging.WARNING, "phonoscout"):
        assert read_tensors(path) is None
    assert str(path) in caplog.text


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save(ARRAYS, {"note": ""}))
    stored = read_tensors(path)
    assert stored is not None
    np.testing.assert_array_equal(stored[0]["nodes"], ARRAYS["nodes"])
