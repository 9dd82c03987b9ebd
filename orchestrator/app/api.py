"""The commands over HTTP. Anybody who can connect may read; changes need a token."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.app import children
from orchestrator.app.failures import INPUT_ERRORS, SURROUNDINGS, explained
from orchestrator.app.request_errors import request_problem
from orchestrator.campaign.campaign import Campaign
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import validate
from orchestrator.presentation.property_page import objectives_in_words
from orchestrator.queries import queries
from orchestrator.queries.trials import campaign_trials
from orchestrator.store.store import (
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

    Paths must be absolute, because there is no config file to which they could be relative. Import
    paths are refused, because they run code.
    """

    model_config = ConfigDict(extra="forbid")

    config: dict[str, Any] = Field(
        description=f"As in a config file. objective.property is one of:\n{objectives_in_words()}"
    )


class ResumeRequest(BaseModel):
    """Changes to be made on resume, as on the command line."""

    model_config = ConfigDict(extra="forbid")

    set: list[str] = Field(default_factory=list, description="key.path=value, values in YAML")


def create_app(store: Store, token: str) -> FastAPI:
    """The application.

    Args:
        store: the home's database.
        token: the bearer token that a client must send to change anything.
    """
    # The interactive pages of FastAPI load scripts from other servers, so they are left out.
    app = FastAPI(title="phonoscout", docs_url=None, redoc_url=None)
    app.state.home = store.home

    def authorized(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> None:
        sent = "" if credentials is None else credentials.credentials
        if not secrets.compare_digest(sent.encode(), token.encode()):
            raise HTTPException(401, "send the token as 'Authorization: Bearer ...'")

    async def explain(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, _CODES.get(type(error), 422))

    async def excuse(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": explained(error, store.home)[0]}, 503)

    async def refuse(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"detail": request_problem(error.errors())}, 422)

    app.add_exception_handler(RequestValidationError, refuse)
    for kind in INPUT_ERRORS:
        app.add_exception_handler(kind, explain)
    for kind in SURROUNDINGS:
        app.add_exception_handler(kind, excuse)

    _add_reading(app, store)
    _add_changing(app, store, [Depends(authorized)])
    return app


def _add_reading(app: FastAPI, store: Store) -> None:
    """Add the requests that only read; they need no token."""

    @app.get("/campaigns")
    def campaigns() -> list[dict[str, Any]]:
        return [queries.status(store, row.name) for row in store.campaigns()]

    @app.get("/campaigns/{name}")
    def status(name: str) -> dict[str, Any]:
        return queries.status(store, name)

    @app.get("/campaigns/{name}/best")
    def best(name: str, k: Annotated[int, Query(ge=1)] = 10) -> list[dict[str, Any]]:
        return queries.best(store, name, k)

    @app.get("/campaigns/{name}/trials")
    def trials(name: str, failed: bool = False) -> dict[str, Any]:
        return campaign_trials(store, name, failed=failed)

    @app.get("/candidates/{candidate}")
    def candidate(candidate: str) -> dict[str, Any]:
        return queries.show(store, candidate)


def _add_changing(app: FastAPI, store: Store, allowed: list[Any]) -> None:
    """Add the requests that change something; they need the token."""

    @app.post("/campaigns", status_code=201, dependencies=allowed)
    def launch(request: LaunchRequest) -> dict[str, Any]:
        config = validate(request.config, "config", remote=True)
        if any(row.name == config.name for row in store.campaigns()):
            raise CampaignExists(f"campaign {config.name} exists already; resume it")
        children.launch(store, config.name, request.config)
        return queries.status(store, config.name)

    @app.post("/campaigns/{name}/resume", status_code=202, dependencies=allowed)
    def resume(name: str, request: ResumeRequest) -> dict[str, Any]:
        if store.is_running(name):
            raise CampaignRunning(f"campaign {name} is running already")
        # Changes that are not allowed are refused in this answer.
        Campaign(store, name).steered(request.set, remote=True)
        children.resume(store, name, request.set)
        return {"name": name, "resumed": True}

    @app.post("/campaigns/{name}/stop", status_code=202, dependencies=allowed)
    def stop(name: str) -> dict[str, Any]:
        running = store.is_running(name)
        if running:
            store.request_stop(name)
        return {"name": name, "was_running": running}


def run_server(store: Store, host: str, port: int) -> None:
    """Serve until interrupted; without $PHONOSCOUT_TOKEN, a new token is generated and printed.

    Raises:
        ConfigError: the server cannot listen on the address.
    """
    listener = _listener(host, port)
    token = os.environ.get("PHONOSCOUT_TOKEN", "")
    if not token:
        token = secrets.token_urlsafe(24)
        sys.stderr.write(f"token for changes (set PHONOSCOUT_TOKEN to choose it): {token}\n")
    config = uvicorn.Config(create_app(store, token), log_level="warning")
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens on an address.

    Raises:
        ConfigError: the address is in use, or does not belong to this machine.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"cannot listen on {host}:{port}: {reason}; choose another with --port or --host"
        ) from error
