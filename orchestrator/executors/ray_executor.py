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
from orchestrator.executors.worker import collected_warnings, run

_POLL_S = 1.0  # interval at which time limits are checked while nothing happens
_NODES_S = 5.0  # interval at which Ray is asked whether it still has nodes
_STAGES_S = 0.5  # interval at which workers are asked for the stage of their calls
_GRACE_S = 15.0  # time that a call past its limit has to give up by itself
_START_S = 900.0  # a worker that is not ready by then is given up
_SHARD = "map:"  # begins the ids of calls of a map
_AHEAD = 4  # calls of a map that are running or queued, per worker
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class _Slot:
    """A worker and the call it runs."""

    actor: Any
    readiness: Any
    """Future that is done when the worker is ready."""
    ready: float | None = None
    """When the worker was seen to be ready."""
    call: Call[Any, Any] | None = None
    future: Any = None
    """Of the outcome of the call."""
    question: Any = None
    """Future of the stage of the call, if the worker was asked and has not answered."""
    submitted: float = 0.0
    began: float = field(default_factory=time.time)

    def overdue(self, now: float) -> str | None:
        """Why the worker must be killed; None while it need not be."""
        if self.ready is None:
            late = now > self.began + _START_S
            return f"no worker came up within {_START_S:.0f} s" if late else None
        limit = None if self.call is None else self.call.time_limit
        if limit is None:
            return None
        grace = min(_GRACE_S, limit / 2)
        if now <= max(self.began, self.ready) + limit + grace:
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
        with collected_warnings() as warnings:
            try:
                use_threads(self._threads)  # before the function's module imports libraries
                outcome: dict[str, Any] = {"value": run(function_at(address), payload, context)}
            except Exception as error:  # whatever a call raises is its reply
                outcome = {"error": one_line(error)}
        return {**outcome, "warnings": warnings, "started": started, "finished": time.time()}

    def stage(self) -> tuple[str, str, float]:
        """Id of the running call, its stage, and the fraction of the stage that is done."""
        return self._stage


