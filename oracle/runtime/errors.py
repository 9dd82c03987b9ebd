"""The exception of the physics layer: what failed, where, and for which kind of reason.

A failure is stored permanently only if it is due to this material with this method. A full disk, a
package that cannot be imported, lack of memory and the like are due to the machine, and transient.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from typing import TypeVar

_T = TypeVar("_T")
RAISED_BY_LIBRARIES: tuple[type[BaseException], ...] = (Exception, SystemExit)
"""What a calculator may raise; one that calls ``sys.exit`` must not silently end a campaign."""
_OF_THE_MACHINE = (OSError, ImportError, MemoryError, SystemExit, subprocess.TimeoutExpired)
# Libraries in other languages report in messages what Python has exception classes for.
_IN_WORDS = re.compile(
    r"out of memory|cannot allocate memory|bad_alloc|no space left on device|disk quota exceeded"
    r"|too many open files|read-only file system|input/output error|\bcuda\b|\bcudnn|\bcublas"
    r"|\berrno\b",
    re.IGNORECASE,
)


class OracleError(Exception):
    """An evaluation that cannot be completed.

    Args:
        stage: where it happened: ``read``, ``relax``, ``fc2``, ``stability``, ``elasticity``,
            ``fc3``, ``bte``, ``spectra``, ``dft``, ``lookup`` or ``worker``.
        message: one line that says what was given, what was expected and what to do.
        transient: True if the same call may succeed later (memory, time-out, lost worker).
        unexpected: True if a library raised an unknown error. It may be transient too, but is due
            to the material if a second attempt raises it again.
    """

    def __init__(
        self, stage: str, message: str, *, transient: bool = False, unexpected: bool = False
    ) -> None:
        super().__init__(f"{stage}: {message}")
        self.stage = stage
        self.message = message
        self.transient = transient or unexpected
        self.unexpected = unexpected


class SetupError(OracleError):
    """Something that an evaluation needs is missing: a package, a program, weights, a setting.

    This is not due to the material, and so it is transient.

    Args:
        message: one line, as for `OracleError`.
    """

    def __init__(self, message: str) -> None:
        super().__init__("read", message, transient=True)


def as_oracle_error(error: Exception, relief: str) -> OracleError:
    """The `OracleError` for an exception that ended an evaluation.

    Args:
        error: an `OracleError` is returned as it is; an error of the machine becomes a transient
            one, any other an unexpected one.
        relief: what the user can do if memory ran out.
    """
    if isinstance(error, OracleError):
        return error
    if isinstance(error, MemoryError):
        return OracleError("worker", f"out of memory; {relief}", transient=True)
    of_machine = is_of_the_machine(error)
    return OracleError("worker", in_words(error), transient=of_machine, unexpected=not of_machine)


def is_of_the_machine(error: BaseException) -> bool:
    """Whether an error is due to disk, memory, imports, time or device, not to the material."""
    return any(
        isinstance(cause, _OF_THE_MACHINE)
        or (isinstance(cause, OracleError) and cause.transient and not cause.unexpected)
        or _IN_WORDS.search(str(cause)) is not None
        for cause in _causes(error)
    )


def raise_if_of_the_machine(error: Exception) -> None:
    """Raise again an error that is not due to the material, before it is stored as a failure.

    Raises:
        OracleError: the transient error.
    """
    if is_of_the_machine(error):
        raise as_oracle_error(error, "give smaller cells or more memory") from error


def recurring(work: Callable[[], _T]) -> _T:
    """What `work` returns; it is tried again if it raises an unknown error.

    Raises:
        Exception: whatever the second attempt raises, or an error that is not unexpected.
    """
    try:
        return work()
    except OracleError as error:
        if not error.unexpected:
            raise
    except Exception as error:
        if is_of_the_machine(error):
            raise
    return work()


def in_words(error: BaseException) -> str:
    """Class and message of an exception in one line, shortened to 200 characters."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those from which or after which it was raised."""
    cause: BaseException | None = error
    visited: set[int] = set()
    while cause is not None and id(cause) not in visited:
        visited.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def one_line(error: BaseException) -> str:
    """Class and message of an exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
