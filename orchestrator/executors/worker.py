"""How every worker runs a call: with limited threads, and without output on stdout."""

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

    Whatever the function raises is passed to the caller.

    Raises:
        TypeError: the function returned None.
    """
    use_threads(context.threads)
    with nothing_printed():
        answer = function(payload, context)
    if answer is None:
        raise TypeError(f"{function.__name__} returned nothing, expected an answer")
    return answer


@contextlib.contextmanager
def nothing_printed() -> Iterator[None]:
    """Discard what libraries and calculators print on stdout, which is kept for documents."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


class _Collector(logging.Handler):
    """Collects the messages of warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Append one message."""
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Warnings for users that are logged meanwhile; nobody sees the stderr of a worker."""
    handler = _Collector()
    LOG.addHandler(handler)
    try:
        yield handler.lines
    finally:
        LOG.removeHandler(handler)
