"""Whether somebody is at work on a campaign."""

from __future__ import annotations

import socket
import time as clock
from typing import Any

import psutil

SILENT_S = 60.0
"""A writer on another host that has not been heard of for so long is taken for dead."""
_SAME_PROCESS_S = 2.0  # how far two readings of one process's creation time may differ


def writer_lives(row: Any) -> bool:
    """Whether the process that holds a campaign's lease is alive, as far as can be told."""
    if row.writer_token is None:
        return False
    if row.writer_host == socket.gethostname():
        try:
            started = psutil.Process(row.writer_pid).create_time()
        except psutil.NoSuchProcess:
            return False
        return bool(abs(started - row.writer_started) < _SAME_PROCESS_S)
    return bool(clock.time() - row.heartbeat < SILENT_S)
