"""Indices for worklists of 200,000 studies (`benchmarks/worklist.py`)."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_studies_verdict", "studies", ["verdict", "read_at", "received_at"])
    if op.get_bind().dialect.name == "sqlite":
        op.create_index("ix_studies_search", "studies", ["search", "id"])


def downgrade() -> None:
    """Take back."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("ix_studies_search", "studies")
    op.drop_index("ix_studies_verdict", "studies")
