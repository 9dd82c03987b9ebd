"""The tables of the database; a test compares them with those that the migrations create."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Integer,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

HEAD = "0002"
"""Revision of the newest migration."""

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only INTEGER keys itself


class Base(DeclarativeBase):
    """Base of all tables."""


class CampaignRow(Base):
    """One campaign: its name, its writer, and how far it is mirrored to MLflow."""

    __tablename__ = "campaigns"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    config: Mapped[str] = mapped_column(Text)
    """The config as launched, JSON."""
    created: Mapped[float] = mapped_column(Float)
    stop_requested: Mapped[bool] = mapped_column(Boolean, default=False)
    writer_token: Mapped[str | None] = mapped_column(String(64), default=None)
    writer_host: Mapped[str | None] = mapped_column(String(255), default=None)
    writer_pid: Mapped[int | None] = mapped_column(Integer, default=None)
    writer_started: Mapped[float | None] = mapped_column(Float, default=None)
    """Creation time of the writer's process, since process numbers are reused."""
    heartbeat: Mapped[float | None] = mapped_column(Float, default=None)
    parent_run: Mapped[str | None] = mapped_column(String(64), default=None)
    """MLflow's id of the campaign's run."""
    mirrored: Mapped[int] = mapped_column(Integer, default=0)
    """Number of the last round that is completely in MLflow."""


class EventRow(Base):
    """One event; rows are only added, never changed."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("campaign", "seq"),)

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True, autoincrement=True)
    campaign: Mapped[str] = mapped_column(ForeignKey("campaigns.name"))
    seq: Mapped[int] = mapped_column(Integer)
    """1, 2, 3 ... within the campaign."""
    kind: Mapped[str] = mapped_column(String(40))
    schema: Mapped[int] = mapped_column(Integer)
    """Version of the payload's structure."""
    payload: Mapped[str] = mapped_column(Text)
    time: Mapped[float] = mapped_column(Float)
    """Seconds since the epoch."""


class CandidateRow(Base):
    """One material that some campaign planned to measure."""

    __tablename__ = "candidates"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    formula: Mapped[str] = mapped_column(Text)
    label: Mapped[str | None] = mapped_column(Text, default=None)
    material: Mapped[str] = mapped_column(Text)
    first_seen: Mapped[float] = mapped_column(Float)


class EvaluationRow(Base):
    """One evaluation, shared by all campaigns of the home."""

    __tablename__ = "evaluations"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Digest of the material."""
    method: Mapped[str] = mapped_column(String(64), primary_key=True)
    fidelity: Mapped[str] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(20))
    formula: Mapped[str] = mapped_column(Text)
    cost_s: Mapped[float] = mapped_column(Float)
    payload: Mapped[str] = mapped_column(Text)
    time: Mapped[float] = mapped_column(Float)


class ForceLabelRow(Base):
    """One force label: reference forces of one supercell, shared by all campaigns of the home."""

    __tablename__ = "force_labels"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Digest of the exact structure and the settings."""
    settings: Mapped[str] = mapped_column(String(64))
    """Digest of everything that affects the forces; labels with different digests are not mixed."""
    engine: Mapped[str] = mapped_column(Text)
    material: Mapped[str] = mapped_column(String(64))
    """Digest of the crystal whose supercell it is."""
    formula: Mapped[str] = mapped_column(Text)
    cost_s: Mapped[float] = mapped_column(Float)
    payload: Mapped[str] = mapped_column(Text)
    time: Mapped[float] = mapped_column(Float)
