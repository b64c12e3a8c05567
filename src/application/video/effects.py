"""What a move of a video job makes true of its video, in the same commit (mission.md V2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from src.application.ports.ledger import Effect
from src.application.ports.ops_events import EventType, Noted, OpsEvent, Severity
from src.domain.job import Job, JobState
from src.domain.video.video import Video


@dataclass(frozen=True, slots=True)
class VideoEffect(Effect):
    """Which video, by which job, under which fence."""

    video_id: str
    tenant: str
    source_key: str
    job_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class VideoQueued(VideoEffect):
    """A job was admitted: the video has a row, made here when the publisher made none."""


@dataclass(frozen=True, slots=True)
class VideoProcessing(VideoEffect):
    """A worker claimed the job (`mark_processing` of the source document)."""


@dataclass(frozen=True, slots=True)
class VideoReady(VideoEffect):
    """The job SUCCEEDED (`complete_video`)."""

    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VideoFailed(VideoEffect):
    """The job FAILED or is DEAD (`fail_video`)."""

    reason: str


@dataclass(frozen=True, slots=True)
class VideoBackToUploaded(VideoEffect):
    """Nobody works on it: handed back or cancelled."""


VIDEO_EFFECTS: tuple[type[VideoEffect], ...] = (
    VideoQueued,
    VideoProcessing,
    VideoReady,
    VideoFailed,
    VideoBackToUploaded,
)


def video_effects(old: Job | None, new: Job) -> Sequence[Effect]:
    """The effects of one move, from its row before (None when admitted) and after."""
    about = (str(new.payload["video_id"]), new.tenant, str(new.payload["file_key"]), new.id, new.fence)
    if old is None:
        return [VideoQueued(*about)]
    if new.state is JobState.RUNNING and new.fence != old.fence:
        return [VideoProcessing(*about)]
    if old.state is new.state:
        return ()
    if new.state is JobState.SUCCEEDED:
        return [VideoReady(*about, result=new.result or {})]
    if new.state in (JobState.FAILED, JobState.DEAD):
        failed = VideoFailed(*about, reason=new.error.message if new.error else new.state.value)
        return [failed, Noted(death_of(new))] if new.state is JobState.DEAD else [failed]
    if new.state is JobState.CANCELLED or (new.state is JobState.QUEUED and old.state is JobState.RUNNING):
        return [VideoBackToUploaded(*about)]
    return ()


def death_of(job: Job) -> OpsEvent:
    """JOB_DEAD, once for each generation of a job, whoever ends it. Its dead letter holds the rest, and is what is told."""
    return OpsEvent(
        id=f"{job.id}.{job.generation}.dead",
        type=EventType.JOB_DEAD,
        severity=Severity.ERROR,
        tenant=job.tenant,
        video_id=str(job.payload["video_id"]),
        job_id=job.id,
        payload={
            "generation": job.generation,
            "attempts": job.attempts,
            "max_attempts": job.max_attempts,
            "error_class": job.error.code if job.error else None,
            "error": job.error.message if job.error else None,
        },
    )


def apply_effect(effect: Effect, video: Video | None, now: float) -> Video | None:
    """The video's next row; one rule for every repository. A missing row is made: publishers of the old message format
    keep their own table. A deleted video stays as it was. None: it is missing and stays so, since its job was closed because
    the video is deleted. Raises TypeError for an effect that is not about videos."""
    if not isinstance(effect, VideoEffect):
        raise TypeError(f"{type(effect).__name__} is not about a video")
    if video is None and isinstance(effect, VideoBackToUploaded):
        return None
    if video is None:
        video = Video(
            id=effect.video_id, tenant=effect.tenant, source_key=effect.source_key, created_at=now, updated_at=now
        )
    if video.tenant != effect.tenant:
        # Another tenant's job names this video: its handler refuses the job, and nothing of it may reach this row.
        return video
    if video.is_deleted:
        return video
    if isinstance(effect, VideoQueued):
        return video.asked_again(effect.job_id)
    if effect.fence < video.fence and effect.job_id == video.job_id:
        return video
    match effect:
        case VideoReady():
            return video.ready(
                job_id=effect.job_id, fence=effect.fence, source_key=effect.source_key, result=effect.result
            )
        case VideoFailed():
            return video.failed(job_id=effect.job_id, fence=effect.fence, reason=effect.reason)
        case VideoProcessing():
            return video.processing(job_id=effect.job_id, fence=effect.fence)
        case VideoBackToUploaded():
            return video.back_to_uploaded(job_id=effect.job_id, fence=effect.fence)
        case _:
            return video
