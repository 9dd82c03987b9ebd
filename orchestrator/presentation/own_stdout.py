"""Keeps standard output for the results of a command; all else is printed on standard error."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_STDOUT, _STDERR = 1, 2
_streams: list[TextIO] = []  # for results, of the commands that run, the innermost one last


def results() -> TextIO:
    """The stream for the results of the present command; ``sys.stdout`` outside of any."""
    return _streams[-1] if _streams else _standard_output()


def _standard_output() -> TextIO:
    """Standard output; where it was closed before the program began, nothing is written."""
    return sys.stdout or Path(os.devnull).open("w", encoding="utf-8")


@contextlib.contextmanager
def own_stdout() -> Iterator[None]:
    """Keep standard output for what is written to `results`.

    ``--json`` promises a single document, but libraries print (phono3py, for instance, where a
    supercell has another point group than the crystal), and code in C or Fortran and programs that
    a calculator starts write to the file descriptor itself. Meanwhile both ``sys.stdout`` and, if
    the former is the real standard output and not that of a test, the descriptor lead to standard
    error.
    """
    before = sys.stdout
    with _saved(_standard_output()) as stream:
        _streams.append(stream)
        sys.stdout = sys.stderr
        try:
            yield
            stream.flush()
        finally:
            sys.stdout = before
            _streams.pop()


@contextlib.contextmanager
def _saved(stdout: TextIO) -> Iterator[TextIO]:
    """A stream to where standard output leads now; its descriptor leads to standard error."""
    if not _is_real(stdout):
        yield stdout
        return
    stdout.flush()
    real = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    stream = open(  # noqa: SIM115  # a file descriptor
        real, "w", encoding=stdout.encoding, errors=stdout.errors, closefd=False
    )
    try:
        yield stream
    finally:
        os.dup2(real, _STDOUT)
        os.close(real)


def _is_real(stdout: TextIO) -> bool:
    try:
        os.fstat(_STDERR)
        return stdout.fileno() == _STDOUT
    except (AttributeError, ValueError, OSError, io.UnsupportedOperation):
        return False
