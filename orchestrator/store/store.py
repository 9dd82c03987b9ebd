"""The database of a home: campaigns, events, candidates, evaluations and force labels."""

from __future__ import annotations

import json
import time as clock
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row, delete, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from agents.contract.protocol import Candidate
from oracle.contract.evaluation import EVALUATION, Failed, Outcome
from oracle.materials.material import Material
from oracle.runtime.suggestions import did_you_mean
from orchestrator.store.database import database_of, has_database, open_engine
from orchestrator.store.rows import (
    NewForceLabel,
    candidate_row,
    evaluation_row,
    force_label_row,
)
from orchestrator.store.schema import (
    CampaignRow,
    CandidateRow,
    EvaluationRow,
    EventRow,
    ForceLabelRow,
)
from orchestrator.store.writers import writer_is_alive

__all__ = ["Store", "database_of", "has_database"]

_MATERIAL: TypeAdapter[Any] = TypeAdapter(Material)
_FAILED = "failed"  # status of a failed evaluation
_CHUNK = 400  # keys per query, below the limits of all databases


class CampaignExists(Exception):
    """The name of a new campaign is already taken."""


class UnknownCampaign(Exception):
    """No campaign has this name."""


class UnknownCandidate(Exception):
    """No id of a candidate, or more than one, begins as given."""


class CampaignRunning(Exception):
    """Another process is working on the campaign."""


class LeaseLost(Exception):
    """Another process has taken over the campaign; this one must no longer write."""


@dataclass(frozen=True)
class NewEvent:
    """An event to be appended; `payload` can be written as JSON."""

    kind: str
    payload: dict[str, Any]
    schema: int = 1


@dataclass(frozen=True)
class StoredEvent:
    """A recorded event; `seq` counts within the campaign, `time` is seconds since the epoch."""

    seq: int
    time: float
    kind: str
    payload: dict[str, Any] = field(repr=False)
    schema: int = 1


@dataclass(frozen=True)
class StoredCandidate:
    """A material that some campaign planned to measure, as stored."""

    id: str
    label: str | None
    formula: str
    material: Material


