"""Starts campaigns in processes of their own, which continue when the server ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.config.errors import ConfigError
from orchestrator.store.store import CampaignRunning, Store, UnknownCampaign

_PATIENCE_S = 60.0  # longest wait for a campaign to start; those with large pools start later
_POLL_S = 0.1


def launch(store: Store, name: str, config: dict[str, Any]) -> None:
    """Launch a campaign in a new process, and wait until it has started or was refused.

    Code that the config names is imported only in that process.

    Args:
        store: the home's database.
        name: of the campaign, as in `config`.
        config: validated settings.

    Raises:
        ConfigError: the campaign was refused; the message says why.
    """
    file = store.home / "logs" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config))
    _start(store, name, ["launch", str(file), "--name", name], after=0)


def resume(store: Store, name: str, changes: Sequence[str]) -> None:
    """Resume a campaign in a new process, and wait until it has started or was refused.

    Raises:
        UnknownCampaign: no campaign has this name.
        CampaignRunning: another process runs it.
        ConfigError: it was refused; the message says why.
    """
    events = store.events(name)
    options = [word for change in changes for word in ("--set", change)]
    _start(store, name, ["resume", name, *options], after=events[-1].seq if events else 0)


def _start(store: Store, name: str, words: list[str], after: int) -> None:
    log = store.home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = log.stat().st_size if log.exists() else 0
    # -P: never import a file of the working folder that has the name of one of our packages.
    command = [
        sys.executable,
        "-P",
        "-m",
        "orchestrator.app.cli",
        *words,
        "--home",
        str(store.home),
    ]
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=os.environ | {"PYTHONPATH": _python_path()},
            start_new_session=True,
        )
    # A process whose end nobody waits for would remain as a zombie.
    threading.Thread(target=process.wait, name=f"campaign-{name}", daemon=True).start()
    _wait(process, lambda: _has_started(store, name, after))
    if process.poll() and not _has_started(store, name, after):
        line = _last_line(log, began)
        if _is_running(store, name):
            raise CampaignRunning(line)
        raise ConfigError(line)


def _wait(process: subprocess.Popen[bytes], has_started: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while process.poll() is None and not has_started() and time.monotonic() < end:
        time.sleep(_POLL_S)


def _has_started(store: Store, name: str, after: int) -> bool:
    """Whether a process has begun to work on the campaign since event number `after`."""
    try:
        return any(event.kind == "opened" for event in store.events(name, after))
    except UnknownCampaign:
        return False


def _is_running(store: Store, name: str) -> bool:
    """Whether a campaign exists and a process runs it."""
    try:
        return store.is_running(name)
    except UnknownCampaign:
        return False


def _last_line(log: Path, began: int) -> str:
    """The last line that a refused command printed, without its own name."""
    with log.open("rb") as stream:
        stream.seek(began)
        lines = stream.read().decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "it ended without a message")
    return last.partition(": ")[2] if last.startswith("phonoscout ") else last


def _python_path() -> str:
    """The folder of this program if it is not installed, then the user's PYTHONPATH."""
    root = Path(__file__).resolve().parents[2]
    own = [] if root.is_relative_to(sys.prefix) else [str(root)]
    return os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])
