"""An executor that tells how far it is with what it maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

from orchestrator.executors.protocol import (
    Answer,
    Call,
    CallContext,
    Counted,
    Executor,
    Reply,
    Request,
    Stages,
)


@dataclass(frozen=True)
class Share:
    """How far a map is.

    Args:
        function: name of what is mapped.
        done: so many of its items.
        total: of so many; 0 where that is not known.
    """

    function: str
    done: int
    total: int


@dataclass
class WatchedExecutor:
    """Another executor, whose maps and waiting are told to somebody.

    Args:
        inner: does the work.
        on_share: told how far a map is; None when it has ended.
        on_wait: told before workers that have not come up are waited for.
    """

    inner: Executor
    on_share: Callable[[Share | None], None]
    on_wait: Callable[[], None]
    known_slots: int = 1
    """Calls at the same time, as far as it was asked; nobody has to wait to know it."""
    _is_up: bool = False

    @property
    def slots(self) -> int:
        """How many calls run at the same time."""
        self._come_up()
        self.known_slots = self.inner.slots
        return self.known_slots

    def start(self) -> None:
        """Begin to set up."""
        self.inner.start()

    def submit(self, call: Call[Any, Any]) -> None:
        """Hand over a call."""
        self._come_up()
        self.inner.submit(call)

    def next_reply(self, timeout: float) -> Reply | None:
        """The next call to end."""
        return self.inner.next_reply(timeout)

    def progress(self) -> Stages:
        """Stage and finished share of the calls under way."""
        return self.inner.progress()

    def watch(self, told: Callable[[Stages], None]) -> None:
        """Have somebody told of the stages of calls."""
        self.inner.watch(told)

    def map(
        self, function: Callable[[Request, CallContext], Answer], payloads: Iterable[Request]
    ) -> Iterator[Answer]:
        """The same results; each is counted."""
        sizes, total = _sizes(payloads)
        done, name = 0, function.__name__
        self.on_share(Share(name, done, total))
        try:
            for number, value in enumerate(self.inner.map(function, payloads)):
                done += sizes[number] if sizes else 1
                self.on_share(Share(name, done, total))
                yield value
        finally:
            self.on_share(None)

    def shutdown(self) -> None:
        """End all workers."""
        self.inner.shutdown()

    def _come_up(self) -> None:
        if not self._is_up:
            self._is_up = True
            self.on_wait()


def _sizes(payloads: Iterable[Any]) -> tuple[list[int], int]:
    """Items of each payload, and of all; without sizes, payloads are what is counted."""
    if isinstance(payloads, Sequence):
        sizes = [p.work_items if isinstance(p, Counted) else 1 for p in payloads]
        return sizes, sum(sizes)
    return [], len(payloads) if isinstance(payloads, Sized) else 0
