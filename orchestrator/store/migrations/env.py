"""Alembic's entry point; the connection comes from the store that requests the migration."""

from __future__ import annotations

from alembic import context

from orchestrator.store.schema import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table only by copying it
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
