"""Arrays in safetensors files that hold a digest of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from oracle.runtime.files import report_damage, write_whole

_CHECK = "sha256"
Tensors = dict[str, NDArray[Any]]


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], notes: Mapping[str, str]
) -> None:
    """Write arrays and notes atomically."""
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    write_whole(path, save(arrays, {**notes, _CHECK: _digest(arrays, notes)}))


def read_tensors(path: Path) -> tuple[Tensors, dict[str, str]] | None:
    """Arrays and notes of a file; None if it is absent, or damaged, which is reported.

    Files of earlier versions hold no digest and count as damaged only if they cannot be read.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            notes = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, KeyError) as error:
        report_damage(path, error)
        return None
    expected = notes.pop(_CHECK, None)
    if expected not in (None, _digest(arrays, notes)):
        report_damage(path, "its SHA-256 is not that of what was written")
        return None
    return arrays, notes


def _digest(arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(notes.items())).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
