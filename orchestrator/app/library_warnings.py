"""Hides the warnings of libraries, which are meant for programmers, from users of the commands."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

_ROOT = Path(__file__).resolve().parents[2]
_OURS = tuple(_ROOT / name for name in ("orchestrator", "agents", "surrogate", "oracle"))


@contextmanager
def only_our_warnings() -> Iterator[None]:
    """Show warnings of this project as one line on stderr, and none of the libraries'.

    This replaces the function that shows warnings, instead of setting filters: some libraries reset
    filters, and warnings that are turned into errors must remain errors.
    """
    silent = logging.NullHandler()  # without a handler, Python prints warnings that are logged
    logging.getLogger().addHandler(silent)
    with warnings.catch_warnings():
        warnings.showwarning = _show
        try:
            yield
        finally:
            logging.getLogger().removeHandler(silent)


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if any(Path(filename).is_relative_to(folder) for folder in _OURS):
        click.echo(f"phonoscout: warning: {' '.join(str(message).split())}", err=True)
