"""What the rows say about a video that is to be deleted, in one snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from src.application.ports.deletion import Standing
from src.domain.job import ACTIVE_STATES
from src.infrastructure.db.engine import Database
from src.infrastructure.db.rows import to_job
from src.infrastructure.db.tables import jobs, videos
from src.infrastructure.db.videos import load_video

ACTIVE = sorted(state.value for state in ACTIVE_STATES)

MOST_SHARING = 10
"""Enough to know that the object stays, and to say for whom."""


@dataclass
class SqlVideoStandings:
    """VideoStandings. `job_type` and `subject` are those of the jobs that encode videos."""

    database: Database
    job_type: str = "video"

    def standing(self, video_id: str, source_key: str | None) -> Standing:
        """The row, its jobs, and who shares its source."""

        def look(connection: Connection) -> Standing:
            video = load_video(connection, video_id)
            about = (jobs.c.type == self.job_type, jobs.c.subject == f"video:{video_id}", jobs.c.state.in_(ACTIVE))
            others = (
                select(videos.c.id)
                .where(videos.c.source_key == source_key, videos.c.id != video_id, videos.c.deleted_at.is_(None))
                .order_by(videos.c.id)
                .limit(MOST_SHARING)
            )
            asked = None
            if video is not None and video.job_id is not None:
                asked = connection.execute(select(jobs.c.created_at).where(jobs.c.id == video.job_id)).scalar()
                asked = video.updated_at if asked is None else asked
            return Standing(
                video=video,
                active=[to_job(row) for row in connection.execute(select(jobs).where(*about))],
                sharing=[] if source_key is None else list(connection.execute(others).scalars()),
                encode_asked_at=asked,
            )

        return self.database.read(look)
