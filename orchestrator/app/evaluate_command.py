"""``phonoscout evaluate``: works without the database, whose libraries take long to import."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oracle.runtime.errors import OracleError
from orchestrator.app.details import outcome_lines, print_evaluation
from orchestrator.config.errors import ConfigError
from orchestrator.presentation.own_stdout import results
from orchestrator.presentation.rendering import console, say
from orchestrator.running.single import evaluate_file, oracle_settings

_DONE, _RUN_FAILED, _WRONG_INPUT = 0, 1, 2


def evaluate(
    home: Path,
    structures: Sequence[Path],
    *,
    oracle: Path | None,
    overrides: Sequence[str],
    verbose: bool,
    as_json: bool,
) -> int:
    """Evaluate structure files, one after another.

    A file that cannot be read is reported on stderr and counts as failed; the others are still
    evaluated. The exit code for wrong input is returned only if no file can be read.
    """
    oracle_settings(oracle, overrides)  # raises wrong settings before any file is read
    progress, out = console(stderr=True), console()
    documents: list[Any] = []
    for path in structures:
        try:
            document = evaluate_file(home, path, oracle, overrides, progress)
        except (ConfigError, OracleError) as error:
            if len(structures) == 1:
                raise
            say(progress, f"phonoscout evaluate: {error}")
            document = {"status": "refused", "message": str(error)}
        documents.append({"file": str(path), **document})
        if as_json and document["status"] == "failed":
            for line in outcome_lines(document):
                say(progress, line, style="red")
        if as_json or document["status"] == "refused":
            continue
        if len(structures) > 1:
            say(out, f"{path}:")
        print_evaluation(out, document, verbose=verbose)
    if as_json:
        # JSON has no NaN; a document that contains one is a defect, which raises here.
        printed = documents if len(structures) > 1 else documents[0]
        results().write(json.dumps(printed, allow_nan=False, indent=2) + "\n")
    statuses = {document["status"] for document in documents}
    if statuses == {"refused"}:
        return _WRONG_INPUT
    return _RUN_FAILED if statuses & {"failed", "refused"} else _DONE
