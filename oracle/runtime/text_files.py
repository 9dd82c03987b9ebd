"""Reading regular files of limited size, compressed or not, as bytes or as text of any encoding."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from oracle.runtime.errors import OracleError

LARGEST = 50_000_000
"""Bytes after decompression; files of one crystal or of settings are never larger."""

_UNPACK: dict[str, Callable[..., object]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def unpacked_name(name: str) -> str:
    """A file's name without the ending of a compressed file: ``a.cif`` for ``a.cif.gz``."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot + ending.lower() in _UNPACK else name


def is_packed(path: Path) -> bool:
    """Whether a file's name says that it is compressed."""
    return path.suffix.lower() in _UNPACK


def read_bytes(path: Path) -> bytes:
    """The content of a regular file, decompressed if its name ends in ``.gz``, ``.bz2`` or ``.xz``.

    Raises:
        OracleError: stage ``read``; missing, not a regular file (reading a pipe might never end),
            not readable, or larger than `LARGEST`.
    """
    if not path.is_file():
        raise OracleError(
            "read", f"{path} does not exist or is not a file; expected a regular file"
        )
    opener = _UNPACK.get(path.suffix.lower(), open)
    try:
        with cast(BinaryIO, opener(path, "rb")) as stream:
            content = stream.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        known = error.strerror if isinstance(error, OSError) else None
        reason = known or " ".join(str(error).split())
        raise OracleError(
            "read", f"{path} cannot be read: {reason}; expected a sound file"
        ) from error
    if len(content) > LARGEST:
        raise OracleError(
            "read",
            f"{path} holds more than {LARGEST // 10**6} MB; expected one crystal or settings",
        )
    return content


def read_text(path: Path, *, otherwise: str | None = None) -> str:
    """The text of a file with Unix line endings; see `read_bytes` and `decoded`."""
    return decoded(read_bytes(path), str(path), otherwise=otherwise)


def decoded(content: bytes, source: str, *, otherwise: str | None = None) -> str:
    """Decode a text, without its byte-order mark and with Unix line endings.

    UTF-16 without a mark is recognised by its zero bytes, which occur in no other text.

    Args:
        content: all bytes of the text.
        source: names the text in errors.
        otherwise: encoding of text that is not Unicode, for formats in which only names and
            comments are not ASCII; None refuses such text.

    Raises:
        OracleError: stage ``read``; it cannot be decoded.
    """
    text = _decoded(content, source, otherwise)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(content: bytes, source: str, otherwise: str | None) -> str:
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if marked is None and b"\0" in content[:1000]:
        marked = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    encoding = marked or "utf-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if marked is None and otherwise is not None:
            return content.decode(otherwise)
        line = content.count(b"\n", 0, error.start) + 1
        raise OracleError(
            "read",
            f"{source}: line {line}: byte 0x{content[error.start]:02x} is not "
            f"{encoding.removesuffix('-sig').upper()}; expected text in UTF-8: save it as UTF-8",
        ) from error