class RayExecutor:
    """A pool of Ray actors on this machine, or on the cluster at ``executor.address``.

    The worker of a call that exceeds its time limit is killed. A worker that dies, for whatever
    reason, is replaced, and its call is reported as lost. When all nodes of Ray are gone, Ray
    itself is started again.

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
        self._on_stages: Callable[[Stages], None] | None = None
        self._stages_asked = self._nodes_asked = time.monotonic()

    @property
    def slots(self) -> int:
        """Number of calls that run at the same time."""
        return self._cluster.slots

    def start(self) -> None:
        """Start Ray in a thread; a round can be planned in the seconds that this takes."""
        self._cluster.start()

    def submit(self, call: Call[Any, Any]) -> None:
        """Queue the call for the next free worker."""
        address_of(call.function)
        self._waiting.append((call, time.time()))
        self._dispatch()

    def next_reply(self, timeout: float) -> Reply | None:
        """The next call to end; None when none does in `timeout` seconds."""
        until = time.monotonic() + timeout
        while not self._replies:
            seconds_left = until - time.monotonic()
            if seconds_left <= 0 or not self._busy():
                return None
            self._collect(min(seconds_left, _POLL_S))
        return self._replies.popleft()

    def watch(self, on_stages: Callable[[Stages], None]) -> None:
        """Have `on_stages` called about once a second while calls are waited for."""
        self._on_stages = on_stages

    def progress(self) -> Stages:
        """Stages of the submitted calls that are running, at most about half a second old."""
        return {n: s for n, s in self._all_stages().items() if not n.startswith(_SHARD)}

    def _all_stages(self) -> Stages:
        busy = self._busy()
        if busy and time.monotonic() - self._stages_asked > _STAGES_S:
            self._stages_asked = time.monotonic()
            for slot in busy:
                self._ask(slot)
        running = {slot.call.id for slot in busy if slot.call is not None}
        self._stages = {name: s for name, s in self._stages.items() if name in running}
        return self._stages

    def map(
        self, function: Callable[[Request, CallContext], Answer], payloads: Iterable[Request]
    ) -> Iterator[Answer]:
        """Results in order, computed by the same workers; calls of lost workers are repeated."""
        address_of(function)
        return self._mapped(function, payloads)

    def _mapped(
        self, function: Callable[[Request, CallContext], Answer], payloads: Iterable[Request]
    ) -> Iterator[Answer]:
        self._maps += 1
        name, limit = f"{_SHARD}{self._maps}", self._settings.time_limit
        queue: deque[Call[Request, Answer]] = deque()
        try:
            for i, payload in enumerate(payloads):
                call = Call(f"{name}:{i}", function, payload, limit)
                queue.append(call)
                self._shards[call.id] = None
                self.submit(call)
                if len(queue) >= _AHEAD * self.slots:
                    yield self._first(queue)
            while queue:
                yield self._first(queue)
        finally:
            abandoned = {call.id for call in queue}
            self._shards = {n: r for n, r in self._shards.items() if n not in abandoned}
            self._waiting = deque(w for w in self._waiting if w[0].id not in abandoned)

    def shutdown(self) -> None:
        """End the workers, and Ray unless it belongs to a cluster."""
        self._waiting.clear()
        for slot in list(self._slots):
            self._drop(slot)
        self._cluster.close()

    def _busy(self) -> list[_Slot]:
        return [slot for slot in self._slots if slot.call is not None]

    def _dispatch(self) -> None:
        """Give waiting calls to free workers; starts workers up to the number of slots."""
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

        # Two threads in each worker: one runs calls, the other answers questions about their stage.
        options = self._cluster.actor_options() | {"concurrency_groups": {"questions": 1}}
        actor = ray.remote(**options)(_Worker).remote(self._settings.cpus_per_call)
        slot = _Slot(actor, actor.stage.options(concurrency_group="questions").remote())
        self._slots.append(slot)
        return slot

    def _collect(self, timeout: float) -> None:
        """Wait for a call to end, deliver its reply, and end calls that are overdue."""
        import ray

        if time.monotonic() - self._nodes_asked > _NODES_S and self._restarted_if_gone():
            return
        busy = {slot.future: slot for slot in self._busy()}
        done, _ = ray.wait(list(busy), num_returns=1, timeout=timeout)
        if self._on_stages is not None:
            self._on_stages(dict(self._all_stages()))
        for future in done:
            reply = self._reply(busy[future])
            self._deliver(reply)
            if reply.kind == "lost" and self._restarted_if_gone():
                return
        for slot in self._busy():
            if slot.ready is None and ray.wait([slot.readiness], timeout=0)[0]:
                slot.ready = time.time()
            reason = slot.overdue(time.time())
            if reason is not None:
                self._deliver(self._ended(slot, "timeout", reason))
        self._dispatch()

    def _deliver(self, reply: Reply) -> None:
        """Put a reply where it is waited for; those of an abandoned map are dropped."""
        if reply.id in self._shards:
            self._shards[reply.id] = reply
        elif not reply.id.startswith(_SHARD):
            self._replies.append(reply)

    def _reply(self, slot: _Slot) -> Reply:
        """The reply of a call that ended; its worker is free again, or gone."""
        import ray

        call = slot.call
        assert call is not None
        try:
            outcome = ray.get(slot.future)
        except ray.exceptions.RayError as error:
            return self._ended(slot, "lost", f"its worker died: {_cause(error)}")
        slot.call = None
        for warning in outcome["warnings"]:
            LOG.warning("%s", warning)
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
        """Drop a worker; returns the reply of the call that it was running."""
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

    def _restarted_if_gone(self) -> bool:
        """Whether Ray had no node left; if so, all calls are lost, and Ray is started again."""
        self._nodes_asked = time.monotonic()
        if self._cluster.has_nodes():
            return False
        for slot in self._busy():
            self._deliver(self._ended(slot, "lost", "Ray's last node died"))
        self._slots.clear()
        self._cluster.close()
        self._cluster = RayCluster(self._settings)
        self._dispatch()
        return True

    def _first(self, queue: deque[Call[Request, Answer]]) -> Answer:
        """Result of the first call in a map's queue, which is removed from the queue."""
        value = self._shard(queue[0])
        del self._shards[queue.popleft().id]
        return value

    def _shard(self, call: Call[Request, Answer]) -> Answer:
        """Result of one call of a map, which is repeated when it fails."""
        attempts = 1
        while True:
            reply = self._shards[call.id]
            if reply is None:
                self._collect(_POLL_S)
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
        """Take a worker's answer to the last question about its stage, and ask again."""
        import ray

        if slot.question is not None:
            if not ray.wait([slot.question], timeout=0)[0]:
                return  # a worker that is busy in compiled code answers later
            try:
                name, stage, share = ray.get(slot.question)
            except ray.exceptions.RayError:
                return  # that the worker died is noticed where its call is waited for
            self._stages[name] = (stage, share)
        slot.question = slot.actor.stage.options(concurrency_group="questions").remote()


def _cause(error: Exception) -> str:
    """The useful part of an error message of Ray, which runs over many lines."""
    import ray

    text = _COLOUR.sub("", one_line(error))
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "it ran out of memory and was killed; lower executor.workers or raise memory_gb"
    if "creation task" in text:
        return f"it could not be set up: {text[-300:]}"
    if "connection error" in text:
        return "its process ended unexpectedly (a crash, or killed, often because memory ran out)"
    return text[:300]
