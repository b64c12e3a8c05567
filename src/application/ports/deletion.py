"""What the rows say about a video whose objects are to be deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from src.domain.job import Job, JobState
from src.domain.video.video import Video


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One moment's view. `video` is None when there is no row; `active` are its jobs that have not ended; `sharing` are the
    ids of other videos, not deleted, that were made from the same source object."""

    video: Video | None = None
    active: Sequence[Job] = ()
    sharing: Sequence[str] = ()
    encode_asked_at: float | None = None
    """when the job was asked for whose move the video's row shows (epoch seconds of the database); of a job whose row is gone
    (purge-jobs): when the video's row was changed last, which is not before that. None: it shows no job's"""

    @property
    def running(self) -> Job | None:
        """The job that somebody works on, also one whose worker has vanished: it is taken over, or ended."""
        return next((job for job in self.active if job.state is JobState.RUNNING), None)


class VideoStandings(Protocol):
    """Raises DatabaseUnavailable."""

    def standing(self, video_id: str, source_key: str | None) -> Standing:
        """The row, its jobs, and who else needs the object under `source_key` (None: not asked)."""
