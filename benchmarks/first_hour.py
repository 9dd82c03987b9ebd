"""Plays somebody's first hour through a terminal of 80 columns, and compares what a person sees.

    python benchmarks/first_hour.py [--write] [--script FILE] [--folder FOLDER]

A script is a file of commands as they are typed, each behind ``$ ``, followed by what the terminal
showed. The commands are run one after another in an empty folder that holds the project's
``configs``; ``{best}`` and ``{second}`` stand for the first candidates of the last campaign,
``{file}`` and ``{oracle}`` for the files that `best` names for the first. What is seen is compared
with what the file says: words must be equal and numbers close, times and paths may be others.
``--write`` replaces what the file says by what is seen. Frames of the display while it runs are
shown behind ``~ ``; only that each was seen is compared.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pyte

ROOT = Path(__file__).resolve().parent.parent
HOUR = ROOT / "docs" / "first-hour.txt"
COLUMNS, LINES = 80, 24
_LIMIT_S = 3600.0
_CLOSE = 0.05  # relative; other processors change the fourth digit, other libraries the third
_TIMES = re.compile(
    r"(?<![\w.])(?:\d+:\d\d(?::\d\d)?"
    r"|\d+(?:\.\d+)? ?(?:s|min|h|minutes|hours|seconds|GiB|core \w+|of the reference))\b"
)
_NUMBER = re.compile(r"^[(\[{~]*([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)[)\]},.;:%]*$")
_FRAMES = ("screen", "confirming", "round 2")
"""Words; the screen is recorded as a frame when one of them first appears."""


@dataclass(frozen=True)
class Step:
    """A command and what the terminal shows.

    Args:
        command: as typed.
        lines: left on the screen and above it at the end.
        frames: the screen when certain words appeared on it first, by word.
    """

    command: str
    lines: tuple[str, ...]
    frames: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def text(self) -> str:
        """As it stands in a script."""
        frames = [f"~ {line}".rstrip() for lines in self.frames.values() for line in (*lines, "")]
        return "\n".join([f"$ {self.command}", *frames, *self.lines, ""])


def played(command: str, folder: Path, home: Path | None = None) -> Step:
    """Run one command in a terminal and watch it.

    Args:
        command: for the shell; `phonoscout` is the one of this environment.
        folder: where it is typed.
        home: what ``PHONOSCOUT_HOME`` is, if anything.
    """
    screen = pyte.HistoryScreen(COLUMNS, LINES, history=10_000, ratio=0.5)
    stream = pyte.ByteStream(screen)
    frames: dict[str, tuple[str, ...]] = {}
    child = pexpect.spawn(
        "/bin/sh",
        ["-c", command],
        cwd=str(folder),
        env=_environment(folder, home),
        dimensions=(LINES, COLUMNS),
        timeout=_LIMIT_S,
    )
    child.delaybeforesend = None
    until = time.monotonic() + _LIMIT_S
    while time.monotonic() < until:
        try:
            stream.feed(child.read_nonblocking(size=65536, timeout=5))
        except pexpect.TIMEOUT:
            continue
        except pexpect.EOF:
            break
        shown = _shown(screen)
        for word in _FRAMES:
            if word not in frames and any(word in line for line in shown[-LINES:]):
                frames[word] = tuple(shown[-LINES:])
    child.close(force=True)
    return Step(command, tuple(_shown(screen, whole=True)), frames if len(frames) > 1 else {})


def _shown(screen: pyte.HistoryScreen, *, whole: bool = False) -> list[str]:
    """Lines that are visible, and with `whole` those that have scrolled away above them."""
    above = [
        "".join(row[column].data for column in range(COLUMNS)).rstrip()
        for row in (screen.history.top if whole else ())
    ]
    lines = [*above, *(line.rstrip() for line in screen.display)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _environment(folder: Path, home: Path | None) -> dict[str, str]:
    """A plain terminal, in which `phonoscout` is this one."""
    program = folder / ".bin" / "phonoscout"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m orchestrator.app.cli "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    own = {"PATH": path, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    return inherited | own | ({} if home is None else {"PHONOSCOUT_HOME": str(home)})


def play(commands: Sequence[str], folder: Path) -> Iterator[Step]:
    """Type commands one after another; ``export PHONOSCOUT_HOME=...`` holds for those after it."""
    shutil.copytree(ROOT / "configs", folder / "configs", dirs_exist_ok=True)
    home: Path | None = None
    for command in commands:
        if command.startswith("export PHONOSCOUT_HOME="):
            home = Path(command.partition("=")[2])
            yield Step(command, ())
            continue
        step = played(_filled(command, folder, home), folder, home)
        yield Step(command, tuple(_portable(line, folder) for line in step.lines), step.frames)


def _filled(command: str, folder: Path, home: Path | None) -> str:
    """The command with the names of the best candidates of the first campaign in it."""
    if "{" not in command or home is None:
        return command
    words = [str(folder / ".bin" / "phonoscout"), "status", "--json"]
    environment = _environment(folder, home)

    def document(*arguments: str) -> list[dict[str, str]]:
        asked = [*words[:1], *arguments, "--json"]
        done = subprocess.run(
            asked, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
        return list(json.loads(done.stdout))

    rows = document("best", document("status")[0]["name"])
    names = {"best": rows[0]["candidate"], "second": rows[1]["candidate"]}
    files = {key: str(rows[0][key] or "") for key in ("file", "oracle")}
    return re.sub(r"\{(\w+)\}", lambda m: (names | files).get(m[1], m[0]), command)


def _portable(line: str, folder: Path) -> str:
    return line.replace(f"{folder}/", "").replace(str(folder), ".")


def read(script: Path) -> list[Step]:
    """The steps of a script."""
    steps: list[Step] = []
    for line in script.read_text().splitlines():
        if line.startswith("$ "):
            steps.append(Step(line.removeprefix("$ "), ()))
        elif not line.startswith("~") and steps:
            steps[-1] = Step(steps[-1].command, (*steps[-1].lines, line))
    return steps


def differences(expected: Step, seen: Step) -> list[str]:
    """Lines of a unified difference; none where a person would see the same."""
    was, now = _words(expected.lines), _words(seen.lines)
    if len(was) == len(now) and all(map(_alike, was, now)):
        return []
    return list(
        difflib.unified_diff(expected.lines, seen.lines, "expected", "seen", lineterm="", n=1)
    )


def _words(lines: Sequence[str]) -> list[str]:
    """Words without what differs from run to run; how lines break is layout, and counts."""
    while lines and not lines[-1]:
        lines = lines[:-1]
    return [word for line in lines for word in (*_TIMES.sub("TIME", line).split(), "\n")]


def _alike(one: str, other: str) -> bool:
    if one == other:
        return True
    numbers = _NUMBER.match(one), _NUMBER.match(other)
    if numbers[0] is None or numbers[1] is None:
        return False
    a, b = float(numbers[0][1]), float(numbers[1][1])
    return abs(a - b) <= _CLOSE * max(abs(a), abs(b)) + 1e-9


def main() -> int:
    """Play a script, and write it or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--script", type=Path, default=HOUR)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--folder", type=Path, help="an empty folder; a temporary one by default")
    options = parser.parse_args()
    expected = read(options.script)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        seen = []
        for step in play([step.command for step in expected], folder):
            print(step.text(), flush=True)
            seen.append(step)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    if options.write:
        options.script.write_text("\n".join(step.text() for step in seen))
        return 0
    wrong = [line for pair in zip(expected, seen, strict=True) for line in differences(*pair)]
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
