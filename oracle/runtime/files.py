"""Files that are written atomically, and their digests."""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from pathlib import Path

LOG = logging.getLogger("phonoscout")
"""Messages to the user besides results; on stderr unless a handler is attached."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically: under another name, which is then changed.

    Args:
        path: of the file; its folder is created. If two processes write at once, the last wins.
        content: of the whole file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The module tempfile would make files that only their owner can read.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def report_damage(path: Path, cause: BaseException | str) -> None:
    """Log in one line that a stored file is damaged; the caller computes it again."""
    reason = " ".join(str(cause).split())[:120] or type(cause).__name__
    LOG.warning("%s is damaged (%s): it is computed again", path, reason)


def digest_of_path(path: Path) -> str:
    """SHA-256 (hexadecimal) of a file, or of the names and digests of all files in a folder."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{file.relative_to(path).as_posix()} {digest_of_path(file)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
