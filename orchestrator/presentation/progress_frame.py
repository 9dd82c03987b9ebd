"""The progress of a campaign, as a display of a few lines or as one sentence.

A `Snapshot` is taken by the thread that runs the campaign, and drawn repeatedly by another. Times
are computed when it is drawn, so that clocks go on while nothing is recorded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from orchestrator.presentation.numbers import clock, duration

STAGES = {
    "starting": "starting",
    "relax": "relaxing",
    "fc2": "second order",
    "dipoles": "dipoles",
    "stability": "stability",
    "elasticity": "elasticity",
    "fc3": "third order",
    "anharmonicity": "anharmonicity",
    "bte": "transport",
}
"""Names of the oracle's stages for people."""
_BAR = 24  # largest width of a bar, characters
_FULL, _EMPTY = "━", "╌"


@dataclass(frozen=True)
class Count:
    """A number of things done, and their total."""

    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.done} of {self.total}"


@dataclass(frozen=True)
class Running:
    """A running call.

    Args:
        name: name of its material.
        stage: stage of the oracle.
        share: finished share of the stage.
        began: when the call began, seconds on a monotonic clock.
    """

    name: str
    stage: str
    share: float
    began: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """The state of a campaign at one moment.

    Args:
        taken: when it was taken, seconds on a monotonic clock.
        round: number of the round; 0 before the first.
        phase: what the campaign is doing, in words for people.
        count: progress of the phase, if it is counted.
        share: finished share of the phase, if that is all that is known.
        calls: oracle calls of the campaign, and their budget.
        confirmations: confirmations finished and planned.
        running: running calls.
        best: the best candidate so far.
        elapsed: running time of the campaign, seconds.
        left: expected remaining time, seconds, or None if it is not known.
    """

    taken: float
    round: int = 0
    phase: str = "starting"
    count: Count | None = None
    share: float | None = None
    calls: Count | None = None
    confirmations: Count | None = None
    running: tuple[Running, ...] = ()
    best: str = "none yet"
    elapsed: float = 0.0
    left: float | None = None

    @property
    def doing(self) -> str:
        """``round 2: confirming 3 of 8``."""
        words = [f"round {self.round}:" if self.round else "", self.phase]
        if self.count is not None:
            words.append(str(self.count))
        elif self.share is not None:
            words.append(f"{self.share:.0%}")
        return " ".join(word for word in words if word)

    def times(self, now: float) -> str:
        """``4:31, about 6 min left``."""
        since = now - self.taken
        passed = clock(self.elapsed + since)
        if self.left is None or self.left <= since:
            return passed
        left = duration(self.left - since)
        return f"{passed}, {left if left.startswith('less') else f'about {left}'} left"

    def sentence(self, now: float) -> str:
        """The snapshot in one line of a log."""
        current = ", ".join(f"{r.name} {_stage(r)}" for r in self.running[:4])
        more = f" and {len(self.running) - 4} more" if len(self.running) > 4 else ""
        return f"{self.doing}{f' ({current}{more})' if current else ''}; {self.times(now)}"


@dataclass(frozen=True)
class Frame:
    """A snapshot drawn at the time `now`, never larger than the terminal."""

    snapshot: Snapshot
    now: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One `Text` per line, cut to the width."""
        lines = list(self._lines(options.max_width - 1, max(6, console.height) - 1))
        for line, style in lines:
            text = Text(line, style=style, no_wrap=True, overflow="ellipsis")
            text.truncate(options.max_width - 1, overflow="ellipsis")
            yield text

    def _lines(self, width: int, height: int) -> Iterator[tuple[str, str]]:
        shot = self.snapshot
        times = shot.times(self.now)
        room = max(1, width - cell_len(times) - 2)
        yield f"{_fitted(shot.doing, room)}  {times}", "bold"
        named = [("oracle calls", shot.calls), ("confirmations", shot.confirmations)]
        counts = [(name, count) for name, count in named if count is not None]
        for name, count in counts:
            yield f"  {name:<14}{_bar(count, width - 16 - 12)}  {count}", ""
        rows = self._rows(width)
        room = height - 2 - len(counts)
        for row in rows[:room] if len(rows) <= room else rows[: room - 1]:
            yield row, ""
        if len(rows) > room:
            yield f"  and {len(rows) - room + 1} more", "dim"
        yield f"  best {shot.best}", "bold"

    def _rows(self, width: int) -> list[str]:
        """One row per running call: material, stage and elapsed time."""
        running = self.snapshot.running
        stage = max((cell_len(_stage(r)) for r in running), default=0)
        longest = max((cell_len(r.name) for r in running), default=0)
        name = max(8, min(longest, width - stage - 14))
        return [
            f"  {_fitted(r.name, name)}  {_stage(r):<{stage}}  {self._since(r):>7}" for r in running
        ]

    def _since(self, running: Running) -> str:
        return "" if running.began is None else clock(self.now - running.began)


@dataclass
class Ticking:
    """One running evaluation, in one line whose clock goes on while nothing is reported."""

    name: str
    stage: str = "relax"
    share: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def note(self, stage: str, share: float) -> None:
        """Store the stage and its finished share."""
        self.stage, self.share = stage, share

    def __rich__(self) -> Text:
        """The line at this moment."""
        stage = _stage(Running(self.name, self.stage, self.share))
        text = f"{self.name}: {stage}  {clock(time.monotonic() - self.began)}"
        return Text(text, no_wrap=True, overflow="ellipsis")


def _stage(running: Running) -> str:
    name = STAGES.get(running.stage, running.stage)
    return f"{name} {running.share:.0%}" if running.share > 0 else name


def _bar(count: Count, room: int) -> str:
    width = max(4, min(_BAR, room))
    full = width if count.total == 0 else int(width * min(1.0, count.done / count.total))
    return _FULL * full + _EMPTY * (width - full)


def _fitted(text: str, width: int) -> str:
    """Text padded or shortened to a width, in cells of the terminal."""
    return set_cell_size(text, width) if cell_len(text) <= width else f"{text[: width - 1]}…"