class Store:
    """The database of one home.

    Args:
        home: folder that holds the campaigns.
        url: URL of a database other than the SQLite file in `home`.
        reading: whether a home that cannot be written is acceptable.
    """

    def __init__(self, home: Path, url: str | None = None, *, reading: bool = False) -> None:
        self.home = home
        self.engine = open_engine(home, url, reading=reading)
        self._read = self.engine.execution_options(reads_only=True)

    def create_campaign(
        self, name: str, config: dict[str, Any], events: Sequence[NewEvent]
    ) -> None:
        """Record a new campaign with its first events, in one transaction.

        An earlier campaign of this name that never planned a trial is replaced.

        Raises:
            CampaignExists: the name is taken.
        """
        now = clock.time()
        row = {"name": name, "config": json.dumps(config), "created": now}
        try:
            with self.engine.begin() as connection:
                if not _has_begun(connection, name):
                    connection.execute(delete(EventRow).where(EventRow.campaign == name))
                    connection.execute(delete(CampaignRow).where(CampaignRow.name == name))
                connection.execute(
                    insert(CampaignRow).values(**row, stop_requested=False, mirrored=0)
                )
                self._insert_events(connection, name, 0, events, now)
        except IntegrityError as error:
            raise CampaignExists(f"campaign {name} exists already") from error

    def is_taken(self, name: str) -> bool:
        """Whether a campaign of this name has planned trials or is running."""
        with self._read.connect() as connection:
            return _has_begun(connection, name)

    def campaigns(self) -> list[Row[Any]]:
        """All campaigns, oldest first; rows with the columns of `CampaignRow`."""
        with self._read.connect() as connection:
            query = select(CampaignRow.__table__).order_by(CampaignRow.created, CampaignRow.name)
            return list(connection.execute(query))

    def campaign(self, name: str) -> Row[Any]:
        """One campaign's row.

        Raises:
            UnknownCampaign: no such name.
        """
        with self._read.connect() as connection:
            row = connection.execute(
                select(CampaignRow.__table__).where(CampaignRow.name == name)
            ).first()
        if row is None:
            names = [each.name for each in self.campaigns()]
            raise UnknownCampaign(
                f"no campaign {name!r} in {self.home}; {did_you_mean(name, names)}"
                f"there are: {', '.join(names) or 'none'}"
            )
        return row

    def append(
        self,
        name: str,
        events: Sequence[NewEvent],
        *,
        evaluations: Sequence[Outcome] = (),
        candidates: Sequence[Candidate] = (),
        labels: Sequence[NewForceLabel] = (),
        forget: Iterable[tuple[str, str]] = (),
        token: str | None,
    ) -> list[StoredEvent]:
        """Record events with the rows that they refer to, in one durable transaction.

        Existing rows of `evaluations`, `candidates` and `labels` are left unchanged, except that a
        new result replaces a stored failure. Failures that `forget` names by (material digest,
        method) are removed first.

        Raises:
            LeaseLost: `token` is not that of the campaign's current writer.
        """
        now = clock.time()
        with self.engine.begin() as connection:
            # Locked, so that no other process can take over between this query and the commit.
            writer, last = connection.execute(
                select(CampaignRow.writer_token, _last_seq(name))
                .where(CampaignRow.name == name)
                .with_for_update()
            ).one()
            if token is None or writer != token:
                raise LeaseLost(f"campaign {name}: another process has taken over")
            self._insert_new(connection, CandidateRow, [candidate_row(c, now) for c in candidates])
            results = [e.key for e in evaluations if not isinstance(e, Failed)]
            _forget_failures(connection, [*forget, *results])
            self._insert_new(
                connection, EvaluationRow, [evaluation_row(e, now) for e in evaluations]
            )
            self._insert_new(connection, ForceLabelRow, [force_label_row(x, now) for x in labels])
            return self._insert_events(connection, name, last, events, now)

    def events(self, name: str, after: int = 0) -> list[StoredEvent]:
        """Events of a campaign with a number above `after`, in order.

        Raises:
            UnknownCampaign: no such name.
        """
        columns = (EventRow.seq, EventRow.time, EventRow.kind, EventRow.payload, EventRow.schema)
        with self._read.connect() as connection:
            rows = connection.execute(
                select(*columns)
                .where(EventRow.campaign == name, EventRow.seq > after)
                .order_by(EventRow.seq)
            ).all()
        if not rows and not after:
            self.campaign(name)
        return [StoredEvent(s, t, kind, json.loads(text), v) for s, t, kind, text, v in rows]

    def evaluation(self, digest: str, method: str) -> Outcome | None:
        """The stored evaluation of a material by a method, or None."""
        return self.evaluations_of([(digest, method)]).get((digest, method))

    def evaluations_of(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Outcome]:
        """Stored evaluations by (material digest, method); keys without one are left out."""
        wanted = sorted(set(keys))
        evaluations: dict[tuple[str, str], Outcome] = {}
        with self._read.connect() as connection:
            for start in range(0, len(wanted), _CHUNK):
                rows = connection.execute(
                    select(EvaluationRow.digest, EvaluationRow.method, EvaluationRow.payload).where(
                        tuple_(EvaluationRow.digest, EvaluationRow.method).in_(
                            wanted[start : start + _CHUNK]
                        )
                    )
                )
                evaluations |= {(d, m): EVALUATION.validate_json(text) for d, m, text in rows}
        return evaluations

    def forget_failures(self) -> int:
        """Remove every stored failure; returns how many there were.

        The events of the campaigns still contain them, so that the history stays readable.
        """
        with self.engine.begin() as connection:
            failed = delete(EvaluationRow).where(EvaluationRow.status == _FAILED)
            return int(connection.execute(failed).rowcount)

    def force_labels(self, digests: Sequence[str]) -> list[dict[str, Any]]:
        """Stored force labels as JSON, in the order of the digests, all of which must be stored."""
        payloads: dict[str, str] = {}
        columns = (ForceLabelRow.digest, ForceLabelRow.payload)
        with self._read.connect() as connection:
            for start in range(0, len(digests), _CHUNK):
                part = digests[start : start + _CHUNK]
                rows = connection.execute(select(*columns).where(ForceLabelRow.digest.in_(part)))
                payloads |= {digest: text for digest, text in rows}
        return [json.loads(payloads[digest]) for digest in digests]

    def candidate(self, prefix: str) -> StoredCandidate:
        """The candidate whose id begins with `prefix`.

        Raises:
            UnknownCandidate: there is none, or more than one.
        """
        columns = (
            CandidateRow.id,
            CandidateRow.label,
            CandidateRow.formula,
            CandidateRow.material,
        )
        with self._read.connect() as connection:
            rows = connection.execute(
                select(*columns)
                .where(CandidateRow.id.startswith(prefix, autoescape=True))
                .order_by(CandidateRow.id)
                .limit(3)
            ).all()
        if len(rows) != 1:
            several = f"several begin so, among them {', '.join(r.id for r in rows)}"
            raise UnknownCandidate(
                f"candidate {prefix!r}: {several if rows else 'not known'}; "
                f"{'' if rows else self._meant(prefix)}give an id from `phonoscout best`"
            )
        name, label, formula, text = rows[0]
        return StoredCandidate(name, label, formula, _MATERIAL.validate_json(text))

    def _meant(self, prefix: str) -> str:
        """Suggest candidates whose formula or source name was given, or whose id is similar."""
        columns = (CandidateRow.id, CandidateRow.formula, CandidateRow.label)
        with self._read.connect() as connection:
            rows = connection.execute(select(*columns).order_by(CandidateRow.id)).all()
        named = [row.id for row in rows if prefix in (row.formula, row.label)]
        if named:
            return f"{prefix} is {' and '.join(named[:3])}; "
        return did_you_mean(prefix, [row.id for row in rows])

    def formulas(self, names: Sequence[str]) -> dict[str, str]:
        """Reduced formula by candidate id."""
        formulas: dict[str, str] = {}
        with self._read.connect() as connection:
            for start in range(0, len(names), _CHUNK):
                formulas |= {
                    name: formula
                    for name, formula in connection.execute(
                        select(CandidateRow.id, CandidateRow.formula).where(
                            CandidateRow.id.in_(names[start : start + _CHUNK])
                        )
                    )
                }
        return formulas

    def request_stop(self, name: str, wanted: bool = True) -> None:
        """Ask the campaign's writer to stop, or withdraw the request."""
        self._update(name, stop_requested=wanted)

    def clear_stop(self, name: str) -> None:
        """Withdraw an earlier request to stop."""
        self.request_stop(name, wanted=False)

    def stop_requested(self, name: str) -> bool:
        """Whether the writer was asked to stop."""
        return bool(self.campaign(name).stop_requested)

    def set_mirror(self, name: str, parent_run: str, mirrored: int) -> None:
        """Store MLflow's id of the campaign's run, and the last round that is completely there."""
        self._update(name, parent_run=parent_run, mirrored=mirrored)

    def is_running(self, name: str) -> bool:
        """Whether a process is running the campaign.

        Raises:
            UnknownCampaign: no such name.
        """
        return writer_is_alive(self.campaign(name))

    def _update(self, name: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(CampaignRow).where(CampaignRow.name == name).values(**values))

    def _insert_events(
        self, connection: Any, name: str, last: int, events: Sequence[NewEvent], now: float
    ) -> list[StoredEvent]:
        stored = [
            StoredEvent(last + i, now, e.kind, e.payload, e.schema)
            for i, e in enumerate(events, start=1)
        ]
        if stored:
            connection.execute(
                insert(EventRow),
                [
                    {
                        "campaign": name,
                        "seq": e.seq,
                        "kind": e.kind,
                        "schema": e.schema,
                        "payload": json.dumps(e.payload),
                        "time": now,
                    }
                    for e in stored
                ],
            )
        return stored

    def _insert_new(self, connection: Any, table: Any, rows: list[dict[str, Any]]) -> None:
        """Insert rows; existing rows with the same key are left unchanged."""
        if rows:
            dialect = postgresql if self.engine.dialect.name == "postgresql" else sqlite
            connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def _has_begun(connection: Any, name: str) -> bool:
    """Whether a campaign exists that has planned trials or is running."""
    row = connection.execute(
        select(CampaignRow.__table__).where(CampaignRow.name == name).with_for_update()
    ).first()
    planned = select(EventRow.seq).where(
        EventRow.campaign == name, EventRow.kind == "round_planned"
    )
    has_trials = connection.execute(planned.limit(1)).first() is not None
    return row is not None and (has_trials or writer_is_alive(row))


def _forget_failures(connection: Any, keys: Sequence[tuple[str, str]]) -> None:
    """Remove stored failures by (material digest, method)."""
    for start in range(0, len(keys), _CHUNK):
        named = tuple_(EvaluationRow.digest, EvaluationRow.method).in_(keys[start : start + _CHUNK])
        connection.execute(delete(EvaluationRow).where(EvaluationRow.status == _FAILED, named))


def _last_seq(name: str) -> Any:
    """Number of a campaign's last event, 0 without any; read from the end of an index."""
    last = select(func.max(EventRow.seq)).where(EventRow.campaign == name).scalar_subquery()
    return func.coalesce(last, 0)
