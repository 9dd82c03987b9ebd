"""What every worker does with a call: limit its threads, and keep stdout clean."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from oracle.runtime.files import LOG
from oracle.runtime.threads import use_threads
from orchestrator.executors.protocol import Answer, CallContext, Request


def run(
    function: Callable[[Request, CallContext], Answer], payload: Request, context: CallContext
) -> Answer:
    """Call a function on `context.threads` threads.

    Whatever it raises goes to the caller.

    Raises:
        TypeError: it returned nothing.
    """
    use_threads(context.threads)
    with nothing_printed():
        answer = function(payload, context)
    if answer is None:
        raise TypeError(f"{function.__name__} returned nothing, expected an answer")
    return answer


@contextlib.contextmanager
def nothing_printed() -> Iterator[None]:
    """Keep what libraries and calculators print away from stdout, which belongs to documents."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


class _Heard(logging.Handler):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """What users are to be told meanwhile, of a process whose stderr nobody sees."""
    handler = _Heard()
    LOG.addHandler(handler)
    try:
        yield handler.lines
    finally:
        LOG.removeHandler(handler)
