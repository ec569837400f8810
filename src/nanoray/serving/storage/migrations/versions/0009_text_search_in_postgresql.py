"""An index of trigrams for the worklist's text search in PostgreSQL (`benchmarks/worklist.py`).

The index needs the extension `pg_trgm` of PostgreSQL's own contrib packages. Since PostgreSQL 13
whoever may create objects in a database may add it. Without it the search reads all rows.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    try:
        with connection.begin_nested():
            op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DBAPIError:
        # Not installed, or not permitted.
        return
    op.create_index(
        "ix_studies_trigrams",
        "studies",
        ["search"],
        postgresql_using="gin",
        postgresql_ops={"search": "gin_trgm_ops"},
    )


def downgrade() -> None:
    """Take back; the extension stays, for others may use it."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_studies_trigrams", "studies", if_exists=True)
