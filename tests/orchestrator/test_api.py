"""HTTP: the same answers as the command line; changes need the token."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from orchestrator.app.api import create_app
from orchestrator.app.cli import main
from orchestrator.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
TOKEN = {"Authorization": "Bearer secret"}
JSON = {**TOKEN, "Content-Type": "application/json"}


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


def test_what_is_refused_on_resume_is_answered(client: TestClient, tmp_path: Path) -> None:
    client.post("/campaigns", json={"config": _config(tmp_path)}, headers=TOKEN)
    _ended(client)
    for change, word in (
        ("space.path=/x", "space.path"),
        ("budget.batch=many", "budget.batch"),
        ("no value", "key.path=value"),
        ("name=other", "name cannot change"),
    ):
        refused = client.post("/campaigns/served/resume", json={"set": [change]}, headers=TOKEN)
        assert refused.status_code == 422, change
        assert word in refused.json()["detail"]
    assert client.post("/campaigns/none/resume", json={}, headers=TOKEN).status_code == 404
    with (tmp_path / "table.jsonl").open("a") as stream:
        stream.write('{"id": "more", "conductance": 1}\n')
    # Only the process that runs it looks at the files.
    refused = client.post("/campaigns/served/resume", json={}, headers=TOKEN)
    assert refused.status_code == 422
    assert "oracle.table" in refused.json()["detail"]
    assert client.get("/campaigns/served").json()["state"] == "finished"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"space": {"kind": "pool", "path": "/nowhere/pool.jsonl"}}, "/nowhere/pool.jsonl"),
        ({"executor": {"kind": "ray", "address": "127.0.0.1:1"}}, "executor.address"),
        ({"oracle": {"kind": "phonon-bte", "calculator": "no-such"}}, "oracle"),
    ],
)
def test_what_cannot_be_launched_is_answered_and_not_recorded(
    client: TestClient, tmp_path: Path, changes: dict[str, Any], word: str
) -> None:
    config = _config(tmp_path, **changes)
    refused = client.post("/campaigns", json={"config": config}, headers=TOKEN)
    assert refused.status_code == 422, refused.text
    assert word in refused.json()["detail"]
    assert "\n" not in refused.json()["detail"]
    assert client.get("/campaigns").json() == []


def test_files_of_the_working_folder_are_not_taken_for_ours(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    for name in ("agents", "oracle", "surrogate"):
        (shadow / f"{name}.py").write_text("raise SystemExit('not ours')\n")
    monkeypatch.chdir(shadow)
    launched = client.post("/campaigns", json={"config": _config(tmp_path)}, headers=TOKEN)
    assert launched.status_code == 201, launched.text
    assert _ended(client)["oracle_calls"] == 8
    command = [sys.executable, "-m", "orchestrator.app.cli", "status", "served", "--json"]
    # Also where the user has put the folder on the path, for a calculator of their own.
    for path in (str(ROOT), os.pathsep.join([str(shadow), str(ROOT)])):
        done = subprocess.run(
            [*command, "--home", client.app.state.home],  # type: ignore[attr-defined]
            cwd=shadow,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["oracle_calls"] == 8


def test_a_twin_is_a_conflict(client: TestClient, tmp_path: Path) -> None:
    config = _config(tmp_path)
    assert client.post("/campaigns", json={"config": config}, headers=TOKEN).status_code == 201
    again = client.post("/campaigns", json={"config": config}, headers=TOKEN)
    assert again.status_code == 409
    _ended(client)


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "203.0.113.9"])
def test_an_address_that_cannot_be_served_is_one_line(tmp_path: Path, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        words = ["serve", "--host", host, "--port", str(port), "--home", str(tmp_path / "home")]
        done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"{host}:{port}" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize(
    ("method", "path", "sent", "words"),
    [
        ("post", "/campaigns", {"json": {}}, "request: config: missing"),
        ("post", "/campaigns", {"json": {"config": 3}}, "request: config: given 3; expected a map"),
        ("post", "/campaigns", {"json": [1]}, "request: given [1]; expected a JSON object"),
        ("post", "/campaigns", {"json": {"config": {}, "x": 1}}, "request: x: unknown key"),
        ("post", "/campaigns", {"content": b"{}"}, "expected Content-Type: application/json"),
        ("post", "/campaigns", {"content": b"{", "headers": JSON}, "request: its body is not JSON"),
        ("post", "/campaigns", {}, "request: missing; expected a JSON object"),
        ("post", "/campaigns/a/resume", {"json": {"set": "a=1"}}, "set: given 'a=1'; expected a l"),
        ("post", "/campaigns/a/resume", {"json": {"set": [1]}}, "set.0: given 1; expected a text"),
        ("get", "/campaigns/a/best", {"params": {"k": 0}}, "k: given '0'; expected at least 1"),
        ("get", "/campaigns/a/best", {"params": {"k": "x"}}, "k: given 'x'; expected an integer"),
        ("get", "/campaigns/a/trials", {"params": {"failed": "z"}}, "expected true or false"),
    ],
)
def test_malformed_requests_are_answered_in_the_same_form(
    client: TestClient, method: str, path: str, sent: dict[str, Any], words: str
) -> None:
    answer = client.request(method, path, **{"headers": TOKEN, **sent})
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert isinstance(detail, str)
    assert "\n" not in detail
    assert words in detail
