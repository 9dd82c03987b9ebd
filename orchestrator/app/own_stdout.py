"""Standard output is for what a command answers: what libraries print goes to standard error."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

_STDOUT, _STDERR = 1, 2


@contextlib.contextmanager
def own_stdout() -> Iterator[None]:
    """Keep standard output for Python's ``sys.stdout``; other languages write to standard error.

    A library in C or Fortran, or a program that a calculator starts, writes to the descriptor
    itself, and ``--json`` promises one document. Where ``sys.stdout`` is something else already,
    as in tests, nothing is changed.
    """
    if not _is_real():
        yield
        return
    sys.stdout.flush()
    kept = os.dup(_STDOUT)
    before = sys.stdout
    os.dup2(_STDERR, _STDOUT)
    sys.stdout = open(  # noqa: SIM115  # a file descriptor
        kept, "w", encoding=before.encoding, errors=before.errors, closefd=False
    )
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout = before
        os.dup2(kept, _STDOUT)
        os.close(kept)


def _is_real() -> bool:
    try:
        os.fstat(_STDERR)
        return sys.stdout.fileno() == _STDOUT
    except (AttributeError, ValueError, OSError, io.UnsupportedOperation):
        return False
