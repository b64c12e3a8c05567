"""Rows of videos and finished chunks in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from src.application.ports.clock import Clock
from src.application.ports.ledger import Effect
from src.application.ports.ops_events import Noted
from src.application.ports.videos import Changed, FinishedChunk, Waiting
from src.application.video.effects import VIDEO_EFFECTS, VideoEffect, VideoReady, apply_effect
from src.application.video.request import JOB_TYPE, SUBJECT
from src.domain.errors import NotFound
from src.domain.job import Job, JobState
from src.domain.video.video import Video, VideoStatus
from src.infrastructure.memory.ledger import MemoryApplier, Undo
from src.infrastructure.memory.ops_events import MemoryOpsEvents


@dataclass
class MemoryVideos:
    """VideoRepository. Thread-safe."""

    clock: Clock
    jobs: Callable[[], Sequence[Job]] = tuple
    """every job of the ledger that stands beside this; set it where `waiting` is asked for"""
    _videos: dict[str, Video] = field(default_factory=dict, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def get(self, video_id: str) -> Video:
        """The row."""
        video = self.find(video_id)
        if video is None:
            raise NotFound(f"no video {video_id}")
        return video

    def find(self, video_id: str) -> Video | None:
        """The row, or None."""
        with self._lock:
            return self._videos.get(video_id)

    def add(self, video: Video) -> Video:
        """Insert, or the row that is there."""
        with self._lock:
            now = self.clock.now()
            return self._videos.setdefault(
                video.id,
                replace(video, created_at=video.created_at or now, updated_at=now),
            )

    def waiting(self, *, tenant: str | None = None, limit: int, after: Waiting | None = None) -> Sequence[Video]:
        """Oldest first."""
        jobs = [job for job in self.jobs() if job.type == JOB_TYPE]
        active = self._active()
        cancelled = {job.id for job in jobs if job.state is JobState.CANCELLED}
        with self._lock:
            found = [
                video
                for video in self._videos.values()
                if video.status is VideoStatus.UPLOADED
                and not video.is_deleted
                and tenant in (None, video.tenant)
                and SUBJECT + video.id not in active
                and video.job_id not in cancelled
                and (after is None or (video.created_at, video.id) > after)
            ]
        return sorted(found, key=lambda video: (video.created_at, video.id))[:limit]

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
        active = self._active()
        with self._lock:
            found = [
                video
                for video in self._videos.values()
                if video.status is status
                and video.is_deleted == deleted
                and video.updated_at < before
                and SUBJECT + video.id not in active
                and not (with_source and video.source_purged_at is not None)
                and (after is None or (video.updated_at, video.id) > after)
            ]
        return sorted(found, key=lambda video: (video.updated_at, video.id))[:limit]

    def _active(self) -> set[str | None]:
        return {job.subject for job in self.jobs() if job.type == JOB_TYPE and not job.state.is_terminal}

    def update(self, video_id: str, change: Callable[[Video], Video]) -> Video:
        """Load, change and save."""
        with self._lock:
            old = self.get(video_id)
            new = change(old)
            if new is not old:
                self._videos[video_id] = replace(new, updated_at=self.clock.now())
            return self._videos[video_id]

    def sharing(self, source_key: str | None, *, besides: str) -> list[str]:
        """Other videos, not deleted, with this source."""
        with self._lock:
            return sorted(
                video.id
                for video in self._videos.values()
                if video.source_key == source_key and video.id != besides and not video.is_deleted
            )

    def put_back(self, video_id: str, video: Video | None) -> None:
        """Undo: the row as it was before (None: it was not there)."""
        with self._lock:
            if video is None:
                self._videos.pop(video_id, None)
            else:
                self._videos[video_id] = video


def appliers(
    videos: MemoryVideos, chunks: MemoryChunks | None = None, events: MemoryOpsEvents | None = None
) -> Mapping[type[Effect], MemoryApplier]:
    """For MemoryLedger: how each effect of a video job is written, and taken back. With READY the video's chunks go, as the
    database's applier does it."""
    journal = MemoryOpsEvents(videos.clock) if events is None else events

    def apply(effect: Effect, now: float) -> Undo:
        if not isinstance(effect, VideoEffect):
            raise TypeError(f"{type(effect).__name__} is not about a video")
        video_id, old = effect.video_id, videos.find(effect.video_id)
        new = apply_effect(effect, old, now)
        if new is not None and new is not old:
            videos.put_back(video_id, replace(new, updated_at=now))
        kept, dropped = MemoryChunks() if chunks is None else chunks, list[FinishedChunk]()
        if isinstance(effect, VideoReady) and new is not None and new is not old and new.is_ready:
            dropped = kept.take(video_id)

        def undo() -> None:
            videos.put_back(video_id, old)
            for chunk in dropped:
                kept.add(chunk)

        return undo

    def note(effect: Effect, _now: float) -> Undo:
        if not isinstance(effect, Noted):
            raise TypeError(f"{type(effect).__name__} is no event")
        new, event_id = journal.add(effect.event), effect.event.id
        return lambda: journal.undo(event_id) if new else None

    return {**dict.fromkeys(VIDEO_EFFECTS, apply), Noted: note}


@dataclass
class MemoryChunks:
    """ChunkRepository. Thread-safe."""

    _chunks: dict[tuple[str, str, str, int], FinishedChunk] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def finished(self, video_id: str, source_sha256: str, plan_hash: str) -> Sequence[FinishedChunk]:
        """By index."""
        with self._lock:
            found = [chunk for key, chunk in self._chunks.items() if key[:3] == (video_id, source_sha256, plan_hash)]
        return sorted(found, key=lambda chunk: chunk.index)

    def add(self, chunk: FinishedChunk) -> None:
        """Keep, or replace."""
        with self._lock:
            self._chunks[(chunk.video_id, chunk.source_sha256, chunk.plan_hash, chunk.index)] = chunk

    def forget(self, video_id: str) -> None:
        """Remove all of a video."""
        self.take(video_id)

    def take(self, video_id: str) -> list[FinishedChunk]:
        """Remove all of a video; what they were."""
        with self._lock:
            return [self._chunks.pop(key) for key in list(self._chunks) if key[0] == video_id]
