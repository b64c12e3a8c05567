"""Rows of videos and of their finished chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Exists, and_, delete, exists, or_, select, update

from src.application.ports.ledger import Effect
from src.application.ports.ops_events import Noted
from src.application.ports.outbox import Announced
from src.application.ports.videos import Changed, FinishedChunk, Waiting
from src.application.video.effects import VIDEO_EFFECTS, VideoEffect, VideoReady, apply_effect
from src.application.video.request import JOB_TYPE, SUBJECT
from src.domain.errors import NotFound
from src.domain.job import JobState
from src.domain.video.video import Video, VideoStatus
from src.infrastructure.db.engine import Database, database_now, upsert
from src.infrastructure.db.ledger import Applier
from src.infrastructure.db.ops_events import write_event
from src.infrastructure.db.outbox import announce
from src.infrastructure.db.queries import ACTIVE
from src.infrastructure.db.rows import chunk_row, to_chunk, to_video, video_row
from src.infrastructure.db.tables import jobs, video_chunks as chunks, videos

CHUNK_KEY = ("video_id", "source_sha256", "plan_hash", "chunk")


@dataclass
class SqlVideos:
    """VideoRepository."""

    database: Database

    def get(self, video_id: str) -> Video:
        """The row."""
        video = self.find(video_id)
        if video is None:
            raise NotFound(f"no video {video_id}")
        return video

    def find(self, video_id: str) -> Video | None:
        """The row, or None."""
        return self.database.read(lambda connection: load_video(connection, video_id))

    def add(self, video: Video) -> Video:
        """Insert, or the row that is there."""

        def insert(connection: Connection) -> Video:
            now = database_now(connection)
            row = video_row(replace(video, created_at=video.created_at or now, updated_at=now))
            upsert(connection, videos, row, keys=["id"])
            return to_video(connection.execute(select(videos).where(videos.c.id == video.id)).one())

        return self.database.write(insert)

    def waiting(self, *, tenant: str | None = None, limit: int, after: Waiting | None = None) -> Sequence[Video]:
        """Oldest first."""
        active = _has_active_job()
        cancelled = exists().where(jobs.c.id == videos.c.job_id, jobs.c.state == JobState.CANCELLED.value)
        uploaded = and_(videos.c.status == VideoStatus.UPLOADED.value, videos.c.deleted_at.is_(None))
        query = select(videos).where(uploaded, ~active, ~cancelled)
        if tenant is not None:
            query = query.where(videos.c.tenant == tenant)
        if after is not None:
            at, last = after
            query = query.where(or_(videos.c.created_at > at, and_(videos.c.created_at == at, videos.c.id > last)))
        query = query.order_by(videos.c.created_at, videos.c.id).limit(limit)
        return self.database.read(lambda connection: [to_video(row) for row in connection.execute(query)])

    def idle(
        self,
        status: VideoStatus,
        *,
        before: float,
        limit: int,
        after: Changed | None = None,
        with_source: bool = False,
        deleted: bool = False,
    ) -> Sequence[Video]:
        """Oldest change first."""
        wanted = videos.c.deleted_at.is_not(None) if deleted else videos.c.deleted_at.is_(None)
        old = and_(videos.c.status == status.value, wanted, videos.c.updated_at < before)
        query = select(videos).where(old, ~_has_active_job())
        if with_source:
            query = query.where(videos.c.source_purged_at.is_(None))
        if after is not None:
            at, last = after
            query = query.where(or_(videos.c.updated_at > at, and_(videos.c.updated_at == at, videos.c.id > last)))
        query = query.order_by(videos.c.updated_at, videos.c.id).limit(limit)
        return self.database.read(lambda connection: [to_video(row) for row in connection.execute(query)])

    def update(self, video_id: str, change: Callable[[Video], Video]) -> Video:
        """Load, change and save in one transaction."""

        def run(connection: Connection) -> Video:
            old = load_video(connection, video_id, lock=True)
            if old is None:
                raise NotFound(f"no video {video_id}")
            return save_video(connection, old, change(old), database_now(connection))

        return self.database.write(run)


def _has_active_job() -> Exists:
    return exists().where(
        jobs.c.type == JOB_TYPE,
        jobs.c.subject == SUBJECT + videos.c.id,
        jobs.c.state.in_(ACTIVE),
    )


@dataclass
class SqlChunks:
    """ChunkRepository."""

    database: Database

    def finished(self, video_id: str, source_sha256: str, plan_hash: str) -> Sequence[FinishedChunk]:
        """By index."""
        query = (
            select(chunks)
            .where(
                chunks.c.video_id == video_id,
                chunks.c.source_sha256 == source_sha256,
                chunks.c.plan_hash == plan_hash,
            )
            .order_by(chunks.c.chunk)
        )
        return self.database.read(lambda connection: [to_chunk(row) for row in connection.execute(query)])

    def add(self, chunk: FinishedChunk) -> None:
        """Keep, or replace."""

        def write(connection: Connection) -> None:
            row = chunk_row(chunk) | {"created_at": database_now(connection)}
            upsert(connection, chunks, row, keys=CHUNK_KEY, update=("segments", "created_at"))

        self.database.write(write)

    def forget(self, video_id: str) -> None:
        """Remove all of a video."""
        self.database.write(lambda connection: connection.execute(delete(chunks).where(chunks.c.video_id == video_id)))


def apply_video_effect(connection: Connection, effect: Effect, now: float) -> None:
    """What a move of a job makes true of its video, in the move's transaction (application/video/effects.py)."""
    if not isinstance(effect, VideoEffect):
        raise TypeError(f"{type(effect).__name__} is not about a video")
    old = load_video(connection, effect.video_id, lock=True)
    new = apply_effect(effect, old, now)
    if new is None:
        return
    if isinstance(effect, VideoReady) and new is not old and new.is_ready:
        # Nothing is left to resume. Until this commit a lost reply still needs them.
        connection.execute(delete(chunks).where(chunks.c.video_id == effect.video_id))
    if old is not None:
        save_video(connection, old, new, now)
        return
    row = video_row(new)
    upsert(connection, videos, row, keys=["id"], update=[column for column in row if column != "created_at"])


def appliers() -> Mapping[type[Effect], Applier]:
    """For SqlLedger: how each effect of a video job is written."""
    return {**dict.fromkeys(VIDEO_EFFECTS, apply_video_effect), Noted: _note, Announced: announce}


def _note(connection: Connection, effect: Effect, now: float) -> None:
    if not isinstance(effect, Noted):
        raise TypeError(f"{type(effect).__name__} is no event")
    write_event(connection, effect.event, now)


def load_video(connection: Connection, video_id: str, *, lock: bool = False) -> Video | None:
    """The row inside a transaction, locked where the database locks rows."""
    query = select(videos).where(videos.c.id == video_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else to_video(row)


def save_video(connection: Connection, old: Video, new: Video, now: float) -> Video:
    """Write what changed inside a transaction; the row as it now stands."""
    if new is old:
        return old
    saved = replace(new, updated_at=now)
    connection.execute(update(videos).where(videos.c.id == old.id).values(**video_row(saved)))
    return saved
