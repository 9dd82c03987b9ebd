"""``phonoscout gc``: removes from a home what should not be reused."""

from __future__ import annotations

import json
from pathlib import Path

from oracle.energetics.energies import forget_failures
from orchestrator.config.errors import ConfigError
from orchestrator.presentation.own_stdout import results
from orchestrator.presentation.rendering import console
from orchestrator.store.database import has_database
from orchestrator.store.store import Store


def gc(home: Path, *, failures: bool, as_json: bool) -> int:
    """Remove stored failures of evaluations and of energies.

    The records of campaigns do not change, since their events contain the failures too.

    Raises:
        ConfigError: no option says what to remove, or the home does not exist.
    """
    if not failures:
        raise ConfigError("no option says what to remove; expected --failures")
    if not has_database(home) and not home.is_dir():
        raise ConfigError(f"{home} is not a home; give the right one with --home")
    evaluations = Store(home).forget_failures() if has_database(home) else 0
    folders = (home / "artefacts" / "energies", home / "cache")
    energies = sum(forget_failures(folder) for folder in folders)
    if as_json:
        results().write(json.dumps({"evaluations": evaluations, "energies": energies}) + "\n")
        return 0
    console().print(
        f"forgot {evaluations} failed evaluations and {energies} failed energies; "
        "phonoscout resume NAME --retry-failed tries those of a campaign again",
        highlight=False,
        soft_wrap=True,
    )
    return 0
