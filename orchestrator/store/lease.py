"""One writer per campaign, recognised even when it died without a word."""

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
from orchestrator.store.writers import writer_lives

_HEARTBEAT_S = 5.0


class Lease:
    """The right to write a campaign, held until the end of a ``with`` block.

    Made by `acquire`. A thread renews the heartbeat; every append checks the token, so that a
    writer which was taken for dead cannot write any more.
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
            CampaignRunning: its holder lives, or took the lease a moment earlier.
        """
        row = store.campaign(name)
        if writer_lives(row):
            raise CampaignRunning(
                f"campaign {name} is running already (process {row.writer_pid} on "
                f"{row.writer_host}); stop it with: phonoscout stop {name}"
            )
        token = secrets.token_hex(16)
        # Compare and set: of two processes that saw the same dead holder one wins.
        held = (
            CampaignRow.writer_token.is_(None)
            if row.writer_token is None
            else CampaignRow.writer_token == row.writer_token
        )
        with store.engine.begin() as connection:
            changed = connection.execute(
                update(CampaignRow)
                .where(CampaignRow.name == name, held)
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
                # The creation time is reckoned from the clock, which may have been set meanwhile.
                self._write(heartbeat=time.time(), writer_started=psutil.Process().create_time())
            except SQLAlchemyError:
                continue  # the next beat may succeed; a holder on this host is known by its process

    def _write(self, **values: Any) -> None:
        with self._store.engine.begin() as connection:
            connection.execute(
                update(CampaignRow)
                .where(CampaignRow.name == self._name, CampaignRow.writer_token == self.token)
                .values(**values)
            )
