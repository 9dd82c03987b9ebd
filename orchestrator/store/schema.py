"""The tables. What a migration makes and what this file says are compared by a test."""

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

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER keys by itself


class Base(DeclarativeBase):
    """Base of all tables."""


class CampaignRow(Base):
    """One campaign: its name, who writes it, and how far MLflow has followed."""

    __tablename__ = "campaigns"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    config: Mapped[str] = mapped_column(Text)
    """As launched, JSON."""
    created: Mapped[float] = mapped_column(Float)
    stop_requested: Mapped[bool] = mapped_column(Boolean, default=False)
    writer_token: Mapped[str | None] = mapped_column(String(64), default=None)
    writer_host: Mapped[str | None] = mapped_column(String(255), default=None)
    writer_pid: Mapped[int | None] = mapped_column(Integer, default=None)
    writer_started: Mapped[float | None] = mapped_column(Float, default=None)
    """Creation time of the writer's process: process numbers are used again."""
    heartbeat: Mapped[float | None] = mapped_column(Float, default=None)
    parent_run: Mapped[str | None] = mapped_column(String(64), default=None)
    """Of MLflow."""
    mirrored: Mapped[int] = mapped_column(Integer, default=0)
    """Number of the last round that MLflow has in full."""


class EventRow(Base):
    """One thing that happened; rows are only ever added."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("campaign", "seq"),)

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True, autoincrement=True)
    campaign: Mapped[str] = mapped_column(ForeignKey("campaigns.name"))
    seq: Mapped[int] = mapped_column(Integer)
    """1, 2, 3 ... within the campaign."""
    kind: Mapped[str] = mapped_column(String(40))
    schema: Mapped[int] = mapped_column(Integer)
    """Version of the payload's form."""
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
    """One permanent outcome, shared by all campaigns: together they are the phonon database."""

    __tablename__ = "evaluations"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Of the material."""
    method: Mapped[str] = mapped_column(String(64), primary_key=True)
    fidelity: Mapped[str] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(20))
    formula: Mapped[str] = mapped_column(Text)
    cost_s: Mapped[float] = mapped_column(Float)
    payload: Mapped[str] = mapped_column(Text)
    time: Mapped[float] = mapped_column(Float)


class ForceLabelRow(Base):
    """Reference forces of one supercell, shared by all campaigns."""

    __tablename__ = "force_labels"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Of the exact structure and the settings."""
    settings: Mapped[str] = mapped_column(String(64))
    """Digest of everything that changes the forces: labels of two are never mixed."""
    engine: Mapped[str] = mapped_column(Text)
    material: Mapped[str] = mapped_column(String(64))
    """Digest of the crystal whose supercell it is."""
    formula: Mapped[str] = mapped_column(Text)
    cost_s: Mapped[float] = mapped_column(Float)
    payload: Mapped[str] = mapped_column(Text)
    time: Mapped[float] = mapped_column(Float)
