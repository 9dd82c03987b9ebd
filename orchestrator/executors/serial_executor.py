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
    """Runs one call at a time; a time limit holds only as far as the function checks it itself.

    Args:
        settings: threads per call, and the number of attempts for each call of a map.
    """

    slots = 1

    def __init__(self, settings: ExecutorSettings) -> None:
        self._threads = settings.cpus_per_call
        self._attempts = settings.attempts
        self._waiting: deque[tuple[Call[Any, Any], float]] = deque()
        self._on_stages: Callable[[Stages], None] = lambda stages: None

    def start(self) -> None:
        """Nothing has to be set up."""

    def submit(self, call: Call[Any, Any]) -> None:
        """Queue the call; it runs when its reply is asked for."""
        address_of(call.function)  # refuses here too what workers could not import
        self._waiting.append((call, time.time()))

    def next_reply(self, timeout: float) -> Reply | None:
        """Run the next call, however long it takes; returns None at once when there is none."""
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
        """Nothing: no call runs while this can be called."""
        return {}

    def watch(self, on_stages: Callable[[Stages], None]) -> None:
        """Have `on_stages` called at each stage that a call reports."""
        self._on_stages = on_stages

    def map(
        self, function: Callable[[Request, CallContext], Answer], payloads: Iterable[Request]
    ) -> Iterator[Answer]:
        """Results, computed one after another as they are read."""
        address_of(function)  # refuses here too what workers could not import
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
        """Result of one call of a map, which is repeated when it fails."""
        for attempts_left in reversed(range(self._attempts)):
            try:
                return run(function, payload, context)
            except Exception as error:
                if not attempts_left:
                    raise CallFailed(f"{address_of(function)}: {one_line(error)}") from error
        raise AssertionError("there is at least one attempt")

    def shutdown(self) -> None:
        """Drop the calls that are queued."""
        self._waiting.clear()

    def _note(self, name: str) -> Callable[[str, float], None]:
        return lambda stage, share: self._on_stages({name: (stage, share)})
