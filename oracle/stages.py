"""Content-addressed results of stages: written whole or not at all, read back exactly."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StageStore:
    """Arrays and facts of finished stages under ``<root>/<name>/<2 digits>/<digest>``.

    A stage is found again by the digest of what it depends on. Arrays are kept in full
    precision (``.npz`` without pickle), facts as JSON, so that a reloaded stage equals a
    recomputed one to the last bit.

    Args:
        root: directory shared by all evaluations of one home.
    """

    root: Path

    def path(self, name: str, digest: str) -> Path:
        """Directory of a stage's result, whether it exists or not."""
        return self.root / name / digest[:2] / digest

    def load(self, name: str, digest: str) -> tuple[dict[str, Array], dict[str, Any]] | None:
        """(arrays, facts) of a finished stage, or None."""
        path = self.path(name, digest)
        if not (path / "facts.json").is_file():
            return None
        with np.load(path / "arrays.npz", allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        return arrays, json.loads((path / "facts.json").read_text())

    def save(
        self,
        name: str,
        digest: str,
        arrays: Mapping[str, Array],
        facts: Mapping[str, Any],
    ) -> None:
        """Write a stage's result; of two writers of the same digest the first wins."""
        with self.directory(name, digest) as path:
            named: dict[str, Any] = {key: np.asarray(a) for key, a in arrays.items()}
            np.savez(path / "arrays.npz", **named)
            (path / "facts.json").write_text(json.dumps(facts, sort_keys=True))

    def directory(self, name: str, digest: str) -> AtomicDirectory:
        """A context manager that yields a scratch directory and moves it into place at its end."""
        return AtomicDirectory(self.path(name, digest))


class AtomicDirectory:
    """Files appear together under their final path, or not at all.

    Args:
        target: the final path; if it exists already, what was written is dropped, because the
            same digest means the same content.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._scratch: Path | None = None

    def __enter__(self) -> Path:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=self._target.parent))
        self._scratch.chmod(0o755)  # made for its owner alone
        return self._scratch

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._scratch is not None
        try:
            if kind is None:
                for file in self._scratch.iterdir():
                    with file.open("rb") as handle:
                        os.fsync(handle.fileno())
                try:
                    os.replace(self._scratch, self._target)  # noqa: PTH105
                except OSError:
                    if not self._target.is_dir():  # not the race that another writer won
                        raise
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
