"""Launching under the name of an existing campaign shows the differences and what can be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.running import runner
from orchestrator.store.store import CampaignExists, Store


def _edited(path: Path, **sections: Any) -> Path:
    raw = yaml.safe_load(path.read_text())
    for key, value in sections.items():
        raw[key] = raw[key] | value if isinstance(value, dict) else value
    path.write_text(yaml.safe_dump(raw))
    return path


def test_the_same_config_is_gone_on_with(desk: Any) -> None:
    config = desk.config()
    ended = desk("launch", config).stdout
    for extended in (False, True):
        line = desk("launch", config, code=2).stderr
        assert "go on with: phonoscout resume layers --home home" in line
        assert "--name" not in line
        if not extended:
            desk(*desk.hints(ended)[0])


def test_an_edited_config_is_told_from_the_old_one(desk: Any) -> None:
    config = desk.config()
    desk("launch", config)
    _edited(config, objective={"goal": "minimize"}, budget={"batch": 2})
    line = desk("launch", config, code=2).stderr
    assert len(line.strip().splitlines()) == 1
    assert "objective.goal is maximize, given minimize" in line
    assert "budget.batch is 4, given 2" in line
    assert "--name layers-2" in line
    assert "resume" not in line  # the old science cannot be changed
    desk("launch", config, "--name", "layers-2")
    values = {name: desk.document("best", name)[0]["value"] for name in ("layers", "layers-2")}
    assert values["layers-2"] < values["layers"]
    assert "--name layers-3" in desk("launch", config, code=2).stderr


def test_what_can_be_changed_on_resume_is_offered_as_a_command(desk: Any) -> None:
    config = desk.config()
    desk("launch", config)
    _edited(config, budget={"oracle_calls": 12}, agents=[{"kind": "random"}, {"kind": "evolution"}])
    line = desk("launch", config, code=2).stderr
    assert "agents" in line
    (words,) = desk.hints("x: " + line[line.index("phonoscout resume") :])
    desk(*words)
    assert desk.document("status", "layers")["oracle_calls"] == 12
    assert "go on with" not in desk("launch", config, "--set", "seed=9", code=2).stderr
    assert "go on with: phonoscout resume layers" in desk("launch", config, code=2).stderr


def test_a_campaign_that_never_began_is_replaced(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*given: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    config = desk.config()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "build_executor", dead)
        desk("launch", config, code=130)
    _edited(config, objective={"goal": "minimize"})
    desk("launch", config)
    assert desk.document("status", "layers")["oracle_calls"] == 8
    (row,) = Store(desk.home).campaigns()
    assert json.loads(row.config)["objective"]["goal"] == "minimize"
    best = desk.document("best", "layers", "-k", "9")
    assert [r["value"] for r in best] == sorted(r["value"] for r in best)


def test_one_that_is_running_or_has_begun_is_never_replaced(sqlite_store: Store) -> None:
    from orchestrator.store.lease import Lease
    from orchestrator.store.store import NewEvent

    with Lease.acquire(sqlite_store, "one") as lease:
        with pytest.raises(CampaignExists):
            sqlite_store.create_campaign("one", {"name": "one"}, [])
        sqlite_store.append("one", [NewEvent("round_planned", {})], token=lease.token)
    with pytest.raises(CampaignExists):
        sqlite_store.create_campaign("one", {"name": "one"}, [])
    assert [e.kind for e in sqlite_store.events("one")] == ["created", "round_planned"]
