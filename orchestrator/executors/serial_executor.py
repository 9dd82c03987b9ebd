"""Runs calls one after another in this process, without Ray."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from oracle.runtime.errors import one_line
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors.addresses import address_of
from orchestrator.executors.protocol import (
    Answer,
    Call,
    CallContext,
    CallFailed,
    Reply,
    Request,
    Stages,
)
from orchestrator.executors.worker import run


class SerialExecutor:
    """One call at a time; a limit in time is only as good as the function's own checks.

    Args:
        settings: threads per call, and how often a failed one of a map is tried.
    """

    slots = 1

    def __init__(self, settings: ExecutorSettings) -> None:
        self._threads = settings.cpus_per_call
        self._attempts = settings.attempts
        self._waiting: deque[tuple[Call[Any, Any], float]] = deque()
        self._told: Callable[[Stages], None] = lambda stages: None

    def start(self) -> None:
        """Nothing has to be set up."""

    def submit(self, call: Call[Any, Any]) -> None:
        """Put the call in line; it runs when its reply is asked for."""
        address_of(call.function)  # what runs here must run in any worker
        self._waiting.append((call, time.time()))

    def next_reply(self, timeout: float) -> Reply | None:
        """Run the next call, however long it takes; None at once when there is none."""
        if not self._waiting:
            return None
        call, submitted = self._waiting.popleft()
        started = time.time()
        limit = None if call.time_limit is None else started + call.time_limit
        context = CallContext(limit, self._note(call.id), self._threads)
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

    def progress(self) -> Stages:
        """Nothing runs while anybody can ask."""
        return {}

    def watch(self, told: Callable[[Stages], None]) -> None:
        """Have `told` called at each stage that a call reports."""
        self._told = told

    def map(
        self, function: Callable[[Request, CallContext], Answer], payloads: Iterable[Request]
    ) -> Iterator[Answer]:
        """Results one by one."""
        address_of(function)  # what runs here must run in any worker
        return self._mapped(function, payloads)

    def _mapped(
        self, function: Callable[[Request, CallContext], Answer], payloads: Iterable[Request]
    ) -> Iterator[Answer]:
        context = CallContext(progress=self._note("map"), threads=self._threads)
        for payload in payloads:
            yield self._attempted(function, payload, context)

    def _attempted(
        self,
        function: Callable[[Request, CallContext], Answer],
        payload: Request,
        context: CallContext,
    ) -> Answer:
        """The result of one call of a map, which is repeated when it fails."""
        for left in reversed(range(self._attempts)):
            try:
                return run(function, payload, context)
            except Exception as error:
                if not left:
                    raise CallFailed(f"{address_of(function)}: {one_line(error)}") from error
        raise AssertionError("there is at least one attempt")

    def shutdown(self) -> None:
        """Forget what is in line."""
        self._waiting.clear()

    def _note(self, name: str) -> Callable[[str, float], None]:
        return lambda stage, share: self._told({name: (stage, share)})
