"""Warnings of libraries are hidden from users; our own are shown."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write
from click.testing import CliRunner

import oracle
from orchestrator.app.cli import main
from orchestrator.app.library_warnings import only_our_warnings

OURS = str(Path(oracle.__file__).parent / "material.py")


def _warn(filename: str) -> None:
    code = "import warnings\nwarnings.warn('look [here]', UserWarning, stacklevel=1)"
    exec(compile(code, filename, "exec"), {})


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        ("/usr/lib/python3/site-packages/pymatgen/io/cif.py", ""),
        (OURS, "phonoscout: warning: look [here]\n"),
    ],
)
def test_whose_warning_is_shown(
    filename: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # as some libraries do when they are imported
        with only_our_warnings():
            _warn(filename)
    assert capsys.readouterr().err == shown


def test_what_libraries_log_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with only_our_warnings():
        logging.getLogger("some.library").warning("deprecated")
    assert capsys.readouterr().err == ""


def test_where_warnings_are_errors_they_stay_errors() -> None:
    with only_our_warnings(), pytest.raises(UserWarning, match="look"):
        _warn("/usr/lib/python3/site-packages/pymatgen/io/cif.py")


TALKATIVE = """
from ase.calculators.emt import EMT


class Talkative(EMT):
    def calculate(self, *arguments, **options):
        print("calculating")
        super().calculate(*arguments, **options)


def factory():
    print("made")
    return Talkative()
"""


def test_what_a_calculator_prints_is_not_in_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talkative.py").write_text(TALKATIVE)
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path / "Cu.vasp", bulk("Cu", cubic=True))
    words = ["evaluate", str(tmp_path / "Cu.vasp"), "--home", str(tmp_path / "home"), "--json"]
    for change in ("calculator=talkative:factory", "fidelities=[harmonic]", "bands=false"):
        words += ["--set", change]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert json.loads(done.stdout)["status"] == "measured"
