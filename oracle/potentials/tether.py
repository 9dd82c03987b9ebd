"""Run a command that ends when its parent does: ``python tether.py FOLDER COMMAND...``.

A script that needs only the standard library. Its stdin is a pipe whose other end the oracle holds:
when the oracle is killed, however abruptly, the pipe closes, the command is stopped, and its
scratch folder is removed. Otherwise a killed evaluation would leave hours of DFT running beside the
one that replaces it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading

_GRACE = 5.0  # s; mpiexec needs a moment to stop its ranks


def main(folder: str, command: list[str]) -> int:
    """Run the command in the folder; return its exit code, negative for a signal."""
    # A signal to the whole process group also ends the oracle, which closes the pipe. Handlers,
    # unlike ignored signals, are not inherited by the command.
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, lambda *_: None)
    child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, start_new_session=True)
    orphaned = threading.Event()
    watch = threading.Thread(target=_watch, args=(child, folder, orphaned), daemon=True)
    watch.start()
    status = child.wait()
    if orphaned.is_set():
        watch.join()  # it still has to remove the folder
    return status


def _watch(child: subprocess.Popen[bytes], folder: str, orphaned: threading.Event) -> None:
    while sys.stdin.buffer.read(1):
        pass
    orphaned.set()
    _stop(child)
    shutil.rmtree(folder, ignore_errors=True)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Stop the command and all processes of its session."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, kind)
        except ProcessLookupError:
            return
        try:
            child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            continue


if __name__ == "__main__":
    status = main(sys.argv[1], sys.argv[2:])
    # The convention of shells, so that the caller sees which signal ended the command.
    os._exit(status if status >= 0 else 128 - status)
