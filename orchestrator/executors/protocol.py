"""How calls are run: what goes to a worker, what comes back, and the interface of executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

Payload = dict[str, Any]
"""JSON-able, so that any executor can carry it."""


Stages = dict[str, tuple[str, float]]
"""Stage and finished share of calls under way, by id."""


def _silent(stage: str, share: float) -> None:
    return None


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
    progress: Callable[[str, float], None] = _silent
    threads: int = 1


@dataclass(frozen=True)
class Call:
    """One call of ``function(payload, context) -> payload``.

    Args:
        id: given back with the reply.
        function: ``module:name``.
        payload: its argument.
        time_limit: seconds of one attempt, or None.
    """

    id: str
    function: str
    payload: Payload
    time_limit: float | None = None


@dataclass(frozen=True)
class Reply:
    """How a call ended, with the times of each hop (seconds since the epoch).

    Args:
        id: of the call.
        kind: ``ok``; ``error`` (it raised); ``timeout`` (stopped at its limit); ``lost`` (its
            worker died).
        value: what it returned, when ``ok``.
        error: one line, unless ``ok``.
        submitted: when it was handed over.
        started: when a worker began, or None when none did.
        finished: when it ended.
    """

    id: str
    kind: Literal["ok", "error", "timeout", "lost"]
    value: Payload | None = None
    error: str | None = None
    submitted: float | None = None
    started: float | None = None
    finished: float | None = None


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

    def submit(self, call: Call) -> None:
        """Hand over a call; at most `slots` should be under way."""
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

    def map(self, function: str, payloads: Iterable[Payload]) -> Iterator[Payload]:
        """Results in the order of the payloads; one that no attempt gives raises CallFailed.

        Payloads are taken as workers need them, a few per worker ahead of what was read.
        """
        ...

    def shutdown(self) -> None:
        """End all workers."""
        ...
