"""The one exception of the physics layer: what failed, where, and whether a retry can help."""

from __future__ import annotations


class OracleError(Exception):
    """An evaluation that cannot be completed.

    Args:
        stage: where it happened: ``read``, ``relax``, ``fc2``, ``stability``, ``fc3``, ``bte``,
            ``spectra``, ``dft``, ``lookup`` or ``worker``.
        message: one line: what was given, what was expected, what to do.
        transient: True when the same call may succeed later (memory, time-out, lost worker).
    """

    def __init__(self, stage: str, message: str, *, transient: bool = False) -> None:
        super().__init__(f"{stage}: {message}")
        self.stage = stage
        self.message = message
        self.transient = transient


def as_oracle_error(error: Exception, relief: str) -> OracleError:
    """What an evaluation says of whatever ended it; an `OracleError` speaks for itself.

    Args:
        error: lack of memory counts as transient, all else as permanent.
        relief: what to do where memory was lacking.
    """
    if isinstance(error, OracleError):
        return error
    if isinstance(error, MemoryError):
        return OracleError("worker", f"out of memory; {relief}", transient=True)
    text = " ".join(str(error).split())[:200]
    return OracleError("worker", f"{type(error).__name__}: {text}")
