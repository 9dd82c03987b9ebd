"""Ends this process on SIGTERM and Ctrl-C: in order where that is quick, and in any case."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 130
"""Exit code of an interrupted command."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_ORDERLY_S = 15.0  # after a signal, to record it and to end what was started
_IMPATIENT_S = 2.0  # the same after a second signal


class Interrupts:
    """Whether somebody interrupted, by Ctrl-C or SIGTERM; also the handler of these signals.

    The exception that tells it may be raised where Python drops it, in a callback of a library or
    while an object is deleted; so the loop asks as well.
    """

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt in the main thread."""
        self.seen = True
        raise KeyboardInterrupt


@contextmanager
def signals_interrupt() -> Iterator[Interrupts]:
    """Let SIGTERM end what is done here the way Ctrl-C does; signals belong to the main thread."""
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
def signals_end_the_process(title: str) -> Iterator[None]:
    """The same for a whole process, which ends even where Python code does not get its turn.

    Python runs a handler between two of its own steps, and a library may wait in between for a
    lock, a disk or a network. What the interpreter writes at once is read by a thread here, which
    ends the process when that has not ended by itself.

    Args:
        title: begins the line that is printed then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    watch = threading.Thread(target=_watch, args=(ours, title), name="signals", daemon=True)
    watch.start()
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    try:
        with signals_interrupt():
            yield
    finally:
        signal.set_wakeup_fd(before)
        theirs.close()
        watch.join(_IMPATIENT_S)
        ours.close()


def leave(code: int, held_by: str) -> None:
    """End the process at once if a thread of this name still runs: libraries would wait for it."""
    if any(thread.name == held_by for thread in threading.enumerate()):
        _exit(code)


def _watch(wakeup: socket.socket, title: str) -> None:
    """Body of the thread: numbers of signals come in as bytes, the end of the work as none."""
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


def _exit(code: int) -> None:
    """End the process without another word to any library; the kernel ends what Ray started."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _forget() -> None:
    """A forked process has signals of its own."""
    if isinstance(signal.getsignal(signal.SIGTERM), Interrupts):
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget)
