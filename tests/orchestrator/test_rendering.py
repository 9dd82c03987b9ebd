"""Tables fit any terminal without losing what matters, and print texts as they are."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from oracle.materials.vacuum import Vacuum
from oracle.phonons.doubts import elsewhere, everywhere, together, uncertain
from orchestrator.presentation.rendering import (
    best_table,
    console,
    say,
    short,
    status_table,
)

CAUTION = "strong anharmonicity: 61% of the force; numerical error of 49%"


def _row(rank: int, **changes: Any) -> dict[str, Any]:
    row = {
        "rank": rank,
        "candidate": f"c-{rank:012x}",
        "formula": "CsI",
        "label": "rocksalt",
        "value": 0.7365 * 7**rank,
        "std": 0.16 * rank,
        "unit": "W/m/K",
        "confirmed": rank < 3,
        "round": 3,
        "agent": "substitution",
        "energy_above_best_polymorph": 0.013,
        "formation_energy": -1.76,
        "refusal": None,
        "stale": False,
        "low_confidence": CAUTION if rank == 2 else None,
    }
    return row | changes


def _drawn(table: Any, width: int) -> list[str]:
    """The lines a terminal of this width shows."""
    stream = io.StringIO()
    terminal: dict[str, Any] = {"force_terminal": True, "color_system": None, "markup": False}
    Console(file=stream, width=width, **terminal).print(table)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 72, 80, 100, 120, 160, 200])
def test_best_never_loses_what_matters(width: int) -> None:
    lines = _drawn(best_table([_row(k) for k in (1, 2, 3)], "Best"), width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "…" not in text
    for part in ("c-000000000001", "5.16 ± 0.16", "36.09 ± 0.32", "252.62 ± 0.48", "yes", "no"):
        assert part in text, part
    for word in ("strong", "anharmonicity", "numerical", "error", "49%"):
        assert word in text, word
    ranks = [line.split()[0] for line in lines if " c-0" in line]
    assert ranks == ["1", "2", "3"]


def test_best_gives_up_columns_one_after_the_other() -> None:
    table = best_table([_row(k) for k in (1, 2, 3)], "Best")
    order = ["meV/atom", "formation\n", "agent", "round", "label"]
    missing = [
        [name for name in order if not any(name in c.header for c in table.fitted(width))]
        for width in range(200, 39, -1)
    ]
    assert missing[0] == []
    assert missing[-1] == order
    counts = [len(names) for names in missing]
    assert counts == sorted(counts)
    assert all(names == order[: len(names)] for names in missing)
    assert {len(names) for names in missing} == {0, 1, 2, 3, 4, 5}


def test_a_file_gets_all_columns(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(best_table([_row(k, formula="Ba2NaOsO6") for k in (1, 2)], "Best"))
    header = capsys.readouterr().out
    assert all(word in header for word in ("label", "round", "agent", "meV/atom", "eV/atom"))


def test_a_sequence_of_layers_is_folded_not_cut() -> None:
    sequence = "Si | " + "01" * 40 + " | Ge"
    lines = _drawn(best_table([_row(1, formula=sequence, label=None)], "Best"), 80)
    assert "".join("".join(lines).split()).count("01") >= 40
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("width", [60, 80, 120])
def test_status_fits(width: int) -> None:
    row = {
        "name": "a-campaign-with-a-rather-long-name",
        "state": "interrupted",
        "round": 3,
        "rounds": 12,
        "oracle_calls": 12,
        "oracle_calls_budget": 240,
        "failures": 1,
        "elapsed_s": 876.0,
        "best": _row(1),
    }
    lines = _drawn(status_table([row]), width)
    assert max(map(len, lines)) <= width
    assert all(word in "\n".join(lines) for word in ("interrupted", "12 of 240", "0.16"))


BRACKETS = "pip install 'phonoscout[nequix]' [bold]not bold[/bold] [/]"


def test_brackets_are_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    say(console(), BRACKETS)
    console().print(BRACKETS, soft_wrap=True)
    console().print(best_table([_row(1, label=BRACKETS, low_confidence=BRACKETS)], BRACKETS))
    printed = capsys.readouterr().out
    assert printed.count(BRACKETS) == 5


def test_a_terminal_wraps_between_words_and_keeps_paths() -> None:
    stream = io.StringIO()
    terminal = Console(file=stream, width=40, force_terminal=True, color_system=None)
    path = "/a/rather/long/path/that/is/wider/than/the/terminal/kappa-m101010.hdf5"
    say(terminal, f"  the files are found in the folder {path}")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "  the files are found in the folder"
    assert lines[1] == f"    {path}"


GRID = (100.0, 300.0)
DOUBTS = [
    vacuum.caution
    for vacuum in (Vacuum(15.0, 3.4, False, (0, 0, 1)), Vacuum(196.0, 9.1, True, (1, 0, 0)))
]
DOUBTS += ["mace:/a/b may lack the dispersion forces", "relaxation changed the structure: c by 9 %"]


@pytest.mark.parametrize("text", [*DOUBTS, "words; of a user", "/home/a; b: c"])
def test_every_caution_is_one_part_of_the_short_form(text: str) -> None:
    joined = together(
        [everywhere(text, GRID), elsewhere(GRID, 100.0), uncertain(GRID, np.array([0, 0.9]), 0.25,
         {"the mesh": np.array([0, 0.9])})], GRID,
    )["low_confidence"]  # fmt: skip
    first = text.partition(": ")[0].replace("; ", ", ")
    others = ["force constants of another temperature", "numerical error of 90% at 300 K"]
    assert short(joined) == ", ".join([first, *others])
    assert "mostly due to the mesh" in joined


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        (
            "slab: kappa is per volume of the cell, of which 77% is vacuum; for the slab itself "
            "multiply by 15.00 Å / thickness (van der Waals: 15.00 / 3.40 = 4.41)",
            "slab",
        ),
        (
            "force constants are those at 300 K, this is 500 K; set finite_temperature to it; "
            "numerical error of 40%",
            "force constants are those at 300 K, this is 500 K; set finite_temperature to it, "
            "numerical error of 40%",
        ),
        (None, ""),
    ],
)
def test_cautions_of_earlier_versions_are_not_cut_within(recorded: str | None, shown: str) -> None:
    assert short(recorded) == shown
