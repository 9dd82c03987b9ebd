"""Evaluations and candidates as text for people, with the most important first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from oracle.contract.property_table import HEADLINES, PROPERTY_TABLE, spec_of
from orchestrator.campaign.hints import from_here
from orchestrator.presentation.numbers import duration, plain, with_error
from orchestrator.presentation.rendering import by_what, say, text_of

Document = dict[str, Any]
_TEMPERATURES = 4  # temperatures of the first property that are shown without --verbose
_ISOTROPIC = 0.02  # relative differences between directions below this are not shown
_NOISE = 1e-6  # tensor components below this fraction of the largest are shown as zero
_ROOM = 300.0  # K
_LABEL = 28  # cells
_LONG_LABEL = 40
_SHOWN = {
    *("status", "formula", "spacegroup", "spacegroup_number", "temperature", "kappa_unit", "units"),
    *("std", "errors", "q_point", "reason", "message", "low_confidence", "seconds", "artefacts"),
    *("error_budget", "file", "candidate", "label", "structure", "why", "force_calls"),
}
"""Keys that have lines of their own."""


def print_evaluation(to: Console, document: Document, *, verbose: bool = False) -> None:
    """Print an evaluation: the outcome, then the main properties; with `verbose`, everything."""
    for line in outcome_lines(document, verbose=verbose):
        say(to, line, style="bold")
    if document.get("low_confidence"):
        say(to, f"caution: {document['low_confidence']}", style="yellow")
    for line in _budget_line(document):
        say(to, line)
    for label, text in _main_lines(document):
        say(to, f"  {label:<{_LABEL}}{text}")
    for line in _files(document):
        say(to, line)
    if verbose:
        for line in _rest(document):
            say(to, line)


def print_candidate(to: Console, document: Document, *, verbose: bool = False) -> None:
    """Print a candidate, its evaluation, and why campaigns chose it."""
    named = [document["formula"], document["label"]]
    name = " ".join(dict.fromkeys(str(part) for part in named if part))
    if "status" in document:
        print_evaluation(to, document, verbose=verbose)
    else:
        say(to, f"{name}: not measured", style="bold")
    say(to, f"  {'candidate':<{_LABEL}}{document['candidate']}, {name}")
    say(to, f"  {'structure':<{_LABEL}}{from_here(Path(document['structure']))}")
    for history in document["why"]:
        for line in _why(history, document):
            say(to, line)


def outcome_lines(document: Document, *, verbose: bool = False) -> list[str]:
    """``kappa(300 K) = 22.9 ± 7.1 W/m/K``, one line per temperature; or what went wrong."""
    if document["status"] == "unstable":
        return [_instability(document)]
    if document["status"] not in ("measured", "unstable"):
        stage = document.get("stage")
        return [f"failed{f' at {stage}' if stage else ''}: {document['message']}"]
    name = next((n for n in HEADLINES if document.get(n) is not None), None)
    if name is None:
        name = next((n for n in PROPERTY_TABLE if document.get(n) is not None), None)
    if name is None:
        name = next((n for n in document.get("units") or () if document.get(n) is not None), None)
    if name is None:
        return [f"{document['formula']} was measured"]
    lines = list(_headline(document, name))
    if len(lines) > _TEMPERATURES + 1 and not verbose:
        more = len(lines) - _TEMPERATURES
        lines = [*lines[:_TEMPERATURES], f"... and {more} more temperatures (-v shows them)"]
    return lines


def _budget_line(document: Document) -> Iterator[str]:
    """The 90 % interval and its parts, of several temperatures at the one nearest to 300 K."""
    budgets, temperatures = document.get("error_budget"), document.get("temperature") or []
    if not budgets:
        return
    nearest = min(range(len(budgets)), key=lambda i: abs(temperatures[i] - _ROOM))
    at = f" at {plain(temperatures[nearest])} K" if len(budgets) > 1 else ""
    yield f"90 % interval{at}: {budgets[nearest]['text']}"


def _instability(document: Document) -> str:
    text = f"unstable: {document['reason']}"
    lowest = document.get("min_frequency_thz")
    if lowest is not None:
        text += f"; lowest frequency {plain(lowest, 3)} THz"
        if document.get("q_point") is not None:
            text += f" at q = ({', '.join(plain(x, 3) for x in document['q_point'])})"
    return text


def _headline(document: Document, name: str) -> Iterator[str]:
    """One line per temperature, or one line where the property does not depend on it."""
    unit = (document.get("units") or {}).get(name, spec_of(name).unit)
    std = document.get("std") if name == "kappa" else None
    std = (document.get("errors") or {}).get(name, std)
    values = document[name] if isinstance(document[name], list) else [document[name]]
    errors = std if isinstance(std, list) else [std] * len(values)
    temperatures = document["temperature"] if isinstance(document[name], list) else []
    estimate = " by Slack's formula" if document.get("fidelity") == "harmonic" else ""
    for value, error, kelvin in zip_longest(values, errors, temperatures):
        tensor = np.asarray(value, dtype=float)
        mean = float(np.trace(tensor) / 3 if tensor.ndim == 2 else tensor)
        at = "" if kelvin is None else f"({plain(kelvin)} K)"
        text = f"{name}{at} = {with_error(mean, error)} {unit}".rstrip()
        yield f"{text}{_directions(tensor)}{estimate}"


def _directions(tensor: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """The smallest and largest values over all directions, where they differ."""
    if tensor.ndim != 2:
        return ""
    ends = np.linalg.eigvalsh((tensor + tensor.T) / 2)
    if ends[-1] - ends[0] <= _ISOTROPIC * abs(ends.mean()):
        return ""
    return f" ({plain(float(ends[0]), 3)} to {plain(float(ends[-1]), 3)} over directions)"


def _main_lines(document: Document) -> Iterator[tuple[str, str]]:
    """(label, value) of the main properties that the first lines do not show."""
    group, number = document.get("spacegroup"), document.get("spacegroup_number")
    yield "formula", document["formula"] + (f", {group} ({number})" if group else "")
    temperatures = document.get("temperature") or ()
    first = next((n for n in HEADLINES if document.get(n) is not None), None)
    for name, line in PROPERTY_TABLE.items():
        value = document.get(name)
        shown = name == first or (document["status"] == "unstable" and name == "min_frequency_thz")
        if not line.main or value is None or shown:
            continue
        text = _value(name, value, temperatures)
        if name == "min_frequency_thz":
            text += " (stable)"
        yield line.label, text
    calls = document.get("force_calls")
    cost = f"{calls:g} force calls, " if calls is not None else ""
    if document.get("seconds") is not None:
        yield "cost", f"{cost}{duration(document['seconds'])}"


def _value(name: str, value: Any, temperatures: Sequence[float]) -> str:
    """A value with its unit; of values at several temperatures, the first with its temperature."""
    line = spec_of(name)
    at = ""
    if isinstance(value, list):
        if value and line.shape == "tensor" and np.ndim(value) == 3:
            value = [float(np.trace(tensor) / 3) for tensor in np.asarray(value)]
        if not value or isinstance(value[0], list):
            return text_of(value)
        at = f" at {plain(temperatures[0])} K" if len(temperatures) == len(value) > 0 else ""
        value = value[0]
    return f"{plain(value, line.digits)} {line.unit}".rstrip() + at


def _files(document: Document) -> Iterator[str]:
    """Names of the artefacts, grouped by folder because their paths are long."""
    folders: dict[Path, list[str]] = {}
    for path in (document.get("artefacts") or {}).values():
        folders.setdefault(Path(path).parent, []).append(Path(path).name)
    for folder, names in folders.items():
        yield f"  files in {from_here(folder)}:"
        yield f"    {', '.join(names)}"


def _rest(document: Document) -> Iterator[str]:
    """Everything else in the document."""
    main = {name for name, line in PROPERTY_TABLE.items() if line.main}
    scalars = {n for n in main if not isinstance(document.get(n), list)}
    for name, value in document.items():
        if name in _SHOWN or name in scalars or value is None:
            continue
        line = spec_of(name)
        label = f"{line.label}{f', {line.unit}' if line.unit else ''}"
        if isinstance(value, dict):
            if value:
                yield label
            yield from _mapping(value, "  ")
        elif isinstance(value, list) and value and isinstance(value[0], list):
            yield label
            yield from _tensors(value, document["temperature"])
        else:
            yield f"{label:<{_LONG_LABEL}}{text_of(value)}"


def _mapping(value: Document, indent: str) -> Iterator[str]:
    for key, part in value.items():
        if isinstance(part, dict):
            yield f"{indent}{key}"
            yield from _mapping(part, indent + "  ")
        else:
            yield f"{f'{indent}{key}':<{_LONG_LABEL}}{text_of(part)}"


def _tensors(value: list[Any], temperatures: Sequence[float]) -> Iterator[str]:
    """Matrices row by row; components that are only numerical noise are shown as zero."""
    array = np.asarray(value, dtype=float)
    for number, matrix in enumerate(array if array.ndim == 3 else array[None]):
        if array.ndim == 3 and len(temperatures) == len(array):
            yield f"  at {plain(temperatures[number])} K"
        clean = np.where(np.abs(matrix) < _NOISE * np.abs(matrix).max(), 0.0, matrix)
        for row in clean:
            yield "    " + " ".join(f"{plain(float(x)):>11}" for x in row)


def _why(history: Document, document: Document) -> Iterator[str]:
    """The history of the candidate in one campaign."""
    if "rejected" in history:
        yield f"campaign {history['campaign']}: never measured: {history['rejected']}"
        return
    standing = "not ranked" if history["rank"] is None else f"rank {history['rank']}"
    word = "confirmed" if history["confirmed"] else "not confirmed"
    what = by_what(history["quantity"], " by ")
    yield f"campaign {history['campaign']}: {standing}{what}, {word}"
    yield from _second_opinion(history.get("second_opinion"))
    for trial in history["trials"]:
        yield f"  {trial['trial']}, round {trial['round']}: {_reason(trial)}"
        for line in _story(trial):
            yield f"      {line}"


def _second_opinion(opinion: Document | None) -> Iterator[str]:
    """What a second potential says of the candidate."""
    if opinion is None:
        return
    found = ""
    if opinion["kappa"] is not None:
        value = with_error(opinion["kappa"], opinion["std"])
        found = f"{value} {spec_of('kappa').unit} with {opinion['potential']}; "
    yield f"  second opinion: {found}{opinion['reason']}"


def _reason(trial: Document) -> str:
    if trial["purpose"] == "opinion":
        return f"evaluated with {trial['potential']}, for a second opinion"
    if trial["purpose"] == "confirm":
        return f"evaluated again at tighter settings (level {trial['level']})"
    by_purpose = {"audit": "drawn at random, as an audit", "hole": "little was known about it"}
    reason = by_purpose.get(trial["purpose"], f"proposed by {trial['agent']}")
    formulas = trial.get("parent_formulas") or trial["parents"]
    parents = [
        f"{formula} ({name})" if formula != name else name
        for name, formula in zip(trial["parents"], formulas, strict=True)
    ]
    return f"{reason}, from {', '.join(parents)}" if parents else reason


def _story(trial: Document) -> Iterator[str]:
    """What was predicted for a trial, its result, and what that changed."""
    expected = trial.get("expected")
    if expected is not None:
        low, middle, high = (plain(expected[k], 3) for k in ("low", "value", "high"))
        stable = f"stable with {trial['predicted']['p_stable']:.0%}"
        yield f"expected {middle} ({low} to {high}), {stable}"
    if trial["value"] is not None:
        result = f"found {with_error(trial['value'], trial['std'])}"
    else:
        result = trial["outcome"] or trial["status"].lower()
    changed = trial["changed"] or {}
    if changed.get("surprise_sigmas") is not None:
        result += f", {abs(changed['surprise_sigmas']):.1f} standard deviations from that"
    if changed.get("new_best") and trial["purpose"] not in ("confirm", "opinion"):
        result += ", the best until then"
    yield result + (", already stored" if trial["reused"] else f", {duration(trial['cost_s'])}")
    if trial["error"]:
        yield f"error: {trial['error']}"
