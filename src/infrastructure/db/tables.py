"""Every table, dialect-neutral. Times are epoch seconds of the database's clock (`worker_now()`); documents are JSON.

A change here needs a migration under migrations/versions; a test compares the two. Indexes are in indexes.py.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

DOCUMENT = JSON(none_as_null=True)
ROW_NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite counts rows by itself only in a column that is exactly INTEGER."""

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("type", String, nullable=False),
    Column("tenant", String, nullable=False),
    Column("subject", String),
    Column("payload", DOCUMENT, nullable=False),
    Column("state", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("error_counts", DOCUMENT, nullable=False),
    Column("lease_owner", String),
    Column("lease_until", Double),
    Column("due_at", Double, nullable=False),
    Column("wake_at", Double),
    Column("cancel_requested_at", Double),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("priority", Integer, nullable=False),
    Column("trace", String),
    Column("result", DOCUMENT),
    Column("error", DOCUMENT),
)

job_attempts = Table(
    "job_attempts",
    metadata,
    Column("job_id", String, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("fence", BigInteger, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("owner", String, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("outcome", String),
    Column("error", DOCUMENT),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", String, primary_key=True),
    Column("job_id", String),
    Column("type", String),
    Column("tenant", String),
    Column("queue", String),
    Column("body", LargeBinary, nullable=False),
    Column("error_class", String, nullable=False),
    Column("error", DOCUMENT, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("notified_at", Double),
    Column("attributes", DOCUMENT, nullable=False),
)

queue_messages = Table(
    "queue_messages",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("queue", String, nullable=False),
    Column("key", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("attributes", DOCUMENT, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("visible_at", Double, nullable=False),
    Column("enqueued_at", Double, nullable=False),
    Column("receipt", String),
    Column("receive_count", Integer, nullable=False),
    # A number that was used never comes back, or an old receipt could acknowledge a new message.
    sqlite_autoincrement=True,
)

progress = Table(
    "progress",
    metadata,
    Column("job_id", String, primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("report", DOCUMENT, nullable=False),
    Column("updated_at", Double, nullable=False),
)

locks = Table(
    "locks",
    metadata,
    Column("key", String, primary_key=True),
    Column("token", String, nullable=False),
    Column("expires_at", Double, nullable=False),
)

videos = Table(
    "videos",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("source_key", Text, nullable=False),
    Column("status", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("job_id", String),
    Column("fence", BigInteger, nullable=False),
    Column("hls_path", Text),
    Column("thumbnail_path", Text),
    Column("storyboard_path", Text),
    Column("duration_seconds", Double),
    Column("error_reason", Text),
    Column("result", DOCUMENT),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("deleted_at", Double),
    Column("source_purged_at", Double),
)

video_chunks = Table(
    "video_chunks",
    metadata,
    Column("video_id", String, primary_key=True),
    Column("source_sha256", String, primary_key=True),
    Column("plan_hash", String, primary_key=True),
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    Column("segments", DOCUMENT, nullable=False),
    Column("created_at", Double, nullable=False),
)

# No foreign key: a batch job outlives the row of a job that was taken back, and must not keep it from going.
batch_submissions = Table(
    "batch_submissions",
    metadata,
    Column("batch_id", String, primary_key=True),
    Column("job_id", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("submitted_at", Double, nullable=False),
    Column("counted_at", Double),
    Column("missing_times", Integer, nullable=False),
    Column("missing_since", Double),
    Column("state", String),
    Column("reason", Text, nullable=False),
    Column("fence", BigInteger, nullable=False, server_default="0"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("number", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("sink", String, nullable=False),
    Column("id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("at", Double, nullable=False),
    Column("job_id", String, nullable=False),
    Column("tenant", String, nullable=False),
    Column("subject", String),
    Column("data", DOCUMENT, nullable=False),
    Column("trace", String),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    Column("retry_at", Double),
    Column("parked_at", Double),
)

outbox_leads = Table(
    "outbox_leads",
    metadata,
    Column("sink", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("until", Double, nullable=False),
)

# Plain ids: an event stays when what it is about goes (contracts.md 1.5).
ops_events = Table(
    "ops_events",
    metadata,
    Column("id", String, primary_key=True),
    Column("type", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("tenant", String),
    Column("video_id", String),
    Column("job_id", String),
    Column("aws_batch_job_id", String),
    Column("payload", DOCUMENT, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("tell_at", Double),
)

cron_entries = Table(
    "cron_entries",
    metadata,
    Column("name", String, primary_key=True),
    Column("schedule", String, primary_key=True),
    Column("known_since", Double, nullable=False),
)

# No foreign key: what fired is remembered longer than its job.
cron_ticks = Table(
    "cron_ticks",
    metadata,
    Column("name", String, primary_key=True),
    Column("scheduled_at", Double, primary_key=True),
    Column("fired_at", Double, nullable=False),
    Column("job_id", String, nullable=False),
)
