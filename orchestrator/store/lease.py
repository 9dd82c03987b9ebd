"""Ensures one writer per campaign, also after a writer has died."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from types import TracebackType
from typing import Any

import psutil
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from orchestrator.store.schema import CampaignRow
from orchestrator.store.store import CampaignRunning, Store
from orchestrator.store.writers import writer_is_alive

_HEARTBEAT_S = 5.0


class Lease:
    """The right to write to a campaign, held until the end of a ``with`` block.

    Created by `acquire`. A thread renews the heartbeat. Every append checks the token, so that a
    writer that was presumed dead can no longer write.
    """

    def __init__(self, store: Store, name: str, token: str) -> None:
        self.token = token
        self._store = store
        self._name = name
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{name}", daemon=True)

    @classmethod
    def acquire(cls, store: Store, name: str) -> Lease:
        """Take the lease; a dead holder on this host is replaced at once.

        Raises:
            UnknownCampaign: no such campaign.
            CampaignRunning: the holder is alive, or another process has just taken the lease.
        """
        row = store.campaign(name)
        if writer_is_alive(row):
            raise CampaignRunning(
                f"campaign {name} is running already (process {row.writer_pid} on "
                f"{row.writer_host}); stop it with: phonoscout stop {name}"
            )
        token = secrets.token_hex(16)
        # Compare and set: if two processes saw the same dead holder, only one succeeds.
        unchanged = (
            CampaignRow.writer_token.is_(None)
            if row.writer_token is None
            else CampaignRow.writer_token == row.writer_token
        )
        with store.engine.begin() as connection:
            changed = connection.execute(
                update(CampaignRow)
                .where(CampaignRow.name == name, unchanged)
                .values(
                    writer_token=token,
                    writer_host=socket.gethostname(),
                    writer_pid=os.getpid(),
                    writer_started=psutil.Process().create_time(),
                    heartbeat=time.time(),
                )
            ).rowcount
        if changed != 1:
            raise CampaignRunning(f"campaign {name}: another process has just begun to run it")
        return cls(store, name, token)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._write(
            writer_token=None,
            writer_host=None,
            writer_pid=None,
            writer_started=None,
            heartbeat=None,
        )

    def _beat(self) -> None:
        while not self._ended.wait(_HEARTBEAT_S):
            try:
                # The system derives the creation time from the clock, which may have been changed.
                self._write(heartbeat=time.time(), writer_started=psutil.Process().create_time())
            except SQLAlchemyError:
                continue  # the next one may succeed; on this host the process itself is checked

    def _write(self, **values: Any) -> None:
        with self._store.engine.begin() as connection:
            connection.execute(
                update(CampaignRow)
                .where(CampaignRow.name == self._name, CampaignRow.writer_token == self.token)
                .values(**values)
            )
