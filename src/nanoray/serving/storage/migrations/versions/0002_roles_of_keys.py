"""Roles of keys; those that were made before may do everything, as they could."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("role", sa.String(length=8), nullable=False, server_default="admin")
        )


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_column("role")
