"""Runs calls in Ray actors: one process per slot, each of which loads its potential once."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from oracle.runtime.errors import one_line
from oracle.runtime.files import LOG
from oracle.runtime.threads import use_threads
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors.addresses import address_of, function_at
from orchestrator.executors.protocol import (
    Answer,
    Call,
    CallContext,
    CallFailed,
    Reply,
    Request,
    Stages,
)
from orchestrator.executors.ray_cluster import RayCluster
from orchestrator.executors.worker import heard, run

_LOOK_S = 1.0  # how often limits are looked at while nothing happens
_NODES_S = 5.0  # how often it is asked whether Ray itself lives
_STAGES_S = 0.5
_GRACE_S = 15.0  # a call past its limit first has the chance to give up by itself
_START_S = 900.0  # a worker that has not come up by then is given up
_SHARD = "map:"
_AHEAD = 4  # calls of a map under way or in line, per worker
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class _Slot:
    """A worker and what it does."""

    actor: Any
    greeting: Any
    """Answered when the worker has come up."""
    up: float | None = None
    call: Call[Any, Any] | None = None
    future: Any = None
    question: Any = None
    """About the stage, not answered yet."""
    submitted: float = 0.0
    began: float = field(default_factory=time.time)

    def overdue(self, now: float) -> str | None:
        """Why the worker is to be killed, if it is."""
        if self.up is None:
            late = now > self.began + _START_S
            return f"no worker came up within {_START_S:.0f} s" if late else None
        limit = None if self.call is None else self.call.time_limit
        if limit is None:
            return None
        grace = min(_GRACE_S, limit / 2)
        if now <= max(self.began, self.up) + limit + grace:
            return None
        return (
            f"still running {grace:.3g} s after its limit of {limit:.3g} s; "
            "raise executor.time_limit if it needs more"
        )


class _Worker:
    """Body of the actor; its methods run in a process of their own."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._stage = ("", "starting", 0.0)

    def call(self, name: str, address: str, payload: Any, limit: float | None) -> dict[str, Any]:
        """The outcome of one call, with its times; never raises."""
        started = time.time()
        self._stage = (name, "starting", 0.0)

        def note(stage: str, share: float) -> None:
            self._stage = (name, stage, share)

        context = CallContext(None if limit is None else started + limit, note, self._threads)
        with heard() as lines:
            try:
                use_threads(self._threads)  # for what the function's module imports
                outcome: dict[str, Any] = {"value": run(function_at(address), payload, context)}
            except Exception as error:  # whatever a call raises is its reply
                outcome = {"error": one_line(error)}
        return {**outcome, "said": lines, "started": started, "finished": time.time()}

    def stage(self) -> tuple[str, str, float]:
        """The call under way, its stage and finished share."""
        return self._stage


