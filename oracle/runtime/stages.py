"""Results of stages, stored by content: written atomically and read back exactly."""

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
"""Name of the file that states which stage a folder holds, as ``<name>/<2 digits>/<digest>``."""


class Damaged(Exception):
    """A stored file is not what was written.

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

    The digest is of everything that the stage depends on. Arrays are stored in full precision
    (``.npz`` without pickle) and facts as JSON, so that a reloaded stage equals a recomputed one to
    the last bit.

    Args:
        root: folder shared by all evaluations of one home.
    """

    root: Path

    def path(self, name: str, digest: str) -> Path:
        """Folder of a stage's result, whether it exists or not."""
        return self.root / name / digest[:2] / digest

    def load(self, name: str, digest: str) -> tuple[dict[str, Array], dict[str, Any]] | None:
        """(arrays, facts) of a finished stage; None where there is none, or where it is damaged.

        A damaged stage is reported and removed, so that it is computed again.
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
        """Write a stage's result; if two processes write the same digest, the first wins."""
        with self.directory(name, digest) as path:
            named: dict[str, Any] = {key: np.asarray(a) for key, a in arrays.items()}
            np.savez(path / "arrays.npz", **named)
            (path / "facts.json").write_text(json.dumps(facts, sort_keys=True))

    def directory(self, name: str, digest: str) -> AtomicDirectory:
        """A context manager that yields a scratch folder and finally moves it to its place."""
        return AtomicDirectory(self.path(name, digest))


def read_whole(folder: Path, read: Callable[[Path], T]) -> T | None:
    """Read a finished folder with `read`; if it is damaged, remove it and return None.

    Args:
        folder: written by an `AtomicDirectory`. Earlier versions stored no digests; their folders
            count as damaged only if `read` cannot understand them.
        read: raises `Damaged`, or any exception, for what it cannot understand.
    """
    try:
        return read(folder)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            raise  # a disk that cannot be read does not mean that the folder is damaged
        _discard(folder, folder / Path(str(error.filename)).name, "it is missing")
    except Damaged as error:
        _discard(folder, error.path, str(error))
    except Exception as error:  # readers raise exceptions of any class on damaged files
        _discard(folder, folder, error)
    return None


def content(folder: Path, name: str) -> bytes:
    """Bytes of a file in a finished folder.

    Raises:
        Damaged: they are not those that were written, or the folder belongs to another stage.
        FileNotFoundError: the file is missing.
    """
    sums = folder / SUMS
    lines = sums.read_text(errors="replace").splitlines() if sums.is_file() else None
    # Folders of earlier versions have no `IDENTITY`; where there was one, it is among the digests.
    if lines is not None and any(line.endswith(f"  {IDENTITY}") for line in lines):
        identity = _checked(folder / IDENTITY, lines).decode(errors="replace").strip()
        if identity != _identity(folder):
            raise Damaged(
                folder / IDENTITY, f"the folder holds {identity}, which belongs elsewhere"
            )
    return _checked(folder / name, lines)


def _checked(path: Path, lines: list[str] | None) -> bytes:
    """Bytes of a file whose digest must be among the `lines`; None where there are no digests."""
    read = path.read_bytes()
    if lines is not None and f"{hashlib.sha256(read).hexdigest()}  {path.name}" not in lines:
        raise Damaged(path, "its SHA-256 is not that of what was written")
    return read


def _identity(folder: Path) -> str:
    """Name, digits and digest from a folder's path, which do not change when a home is moved."""
    return "/".join(folder.parts[-3:])


def _read(folder: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    facts = _parsed(folder, "facts.json", json.loads)
    arrays = _parsed(folder, "arrays.npz", _arrays)
    if not isinstance(facts, dict):
        raise Damaged(folder / "facts.json", "it holds no facts")
    return arrays, facts


def _parsed(folder: Path, name: str, parse: Callable[[bytes], T]) -> T:
    data = content(folder, name)
    try:
        return parse(data)
    except Exception as error:  # zip, numpy and JSON have different ones
        raise Damaged(folder / name, str(error)) from error


def _arrays(data: bytes) -> dict[str, Array]:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _discard(folder: Path, path: Path, cause: BaseException | str) -> None:
    """Report what is damaged and remove the folder, atomically for other processes."""
    report_damage(path, cause)
    discarded = folder.with_name(f".damaged-{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):  # another process was faster, or the home is read-only
        folder.rename(discarded)
        shutil.rmtree(discarded, ignore_errors=True)


class AtomicDirectory:
    """Makes files appear together under their final path, or not at all.

    It adds their digests, as ``sha256sum --check SHA256SUMS`` reads them, and the identity of the
    stage, so that a folder copied to the place of another is not mistaken for it.

    Args:
        target: the final path; if it already exists, the new files are dropped, because the same
            digest means the same content.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._scratch: Path | None = None

    def __enter__(self) -> Path:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=self._target.parent))
        self._scratch.chmod(0o755)  # mkdtemp lets only the owner read it
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
                    if not self._target.is_dir():  # else another process wrote it first
                        raise
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)


def _write_sums(folder: Path) -> None:
    """Write the file of digests of a folder's files."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    lines = [f"{digest_of_path(file)}  {file.name}\n" for file in files]
    (folder / SUMS).write_text("".join(lines))
