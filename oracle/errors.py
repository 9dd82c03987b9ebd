"""The one exception of the physics layer: what failed, where, and whether a retry can help."""

from __future__ import annotations


class OracleError(Exception):
    """An evaluation that cannot be completed.

    Args:
        stage: where it happened: ``read``, ``relax``, ``fc2``, ``stability``, ``fc3``, ``bte``,
            ``dft``, ``lookup`` or ``worker``.
        message: one line: what was given, what was expected, what to do.
        transient: True when the same call may succeed later (memory, time-out, lost worker).
    """

    def __init__(self, stage: str, message: str, *, transient: bool = False) -> None:
        super().__init__(f"{stage}: {message}")
        self.stage = stage
        self.message = message
        self.transient = transient
