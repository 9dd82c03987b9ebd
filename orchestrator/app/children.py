"""Campaigns in processes of their own, which outlive the server that starts them."""

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

_PATIENCE_S = (
    60.0  # for a campaign to be under way; large pools take longer, and are not waited for
)
_LOOK_S = 0.1


def launch(store: Store, name: str, config: dict[str, Any]) -> None:
    """Start a new campaign, and wait until it works or is refused.

    All of it happens in the new process, so that whatever a config names is imported there.

    Args:
        store: the home's database.
        name: of the campaign, as `config` has it.
        config: validated settings.

    Raises:
        ConfigError: it was refused, with the line that says why.
    """
    file = store.home / "logs" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config))
    _start(store, name, ["launch", str(file), "--name", name], after=0)


def resume(store: Store, name: str, changes: Sequence[str]) -> None:
    """Go on with a campaign, and wait until it works or is refused.

    Raises:
        UnknownCampaign: no such name.
        CampaignRunning: another process runs it.
        ConfigError: it was refused, with the line that says why.
    """
    events = store.events(name)
    options = [word for change in changes for word in ("--set", change)]
    _start(store, name, ["resume", name, *options], after=events[-1].seq if events else 0)


def _start(store: Store, name: str, words: list[str], after: int) -> None:
    log = store.home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = log.stat().st_size if log.exists() else 0
    # -P: a file of the working folder that is called like a package of ours is not imported.
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
    # Somebody has to take note of its end, or it stays in the table of processes.
    threading.Thread(target=process.wait, name=f"campaign-{name}", daemon=True).start()
    _wait(process, lambda: _works(store, name, after))
    if process.poll() and not _works(store, name, after):
        line = _last_line(log, began)
        if _runs(store, name):
            raise CampaignRunning(line)
        raise ConfigError(line)


def _wait(process: subprocess.Popen[bytes], works: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while process.poll() is None and not works() and time.monotonic() < end:
        time.sleep(_LOOK_S)


def _works(store: Store, name: str, after: int) -> bool:
    """Whether a process has begun to work on the campaign since event number `after`."""
    try:
        return any(event.kind == "opened" for event in store.events(name, after))
    except UnknownCampaign:
        return False


def _runs(store: Store, name: str) -> bool:
    """Whether a campaign exists and a process runs it."""
    try:
        return store.is_running(name)
    except UnknownCampaign:
        return False


def _last_line(log: Path, began: int) -> str:
    """What a refused command said, without its own name."""
    with log.open("rb") as stream:
        stream.seek(began)
        lines = stream.read().decode(errors="replace").split("\n")
    said = next((line for line in reversed(lines) if line.strip()), "it ended without a word")
    return said.partition(": ")[2] if said.startswith("phonoscout ") else said


def _python_path() -> str:
    """Where this program is found if it is not installed, then what the user has set."""
    root = Path(__file__).resolve().parents[2]
    own = [] if root.is_relative_to(sys.prefix) else [str(root)]
    return os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])
