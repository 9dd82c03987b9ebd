"""Runs calls one after another in this process, without Ray."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

from orchestrator.executor import Call, CallContext, CallFailed, Payload, Reply
from orchestrator.settings import ExecutorSettings
from orchestrator.worker import one_line, run


class SerialExecutor:
    """One call at a time; a limit in time is only as good as the function's own checks.

    Args:
        settings: threads per call.
    """

    slots = 1

    def __init__(self, settings: ExecutorSettings) -> None:
        self._threads = settings.cpus_per_call
        self._waiting: deque[tuple[Call, float]] = deque()

    def start(self) -> None:
        """Nothing has to be set up."""

    def submit(self, call: Call) -> None:
        """Put the call in line; it runs when its reply is asked for."""
        self._waiting.append((call, time.time()))

    def next_reply(self, timeout: float) -> Reply | None:
        """Run the next call, however long it takes; None at once when there is none."""
        if not self._waiting:
            return None
        call, submitted = self._waiting.popleft()
        started = time.time()
        limit = None if call.time_limit is None else started + call.time_limit
        context = CallContext(limit, threads=self._threads)
        try:
            value = run(call.function, call.payload, context)
        except Exception as error:  # whatever a call raises is its reply
            return Reply(
                call.id,
                "error",
                error=one_line(error),
                submitted=submitted,
                started=started,
                finished=time.time(),
            )
        return Reply(
            call.id,
            "ok",
            value=value,
            submitted=submitted,
            started=started,
            finished=time.time(),
        )

    def progress(self) -> dict[str, tuple[str, float]]:
        """Nothing runs while anybody can ask."""
        return {}

    def map(self, function: str, payloads: Iterable[Payload]) -> Iterator[Payload]:
        """Results one by one."""
        context = CallContext(threads=self._threads)
        for payload in payloads:
            try:
                yield run(function, payload, context)
            except Exception as error:
                raise CallFailed(f"{function}: {one_line(error)}") from error

    def shutdown(self) -> None:
        """Forget what is in line."""
        self._waiting.clear()
