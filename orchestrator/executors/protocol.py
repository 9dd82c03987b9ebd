"""How calls are run: what goes to a worker, what comes back, and the interface of executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from oracle.runtime.context import Progress, silent

Payload = dict[str, Any]
"""A document as JSON has it."""

Request = TypeVar("Request")
Answer = TypeVar("Answer")

Stages = dict[str, tuple[str, float]]
"""Stage and finished share of calls under way, by id."""


class CallFailed(RuntimeError):
    """A call of `Executor.map` that no attempt brought to a result; one line."""


@dataclass(frozen=True)
class CallContext:
    """What a function is told of how it is run; nothing in it changes its result.

    Args:
        deadline: `time.time` at which to give up, or None.
        progress: told the stage and its finished share.
        threads: CPU threads it may use.
    """

    deadline: float | None = None
    progress: Progress = silent
    threads: int = 1


@dataclass(frozen=True)
class Call(Generic[Request, Answer]):
    """One call of a function in a worker.

    Args:
        id: given back with the reply.
        function: of a module's top level, so that every worker can import it.
        payload: its first argument; plain data that can be sent to another process.
        time_limit: seconds of one attempt, or None.
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
        kind: ``ok``; ``error`` (it raised); ``timeout`` (stopped at its limit); ``lost`` (its
            worker died).
        value: what the function returned, never None, when ``ok``.
        error: one line, unless ``ok``.
        submitted: when it was handed over.
        started: when a worker began, or None when none did.
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
    """A payload that asks for several items of the same work."""

    @property
    def work_items(self) -> int:
        """How many items."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Runs calls in workers that live as long as the executor."""

    @property
    def slots(self) -> int:
        """How many calls run at the same time."""
        ...

    def start(self) -> None:
        """Begin to set up; returns at once, the first call waits for the rest."""
        ...

    def submit(self, call: Call[Any, Any]) -> None:
        """Hand over a call; at most `slots` should be under way.

        Raises:
            TypeError: workers could not import its function.
        """
        ...

    def next_reply(self, timeout: float) -> Reply | None:
        """The next call to end, in the order of ending; None when none does in `timeout` s."""
        ...

    def progress(self) -> Stages:
        """Stage and finished share of the calls under way, by id."""
        ...

    def watch(self, told: Callable[[Stages], None]) -> None:
        """Have `told` called now and then with the stages of all work while it is waited for.

        It is called in the thread that waits, and told of what is mapped as well.
        """
        ...

    def map(
        self, function: Callable[[Request, CallContext], Answer], payloads: Iterable[Request]
    ) -> Iterator[Answer]:
        """Results in the order of the payloads.

        Payloads are taken as workers need them, a few per worker ahead of what was read.

        Args:
            function: of a module's top level, so that every worker can import it.
            payloads: its first arguments; plain data that can be sent to another process.

        Raises:
            TypeError: workers could not import the function.
            CallFailed: no attempt brought one of the calls to a result.
        """
        ...

    def shutdown(self) -> None:
        """End all workers."""
        ...
