"""What was handed to AWS Batch, and the events that operators read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON(none_as_null=True)


def upgrade() -> None:
    """Two tables and their indexes."""
    _submissions()
    _events()


def downgrade() -> None:
    """Drop them."""
    op.drop_table("ops_events")
    op.drop_table("batch_submissions")


def _submissions() -> None:
    op.create_table(
        "batch_submissions",
        sa.Column("batch_id", sa.String, primary_key=True),
        sa.Column("job_id", sa.String, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("submitted_at", sa.Double, nullable=False),
        sa.Column("counted_at", sa.Double),
        sa.Column("missing_times", sa.Integer, nullable=False),
        sa.Column("missing_since", sa.Double),
        sa.Column("state", sa.String),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("batch_submissions_by_job", "batch_submissions", ["job_id", "submitted_at"])
    _partial("batch_submissions_open", "batch_submissions", ["submitted_at", "batch_id"], "counted_at IS NULL")


def _events() -> None:
    op.create_table(
        "ops_events",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("severity", sa.String, nullable=False),
        sa.Column("tenant", sa.String),
        sa.Column("video_id", sa.String),
        sa.Column("job_id", sa.String),
        sa.Column("aws_batch_job_id", sa.String),
        sa.Column("payload", DOCUMENT, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("tell_at", sa.Double),
    )
    op.create_index("ops_events_by_age", "ops_events", ["created_at", "id"])
    op.create_index("ops_events_by_job", "ops_events", ["job_id", "created_at"])
    _partial("ops_events_to_tell", "ops_events", ["tell_at"], "tell_at IS NOT NULL")


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
