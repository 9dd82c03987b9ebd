"""What an evaluation is given beside the material: a place for files, threads, and a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from oracle.runtime.errors import OracleError

Progress = Callable[[str, float], None]
"""Called with the stage's name and its finished share, 0 to 1."""


def silent(stage: str, share: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Context:
    """Where and how one evaluation runs; nothing in it changes the result.

    Args:
        workdir: root of the content-addressed stage results and artefacts, shared by all
            evaluations of one home.
        deadline: `time.time` at which to give up with a transient failure, or None.
        progress: told the stage reached.
        keep_large: whether third-order force constants and mode-resolved conductivities are kept.
        threads: CPU threads the evaluation may use.
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
