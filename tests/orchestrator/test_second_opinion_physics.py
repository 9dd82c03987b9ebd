"""A real campaign with two potentials of different strength ends with the verdict it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ase.build import bulk
from ase.io import write
from click.testing import CliRunner

from orchestrator.app.cli import main

STRONGER_PY = """
from ase.calculators.emt import EMT

class Stronger(EMT):
    factor = 4.0

    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        for name in ("energy", "energies", "free_energy", "forces", "stress"):
            if name in self.results:
                self.results[name] = self.results[name] * self.factor

class Slightly(Stronger):
    factor = 1.2
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "factor"), [("Stronger", 4.0), ("Slightly", 1.2)])
def test_energies_times_a_factor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, factor: float
) -> None:
    """With all energies times s, frequencies and velocities are √s times as large.

    Where modes are classical, linewidths are then 1/√s times as large, because they go with
    n |Φ3|² / ω⁴, and kappa, which goes with v² / linewidth, is s^1.5 times as large.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "stronger_emt.py").write_text(STRONGER_PY)
    (tmp_path / "pool").mkdir()
    for metal in ("Ag", "Au"):
        write(tmp_path / "pool" / f"{metal}.cif", bulk(metal))
    config: dict[str, Any] = {
        "name": "metals",
        "space": {"kind": "pool", "path": "pool"},
        "objective": {"property": "kappa", "temperature": 1000, "goal": "minimize"},
        "constraints": ["dynamically_stable"],
        "agents": [{"kind": "random"}],
        "surrogate": {"kind": "random-forest", "trees": 10},
        "oracle": {
            "kind": "phonon-bte",
            "calculator": "ase.calculators.emt:EMT",
            "temperatures": [1000],
            "fc2_length": 9.0,
            "fc3_length": 7.0,
            "fc3_cutoff": 3.5,
            "pairs_max": 13,
            "mesh": [7, 7, 7],
            "coherence": False,
            "isotope": False,
            "bands": False,
        },
        "confirmation": {"leaders": 2, "second_opinion": f"stronger_emt:{name}", "max_calls": 4},
        "budget": {"batch": 2, "oracle_calls": 2},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    home = ("--home", str(tmp_path / "home"))
    done = CliRunner().invoke(main, ["launch", "config.yaml", *home])
    assert done.exit_code == 0, done.output
    rows = json.loads(CliRunner().invoke(main, ["best", "metals", "--json", *home]).stdout)
    opinions = [row["second_opinion"] for row in rows if row["confirmed"]]
    assert opinions
    for opinion in opinions:
        assert opinion["ratio"] == pytest.approx(factor**1.5, rel=0.15)
        assert opinion["agrees"] is (factor < 2)
    assert all(row["kappa_lbte"] > 0 for row in rows if row["confirmed"])
