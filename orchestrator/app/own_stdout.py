"""Keeps standard output for the results of a command; libraries print to standard error instead."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

_STDOUT, _STDERR = 1, 2


@contextlib.contextmanager
def own_stdout() -> Iterator[None]:
    """Keep standard output for Python's ``sys.stdout``; other code writes to standard error.

    A library in C or Fortran, or a program that a calculator starts, writes to the file descriptor
    itself, but ``--json`` promises a single document. Where ``sys.stdout`` is not the real standard
    output, as in tests, nothing is changed.
    """
    if not _is_real():
        yield
        return
    sys.stdout.flush()
    real_stdout = os.dup(_STDOUT)
    before = sys.stdout
    os.dup2(_STDERR, _STDOUT)
    sys.stdout = open(  # noqa: SIM115  # a file descriptor
        real_stdout, "w", encoding=before.encoding, errors=before.errors, closefd=False
    )
    try:
        yield
        sys.stdout.flush()
    finally:
        sys.stdout = before
        os.dup2(real_stdout, _STDOUT)
        os.close(real_stdout)


def _is_real() -> bool:
    try:
        os.fstat(_STDERR)
        return sys.stdout.fileno() == _STDOUT
    except (AttributeError, ValueError, OSError, io.UnsupportedOperation):
        return False
