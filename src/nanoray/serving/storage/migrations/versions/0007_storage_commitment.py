"""Storage commitment of what was delivered by C-STORE."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. For what is delivered already no commitment is asked."""
    with op.batch_alter_table("deliveries") as batch:
        batch.add_column(sa.Column("commitment", sa.String(length=12), nullable=True))
        batch.add_column(sa.Column("transaction_uid", sa.String(length=64), nullable=True))
        batch.add_column(sa.Column("commit_at", sa.DateTime(timezone=True), nullable=True))
        batch.add_column(
            sa.Column("commit_attempts", sa.Integer(), nullable=False, server_default="0")
        )
    op.create_index(op.f("ix_deliveries_transaction_uid"), "deliveries", ["transaction_uid"])


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_deliveries_transaction_uid"), "deliveries")
    with op.batch_alter_table("deliveries") as batch:
        for name in ("commit_attempts", "commit_at", "transaction_uid", "commitment"):
            batch.drop_column(name)
