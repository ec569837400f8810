"""Alembic migrations of the database; `nanoray.serving.storage.database.migrate` runs them."""
