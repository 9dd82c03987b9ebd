"""A table of reference forces, from which potentials are fine-tuned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "force_labels",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("settings", sa.String(64), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("material", sa.String(64), nullable=False),
        sa.Column("formula", sa.Text(), nullable=False),
        sa.Column("cost_s", sa.Float(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("force_labels")
