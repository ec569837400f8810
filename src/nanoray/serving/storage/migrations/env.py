"""Alembic's entry point for the migration of a given connection."""

from __future__ import annotations

from alembic import context

from nanoray.serving.storage.tables import Base

connection = context.config.attributes["connection"]
# SQLite alters tables by copying them.
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
