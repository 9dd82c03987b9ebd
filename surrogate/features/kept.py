"""Arrays kept as safetensors files, with a digest of their content inside."""

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
    """Write arrays and notes; a reader sees a whole file or none."""
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    write_whole(path, save(arrays, {**notes, _CHECK: _digest(arrays, notes)}))


def read_tensors(path: Path) -> tuple[Tensors, dict[str, str]] | None:
    """Arrays and notes of a file; None where there is none, or it is damaged, which is said.

    Files of earlier versions hold no digest: there only what cannot be read counts as damaged.
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
    check = notes.pop(_CHECK, None)
    if check not in (None, _digest(arrays, notes)):
        report_damage(path, "its SHA-256 is not that of what was written")
        return None
    return arrays, notes


def _digest(arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, str]) -> str:
    found = hashlib.sha256(repr(sorted(notes.items())).encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
