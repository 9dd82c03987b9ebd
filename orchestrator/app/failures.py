"""Errors that come from wrong input or from the environment; each is reported as one line."""

from __future__ import annotations

import errno
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from oracle.runtime.errors import OracleError, one_line
from orchestrator.config.errors import ConfigError
from orchestrator.store.database import database_of, database_problem, is_full
from orchestrator.store.store import (
    CampaignExists,
    CampaignRunning,
    UnknownCampaign,
    UnknownCandidate,
)

INPUT_ERRORS: tuple[type[Exception], ...] = (
    ConfigError,
    OracleError,
    CampaignExists,
    CampaignRunning,
    UnknownCampaign,
    UnknownCandidate,
)
SURROUNDINGS: tuple[type[Exception], ...] = (OSError, SQLAlchemyError)
"""Errors caused by disks, permissions, locks and networks."""
_RUN_FAILED, _WRONG_INPUT = 1, 2
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def explained(error: Exception, home: Path) -> tuple[str, int]:
    """One line that explains an error of the environment, and the exit code: 1 for a full disk.

    Args:
        error: one of `SURROUNDINGS`.
        home: of the command.
    """
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or one_line(error)
        return f"{where}{reason}", _RUN_FAILED if error.errno in _NO_ROOM else _WRONG_INPUT
    text = f"database of {database_of(home).parent}: {database_problem(error)}"
    return text, _RUN_FAILED if is_full(error) else _WRONG_INPUT
