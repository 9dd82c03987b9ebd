"""Crystals from a program outside of this project, whatever the program does."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter, ValidationError
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from agents.contract.objective import Objective
from agents.contract.protocol import Candidate, ProposerFailed
from agents.generators.external import ExternalProposer
from agents.proposers.settings import AgentSettings, ExternalSettings
from agents.spaces.crystal_space import CrystalSpace
from agents.spaces.settings import CrystalSpaceSettings
from oracle.contract.evaluation import Measured, Outcome
from oracle.materials.crystal import Crystal
from oracle.runtime.errors import SetupError

Measure = Callable[..., Measured]
_AGENT: TypeAdapter[AgentSettings] = TypeAdapter(AgentSettings)
HEAD = """
import json, pathlib, sys, time
request, folder = json.load(open(sys.argv[-2])), pathlib.Path(sys.argv[-1])
"""


def _salt(symbols: list[str], a: float) -> Crystal:
    places = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]
    structure = Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), symbols, places)
    return Crystal.from_structure(structure)


CIFS = {
    name: _salt(symbols, a).structure().to(fmt="cif")
    for name, symbols, a in (
        ("NaCl", ["Na", "Cl"], 5.6),
        ("KBr", ["K", "Br"], 6.6),
        ("LiF", ["Li", "F"], 4.0),
    )
}
SALTS = f"""
cifs = {CIFS!r}
def write(name, formula):
    (folder / name).write_text(cifs[formula])
"""
GOOD = (
    HEAD
    + SALTS
    + """
