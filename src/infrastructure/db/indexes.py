"""The indexes of the tables. Apart, because describing a partial index loads the module of every database named in it,
and a worker needs only its own (0.1 s of its start). Imported by migrations/env.py.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, MetaData, text

from src.infrastructure.db.content_tables import cached_content, media_sessions, media_views
from src.infrastructure.db.tables import (
    batch_submissions,
    dead_letters,
    jobs,
    metadata,
    ops_events,
    outbox,
    queue_messages,
    videos,
)

ACTIVE = "state IN ('QUEUED', 'RUNNING', 'RETRY_WAIT')"
"""The states of domain/job.py's ACTIVE_STATES."""


def _partial(name: str, *columns: Column[Any], where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


INDEXES = (
    _partial(
        "one_active_job_per_subject",
        jobs.c.type,
        jobs.c.subject,
        where=f"{ACTIVE} AND subject IS NOT NULL",
        unique=True,
    ),
    _partial("jobs_to_wake", jobs.c.wake_at, where="wake_at IS NOT NULL"),
    Index("jobs_by_tenant", jobs.c.tenant, jobs.c.state),
    Index("jobs_by_age", jobs.c.created_at),
    Index("dead_letters_by_age", dead_letters.c.created_at),
    Index("dead_letters_by_job", dead_letters.c.job_id),
    _partial("dead_letters_to_tell", dead_letters.c.created_at, where="notified_at IS NULL"),
    Index(
        "queue_messages_ready",
        queue_messages.c.queue,
        queue_messages.c.priority,
        queue_messages.c.visible_at,
        # Messages of one bulk publish are equally old: without the id PostgreSQL sorts all of them for every receive.
        queue_messages.c.id,
    ),
    Index("queue_messages_by_key", queue_messages.c.queue, queue_messages.c.key),
    Index("videos_by_status", videos.c.status, videos.c.updated_at),
    Index("batch_submissions_by_job", batch_submissions.c.job_id, batch_submissions.c.submitted_at),
    _partial(
        "batch_submissions_open",
        batch_submissions.c.submitted_at,
        batch_submissions.c.batch_id,
        where="counted_at IS NULL",
    ),
    Index("ops_events_by_age", ops_events.c.created_at, ops_events.c.id),
    Index("ops_events_by_job", ops_events.c.job_id, ops_events.c.created_at),
    _partial("ops_events_to_tell", ops_events.c.tell_at, where="tell_at IS NOT NULL"),
    Index("outbox_once", outbox.c.sink, outbox.c.id, unique=True),
    _partial("outbox_in_turn", outbox.c.sink, outbox.c.number, where="parked_at IS NULL"),
    _partial("outbox_held", outbox.c.sink, outbox.c.job_id, outbox.c.number, where="error IS NOT NULL"),
    Index("videos_by_source", videos.c.source_key),
    Index("cached_content_by_access", cached_content.c.last_accessed, cached_content.c.content_id),
    Index("media_sessions_by_end", media_sessions.c.expires_at),
    Index("media_views_by_time", media_views.c.viewed_at),
)
"""Building them adds them to their tables."""


def complete_metadata() -> MetaData:
    """All tables with all indexes: what the migrations have to arrive at."""
    return metadata
