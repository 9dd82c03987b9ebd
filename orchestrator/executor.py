"""TEMPORARY."""
from __future__ import annotations
from dataclasses import dataclass
from typing import Any, Callable, Literal, Iterator, Protocol
@dataclass(frozen=True)
class Call:
    id: str
    function: str
    payload: dict[str, Any]
    time_limit: float | None = None
@dataclass(frozen=True)
class Reply:
    id: str
    value: dict[str, Any] | None
    error: str | None
    kind: str
    submitted: float | None = None
    started: float | None = None
    finished: float | None = None
    worker: str = ""
@dataclass(frozen=True)
class CallContext:
    deadline: float | None = None
    progress: Callable[[str, float], None] = lambda a, b: None
    threads: int = 1
class Executor(Protocol):
    slots: int
    def start(self): ...
    def submit(self, call): ...
    def next_reply(self, timeout): ...
    def progress(self): ...
    def map(self, function, payloads): ...
    def shutdown(self): ...
