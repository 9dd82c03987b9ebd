"""Ends this process on SIGTERM and Ctrl-C: in an orderly way if that is quick, else by force."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from orchestrator.presentation.own_stdout import results

INTERRUPTED = 130
"""Exit code of an interrupted command."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_ORDERLY_S = 15.0  # time after a signal to record it and to end what was started
_IMPATIENT_S = 2.0  # the same after a second signal


class Interrupts:
    """Records whether Ctrl-C or SIGTERM has interrupted; also the handler of these signals.

    The exception that the handler raises may be lost, in a callback of a library or while an object
    is deleted. Therefore the loop checks `seen` as well.
    """

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt in the main thread."""
        self.seen = True
        raise KeyboardInterrupt


@contextmanager
def signals_interrupt() -> Iterator[Interrupts]:
    """Let SIGTERM raise KeyboardInterrupt like Ctrl-C; does nothing outside of the main thread."""
    present = signal.getsignal(signal.SIGTERM)
    if isinstance(present, Interrupts):
        yield present
        return
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    previous: list[Any] = [signal.signal(number, interrupts) for number in _SIGNALS]
    try:
        yield interrupts
    finally:
        for number, handler in zip(_SIGNALS, previous, strict=True):
            signal.signal(number, handler)


@contextmanager
def signals_end_the_process(title: str) -> Iterator[Interrupts]:
    """Like `signals_interrupt`, but ends the process even where no Python code runs any more.

    Python runs a signal handler only between two of its own instructions, and a library may wait
    for a lock, a disk or a network in between. The interpreter's wakeup file descriptor is written
    at once, however. A thread reads it, and ends the process if it does not end in time.

    Args:
        title: begins the line that is printed in that case.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Interrupts()
        return
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    watch = threading.Thread(target=_watch, args=(ours, title), name="signals", daemon=True)
    watch.start()
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    try:
        with signals_interrupt() as interrupts:
            yield interrupts
    finally:
        signal.set_wakeup_fd(before)
        theirs.close()
        watch.join(_IMPATIENT_S)
        ours.close()


def leave(code: int, held_by: str) -> None:
    """End the process at once if a thread named `held_by` still runs; Python would wait for it."""
    if any(thread.name == held_by for thread in threading.enumerate()):
        _exit(code)


def end_interrupted() -> NoReturn:
    """End an interrupted process with its own exit code.

    Where the signal came while a library ran Python code of its own (as many do when they are
    imported), CPython remembers the interrupt although it was handled, and ends the process by
    SIGINT in place of the exit code. So the functions for the exit are called here.
    """
    atexit._run_exitfuncs()
    _exit(INTERRUPTED)


def _watch(wakeup: socket.socket, title: str) -> None:
    """Body of the thread: reads signal numbers as bytes, until the other end is closed."""
    count, limit = 0, None
    while True:
        wakeup.settimeout(limit)
        try:
            received = wakeup.recv(64)
        except TimeoutError:
            sys.stderr.write(f"{title}: interrupted\n")
            _exit(INTERRUPTED)
        if not received:
            return
        count += sum(number in _SIGNALS for number in received)
        if count:
            limit = _ORDERLY_S if count == 1 else _IMPATIENT_S


def _exit(code: int) -> NoReturn:
    """End the process without any cleaning up by libraries; the kernel ends what Ray started."""
    for stream in (results(), sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _forget() -> None:
    """Detach a forked process from the wakeup descriptor of its parent."""
    if isinstance(signal.getsignal(signal.SIGTERM), Interrupts):
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget)
