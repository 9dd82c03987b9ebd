"""Every command and code block of the README is executed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from ase.io import write
from pymatgen.core.composition import Composition

from oracle.contract.protocol import Oracle
from oracle.materials.crystal import Crystal
from oracle.runtime.context import Context
from orchestrator.queries.queries import best, status
from orchestrator.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
# `make` runs in continuous integration and by hand; servers do not end by themselves.
_ELSEWHERE = ("make ", "cd ", "mlflow ui", "phonoscout serve", "phonoscout launch` it")
_SMALL = (
    "budget.oracle_calls=2",
    "budget.batch=2",
    "confirmation.leaders=1",
    "space.elements=[Na, K, Rb, Cl, Br, I]",
    "constraints=[dynamically_stable]",
    "oracle.mesh=[5, 5, 5]",
    "oracle.pairs_start=4",
    "oracle.pairs_max=5",
    "oracle.fc3_cutoff=5.0",
    "oracle.fc3_length=8.0",
    "oracle.fc2_length=6.0",
    "executor.kind=serial",  # Ray is started in tests of its own
)

_SHOWS = {
    "launch": "space: [a-z]+, [0-9]+ ",
    "resume": "Best of quickstart",
    "status": "quickstart",
    "best": "c-[0-9a-f]{12}",
    "show": "kappa",
    "evaluate": "kappa",
    "potentials": "7net-0",
}
"""What a command prints, as a pattern."""


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def _commands() -> list[str]:
    lines = [line for block in _blocks("console") for line in block.splitlines()]
    inline = re.findall(r"`(phonoscout [a-z]+ [^`]+)`", README)
    found = [line.partition("    #")[0].strip() for line in (*lines, *inline)]
    chosen = [c for c in found if c.startswith("phonoscout") and not c.startswith(_ELSEWHERE)]
    return list(dict.fromkeys(c for c in chosen if "NAME" not in c))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart in miniature: real potential and physics, two candidates, loose settings."""
    folder = tmp_path_factory.mktemp("readme")
    command = [sys.executable, "-m", "orchestrator.app.cli", "launch", "configs/quickstart.yaml"]
    for change in _SMALL:
        command += ["--set", change]
    done = subprocess.run(
        [*command, "--home", str(folder / "home")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert "Best of quickstart" in done.stdout
    write(folder / "STRUCTURE.cif", bulk("NaCl", "rocksalt", 5.64, cubic=True))
    return folder / "home"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", _commands())
def test_commands_run_as_printed(command: str, home: Path) -> None:
    with_candidate = command
    if "CANDIDATE" in command:
        rows = Store(home).campaigns()
        assert rows
        with_candidate = command.replace(
            "CANDIDATE", best(Store(home), "quickstart", 1)[0]["candidate"]
        )
    words = shlex.split(with_candidate)[1:]
    before = _calls(home)
    if words[0] == "resume":
        words[-1] = f"budget.oracle_calls={before + 1}"
    words = [str(home.parent / w) if w in ("STRUCTURE.cif", "exported") else w for w in words]
    if words[0] == "evaluate":
        for change in _SMALL[5:-1]:
            words += ["--set", change.removeprefix("oracle.")]
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.app.cli", *words],
        cwd=ROOT,
        env={**os.environ, "PHONOSCOUT_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(_SHOWS.get(words[0], "."), done.stdout), done.stdout
    if words[0] == "resume":
        assert _calls(home) == before + 1
    if words[0] == "export":
        written = list((home.parent / "exported").glob("*.cif"))
        assert len(written) == len(best(Store(home), "quickstart", 3)) > 0


def _calls(home: Path) -> int:
    return int(status(Store(home), "quickstart")["oracle_calls"])


def test_there_are_commands_and_blocks() -> None:
    assert len(_commands()) >= 9
    assert len(_blocks("python")) == 3


def test_potential_block(monkeypatch: pytest.MonkeyPatch) -> None:
    from oracle.potentials import table as potentials

    monkeypatch.setattr(potentials, "POTENTIALS", dict(potentials.POTENTIALS))
    exec(_blocks("python")[0].replace("from oracle.potentials", "from oracle.potentials"), {})
    assert type(potentials.calculator("emt")).__name__ == "EMT"


def test_proposer_block() -> None:
    import numpy as np

    from agents.contract.objective import Objective
    from agents.contract.protocol import Proposer
    from agents.spaces.prototypes import PrototypeSpace
    from agents.spaces.settings import PrototypeSpaceSettings

    names: dict[str, Any] = {}
    exec(_blocks("python")[1], names)
    proposer = names["HeaviestFirst"]()
    assert isinstance(proposer, Proposer)
    space = PrototypeSpace(PrototypeSpaceSettings(prototypes=("rocksalt",)))
    found = proposer.propose(
        4,
        space=space,
        objective=Objective(),
        evaluations=[],
        pending=[],
        surrogate=None,
        rng=np.random.default_rng(0),
    )
    assert len(found) == 4
    assert all(c.material in space for c in found)


def test_oracle_block(tmp_path: Path) -> None:
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    names: dict[str, Any] = {}
    exec(_blocks("python")[2], names)
    oracle = names["MeanMass"]()
    assert isinstance(oracle, Oracle)
    silicon = Structure.from_spacegroup("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0.0, 0.0, 0.0]])
    found = oracle.evaluate(Crystal.from_structure(silicon), context=Context(tmp_path))
    assert found.properties["mean_mass"].value == pytest.approx(28.085, abs=0.01)


def test_the_campaign_of_ones_own_classes(tmp_path: Path) -> None:
    """The files and the config as they are printed, launched where they lie, in Ray's workers."""
    _, proposer, oracle = _blocks("python")
    (config,) = _blocks("yaml")
    (tmp_path / "my_proposer.py").write_text(proposer)
    (tmp_path / "my_oracle.py").write_text(oracle)
    (tmp_path / "heavy.yaml").write_text(config)
    done = _in_folder(tmp_path, "launch", "heavy.yaml")
    assert done.returncode == 0, done.stderr
    rows = best(Store(tmp_path / "home"), "heavy", 6)
    masses = {
        row["formula"]: float(Composition(row["formula"]).weight / 2)  # one atom of each
        for row in rows
    }
    assert len(rows) == 6
    assert {row["formula"]: row["value"] for row in rows} == pytest.approx(masses)
    assert rows[0]["formula"] == "RbI"
    assert (rows[0]["agent"], rows[0]["round"]) == ("HeaviestFirst", 1)
    # `best` names files with which the same is computed again.
    words = ("evaluate", rows[0]["file"], "--oracle", rows[0]["oracle"], "--json")
    again = json.loads(_in_folder(tmp_path, *words).stdout)
    assert again["mean_mass"] == pytest.approx(rows[0]["value"])
    serial = ("--set", "executor.kind=serial", "--set", "budget.oracle_calls=8")
    resumed = _in_folder(tmp_path, "resume", "heavy", *serial)
    assert resumed.returncode == 0, resumed.stderr
    assert status(Store(tmp_path / "home"), "heavy")["oracle_calls"] == 8
    (tmp_path / "my_oracle.py").write_text(oracle.replace("/ composition", "/ 2 / composition"))
    edited = _in_folder(tmp_path, "resume", "heavy", "--set", "budget.oracle_calls=9")
    assert edited.returncode == 2
    assert "the method of mass is not the one it was launched with" in edited.stderr
    assert "my_oracle:MeanMass" in edited.stderr


def _in_folder(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command as the installed program starts it: the working folder is not on the path."""
    program = (
        "import sys; from orchestrator.app.cli import main; sys.argv[0] = 'phonoscout'; main()"
    )
    return subprocess.run(
        [sys.executable, "-P", "-c", program, *words],
        cwd=folder,
        env={**os.environ, "PHONOSCOUT_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