write("nacl.cif", "NaCl")
write("kbr.cif", "KBr")
"""
)


@pytest.fixture(scope="module")
def space() -> CrystalSpace:
    return CrystalSpace(CrystalSpaceSettings(elements=("Na", "K", "Cl", "Br"), max_atoms=8))


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., ExternalProposer]:
    """Makes a proposer of the text of a program."""

    def made(text: str, **settings: float) -> ExternalProposer:
        file = tmp_path / "my generator.py"
        file.write_text(text)
        command = shlex.join([sys.executable, str(file)])
        return ExternalProposer(ExternalSettings(command=command, **settings))

    return made


def _proposed(
    proposer: ExternalProposer, space: CrystalSpace, n: int = 4, known: tuple[Outcome, ...] = ()
) -> list[Candidate]:
    return proposer.propose(
        n,
        space=space,
        objective=Objective(),
        evaluations=known,
        pending=(),
        surrogate=None,
        rng=np.random.default_rng(5),
    )


def test_what_it_writes_is_proposed(
    program: Callable[..., ExternalProposer], space: CrystalSpace
) -> None:
    found = _proposed(program(GOOD), space)
    assert [one.material.formula for one in found] == ["KBr", "NaCl"]
    assert {one.agent for one in found} == {"external"}
    assert len(_proposed(program(GOOD), space, n=1)) == 1
    assert _proposed(program(GOOD), space, n=0) == []


def test_it_is_told_what_is_sought_and_what_was_found(
    program: Callable[..., ExternalProposer],
    space: CrystalSpace,
    measured: Measure,
    tmp_path: Path,
) -> None:
    copy = tmp_path / "copy.json"
    text = GOOD + f"\nopen({str(copy)!r}, 'w').write(json.dumps(request))"
    known = measured(_salt(["Na", "Br"], 6.0))
    _proposed(program(text, number=30), space, known=(known,))
    request = json.loads(copy.read_text())
    assert request["number"] == 30
    assert 0 <= request["seed"] < 2**31
    assert request["objective"]["property"] == "kappa"
    assert request["objective"]["goal"] == "minimize"
    (leader,) = request["leaders"]
    told = Structure.from_str(leader["cif"], fmt="cif")
    assert told.composition.reduced_formula == "NaBr"
    assert leader["score"] == Objective().score_of(known)


def test_known_crystals_are_not_proposed_again(
    program: Callable[..., ExternalProposer], space: CrystalSpace, measured: Measure
) -> None:
    known = (measured(_salt(["Na", "Cl"], 5.6)),)
    assert [one.material.formula for one in _proposed(program(GOOD), space, known=known)] == ["KBr"]
    both = (*known, measured(_salt(["K", "Br"], 6.6)))
    with pytest.raises(ProposerFailed, match=r"nothing new in 2 files: .* 2 are known"):
        _proposed(program(GOOD), space, known=both)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it wrote no files"),
        ("(folder / 'a.cif').write_bytes(bytes(range(256)) * 9)", r"1 could not be read \(the fi"),
        ("(folder / 'notes.txt').write_text('none')", "1 could not be read"),
        ("(folder / 'big.cif').write_bytes(b'x' * 2**21)", r"big\.cif: larger than 64 KiB"),
        ("(folder / 'a.cif').symlink_to('/etc/passwd')", r"a\.cif: not a file"),
        ("(folder / 'deep').mkdir(); (folder / 'deep' / 'a.cif').write_text('')", "not a file"),
        ("(folder / 'a.cif.gz').write_bytes(b'x')", r"a\.cif\.gz: packed"),
        ("import os; os.mkfifo(folder / 'a.cif')", r"a\.cif: not a file"),
        (r"(folder / 'a\n\x1b[31m.cif').write_text('')", r"a\\n\\x1b\[31m\.cif: a name with"),
        ("open(bytes(folder) + b'/\\xff.cif', 'w').close()", r"\\udcff\.cif: a name with"),
        ("print('10 %\\r20 %\\r\\x1b[2J', end=''); sys.exit(3)", r"status 3 \(\\x1b\[2J\)"),
        ("import shutil; shutil.rmtree(folder)", "was replaced"),
        ("folder.rmdir(); folder.write_text('')", "was replaced"),
        ("print('x' * 2**27); time.sleep(60)", "printed more than 64 MiB"),
        ("sys.exit('no GPU was found')", r"ended with status 1 \(no GPU was found\)"),
        ("1 / 0", r"ended with status 1 \(ZeroDivisionError: division by zero\)"),
        (SALTS + "write('a.cif', 'LiF')", "1 crystals are not of the space"),
    ],
)  # fmt: skip
def test_why_nothing_is_proposed_is_said(
    program: Callable[..., ExternalProposer], space: CrystalSpace, text: str, reason: str
) -> None:
    with pytest.raises(ProposerFailed, match=reason) as raised:
        _proposed(program(HEAD + text), space)
    assert str(raised.value).startswith("external: ")
    assert "\n" not in str(raised.value)


def test_nothing_outside_of_its_folder_is_touched(
    program: Callable[..., ExternalProposer], space: CrystalSpace, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    (mine / "deep").mkdir(parents=True)
    for number in range(50):
        (mine / f"{number:02}.cif").write_text("mine")
    text = HEAD + f"folder.rmdir(); folder.symlink_to({str(mine)!r})"
    with pytest.raises(ProposerFailed, match="was replaced"):
        _proposed(program(text, number=2), space)
    assert len(list(mine.iterdir())) == 51


def test_garbage_beside_crystals_does_no_harm(
    program: Callable[..., ExternalProposer], space: CrystalSpace
) -> None:
    text = GOOD + "\n(folder / 'a.cif').write_text('data_\\n_cell_length_a nonsense')"
    text += "\nfor i in range(20): write(f'again-{i}.cif', 'KBr')"
    assert len(_proposed(program(text), space)) == 2


def test_only_so_many_files_are_read(
    program: Callable[..., ExternalProposer], space: CrystalSpace
) -> None:
    many = HEAD + "for i in range(500): (folder / f'{i:03}.cif').write_text('nonsense')"
    with pytest.raises(ProposerFailed, match="nothing new in 500 files: 8 could not be read"):
        _proposed(program(many, number=2), space)


def test_it_is_stopped_with_all_that_it_started(
    program: Callable[..., ExternalProposer], space: CrystalSpace, tmp_path: Path
) -> None:
    beside = tmp_path / "pid"
    child = "import os,time; open({!r},'w').write(str(os.getpid())); time.sleep(600)"
    text = HEAD + (
        "import subprocess\n"
        f"subprocess.Popen([sys.executable, '-c', {child.format(str(beside))!r}])\n"
        "time.sleep(600)"
    )
    began = time.monotonic()
    with pytest.raises(ProposerFailed, match=r"stopped after 3 s, its time_limit"):
        _proposed(program(text, time_limit=3), space)
    assert time.monotonic() - began < 60
    assert _ends(int(beside.read_text()))


def test_it_ends_with_a_campaign_that_is_killed(tmp_path: Path) -> None:
    beside, generator, campaign = (tmp_path / name for name in ("pid", "g.py", "campaign.py"))
    generator.write_text(
        f"import os, time; open({str(beside)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    campaign.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from agents.generators.external import ExternalProposer\n"
        "from agents.proposers.settings import ExternalSettings\n"
        f"settings = ExternalSettings(command={shlex.join([sys.executable, str(generator)])!r})\n"
        f"ExternalProposer(settings)._run([], Path({str(tmp_path / 'work')!r}))"
    )
    (tmp_path / "work").mkdir()
    parent = subprocess.Popen([sys.executable, str(campaign)], cwd=Path(__file__).parents[2])
    for _ in range(600):
        if beside.is_file() and beside.read_text():
            break
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    assert _ends(int(beside.read_text()))


def _ends(pid: int) -> bool:
    """Whether a process ends within ten seconds; it is killed otherwise."""
    for _ in range(100):
        state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True)
        if state.stdout.strip() in (b"", b"Z"):
            return True
        time.sleep(0.1)
    os.kill(pid, 9)
    return False


def test_programs_that_do_not_exist_are_refused() -> None:
    with pytest.raises(SetupError, match="no-such-program is not a program that can be run"):
        ExternalProposer(ExternalSettings(command="no-such-program --fast"))


@pytest.mark.parametrize(("command", "reason"), [("", "a program"), ("a 'b", "not a command line")])
def test_commands_that_cannot_be_taken_apart_are_refused(command: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ExternalSettings(command=command)


def test_the_program_of_the_page_swaps_elements(
    program: Callable[..., ExternalProposer], space: CrystalSpace, measured: Measure
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
    (text,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (config,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    agents = [_AGENT.validate_python(raw) for raw in yaml.safe_load(config)["agents"]]
    assert [agent.kind for agent in agents] == ["bayesian", "external"]
    with pytest.raises(ProposerFailed, match="it wrote no files"):
        _proposed(program(text), space)
    cscl = Crystal.from_structure(
        Structure.from_spacegroup("Pm-3m", Lattice.cubic(3.9), ["K", "Cl"], [[0] * 3, [0.5] * 3])
    )
    zincblende = Crystal.from_structure(
        Structure.from_spacegroup("F-43m", Lattice.cubic(6.3), ["Na", "Br"], [[0] * 3, [0.25] * 3])
    )
    found = _proposed(program(text), space, n=3, known=(measured(cscl), measured(zincblende)))
    assert len(found) == 3
    assert {one.material.formula for one in found} <= {"KCl", "NaBr"}
