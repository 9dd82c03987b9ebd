"""Tells whether a process is working on a campaign."""

from __future__ import annotations

import socket
import time as clock
from typing import Any

import psutil

SILENT_S = 60.0
"""Seconds without a heartbeat after which a writer on another host is presumed dead."""
_SAME_PROCESS_S = 2.0  # largest difference between two readings of one process's creation time, s


def writer_is_alive(row: Any) -> bool:
    """Whether the process that holds the lease of a campaign is alive, as far as can be known."""
    if row.writer_token is None:
        return False
    if row.writer_host == socket.gethostname():
        try:
            started = psutil.Process(row.writer_pid).create_time()
        except psutil.NoSuchProcess:
            return False
        return bool(abs(started - row.writer_started) < _SAME_PROCESS_S)
    return bool(clock.time() - row.heartbeat < SILENT_S)
