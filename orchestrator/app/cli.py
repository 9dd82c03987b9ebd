"""The command line. Heavy libraries are imported only by the command that needs them."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from orchestrator.app.library_warnings import only_our_warnings
from orchestrator.presentation.own_stdout import own_stdout

_HOME = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="PHONOSCOUT_HOME",
    default=Path("phonoscout-home"),
    show_default=True,
    help="Folder that holds the database, artefacts, MLflow's store and logs.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
_SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY.PATH=VALUE",
    help="Change one setting; the value is YAML. May be given several times.",
)


_VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Print everything that is known.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="phonoscout", prog_name="phonoscout")
def main() -> None:
    """Autonomous discovery of materials by how their phonons carry heat."""


@main.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--name", help="Use this name instead of the config's.")
@click.option("--dry-run", is_flag=True, help="Validate, size and estimate; start nothing.")
@_SET
@_HOME
@_JSON
def launch(
    config: Path,
    name: str | None,
    dry_run: bool,
    overrides: tuple[str, ...],
    home: Path,
    as_json: bool,
) -> None:
    """Start the campaign that CONFIG (a YAML file) describes."""
    _run("launch", home, config, name=name, dry_run=dry_run, overrides=overrides, as_json=as_json)


@main.command()
@click.argument("name")
@click.option("--retry-failed", is_flag=True, help="Try its failed trials again.")
@_SET
@_HOME
@_JSON
def resume(
    name: str, retry_failed: bool, overrides: tuple[str, ...], home: Path, as_json: bool
) -> None:
    """Go on with a campaign that has stopped for any reason; --set extends or steers it."""
    _run("resume", home, name, overrides=overrides, retry_failed=retry_failed, as_json=as_json)


@main.command()
@click.argument("name")
@_HOME
@_JSON
def stop(name: str, home: Path, as_json: bool) -> None:
    """Ask a running campaign to stop; nothing finished is lost."""
    _run("stop", home, name, as_json=as_json)


@main.command()
@click.argument("name", required=False)
@_HOME
@_JSON
def status(name: str | None, home: Path, as_json: bool) -> None:
    """Where a campaign stands, or all of them."""
    _run("status", home, name, as_json=as_json)


@main.command()
@click.argument("name")
@click.option("-k", default=10, show_default=True, type=click.IntRange(min=1), help="How many.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@_HOME
@_JSON
def best(name: str, k: int, as_csv: bool, home: Path, as_json: bool) -> None:
    """The best candidates so far, confirmed ones first; works while the campaign runs."""
    _run("best", home, name, k=k, as_csv=as_csv, as_json=as_json)


@main.command()
@click.argument("name")
@click.option("--failed", is_flag=True, help="Only those that failed.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@_HOME
@_JSON
def trials(name: str, failed: bool, as_csv: bool, home: Path, as_json: bool) -> None:
    """All trials with result or error and cost, and the candidates that constraints rejected."""
    _run(
        "trials",
        home,
        name,
        failed=failed,
        as_csv=as_csv,
        as_json=as_json,
        module="trials_command",
    )


@main.command()
@click.argument("candidate")
@_VERBOSE
@_HOME
@_JSON
def show(candidate: str, verbose: bool, home: Path, as_json: bool) -> None:
    """A candidate with all of its results, and why it was chosen."""
    _run("show", home, candidate, verbose=verbose, as_json=as_json)


@main.command()
@click.argument("name")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["cif", "json", "phono3py"]),
    default="cif",
    show_default=True,
    help="What to write for each candidate.",
)
@click.option("-k", default=10, show_default=True, type=click.IntRange(min=1), help="How many.")
@_HOME
@_JSON
def export(name: str, directory: Path, form: str, k: int, home: Path, as_json: bool) -> None:
    """Write the best candidates into DIRECTORY, in formats other programs read."""
    _run("export", home, name, directory=directory, form=form, k=k, as_json=as_json)


@main.command()
@click.argument(
    "structures", metavar="STRUCTURE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--oracle", type=click.Path(path_type=Path), help="YAML file with the oracle's settings."
)
@_SET
@_VERBOSE
@_HOME
@_JSON
def evaluate(
    structures: tuple[Path, ...],
    oracle: Path | None,
    overrides: tuple[str, ...],
    verbose: bool,
    home: Path,
    as_json: bool,
) -> None:
    """Evaluate STRUCTURE files with an oracle, outside of any campaign."""
    _run(
        "evaluate",
        home,
        structures,
        oracle=oracle,
        overrides=overrides,
        verbose=verbose,
        as_json=as_json,
        module="evaluate_command",
    )


@main.group(invoke_without_command=True)
@click.option("--measure", is_flag=True, help="Also time the forces of 64 atoms with each here.")
@_HOME
@_JSON
@click.pass_context
def potentials(context: click.Context, measure: bool, home: Path, as_json: bool) -> None:
    """The potentials that are known, which of them can run here, and how good they are."""
    if context.invoked_subcommand is None:
        _run("potentials", home, measure=measure, as_json=as_json, module="potentials_command")


@potentials.command()
@click.argument("name")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    help="Use this local file instead of downloading.",
)
@_HOME
@_JSON
def fetch(name: str, source: Path | None, home: Path, as_json: bool) -> None:
    """Install the weights of the potential NAME, once their digest has been checked."""
    _run("fetch", home, name, source=source, as_json=as_json, module="potentials_command")


@main.command()
@click.option("--failures", is_flag=True, help="Failures that later campaigns would reuse.")
@_HOME
@_JSON
def gc(failures: bool, home: Path, as_json: bool) -> None:
    """Remove from a home what should not be reused; nothing measured is lost."""
    _run("gc", home, failures=failures, as_json=as_json, module="gc_command")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@_HOME
def serve(host: str, port: int, home: Path) -> None:
    """Offer the commands over HTTP; the token for changes is $PHONOSCOUT_TOKEN."""
    _run("serve", home, host=host, port=port)


def _run(
    command: str, home: Path, *arguments: Any, module: str = "commands", **options: Any
) -> None:
    """Call a function of a module of the orchestrator and exit with its code."""
    # Libraries must neither send usage reports nor print about them.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from orchestrator.running.interrupts import INTERRUPTED, leave, signals_end_the_process

    title = f"phonoscout {command}"
    with signals_end_the_process(title) as interrupts:
        try:
            code = _code(title, module, command, home, arguments, options)
        except (KeyboardInterrupt, Exception) as error:
            # A library that is interrupted while it is imported may raise something else instead.
            if not (interrupts.seen or isinstance(error, KeyboardInterrupt)):
                raise
            click.echo(f"{title}: interrupted", err=True)
            code = INTERRUPTED
    leave(code, held_by="ray")
    raise SystemExit(code)


def _code(
    title: str,
    module: str,
    command: str,
    home: Path,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> int:
    """Exit code of a function of a module of the orchestrator; its errors are one line each."""
    try:
        with only_our_warnings(), own_stdout():
            functions = importlib.import_module(f"orchestrator.app.{module}")
            return int(getattr(functions, command)(home.resolve(), *arguments, **options))
    except _failures().INPUT_ERRORS as error:
        click.echo(f"{title}: {error}", err=True)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except SystemExit as error:  # raised by a library; ours is raised elsewhere
        click.echo(f"{title}: a library ended the program (sys.exit({error.code!r}))", err=True)
        return 1
    except _failures().SURROUNDINGS as error:
        text, code = _failures().explained(error, home)
        click.echo(f"{title}: {text}", err=True)
        return code


def _failures() -> Any:
    """The module that explains errors: imported only for them, since it imports the database."""
    return importlib.import_module("orchestrator.app.failures")


def run() -> None:
    """The program `phonoscout`."""
    try:
        main(prog_name="phonoscout")
    except SystemExit as ended:
        from orchestrator.running.interrupts import INTERRUPTED, end_interrupted

        if ended.code == INTERRUPTED:
            end_interrupted()
        raise


if __name__ == "__main__":
    run()
