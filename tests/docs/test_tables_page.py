"""The example of the page on tables runs as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from click.testing import CliRunner

from orchestrator.app.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()


def _block(language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(block)


def test_the_example_runs(tmp_path: Path) -> None:
    (tmp_path / "values.csv").write_text(_block("csv"))
    config, home = tmp_path / "config.yaml", str(tmp_path / "home")
    config.write_text(_block("yaml"))
    run = CliRunner().invoke
    launched = run(main, ["launch", str(config), "--home", home])
    assert launched.exit_code == 0, launched.output
    best = run(main, ["best", "from-a-table", "--home", home, "--json"])
    rows = json.loads(best.stdout)
    assert len(rows) == 4
    assert {row["formula"] for row in rows} <= {"NaCl", "MgO", "TePb", "PbTe", "Bi2Te3", "Fe4Ni"}
    assert [row["value"] for row in rows] == sorted(row["value"] for row in rows)
