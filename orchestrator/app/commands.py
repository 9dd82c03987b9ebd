"""The commands: each reads its input, calls the layers below, prints, and returns an exit code."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.hints import from_here, home_option, resume_command
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import load_config
from orchestrator.presentation.own_stdout import results
from orchestrator.presentation.rendering import (
    best_table,
    best_title,
    console,
    funnel_line,
    print_details,
    say,
    status_table,
)
from orchestrator.queries import queries
from orchestrator.store.database import has_database
from orchestrator.store.store import Store

if TYPE_CHECKING:
    from orchestrator.assembly.prepared import Prepared
    from orchestrator.executors.protocol import Executor

DONE, RUN_FAILED, INTERRUPTED = 0, 1, 130


def launch(
    home: Path,
    path: Path,
    *,
    name: str | None,
    dry_run: bool,
    overrides: Sequence[str],
    as_json: bool,
) -> int:
    """Validate a config, record the campaign and run it."""
    config = load_config(path, overrides, name)
    if dry_run:
        from orchestrator.running.dry_run import described, estimate

        return _print_lines(estimate(config), as_json, described)
    from orchestrator.assembly.prepared import prepare
    from orchestrator.executors.ray_address import check_address
    from orchestrator.running.runner import create, refuse_taken, start_executor

    check_address(config.executor)
    prepared = prepare(config)  # raises if anything is wrong, before anything is written
    if has_database(home):
        refuse_taken(_store(home), config)  # before waiting for workers
    executor = start_executor(prepared)
    try:
        create(_store(home, new=True), prepared)
    except BaseException:
        executor.shutdown()
        raise
    return _run(home, config.name, as_json, prepared=prepared, executor=executor)


def resume(
    home: Path, name: str, *, overrides: Sequence[str], retry_failed: bool = False, as_json: bool
) -> int:
    """Resume a campaign; changes are recorded first."""
    return _run(home, name, as_json, overrides, retry_failed=retry_failed)


def _run(
    home: Path,
    name: str,
    as_json: bool,
    overrides: Sequence[str] = (),
    prepared: Prepared | None = None,
    executor: Executor | None = None,
    retry_failed: bool = False,
) -> int:
    from orchestrator.running.runner import run_campaign

    progress = console(stderr=True)
    command = resume_command(home, name)
    try:
        stopped = run_campaign(
            _store(home),
            name,
            overrides=overrides,
            prepared=prepared,
            executor=executor,
            retry_failed=retry_failed,
            console=progress,
        )
    except KeyboardInterrupt:
        progress.print(f"interrupted; go on with: {command}", highlight=False, soft_wrap=True)
        return INTERRUPTED
    store = _store(home)
    if as_json:
        _json(queries.status(store, name))
    else:
        rows = queries.best(store, name, 10)
        out = console()
        out.print(best_table(rows, best_title(name, rows)))
        say(out, f"{stopped.state}: {stopped.reason}")
        for purpose, step in _next_steps(store, name, rows[:1]):
            out.print(f"{purpose + ':':<14} {step}", soft_wrap=True)
    return RUN_FAILED if stopped.state == "failed" else DONE


def _next_steps(store: Store, name: str, best: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """What the user may do after a run, as (purpose, command or file) pairs."""
    from orchestrator.plots.figures import latest_page

    home = store.home
    for row in best:
        yield "look further", f"phonoscout show {row['candidate']}{home_option(home)}"
        if row["oracle"] and row["file"]:
            file, oracle = (shlex.quote(from_here(Path(row[key]))) for key in ("file", "oracle"))
            yield (
                "compute again",
                f"phonoscout evaluate {file} --oracle {oracle}{home_option(home)}",
            )
    page = latest_page(home, name)
    if page is not None:
        yield "see it", from_here(page)
    yield from queries.next_steps(store, name)


def stop(home: Path, name: str, *, as_json: bool) -> int:
    """Ask the process that runs a campaign to stop."""
    store = _store(home)
    running = store.is_running(name)
    if running:
        store.request_stop(name)
    document = {"name": name, "was_running": running}
    text = f"{name} will stop" if running else f"{name} is not running"
    return _print(document, as_json, text)


def status(home: Path, name: str | None, *, as_json: bool) -> int:
    """Print one campaign's status, or a table of all."""
    if name is None and not has_database(home):
        return _json([]) if as_json else _print({}, False, f"no campaigns in {home}")
    store = _store(home, reading=True)
    if name is not None:
        document = queries.status(store, name)
        if as_json:
            return _json(document)
        console().print(status_table([document]))
        say(console(), funnel_line(document["funnel"]))
        for note in document["notes"]:
            say(console(), note)
        if document["stop_reason"]:
            say(console(), document["stop_reason"])
        return DONE
    documents = [queries.status(store, row.name) for row in store.campaigns()]
    if as_json:
        return _json(documents)
    console().print(status_table(documents) if documents else f"no campaigns in {home}")
    return DONE


