"""Cron: since when an entry is known, and which of its moments have fired."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables."""
    op.create_table(
        "cron_entries",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("schedule", sa.String, primary_key=True),
        sa.Column("known_since", sa.Double, nullable=False),
    )
    op.create_table(
        "cron_ticks",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("scheduled_at", sa.Double, primary_key=True),
        sa.Column("fired_at", sa.Double, nullable=False),
        sa.Column("job_id", sa.String, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("cron_ticks")
    op.drop_table("cron_entries")
