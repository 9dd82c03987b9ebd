"""Crystals from a program outside of this project, for instance a generative model.

The program is started once per round, as a process of its own, with two files' names: a request in
JSON, and an empty folder, into which it writes structure files (CIF, POSCAR, extended XYZ, ...).
What it writes is checked as any input is, and only crystals of the space that are new are proposed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from agents.contract.objective import Objective
from agents.contract.protocol import Candidate, ProposerFailed, Space
from agents.proposers.base import BaseProposer, Idea, Situation, ranked
from agents.proposers.settings import ExternalSettings
from agents.spaces.pool_files import Bad, Record, read_pool
from oracle.contract.evaluation import Outcome
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.runtime.errors import OracleError, SetupError
from surrogate.contract.protocol import Surrogate

_LEADERS = 20  # measured crystals, best first, that the program is told of
_LARGEST = 2**20  # bytes of one file
_TAIL = 300  # characters of what the program printed, for an error
_SEEDS = 2**31


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
        if shutil.which(program) is None:
            raise SetupError(
                f"command {settings.command!r}: {program} is not a program that can be "
                "run here; give its full path"
            )
        self._output = _Output((), (), 0)

    def propose(
        self,
        n: int,
        *,
        space: Space,
        objective: Objective,
        evaluations: Sequence[Outcome],
        pending: Sequence[Material],
        surrogate: Surrogate | None,
        rng: np.random.Generator,
    ) -> list[Candidate]:
        """At most n new crystals of the space, the most promising first.

        Raises:
            ProposerFailed: the program failed, took too long, or wrote nothing that is new.
        """
        self._output = _Output((), (), 0)
        candidates = super().propose(
            n,
            space=space,
            objective=objective,
            evaluations=evaluations,
            pending=pending,
            surrogate=surrogate,
            rng=rng,
        )
        if n > 0 and not candidates:
            raise ProposerFailed(f"{self.name}: {self._why_nothing(space)}")
        return candidates

    def _ideas(self, situation: Situation) -> Iterable[Idea]:
        with tempfile.TemporaryDirectory(prefix="phonoscout-generator-") as scratch:
            request, folder = Path(scratch) / "request.json", Path(scratch) / "structures"
            folder.mkdir()
            number = max(situation.n, self._settings.number)
            request.write_text(json.dumps(_request(situation, number)))
            self._run(request, folder)
            self._output = self._read(folder, 2 * number)
        materials = [record.material for record in self._output.records]
        # Distinct ones only, since a surrogate takes as long for each that is proposed again.
        distinct = {one.digest: Idea(one) for one in materials if one in situation.space}
        return ranked(list(distinct.values()), situation)

    def _run(self, request: Path, folder: Path) -> None:
        """Run the program in a process group of its own, all of which ends with it.

        Raises:
            ProposerFailed: it cannot be started, fails, or exceeds its time.
        """
        command = [*shlex.split(self._settings.command), str(request), str(folder)]
        with tempfile.TemporaryFile() as printed:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProposerFailed(
                    f"{self.name}: {command[0]} cannot be run ({error.strerror})"
                ) from error
            try:
                status = process.wait(timeout=self._settings.time_limit)
            except subprocess.TimeoutExpired as error:
                raise ProposerFailed(
                    f"{self.name}: {command[0]} was stopped after "
                    f"{self._settings.time_limit:g} s, its time_limit"
                ) from error
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if status != 0:
                raise ProposerFailed(
                    f"{self.name}: {command[0]} ended with status {status}{_last_line(printed)}"
                )

    def _read(self, folder: Path, most: int) -> _Output:
        """The crystals in a folder, of at most so many files, in the order of their names."""
        number = len(list(folder.iterdir()))
        bad = [
            f"{file.name}: larger than {_LARGEST // 2**20} MiB, or not a file"
            for file in _not_small(folder)
        ]
        files = sorted(folder.iterdir())
        for file in files[most:]:
            file.unlink()
        records: list[Record] = []
        for entry in _entries(folder) if files else ():
            if isinstance(entry, Bad):
                bad.append(f"{entry.place}: {entry.reason}")
            elif isinstance(entry.material, Crystal):
                records.append(entry)
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


def _request(situation: Situation, number: int) -> dict[str, Any]:
    """What the program is told, as JSON; docs/agents.md describes it."""
    objective = situation.objective
    scores = {
        outcome.material.digest: score
        for outcome in situation.evaluations
        if (score := objective.score_of(outcome)) is not None
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


def _not_small(folder: Path) -> Iterator[Path]:
    """Remove all entries of a folder that are not small files, and give their paths."""
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink() or not entry.is_file() or entry.stat().st_size > _LARGEST:
            yield entry
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _entries(folder: Path) -> Iterator[Record | Bad]:
    try:
        yield from read_pool(folder)
    except OracleError as error:  # no file is that of a structure
        yield Bad(place=folder.name, reason=error.message)


def _last_line(printed: IO[bytes]) -> str:
    """The last line that a program printed, in brackets; nothing if it printed none."""
    printed.seek(0, os.SEEK_END)
    printed.seek(max(0, printed.tell() - 4 * _TAIL))
    lines = printed.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" ({last[-_TAIL:]})" if last else ""
