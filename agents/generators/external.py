"""Crystals from a program outside of this project, for instance a generative model.

The program is started once per round, as a process of its own, with two files' names: a request in
JSON, and an empty folder, into which it writes structure files (CIF, POSCAR, extended XYZ, ...).
What it writes is copied and checked as any input is, and only crystals of the space that are new
are proposed. What it proposes may differ when a round is planned again; a plan is recorded before
anything of it is measured.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from agents.contract.pareto import overall_scores
from agents.contract.protocol import ProposerFailed, Space
from agents.proposers.base import BaseProposer, Idea, Situation, ranked
from agents.proposers.settings import ExternalSettings
from agents.spaces.pool_files import Bad, Record, read_pool
from oracle.materials.crystal import Crystal
from oracle.potentials import tether
from oracle.runtime.errors import OracleError, SetupError
from oracle.runtime.text_files import unpacked_name
from oracle.structure_files.structure_names import is_structure

_LEADERS = 20  # measured crystals, best first, that the program is told of
_LARGEST = 2**16  # bytes of one file; the symmetry of a thousand atoms takes seconds to find
_MOST_PRINTED = 2**26  # bytes
_TAIL = 300  # characters of what the program printed, for an error
_SEEDS = 2**31
_POLL = 0.2  # s


@dataclass(frozen=True)
class _Output:
    """What a program wrote.

    Args:
        records: crystals that could be read, with the names of their files.
        bad: one line for each file that could not.
        files: number of files.
    """

    records: tuple[Record, ...]
    bad: tuple[str, ...]
    files: int


class ExternalProposer(BaseProposer):
    """Proposes what a program writes, ordered by the surrogate.

    It raises `ProposerFailed` where the program fails, takes too long, or writes nothing new.

    Args:
        settings: the command and its limits.
        name: of this agent in the campaign.
        fidelity: as for `BaseProposer`, like the next.
        near_duplicates: whether crystals that match known ones within rounding are dropped.

    Raises:
        SetupError: the program does not exist.
    """

    kind = "external"

    def __init__(
        self,
        settings: ExternalSettings,
        name: str | None = None,
        *,
        fidelity: str | None = None,
        near_duplicates: bool = True,
    ) -> None:
        super().__init__(name, fidelity=fidelity, near_duplicates=near_duplicates)
        self._settings = settings
        program = shlex.split(settings.command)[0]
        relative = os.sep in program and not Path(program).is_absolute()
        if relative or shutil.which(program) is None:
            raise SetupError(
                f"command {settings.command!r}: {program} is not a program that can be run here; "
                "give its full path"
            )
        self._output = _Output((), (), 0)

    def _ideas(self, situation: Situation) -> Iterable[Idea]:
        self._output = _Output((), (), 0)
        try:
            self._output = self._generated(situation)
        except OSError as error:
            raise self._failed(f"{type(error).__name__}: {error}") from error
        materials = [record.material for record in self._output.records]
        # Distinct ones only, since a surrogate takes as long for each that is proposed again.
        distinct = {one.digest: Idea(one) for one in materials if one in situation.space}
        return ranked(list(distinct.values()), situation)

    def _generated(self, situation: Situation) -> _Output:
        with (
            tempfile.TemporaryDirectory(prefix="phonoscout-", ignore_cleanup_errors=True) as work,
            tempfile.TemporaryDirectory(prefix="phonoscout-") as copies,
        ):
            request, folder = Path(work) / "request.json", Path(work) / "structures"
            folder.mkdir()
            made = folder.lstat().st_ino
            number = max(situation.n, self._settings.number)
            request.write_text(json.dumps(_request(situation, number)))
            self._run([str(request), str(folder)], Path(work))
            if folder.is_symlink() or not folder.is_dir() or folder.lstat().st_ino != made:
                raise self._failed("the folder that it was given was replaced")
            names = sorted(path.name for path in folder.iterdir())
            bad = list(_copied(folder, names[: 2 * number], Path(copies)))
            return self._read(Path(copies), bad, len(names))

    def _nothing_left(self, space: Space) -> None:
        raise self._failed(self._why_nothing(space))

    def _run(self, arguments: list[str], scratch: Path) -> None:
        """Run the program, which ends with this process at the latest.

        Raises:
            ProposerFailed: it cannot be started, fails, prints without end, or exceeds its time.
        """
        command = shlex.split(self._settings.command)
        tethered = [sys.executable, "-I", str(Path(tether.__file__)), str(scratch), *command]
        with tempfile.TemporaryFile() as printed:
            process = subprocess.Popen(
                [*tethered, *arguments],
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
            try:
                status = self._waited(process, printed)
            finally:
                if process.stdin is not None:
                    process.stdin.close()  # which stops what still runs
                process.wait()
            if status != 0:
                last = _last_line(printed)
                raise self._failed(f"{command[0]} ended with status {status}{last}")

    def _waited(self, process: subprocess.Popen[bytes], printed: IO[bytes]) -> int:
        limit, began = self._settings.time_limit, time.monotonic()
        while True:
            try:
                return process.wait(timeout=_POLL)
            except subprocess.TimeoutExpired as error:
                if time.monotonic() - began > limit:
                    raise self._failed(f"stopped after {limit:g} s, its time_limit") from error
                if os.fstat(printed.fileno()).st_size > _MOST_PRINTED:
                    reason = f"stopped, as it printed more than {_MOST_PRINTED // 2**20} MiB"
                    raise self._failed(reason) from error

    def _read(self, folder: Path, bad: list[str], number: int) -> _Output:
        """The crystals in a folder, in the order of the files' names, as long as time allows."""
        began = time.monotonic()
        records: list[Record] = []
        for entry in _entries(folder):
            if isinstance(entry, Bad):
                bad.append(f"{entry.place}: {entry.reason}")
            elif isinstance(entry.material, Crystal):
                records.append(entry)
            if time.monotonic() - began > self._settings.time_limit:
                break
        return _Output(tuple(records), tuple(bad), number)

    def _why_nothing(self, space: Space) -> str:
        found = self._output
        if not found.files:
            return "it wrote no files into the folder that it was given"
        inside = sum(record.material in space for record in found.records)
        unread = f" (the first: {found.bad[0]})" if found.bad else ""
        return (
            f"nothing new in {found.files} files: {len(found.bad)} could not be read{unread}, "
            f"{len(found.records) - inside} crystals are not of the space, {inside} are known"
        )

    def _failed(self, reason: str) -> ProposerFailed:
        """One line that can be printed, whatever the program called its files."""
        clean = (c if c.isprintable() else repr(c)[1:-1] for c in f"{self.name}: {reason}")
        return ProposerFailed("".join(clean))


