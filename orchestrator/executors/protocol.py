"""How calls are run: what goes to a worker, what comes back, and the interface of executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from oracle.runtime.context import Progress, silent

Payload = dict[str, Any]
"""A document that can be written as JSON."""

Request = TypeVar("Request")
Answer = TypeVar("Answer")

Stages = dict[str, tuple[str, float]]
"""The stage of each running call and the fraction of it that is done, by the call's id."""


class CallFailed(RuntimeError):
    """A call of `Executor.map` failed in every attempt; the message is one line."""


@dataclass(frozen=True)
class CallContext:
    """How a function is run; nothing of this changes its result.

    Args:
        deadline: `time.time` at which to give up, or None.
        progress: called with the stage and the fraction of it that is done.
        threads: CPU threads that the function may use.
    """

    deadline: float | None = None
    progress: Progress = silent
    threads: int = 1


@dataclass(frozen=True)
class Call(Generic[Request, Answer]):
    """One call of a function in a worker.

    Args:
        id: returned with the reply.
        function: defined at the top level of a module, so that every worker can import it.
        payload: its first argument; plain data that can be sent to another process.
        time_limit: most seconds of one attempt, or None.
    """

    id: str
    function: Callable[[Request, CallContext], Answer]
    payload: Request
    time_limit: float | None = None


@dataclass(frozen=True)
class Reply:
    """How a call ended, with the times of each hop (seconds since the epoch).

    Args:
        id: of the call.
        kind: ``ok``; ``error`` (the function raised); ``timeout`` (stopped at its time limit);
            ``lost`` (its worker died).
        value: what the function returned, never None, when ``ok``.
        error: one line, unless ``ok``.
        submitted: when the call was submitted.
        started: when a worker began with it, or None when none did.
        finished: when it ended.
    """

    id: str
    kind: Literal["ok", "error", "timeout", "lost"]
    value: Any = None
    error: str | None = None
    submitted: float | None = None
    started: float | None = None
    finished: float | None = None


@runtime_checkable
class Counted(Protocol):
    """A payload that consists of several items of the same work."""

    @property
    def work_items(self) -> int:
        """Number of items."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Runs calls in workers that exist as long as the executor."""

    @property
    def slots(self) -> int:
        """Number of calls that run at the same time."""
        ...

    def start(self) -> None:
        """Begin to set up the workers; returns at once, and the first call waits for them."""
        ...

    def submit(self, call: Call[Any, Any]) -> None:
        """Submit a call; at most `slots` calls should be under way at a time.

        Raises:
            TypeError: workers could not import its function.
        """
        ...

    def next_reply(self, timeout: float) -> Reply | None:
        """The reply of the next call that ends; None when none ends within `timeout` seconds."""
        ...

    def progress(self) -> Stages:
        """The stage of each submitted call that is running, and the fraction of it that is done."""
        ...

    def watch(self, on_stages: Callable[[Stages], None]) -> None:
        """Have `on_stages` called now and then with the stages of all work that is waited for.

        It is called in the thread that waits. The stages include those of the calls of `map`.
        """
        ...

    def map(
        self, function: Callable[[Request, CallContext], Answer], payloads: Iterable[Request]
    ) -> Iterator[Answer]:
        """Results in the order of the payloads.

        Payloads are drawn from the iterable as workers need them, a few per worker in advance.

        Args:
            function: defined at the top level of a module, so that every worker can import it.
            payloads: its first arguments; plain data that can be sent to another process.

        Raises:
            TypeError: workers could not import the function.
            CallFailed: one of the calls failed in every attempt.
        """
        ...

    def shutdown(self) -> None:
        """End all workers."""
        ...
