"""The same functions over HTTP. Reading is open on loopback; what changes state needs a token."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from orchestrator import queries
from orchestrator.config import ConfigError, validate
from orchestrator.failures import INPUT_ERRORS
from orchestrator.store import (
    CampaignExists,
    CampaignRunning,
    Store,
    UnknownCampaign,
    UnknownCandidate,
)

_CODES: dict[type[Exception], int] = {
    UnknownCampaign: 404,
    UnknownCandidate: 404,
    CampaignExists: 409,
    CampaignRunning: 409,
}
_bearer = HTTPBearer(auto_error=False)


class LaunchRequest(BaseModel):
    """A campaign to be started: the content of a config file, as JSON.

    Its paths must be absolute, because there is no config file they could be relative to.
    """

    model_config = ConfigDict(extra="forbid")

    config: dict[str, Any]


class ResumeRequest(BaseModel):
    """Changes to be made on resume, as on the command line."""

    model_config = ConfigDict(extra="forbid")

    set: list[str] = Field(default_factory=list, description="key.path=value, values in YAML")


def create_app(store: Store, token: str) -> FastAPI:
    """The application.

    Args:
        store: the home's database.
        token: what a client must send as a bearer token to change anything.
    """
    # The interactive pages of FastAPI load their scripts from elsewhere, so they are left out.
    app = FastAPI(title="phonoscout", docs_url=None, redoc_url=None)
    app.state.home = store.home

    def authorized(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> None:
        given = "" if credentials is None else credentials.credentials
        if not secrets.compare_digest(given.encode(), token.encode()):
            raise HTTPException(401, "send the token as 'Authorization: Bearer ...'")

    async def explain(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, _CODES.get(type(error), 422))

    for kind in INPUT_ERRORS:
        app.add_exception_handler(kind, explain)

    _add_reading(app, store)
    _add_changing(app, store, [Depends(authorized)])
    return app


def _add_reading(app: FastAPI, store: Store) -> None:
    """What anybody may ask."""

    @app.get("/campaigns")
    def campaigns() -> list[dict[str, Any]]:
        return [queries.status(store, row.name) for row in store.campaigns()]

    @app.get("/campaigns/{name}")
    def status(name: str) -> dict[str, Any]:
        return queries.status(store, name)

    @app.get("/campaigns/{name}/best")
    def best(name: str, k: Annotated[int, Query(ge=1)] = 10) -> list[dict[str, Any]]:
        return queries.best(store, name, k)

    @app.get("/candidates/{candidate}")
    def candidate(candidate: str) -> dict[str, Any]:
        return queries.show(store, candidate)


def _add_changing(app: FastAPI, store: Store, allowed: list[Any]) -> None:
    """What needs the token."""

    @app.post("/campaigns", status_code=201, dependencies=allowed)
    def launch(request: LaunchRequest) -> dict[str, Any]:
        from oracle.sources import digest_of_import
        from orchestrator.runner import create, prepare

        digest_of_import.cache_clear()  # a server lives long, sources are edited meanwhile
        _require_absolute(request.config)
        config = validate(request.config, "config")
        create(store, prepare(config))
        _start(store.home, config.name, [])
        return queries.status(store, config.name)

    @app.post("/campaigns/{name}/resume", status_code=202, dependencies=allowed)
    def resume(name: str, request: ResumeRequest) -> dict[str, Any]:
        if store.is_running(name):
            raise CampaignRunning(f"campaign {name} is running already")
        _start(store.home, name, request.set)
        return {"name": name, "resumed": True}

    @app.post("/campaigns/{name}/stop", status_code=202, dependencies=allowed)
    def stop(name: str) -> dict[str, Any]:
        running = store.is_running(name)
        if running:
            store.request_stop(name)
        return {"name": name, "was_running": running}


def _require_absolute(config: dict[str, Any]) -> None:
    for section, key in (("space", "path"), ("oracle", "table")):
        value = (config.get(section) or {}).get(key)
        if isinstance(value, str) and not Path(value).is_absolute():
            raise ConfigError(f"{section}.{key}: given {value!r}; expected an absolute path")


def _start(home: Path, name: str, changes: list[str]) -> None:
    """Run the campaign in a process of its own: it outlives the server."""
    log = home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "orchestrator.cli", "resume", name, "--home", str(home)]
    for change in changes:
        command += ["--set", change]
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    # Somebody has to take note of its end, or it stays in the table of processes.
    threading.Thread(target=process.wait, name=f"campaign-{name}", daemon=True).start()


def run_server(store: Store, host: str, port: int) -> None:
    """Serve until interrupted; without $PHONOSCOUT_TOKEN a fresh token is made and printed."""
    token = os.environ.get("PHONOSCOUT_TOKEN", "")
    if not token:
        token = secrets.token_urlsafe(24)
        sys.stderr.write(f"token for changes (set PHONOSCOUT_TOKEN to choose it): {token}\n")
    uvicorn.run(create_app(store, token), host=host, port=port, log_level="warning")
