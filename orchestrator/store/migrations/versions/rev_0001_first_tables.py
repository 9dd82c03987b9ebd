"""The first tables: campaigns, events, candidates and evaluations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "campaigns",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("stop_requested", sa.Boolean(), nullable=False),
        sa.Column("writer_token", sa.String(64)),
        sa.Column("writer_host", sa.String(255)),
        sa.Column("writer_pid", sa.Integer()),
        sa.Column("writer_started", sa.Float()),
        sa.Column("heartbeat", sa.Float()),
        sa.Column("parent_run", sa.String(64)),
        sa.Column("mirrored", sa.Integer(), nullable=False),
    )
    op.create_table(
        "events",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("campaign", sa.String(100), sa.ForeignKey("campaigns.name"), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("schema", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.UniqueConstraint("campaign", "seq"),
    )
    op.create_table(
        "candidates",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("formula", sa.Text(), nullable=False),
        sa.Column("label", sa.Text()),
        sa.Column("material", sa.Text(), nullable=False),
        sa.Column("first_seen", sa.Float(), nullable=False),
    )
    op.create_table(
        "evaluations",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("method", sa.String(64), primary_key=True),
        sa.Column("fidelity", sa.String(40), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("formula", sa.Text(), nullable=False),
        sa.Column("cost_s", sa.Float(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("evaluations", "candidates", "events", "campaigns"):
        op.drop_table(table)