def _request(situation: Situation, number: int) -> dict[str, Any]:
    """What the program is told, as JSON; docs/agents.md describes it."""
    objective = situation.objective
    overall = overall_scores(objective, situation.evaluations)
    scores = {
        outcome.material.digest: score
        for outcome, score in zip(situation.evaluations, overall, strict=True)
        if score is not None
    }
    return {
        "number": number,
        "seed": int(situation.rng.integers(_SEEDS)),
        "objective": dataclasses.asdict(objective),
        "leaders": [
            {"cif": leader.structure().to(fmt="cif"), "score": scores[leader.digest]}
            for leader in situation.leaders(_LEADERS)
            if isinstance(leader, Crystal)
        ],
    }


def _copied(folder: Path, names: Sequence[str], target: Path) -> Iterator[str]:
    """Copy small files, and say of the others why they are not read.

    They are opened without following links, and nothing is changed in the folder, since the program
    may have put anything there.
    """
    for name in names:
        path = folder / name
        if path.is_symlink() or not path.is_file():
            yield f"{name}: not a file"
        elif not name.isprintable():
            yield f"{name}: a name with characters that cannot be printed"
        elif unpacked_name(name) != name:
            yield f"{name}: packed"
        elif not is_structure(path) and path.suffix != ".json":
            yield f"{name}: its name is not that of a structure file"
        elif path.lstat().st_size > _LARGEST:
            yield f"{name}: larger than {_LARGEST // 1024} KiB"
        else:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(handle, "rb") as file:  # noqa: PTH123  # a file descriptor
                (target / name).write_bytes(file.read(_LARGEST))


def _entries(folder: Path) -> Iterator[Record | Bad]:
    try:
        yield from read_pool(folder)
    except OracleError:  # no file, or none that holds a structure
        for file in sorted(folder.iterdir()):
            yield Bad(place=file.name, reason="it holds no structure")


def _last_line(printed: IO[bytes]) -> str:
    """The last line that a program printed, in brackets; nothing if it printed none."""
    printed.seek(0, os.SEEK_END)
    printed.seek(max(0, printed.tell() - 4 * _TAIL))
    lines = re.split(r"[\r\n]", printed.read().decode(errors="replace"))
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" ({last[-_TAIL:]})" if last else ""
