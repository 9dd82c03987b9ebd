"""The command ``trials``: all trials of a campaign, with their results and errors."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from orchestrator.app.commands import DONE
from orchestrator.config.errors import ConfigError
from orchestrator.presentation.own_stdout import results
from orchestrator.presentation.rendering import console
from orchestrator.presentation.trials_table import COLUMNS, csv_rows, rejected_table, trials_table
from orchestrator.queries.trials import campaign_trials
from orchestrator.store.database import has_database
from orchestrator.store.store import Store


def trials(home: Path, name: str, *, failed: bool, as_csv: bool, as_json: bool) -> int:
    """Print the trials of a campaign, and the candidates that constraints rejected before."""
    if as_csv and as_json:
        raise ConfigError("--json and --csv exclude each other; give one")
    if not has_database(home):
        raise ConfigError(f"{home} holds no campaigns; give the right one with --home")
    document = campaign_trials(Store(home, reading=True), name, failed=failed)
    if as_json:
        results().write(json.dumps(document, allow_nan=False, indent=2) + "\n")
        return DONE
    if as_csv:
        writer = csv.DictWriter(results(), fieldnames=COLUMNS)
        writer.writeheader()
        writer.writerows(csv_rows(document, rejected=not failed))
        return DONE
    out = console()
    if document["trials"]:
        title = f"{'Failed trials' if failed else 'Trials'} of {name}"
        out.print(trials_table(document["trials"], title))
    else:
        out.print("no trial has failed" if failed else "nothing was tried yet", highlight=False)
    if document["rejected"]["count"]:
        out.print(rejected_table(document["rejected"]))
    return DONE
