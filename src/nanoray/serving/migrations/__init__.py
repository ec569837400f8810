"""Alembic migrations of the service's database; `nanoray.serving.database.migrate` runs them."""
