"""Checks that a Ray cluster answers at its address, before anything waits for it."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from pathlib import Path

import psutil

from orchestrator.config.errors import ConfigError
from orchestrator.config.run_settings import ExecutorSettings

_CONNECT_S = 5.0
_CLIENT = "ray://"
_FORM = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\]]+):(?P<port>\d{1,5})")
# Ray speaks gRPC, which uses HTTP/2. A client begins with this preface and an empty SETTINGS frame;
# the server answers with a SETTINGS frame, whose header has nine bytes, the fourth for its type.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_HEADER, _KIND, _SETTINGS = 9, 3, 4


def cluster_address(settings: ExecutorSettings) -> str | None:
    """Address of the cluster to join; None where Ray is started on this machine."""
    address = settings.address or os.environ.get("RAY_ADDRESS") or "local"
    return None if address == "local" else address


def check_address(settings: ExecutorSettings) -> None:
    """Check that a Ray cluster answers; takes a few seconds where none does.

    Ray itself would wait for minutes, and then end the process.

    Raises:
        ConfigError: the address is malformed, nothing listens there, or what listens is not Ray.
    """
    address = cluster_address(settings)
    if settings.kind != "ray" or address is None:
        return
    source = "executor.address" if settings.address else "RAY_ADDRESS"
    where = f"{source}: given {address!r}"
    if address == "auto":
        _check_this_machine(where)
        return
    host, port = _host_and_port(address, where)
    remedy = "start it with `ray start --head`, correct the address" + (
        ", or leave it out to run on this machine" if settings.address else ", or unset RAY_ADDRESS"
    )
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_S) as connection:
            is_ray = _speaks_grpc(connection)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise ConfigError(f"{where}: no Ray cluster answers there ({reason}); {remedy}") from error
    if not is_ray:
        raise ConfigError(f"{where}: what answers there is not a Ray cluster; {remedy}")


def _host_and_port(address: str, where: str) -> tuple[str, int]:
    """Host and port of a Ray address.

    Raises:
        ConfigError: the address has another form.
    """
    match = _FORM.fullmatch(address.removeprefix(_CLIENT))
    if match is None or not 0 < int(match["port"]) < 2**16:
        raise ConfigError(
            f"{where}; expected host:port of a Ray head (such as 10.0.0.1:6379), ray://host:port, "
            "or auto"
        )
    return match["host"].strip("[]"), int(match["port"])


def _speaks_grpc(connection: socket.socket) -> bool:
    """Whether the other end speaks gRPC; with TLS, a connection is taken as enough."""
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return True
    received = b""
    try:
        connection.sendall(_GREETING)
        while len(received) < _HEADER:
            part = connection.recv(_HEADER - len(received))
            if not part:
                return False
            received += part
    except OSError:
        return False
    return received[_KIND] == _SETTINGS


def _check_this_machine(where: str) -> None:
    """Check that Ray runs on this machine, which is what ``auto`` means.

    Raises:
        ConfigError: it does not.
    """
    address_file = Path(
        os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray", "ray_current_cluster"
    )
    runs = any(process.info["name"] == "raylet" for process in psutil.process_iter(["name"]))
    if not runs and not address_file.exists():
        raise ConfigError(
            f"{where}, but no Ray runs on this machine; start one with `ray start --head`, or "
            "leave the address out"
        )
