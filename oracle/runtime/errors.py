"""The one exception of the physics layer: what failed, where, and whose fault it was.

A failure is kept for good only where it belongs to this material with this method. A full disk, a
package that cannot be imported, want of memory and the like belong to the machine: they pass.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from typing import TypeVar

_T = TypeVar("_T")
RAISED_BY_LIBRARIES: tuple[type[BaseException], ...] = (Exception, SystemExit)
"""What a calculator may raise; one that calls ``sys.exit`` must not end a campaign in silence."""
_OF_THE_MACHINE = (OSError, ImportError, MemoryError, SystemExit, subprocess.TimeoutExpired)
# Libraries in other languages put into words what Python has classes for.
_IN_WORDS = re.compile(
    r"out of memory|cannot allocate memory|bad_alloc|no space left on device|disk quota exceeded"
    r"|too many open files|read-only file system|input/output error|\bcuda\b|\bcudnn|\bcublas"
    r"|\berrno\b",
    re.IGNORECASE,
)


class OracleError(Exception):
    """An evaluation that cannot be completed.

    Args:
        stage: where it happened: ``read``, ``relax``, ``fc2``, ``stability``, ``fc3``, ``bte``,
            ``spectra``, ``dft``, ``lookup`` or ``worker``.
        message: one line: what was given, what was expected, what to do.
        transient: True when the same call may succeed later (memory, time-out, lost worker).
        unexpected: True where a library raised what nobody foresaw. That may pass as well, but
            belongs to the material once a fresh attempt raises it again.
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
    """What an evaluation needs is not there: a package, a program, weights, a setting.

    The user's error, not the material's, so it passes once that is there.

    Args:
        message: one line, as for `OracleError`.
    """

    def __init__(self, message: str) -> None:
        super().__init__("read", message, transient=True)


def as_oracle_error(error: Exception, relief: str) -> OracleError:
    """What an evaluation says of whatever ended it; an `OracleError` speaks for itself.

    Args:
        error: that of the machine counts as transient, any other as unexpected.
        relief: what to do where memory was lacking.
    """
    if isinstance(error, OracleError):
        return error
    if isinstance(error, MemoryError):
        return OracleError("worker", f"out of memory; {relief}", transient=True)
    of_machine = is_of_the_machine(error)
    return OracleError("worker", in_words(error), transient=of_machine, unexpected=not of_machine)


def is_of_the_machine(error: BaseException) -> bool:
    """Whether disk, memory, imports, time or device are to blame, rather than the material."""
    return any(
        isinstance(cause, _OF_THE_MACHINE)
        or (isinstance(cause, OracleError) and cause.transient and not cause.unexpected)
        or _IN_WORDS.search(str(cause)) is not None
        for cause in _causes(error)
    )


def raise_if_of_the_machine(error: Exception) -> None:
    """Pass on what is no fault of the material's, before a failure is kept as one.

    Raises:
        OracleError: transient.
    """
    if is_of_the_machine(error):
        raise as_oracle_error(error, "give smaller cells or more memory") from error


def recurring(work: Callable[[], _T]) -> _T:
    """What `work` gives; what it raises unforeseen counts only where it is raised twice."""
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
    """Class and message of an exception, in one line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it was raised from or after."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def one_line(error: BaseException) -> str:
    """Class and message of an exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
