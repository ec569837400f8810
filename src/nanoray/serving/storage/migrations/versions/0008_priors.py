"""Results of a patient's earlier radiographs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("predictions") as batch:
        batch.add_column(sa.Column("priors", sa.JSON(), nullable=False, server_default="[]"))
        batch.add_column(sa.Column("prior_due", sa.DateTime(timezone=True), nullable=True))
    with op.batch_alter_table("studies") as batch:
        batch.add_column(sa.Column("prior_probability", sa.Float(precision=53), nullable=True))
        batch.add_column(sa.Column("prior_date", sa.String(length=10), nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("studies") as batch:
        batch.drop_column("prior_date")
        batch.drop_column("prior_probability")
    with op.batch_alter_table("predictions") as batch:
        batch.drop_column("prior_due")
        batch.drop_column("priors")
