"""HTTP: the same answers as the command line; changes need the token."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from orchestrator.api import create_app
from orchestrator.store import Store

TOKEN = {"Authorization": "Bearer secret"}


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return TestClient(create_app(Store(tmp_path / "home"), "secret"))


def _config(folder: Path, **changes: Any) -> dict[str, Any]:
    designs = [f"{i:05b}" for i in range(32)]
    pool = [{"id": d, "sequence": d} for d in designs]
    table = [{"id": d, "conductance": 1.0 + d.count("1")} for d in designs]
    for name, rows in (("pool", pool), ("table", table)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return {
        "name": "served",
        "space": {"kind": "pool", "path": str(folder / "pool.jsonl")},
        "objective": {"property": "conductance", "goal": "minimize"},
        "agents": [{"kind": "random"}],
        "oracle": {
            "kind": "replay",
            "table": str(folder / "table.jsonl"),
            "column": "conductance",
        },
        "budget": {"batch": 4, "oracle_calls": 8},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
        **changes,
    }


def test_launch_status_best_candidate_and_resume(client: TestClient, tmp_path: Path) -> None:
    launched = client.post("/campaigns", json={"config": _config(tmp_path)}, headers=TOKEN)
    assert launched.status_code == 201, launched.text
    assert _ended(client)["oracle_calls"] == 8
    best = client.get("/campaigns/served/best", params={"k": 3}).json()
    assert [row["rank"] for row in best] == [1, 2, 3]
    shown = client.get(f"/candidates/{best[0]['candidate']}").json()
    assert shown["why"][0]["campaign"] == "served"
    assert [c["name"] for c in client.get("/campaigns").json()] == ["served"]
    more = {"set": ["budget.oracle_calls=12"]}
    assert client.post("/campaigns/served/resume", json=more, headers=TOKEN).status_code == 202
    assert _ended(client, 12)["oracle_calls"] == 12
    stopped = client.post("/campaigns/served/stop", headers=TOKEN)
    assert stopped.json() == {"name": "served", "was_running": False}


def _ended(client: TestClient, calls: int = 8) -> dict[str, Any]:
    deadline = time.time() + 120
    while time.time() < deadline:
        status: dict[str, Any] = client.get("/campaigns/served").json()
        if status["state"] == "finished" and status["oracle_calls"] >= calls:
            return status
        time.sleep(0.3)
    log = Path(client.app.state.home) / "logs" / "served.log"  # type: ignore[attr-defined]
    raise AssertionError(log.read_text())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/campaigns", {"config": {}}),
        ("/campaigns/served/resume", {"set": []}),
        ("/campaigns/served/stop", None),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer guessed"}])
def test_changes_need_the_token(
    client: TestClient, path: str, body: Any, headers: dict[str, str]
) -> None:
    assert client.post(path, json=body, headers=headers).status_code == 401


def test_errors_say_what_is_wrong(client: TestClient, tmp_path: Path) -> None:
    assert client.get("/campaigns/none").status_code == 404
    assert client.get("/candidates/c-none").status_code == 404
    wrong = _config(tmp_path, budget={"batch": "many"})
    refused = client.post("/campaigns", json={"config": wrong}, headers=TOKEN)
    assert refused.status_code == 422
    assert "budget.batch" in refused.json()["detail"]
    relative = _config(tmp_path, space={"kind": "pool", "path": "pool.jsonl"})
    refused = client.post("/campaigns", json={"config": relative}, headers=TOKEN)
    assert "absolute path" in refused.json()["detail"]
    assert client.get("/campaigns").json() == []