class RayExecutor:
    """A pool of Ray actors on this machine, or on the cluster at ``executor.address``.

    A call that hangs past its limit has its worker killed; a worker that dies, for whatever
    reason, is replaced, and its call is reported as lost. Ray itself is started again when all
    of its nodes are gone.

    Args:
        settings: address, workers and resources per call.
    """

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings = settings
        self._cluster = RayCluster(settings)
        self._slots: list[_Slot] = []
        self._waiting: deque[tuple[Call[Any, Any], float]] = deque()
        self._replies: deque[Reply] = deque()
        self._shards: dict[str, Reply | None] = {}
        self._maps = 0
        self._stages: Stages = {}
        self._told: Callable[[Stages], None] | None = None
        self._asked = self._looked = time.monotonic()

    @property
    def slots(self) -> int:
        """How many calls run at the same time."""
        return self._cluster.slots

    def start(self) -> None:
        """Start Ray in a thread: it takes seconds, in which a round can be planned."""
        self._cluster.start()

    def submit(self, call: Call[Any, Any]) -> None:
        """Put the call in line for the next free worker."""
        address_of(call.function)
        self._waiting.append((call, time.time()))
        self._dispatch()

    def next_reply(self, timeout: float) -> Reply | None:
        """The next call to end; None when none does in `timeout` seconds."""
        until = time.monotonic() + timeout
        while not self._replies:
            left = until - time.monotonic()
            if left <= 0 or not self._busy():
                return None
            self._collect(min(left, _LOOK_S))
        return self._replies.popleft()

    def watch(self, told: Callable[[Stages], None]) -> None:
        """Have `told` called about once a second while calls are waited for."""
        self._told = told

    def progress(self) -> Stages:
        """Stage and finished share of the calls under way, at most half a second old."""
        return {n: s for n, s in self._all_stages().items() if not n.startswith(_SHARD)}

    def _all_stages(self) -> Stages:
        busy = self._busy()
        if busy and time.monotonic() - self._asked > _STAGES_S:
            self._asked = time.monotonic()
            for slot in busy:
                self._ask(slot)
        running = {slot.call.id for slot in busy if slot.call is not None}
        self._stages = {name: s for name, s in self._stages.items() if name in running}
        return self._stages

    def map(
        self, function: Callable[[Request, CallContext], Answer], payloads: Iterable[Request]
    ) -> Iterator[Answer]:
        """Results in order, computed by the same workers; a lost worker's share is done again."""
        address_of(function)
        return self._mapped(function, payloads)

    def _mapped(
        self, function: Callable[[Request, CallContext], Answer], payloads: Iterable[Request]
    ) -> Iterator[Answer]:
        self._maps += 1
        name, limit = f"{_SHARD}{self._maps}", self._settings.time_limit
        line: deque[Call[Request, Answer]] = deque()
        try:
            for i, payload in enumerate(payloads):
                call = Call(f"{name}:{i}", function, payload, limit)
                line.append(call)
                self._shards[call.id] = None
                self.submit(call)
                if len(line) >= _AHEAD * self.slots:
                    yield self._first(line)
            while line:
                yield self._first(line)
        finally:
            ours = {call.id for call in line}
            self._shards = {n: r for n, r in self._shards.items() if n not in ours}
            self._waiting = deque(w for w in self._waiting if w[0].id not in ours)

    def shutdown(self) -> None:
        """End the workers, and Ray unless it belongs to a cluster."""
        self._waiting.clear()
        for slot in list(self._slots):
            self._drop(slot)
        self._cluster.close()

    def _busy(self) -> list[_Slot]:
        return [slot for slot in self._slots if slot.call is not None]

    def _dispatch(self) -> None:
        """Give waiting calls to free workers, making workers up to the number of slots."""
        self._cluster.wait()
        while self._waiting:
            free = next((slot for slot in self._slots if slot.call is None), None)
            if free is None:
                if len(self._slots) >= self.slots:
                    return
                free = self._new_slot()
            call, free.submitted = self._waiting.popleft()
            free.call, free.began, free.question = call, time.time(), None
            free.future = free.actor.call.remote(
                call.id, address_of(call.function), call.payload, call.time_limit
            )

    def _new_slot(self) -> _Slot:
        import ray

        # Two threads: one for calls, one for questions about their stage.
        options = self._cluster.actor_options() | {"concurrency_groups": {"questions": 1}}
        actor = ray.remote(**options)(_Worker).remote(self._settings.cpus_per_call)
        slot = _Slot(actor, actor.stage.options(concurrency_group="questions").remote())
        self._slots.append(slot)
        return slot

    def _collect(self, timeout: float) -> None:
        """Wait for a call to end, deliver its reply, and end what is overdue."""
        import ray

        if time.monotonic() - self._looked > _NODES_S and self._is_gone():
            return
        busy = {slot.future: slot for slot in self._busy()}
        done, _ = ray.wait(list(busy), num_returns=1, timeout=timeout)
        if self._told is not None:
            self._told(dict(self._all_stages()))
        for future in done:
            reply = self._reply(busy[future])
            self._deliver(reply)
            if reply.kind == "lost" and self._is_gone():
                return
        for slot in self._busy():
            if slot.up is None and ray.wait([slot.greeting], timeout=0)[0]:
                slot.up = time.time()
            reason = slot.overdue(time.time())
            if reason is not None:
                self._deliver(self._ended(slot, "timeout", reason))
        self._dispatch()

    def _deliver(self, reply: Reply) -> None:
        """Put a reply where it is waited for; those of an abandoned map are wanted by nobody."""
        if reply.id in self._shards:
            self._shards[reply.id] = reply
        elif not reply.id.startswith(_SHARD):
            self._replies.append(reply)

    def _reply(self, slot: _Slot) -> Reply:
        """What a call that ended gave; its worker is free again, or gone."""
        import ray

        call = slot.call
        assert call is not None
        try:
            outcome = ray.get(slot.future)
        except ray.exceptions.RayError as error:
            return self._ended(slot, "lost", f"its worker died: {_cause(error)}")
        slot.call = None
        for line in outcome["said"]:
            LOG.warning("%s", line)
        return Reply(
            call.id,
            "ok" if "value" in outcome else "error",
            value=outcome.get("value"),
            error=outcome.get("error"),
            submitted=slot.submitted,
            started=outcome["started"],
            finished=outcome["finished"],
        )

    def _ended(self, slot: _Slot, kind: Any, reason: str) -> Reply:
        """Drop a worker; the reply of the call it had."""
        call = slot.call
        assert call is not None
        self._drop(slot)
        return Reply(
            call.id,
            kind,
            error=reason,
            submitted=slot.submitted,
            started=slot.began,
            finished=time.time(),
        )

    def _drop(self, slot: _Slot) -> None:
        import ray

        self._slots.remove(slot)
        ray.kill(slot.actor)

    def _is_gone(self) -> bool:
        """Whether Ray has no node left; then all calls are lost, and it is started anew."""
        self._looked = time.monotonic()
        if self._cluster.lives():
            return False
        for slot in self._busy():
            self._deliver(self._ended(slot, "lost", "Ray's last node died"))
        self._slots.clear()
        self._cluster.close()
        self._cluster = RayCluster(self._settings)
        self._dispatch()
        return True

    def _first(self, line: deque[Call[Request, Answer]]) -> Answer:
        """The result of the first call of a map that is still in line, which leaves it."""
        value = self._shard(line[0])
        del self._shards[line.popleft().id]
        return value

    def _shard(self, call: Call[Request, Answer]) -> Answer:
        """The result of one call of a map, which is repeated when it fails."""
        attempts = 1
        while True:
            reply = self._shards[call.id]
            if reply is None:
                self._collect(_LOOK_S)
            elif reply.kind == "ok":
                answer: Answer = reply.value
                return answer
            elif attempts == self._settings.attempts:
                raise CallFailed(f"{address_of(call.function)}: {reply.error}")
            else:
                attempts += 1
                self._shards[call.id] = None
                self.submit(call)

    def _ask(self, slot: _Slot) -> None:
        """Take the answer to the last question about the stage, and ask the next."""
        import ray

        if slot.question is not None:
            if not ray.wait([slot.question], timeout=0)[0]:
                return  # a worker deep in compiled code answers later
            try:
                name, stage, share = ray.get(slot.question)
            except ray.exceptions.RayError:
                return  # its death is noticed by whoever waits for the call itself
            self._stages[name] = (stage, share)
        slot.question = slot.actor.stage.options(concurrency_group="questions").remote()


def _cause(error: Exception) -> str:
    """What is worth telling of Ray's messages, which run over many lines."""
    import ray

    text = _COLOUR.sub("", one_line(error))
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "it was killed for want of memory; lower executor.workers or raise memory_gb"
    if "creation task" in text:
        return f"it could not be set up: {text[-300:]}"
    if "connection error" in text:
        return "its process ended by itself (a crash, or killed, often for want of memory)"
    return text[:300]
