"""Between rows and the domain's dataclasses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Row

from src.application.ports.ledger import DeadLetter
from src.application.ports.videos import FinishedChunk, StoredSegment
from src.domain.errors import ErrorReport
from src.domain.history import Attempt
from src.domain.job import Job, JobState
from src.domain.video.video import Video, VideoStatus

JOB_FIELDS = tuple(field.name for field in fields(Job))
ATTEMPT_FIELDS = tuple(field.name for field in fields(Attempt))
VIDEO_FIELDS = tuple(field.name for field in fields(Video))
LETTER_FIELDS = tuple(field.name for field in fields(DeadLetter))


def storable(text: str | None) -> str | None:
    """Free text as every database takes it: no NUL (PostgreSQL) and no half of a surrogate pair (neither), which names of
    files and messages of programs can hold. Documents need no such care: JSON writes both as escapes, and `json` columns,
    unlike `jsonb`, keep them."""
    if text is None or ("\x00" not in text and text.isascii()):
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def job_row(job: Job) -> dict[str, Any]:
    """Column values of a job."""
    values = {name: getattr(job, name) for name in JOB_FIELDS}
    values["state"], values["trace"] = job.state.value, storable(job.trace)
    values["payload"], values["error_counts"] = dict(job.payload), dict(job.error_counts)
    values["result"] = None if job.result is None else dict(job.result)
    values["error"] = None if job.error is None else job.error.to_json()
    return values


def to_job(row: Row[Any]) -> Job:
    """A job of its row."""
    values = _values(row, JOB_FIELDS)
    values["state"] = JobState(values["state"])
    values["error"] = to_report(values["error"])
    return Job(**values)


def to_report(document: Mapping[str, Any] | None) -> ErrorReport | None:
    """An error of its document."""
    return None if document is None else ErrorReport.from_json(document)


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    """Column values of an execution."""
    values = {name: getattr(attempt, name) for name in ATTEMPT_FIELDS}
    values["error"] = None if attempt.error is None else attempt.error.to_json()
    return values


def to_attempt(row: Row[Any]) -> Attempt:
    """An execution of its row."""
    values = _values(row, ATTEMPT_FIELDS)
    values["error"] = to_report(values["error"])
    return Attempt(**values)


def letter_row(letter: DeadLetter) -> dict[str, Any]:
    """Column values of a dead letter."""
    values = {name: getattr(letter, name) for name in LETTER_FIELDS}
    values["error"], values["error_class"] = letter.error.to_json(), letter.error.code
    values["attributes"] = dict(letter.attributes)
    return values


def to_letter(row: Row[Any]) -> DeadLetter:
    """A dead letter of its row."""
    values = _values(row, LETTER_FIELDS)
    values["error"] = ErrorReport.from_json(values["error"])
    values["body"] = bytes(values["body"])
    return DeadLetter(**values)


def video_row(video: Video) -> dict[str, Any]:
    """Column values of a video."""
    values = {name: getattr(video, name) for name in VIDEO_FIELDS}
    values["status"] = video.status.value
    values["title"], values["error_reason"] = storable(video.title), storable(video.error_reason)
    values["result"] = None if video.result is None else dict(video.result)
    return values


def to_video(row: Row[Any]) -> Video:
    """A video of its row."""
    values = _values(row, VIDEO_FIELDS)
    values["status"] = VideoStatus(values["status"])
    return Video(**values)


def chunk_row(chunk: FinishedChunk) -> dict[str, Any]:
    """Column values of a finished chunk, without its time."""
    return {
        "video_id": chunk.video_id,
        "source_sha256": chunk.source_sha256,
        "plan_hash": chunk.plan_hash,
        "chunk": chunk.index,
        "segments": [asdict(segment) for segment in chunk.segments],
    }


def to_chunk(row: Row[Any]) -> FinishedChunk:
    """A finished chunk of its row."""
    return FinishedChunk(
        video_id=row.video_id,
        source_sha256=row.source_sha256,
        plan_hash=row.plan_hash,
        index=row.chunk,
        segments=tuple(StoredSegment(**segment) for segment in row.segments),
    )


def _values(row: Row[Any], names: Sequence[str]) -> dict[str, Any]:
    found = row._asdict()
    return {name: found[name] for name in names}
