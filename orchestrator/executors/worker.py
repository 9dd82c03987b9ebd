"""What every worker does with a call: find the function, pin the threads, catch what it raises."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from oracle.runtime.files import LOG
from orchestrator.executors.protocol import CallContext, Payload

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Read by the numerical libraries when they are loaded."""


def run(function: str, payload: Payload, context: CallContext) -> Payload:
    """Call ``module:name`` with a payload on `context.threads` threads.

    Whatever it raises goes to the caller.

    Raises:
        TypeError: it returned something else than a dictionary.
    """
    module, _, name = function.partition(":")
    for variable in THREAD_VARIABLES:  # for what the function imports
        os.environ[variable] = str(context.threads)
    target: Callable[[Payload, CallContext], Payload] = getattr(
        importlib.import_module(module), name
    )
    pin_threads(context.threads)
    with nothing_printed():
        value = target(payload, context)
    if not isinstance(value, dict):
        raise TypeError(f"{function} returned {type(value).__name__}, expected a dictionary")
    return value


@contextlib.contextmanager
def nothing_printed() -> Iterator[None]:
    """Keep what libraries and calculators print away from stdout, which belongs to documents."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def pin_threads(threads: int) -> None:
    """Let torch use so many threads, if it is loaded; results depend on it in the last digits."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


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
