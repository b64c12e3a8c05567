"""The first tables, and the database's clock as one function on every database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON(none_as_null=True)
ACTIVE = sa.text("state IN ('QUEUED', 'RUNNING', 'RETRY_WAIT')")

WORKER_NOW = """
CREATE FUNCTION worker_now() RETURNS double precision LANGUAGE sql VOLATILE
AS $$ SELECT extract(epoch FROM clock_timestamp())::double precision $$
"""


def upgrade() -> None:
    """Create everything."""
    if op.get_context().dialect.name == "postgresql":
        # SQLite's connections bring the function with them (engine.py).
        op.execute(WORKER_NOW)
    _jobs()
    _attempts()
    _dead_letters()
    _queue()
    _small_tables()
    _videos()


def downgrade() -> None:
    """Drop everything."""
    for table in (
        "video_chunks",
        "videos",
        "locks",
        "progress",
        "queue_messages",
        "dead_letters",
        "job_attempts",
        "jobs",
    ):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION worker_now()")


def _partial_index(name: str, table: str, columns: list[str], where: sa.TextClause, *, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=where, postgresql_where=where)


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("subject", sa.String),
        sa.Column("payload", DOCUMENT, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("error_counts", DOCUMENT, nullable=False),
        sa.Column("lease_owner", sa.String),
        sa.Column("lease_until", sa.Double),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("wake_at", sa.Double),
        sa.Column("cancel_requested_at", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("trace", sa.String),
        sa.Column("result", DOCUMENT),
        sa.Column("error", DOCUMENT),
    )
    _partial_index("one_active_job_per_subject", "jobs", ["type", "subject"], ACTIVE, unique=True)
    _partial_index("jobs_to_wake", "jobs", ["wake_at"], sa.text("wake_at IS NOT NULL"))
    op.create_index("jobs_by_tenant", "jobs", ["tenant", "state"])
    op.create_index("jobs_by_age", "jobs", ["created_at"])


def _attempts() -> None:
    op.create_table(
        "job_attempts",
        sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("fence", sa.BigInteger, primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("outcome", sa.String),
        sa.Column("error", DOCUMENT),
    )


def _dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("job_id", sa.String),
        sa.Column("type", sa.String),
        sa.Column("tenant", sa.String),
        sa.Column("queue", sa.String),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("error_class", sa.String, nullable=False),
        sa.Column("error", DOCUMENT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("notified_at", sa.Double),
        sa.Column("attributes", DOCUMENT, nullable=False),
    )
    op.create_index("dead_letters_by_age", "dead_letters", ["created_at"])
    _partial_index("dead_letters_to_tell", "dead_letters", ["created_at"], sa.text("notified_at IS NULL"))


def _queue() -> None:
    op.create_table(
        "queue_messages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("queue", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("attributes", DOCUMENT, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("visible_at", sa.Double, nullable=False),
        sa.Column("enqueued_at", sa.Double, nullable=False),
        sa.Column("receipt", sa.String),
        sa.Column("receive_count", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("queue_messages_ready", "queue_messages", ["queue", "priority", "visible_at"])
    op.create_index("queue_messages_by_key", "queue_messages", ["queue", "key"])


def _small_tables() -> None:
    op.create_table(
        "progress",
        sa.Column("job_id", sa.String, primary_key=True),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("report", DOCUMENT, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_table(
        "locks",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("token", sa.String, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )


def _videos() -> None:
    op.create_table(
        "videos",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("source_key", sa.Text, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("job_id", sa.String),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("hls_path", sa.Text),
        sa.Column("thumbnail_path", sa.Text),
        sa.Column("storyboard_path", sa.Text),
        sa.Column("duration_seconds", sa.Double),
        sa.Column("error_reason", sa.Text),
        sa.Column("result", DOCUMENT),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_index("videos_by_status", "videos", ["status", "updated_at"])
    op.create_table(
        "video_chunks",
        sa.Column("video_id", sa.String, primary_key=True),
        sa.Column("source_sha256", sa.String, primary_key=True),
        sa.Column("plan_hash", sa.String, primary_key=True),
        sa.Column("chunk", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("segments", DOCUMENT, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
