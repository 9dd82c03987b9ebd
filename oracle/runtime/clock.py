"""Runs the stages of an evaluation, checks its deadline and measures durations."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from oracle.runtime.context import Context

_T = TypeVar("_T")


@dataclass
class Clock:
    """Before each stage, checks the deadline and reports its beginning; then measures its duration.

    Args:
        context: of the evaluation.
        seconds: duration by stage, summed over all its runs; filled here.
    """

    context: Context
    seconds: dict[str, float] = field(default_factory=dict)

    def __call__(self, stage: str, work: Callable[[], _T]) -> _T:
        """Return what `work` returns.

        Raises:
            OracleError: the deadline has passed, or `work` raised it.
        """
        self.context.check(stage)
        self.context.progress(stage, 0.0)
        started = time.perf_counter()
        result = work()
        spent = self.seconds.get(stage, 0.0) + time.perf_counter() - started
        self.seconds[stage] = round(spent, 3)
        return result
