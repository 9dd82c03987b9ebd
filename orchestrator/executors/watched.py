"""An executor that reports the progress of its maps."""

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
    """Progress of a map.

    Args:
        function: name of the function that is mapped.
        done: number of items that are done.
        total: number of all items; 0 where that is not known.
    """

    function: str
    done: int
    total: int


@dataclass
class WatchedExecutor:
    """Passes all work to another executor, and reports its maps and the wait for its workers.

    Args:
        inner: does the work.
        on_share: called with the progress of a map; with None when the map has ended.
        on_wait: called before the first wait for workers, which may still be starting.
    """

    inner: Executor
    on_share: Callable[[Share | None], None]
    on_wait: Callable[[], None]
    known_slots: int = 1
    """The number of slots when it was last asked for; reading it never waits."""
    _was_waited_for: bool = False

    @property
    def slots(self) -> int:
        """Number of calls that run at the same time."""
        self._announce_wait()
        self.known_slots = self.inner.slots
        return self.known_slots

    def start(self) -> None:
        """Begin to set up the workers."""
        self.inner.start()

    def submit(self, call: Call[Any, Any]) -> None:
        """Submit a call."""
        self._announce_wait()
        self.inner.submit(call)

    def next_reply(self, timeout: float) -> Reply | None:
        """The reply of the next call that ends."""
        return self.inner.next_reply(timeout)

    def progress(self) -> Stages:
        """The stage of each running call, and the fraction of it that is done."""
        return self.inner.progress()

    def watch(self, on_stages: Callable[[Stages], None]) -> None:
        """Have `on_stages` called with the stages of calls."""
        self.inner.watch(on_stages)

    def map(
        self, function: Callable[[Request, CallContext], Answer], payloads: Iterable[Request]
    ) -> Iterator[Answer]:
        """The results of the inner executor; each is counted."""
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

    def _announce_wait(self) -> None:
        if not self._was_waited_for:
            self._was_waited_for = True
            self.on_wait()


def _sizes(payloads: Iterable[Any]) -> tuple[list[int], int]:
    """Items of each payload, and of all payloads; those of an iterator count as one item each."""
    if isinstance(payloads, Sequence):
        sizes = [p.work_items if isinstance(p, Counted) else 1 for p in payloads]
        return sizes, sum(sizes)
    return [], len(payloads) if isinstance(payloads, Sized) else 0
