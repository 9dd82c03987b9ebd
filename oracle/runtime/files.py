"""Files that appear whole or not at all, and their digests."""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from pathlib import Path

LOG = logging.getLogger("phonoscout")
"""What users are told beside results; on stderr unless somebody listens."""


def write_whole(path: Path, content: bytes) -> None:
    """Write under another name, then rename: no reader, and no crash, sees half a file.

    Args:
        path: of the file; its folder is made. Of two writers at once the last wins.
        content: all of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by tempfile, whose files only their owner may read.
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
    """Say in one line that a kept file is damaged; whoever found it computes it again."""
    reason = " ".join(str(cause).split())[:120] or type(cause).__name__
    LOG.warning("%s is damaged (%s): it is computed again", path, reason)


def digest_of_path(path: Path) -> str:
    """SHA-256 in hexadecimal of a file, or of the names and digests of all files in a folder."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{file.relative_to(path).as_posix()} {digest_of_path(file)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