def best(home: Path, name: str, *, k: int, as_csv: bool, as_json: bool) -> int:
    """Print the best candidates."""
    if as_csv and as_json:
        raise ConfigError("--json and --csv exclude each other; give one")
    rows = queries.best(_store(home, reading=True), name, k)
    if as_json:
        return _json(rows)
    if as_csv:
        flat = [_flat(row) for row in rows]
        writer = csv.DictWriter(results(), fieldnames=list(flat[0]) if flat else ["rank"])
        writer.writeheader()
        writer.writerows(flat)
        return DONE
    console().print(best_table(rows, best_title(name, rows)) if rows else "nothing measured yet")
    return DONE


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `best` without nested values.

    Of the error budget it has the ends of the interval, of a second opinion what it found.
    """
    budget = row.get("error_budget") or {}
    low, high = budget.get("interval_90") or (None, None)
    opinion = row.get("second_opinion") or {}
    nested = ("error_budget", "second_opinion")
    rest = {key: value for key, value in row.items() if key not in nested}
    rest |= {"interval_90_low": low, "interval_90_high": high}
    names = ("potential", "kappa", "ratio", "agrees")
    return rest | {f"second_{name}": opinion.get(name) for name in names}


def show(home: Path, candidate: str, *, verbose: bool, as_json: bool) -> int:
    """Print a candidate with its results and history."""
    from orchestrator.app.details import print_candidate

    document = queries.show(_store(home, reading=True), candidate)
    if as_json:
        return _json(document)
    print_candidate(console(), document, verbose=verbose)
    return DONE


def export(home: Path, name: str, *, directory: Path, form: str, k: int, as_json: bool) -> int:
    """Write the best candidates into a folder."""
    from orchestrator.queries.export import export_best

    written = export_best(_store(home, reading=True), name, directory, form, k)
    return _print(
        {"directory": str(directory), "files": [str(path) for path in written]},
        as_json,
        f"{len(written)} files written to {directory}",
    )


def serve(home: Path, *, host: str, port: int) -> int:
    """Serve the same functions over HTTP until interrupted."""
    from orchestrator.app.api import run_server

    run_server(_store(home, new=True, reading=True), host, port)
    return DONE


def _store(home: Path, *, new: bool = False, reading: bool = False) -> Store:
    if not new and not has_database(home):
        raise ConfigError(f"{home} holds no campaigns; give the right one with --home")
    return Store(home, reading=reading)


def _print(document: Any, as_json: bool, text: str | None = None) -> int:
    if as_json:
        return _json(document)
    if text is None:
        print_details(console(), document)
    else:
        console().print(text, highlight=False, soft_wrap=True)
    return DONE


def _print_lines(document: Any, as_json: bool, lines: Callable[[Any], list[str]]) -> int:
    if as_json:
        return _json(document)
    for line in lines(document):
        say(console(), line)
    return DONE


def _json(document: Any) -> int:
    # JSON has no NaN; a document that contains one is a defect, which raises here.
    results().write(json.dumps(document, allow_nan=False, indent=2) + "\n")
    return DONE
