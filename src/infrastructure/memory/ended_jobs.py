"""Rows of jobs that ended long ago, in memory, and their going."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass

from src.application.ports.ended_jobs import Outdated, OutdatedPage, Place
from src.application.ports.ledger import DeadLetterFilter
from src.application.ports.outbox import OutboxDesk
from src.application.ports.progress import Progress
from src.application.video.request import JOB_TYPE
from src.domain.job import Job, JobState
from src.domain.video.video import VideoStatus
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.submissions import MemorySubmissions
from src.infrastructure.memory.videos import MemoryVideos


@dataclass
class MemoryEndedJobs:
    """EndedJobs over the memories that hold what hangs on a job."""

    ledger: MemoryLedger
    videos: MemoryVideos
    outbox: OutboxDesk
    submissions: MemorySubmissions
    progress: Progress

    def now(self) -> float:
        """The ledger's."""
        return self.ledger.clock.now()

    def outdated(self, before: float, limit: int, after: Place | None = None) -> OutdatedPage:
        """In the order in which they were asked for."""
        ended = [row for row in self.ledger.rows() if _ended(row, before)]
        rows = sorted(
            (row for row in ended if after is None or _place(row) > after),
            key=_place,
        )[:limit]
        free = [Outdated(row.id, row.created_at) for row in rows if not self._is_kept(row)]
        return OutdatedPage(free, _place(rows[-1]) if len(rows) == limit else None)

    def remove(self, ids: Collection[str], before: float) -> Collection[str]:
        """Under the ledger's lock."""
        return self.ledger.remove(ids, lambda row: _ended(row, before) and not self._is_kept(row), self._forget)

    def _forget(self, job_id: str) -> None:
        self.progress.clear(job_id)
        self.submissions.remove_of(job_id)

    def _is_kept(self, row: Job) -> bool:
        letters = self.ledger.dead_letters.list(DeadLetterFilter(job_id=row.id, limit=1))
        unsent = (each for sink in self.outbox.waiting() for each in self.outbox.kept(sink, sys.maxsize))
        uncounted = (each.counted_at is None for each in self.submissions.of_job(row.id))
        told = any(each.event.job_id == row.id for each in unsent)
        return bool(letters) or told or any(uncounted) or self._says_unwanted(row)

    def _says_unwanted(self, row: Job) -> bool:
        if row.type != JOB_TYPE or row.state is not JobState.CANCELLED:
            return False
        video = self.videos.find(str(row.payload.get("video_id")))
        return (
            video is not None
            and not video.is_deleted
            and (video.job_id, video.status) == (row.id, VideoStatus.UPLOADED)
        )


def _ended(row: Job, before: float) -> bool:
    return row.state.is_terminal and row.finished_at is not None and row.finished_at < before


def _place(row: Job) -> Place:
    return row.created_at, row.id
