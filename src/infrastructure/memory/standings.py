"""What the rows in memory say about a video that is to be deleted."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from src.application.ports.deletion import Standing
from src.application.ports.ledger import JobFilter
from src.infrastructure.memory.ledger import MemoryJobQueries
from src.infrastructure.memory.videos import MemoryVideos


@dataclass
class MemoryVideoStandings:
    """VideoStandings over the two memories."""

    jobs: MemoryJobQueries
    videos: MemoryVideos
    job_type: str = "video"

    def standing(self, video_id: str, source_key: str | None) -> Standing:
        """The row, its jobs, and who shares its source."""
        video = self.videos.find(video_id)
        encodes = self.jobs.list(JobFilter(type=self.job_type, limit=sys.maxsize))
        asked = None
        if video is not None and video.job_id is not None:
            shown = self.jobs.find(video.job_id)
            asked = video.updated_at if shown is None else shown.created_at
        return Standing(
            video=video,
            active=[job for job in encodes if job.subject == f"video:{video_id}" and not job.state.is_terminal],
            sharing=self.videos.sharing(source_key, besides=video_id),
            encode_asked_at=asked,
        )
