"""Functions that the tests of executors call in workers."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracle.runtime.files import report_damage
from orchestrator.executors.protocol import CallContext


def add(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    time.sleep(payload.get("seconds", 0.0))
    return {"sum": payload["a"] + payload["b"], "name": payload.get("name")}


def surroundings(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    import torch

    return {
        "pid": os.getpid(),
        "deadline": context.deadline,
        "threads": context.threads,
        "torch_threads": torch.get_num_threads(),
        "variable": os.environ["OMP_NUM_THREADS"],
    }


def refuse(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    raise ValueError("the cell is\nflat")


def nothing(payload: dict[str, Any], context: CallContext) -> None:
    return None


def report(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """Reports its progress until its file `go` exists."""
    context.progress("fc3", 0.25)
    while not Path(payload["go"]).exists():
        time.sleep(0.02)
    return {}


def hang(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """Never ends, and ignores its deadline."""
    Path(payload["file"]).write_text(str(os.getpid()))
    while True:
        pass


def exit_at_once(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    os._exit(3)


def segfault(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    ctypes.string_at(0)
    return {}


def die_once(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """Kills its worker the first time it is called with a file."""
    mark = Path(payload["file"])
    if not mark.exists():
        mark.touch()
        os._exit(1)
    return {"index": payload["index"]}


def complain(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
    """Logs a warning for the user besides returning its result."""
    report_damage(Path(payload["file"]), "it is too short")
    return {}


@dataclass(frozen=True)
class Sum:
    a: float
    b: float

    def doubled(self, payload: dict[str, Any], context: CallContext) -> float:
        return 2 * (self.a + self.b)


@dataclass(frozen=True)
class Total:
    value: float
    of: Sum


def added(request: Sum, context: CallContext) -> Total:
    return Total(request.a + request.b, of=request)


def inner() -> Callable[[dict[str, Any], CallContext], dict[str, Any]]:
    def function(payload: dict[str, Any], context: CallContext) -> dict[str, Any]:
        return payload

    return function
