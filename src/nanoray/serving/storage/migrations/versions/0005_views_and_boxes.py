"""Views, thresholds and boxes, as a prediction has them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _columns() -> dict[str, tuple[sa.Column[Any], ...]]:
    return {
        "predictions": (
            sa.Column("view", sa.String(length=2), nullable=True),
            sa.Column("view_source", sa.String(length=8), nullable=True),
            sa.Column("guarantee", sa.Float(precision=53), nullable=True),
            sa.Column("clear_below", sa.Float(precision=53), nullable=True),
            sa.Column("boxes", sa.JSON(), nullable=False, server_default="[]"),
        ),
        "studies": (
            sa.Column("view", sa.String(length=8), nullable=True),
            sa.Column("threshold", sa.Float(precision=53), nullable=True),
        ),
    }


def upgrade() -> None:
    """Apply. Results that are stored already keep the new columns empty."""
    for table, columns in _columns().items():
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.add_column(column)


def downgrade() -> None:
    """Take back."""
    for table, columns in _columns().items():
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column.name)
