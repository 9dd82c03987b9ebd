"""Content-addressed results of stages: written whole or not at all, read back exactly."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from oracle.runtime.files import digest_of_path, report_damage

Array = NDArray[np.float64]
T = TypeVar("T")
SUMS = "SHA256SUMS"
"""Name of the file of digests in every finished folder."""
IDENTITY = "STAGE"
"""Name of the file that says which stage a folder holds, as ``<name>/<2 digits>/<digest>``."""


class Damaged(Exception):
    """A kept file is not what was written.

    Args:
        path: of the file.
        cause: what is wrong with it.
    """

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(cause)
        self.path = path


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
        """(arrays, facts) of a finished stage, or None where there is none, or it is damaged.

        What is damaged is removed, and said, so that the stage is computed again.
        """
        path = self.path(name, digest)
        return read_whole(path, _read) if path.is_dir() else None

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


def read_whole(folder: Path, read: Callable[[Path], T]) -> T | None:
    """What `read` makes of a finished folder; None where it is damaged, and then it is removed.

    Args:
        folder: written by an `AtomicDirectory`, of this version or an earlier one, which kept no
            digests: there only what `read` cannot understand counts as damaged.
        read: raises `Damaged`, or anything, at what it cannot understand.
    """
    try:
        return read(folder)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            raise  # a disk that cannot be read says nothing of what is on it
        _discard(folder, folder / Path(str(error.filename)).name, "it is missing")
    except Damaged as error:
        _discard(folder, error.path, str(error))
    except Exception as error:  # whatever its format makes a reader trip over
        _discard(folder, folder, error)
    return None


def content(folder: Path, name: str) -> bytes:
    """Bytes of a file of a finished folder.

    Raises:
        Damaged: they are not those that were written, or not there.
        FileNotFoundError: it is missing.
    """
    sums = folder / SUMS
    lines = sums.read_text(errors="replace").splitlines() if sums.is_file() else None
    # Folders of earlier versions have no such file; one that had it lists it.
    if lines is not None and any(line.endswith(f"  {IDENTITY}") for line in lines):
        identity = _checked(folder / IDENTITY, lines).decode(errors="replace").strip()
        if identity != _identity(folder):
            raise Damaged(
                folder / IDENTITY, f"the folder holds {identity}, which belongs elsewhere"
            )
    return _checked(folder / name, lines)


def _checked(path: Path, lines: list[str] | None) -> bytes:
    """Bytes of a file whose digest is among the `lines`; None: no digests were kept."""
    read = path.read_bytes()
    if lines is not None and f"{hashlib.sha256(read).hexdigest()}  {path.name}" not in lines:
        raise Damaged(path, "its SHA-256 is not that of what was written")
    return read


def _identity(folder: Path) -> str:
    """What a folder's place says it holds; the same wherever the home is moved."""
    return "/".join(folder.parts[-3:])


def _read(folder: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    facts = _parsed(folder, "facts.json", json.loads)
    arrays = _parsed(folder, "arrays.npz", _arrays)
    if not isinstance(facts, dict):
        raise Damaged(folder / "facts.json", "it holds no facts")
    return arrays, facts


def _parsed(folder: Path, name: str, parse: Callable[[bytes], T]) -> T:
    found = content(folder, name)
    try:
        return parse(found)
    except Exception as error:  # zip, numpy and JSON each have their own
        raise Damaged(folder / name, str(error)) from error


def _arrays(found: bytes) -> dict[str, Array]:
    with np.load(io.BytesIO(found), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _discard(folder: Path, path: Path, cause: BaseException | str) -> None:
    """Say what is damaged and take the folder away, in one step as others see it."""
    report_damage(path, cause)
    grave = folder.with_name(f".damaged-{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):  # another process was faster, or nothing may be changed
        folder.rename(grave)
        shutil.rmtree(grave, ignore_errors=True)


class AtomicDirectory:
    """Files appear together under their final path, or not at all.

    Beside them stand their digests, as ``sha256sum --check SHA256SUMS`` reads them, and which
    stage they are, so that a folder copied to another's place is not taken for it.

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
                (self._scratch / IDENTITY).write_text(_identity(self._target) + "\n")
                _write_sums(self._scratch)
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


def _write_sums(folder: Path) -> None:
    """Write the digests of a folder's files."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    lines = [f"{digest_of_path(file)}  {file.name}\n" for file in files]
    (folder / SUMS).write_text("".join(lines))
