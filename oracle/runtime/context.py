"""What an evaluation is given besides the material: a folder for files, threads, a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from oracle.runtime.errors import OracleError

Progress = Callable[[str, float], None]
"""Called with the name of a stage and its finished share, 0 to 1."""


def silent(stage: str, share: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Context:
    """Where and how one evaluation runs; nothing in it changes the result.

    Args:
        workdir: root folder of stages and artefacts, which are stored by content and shared by all
            evaluations of one home.
        deadline: value of `time.time` at which to give up with a transient failure, or None.
        progress: is called with each stage that is reached.
        keep_large: whether third-order force constants and mode-resolved conductivities are stored.
        threads: number of CPU threads that the evaluation may use.
    """

    workdir: Path
    deadline: float | None = None
    progress: Progress = field(default=silent)
    keep_large: bool = False
    threads: int = 1

    def check(self, stage: str) -> None:
        """Raise a transient `OracleError` when the deadline has passed."""
        if self.deadline is not None and time.time() > self.deadline:
            raise OracleError(
                stage, "ran past its time limit; raise executor.time_limit", transient=True
            )
