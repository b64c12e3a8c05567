"""What happened to a job and what happens next, in words. Every active state names who moves it on (mission.md E3)."""

from __future__ import annotations

from collections.abc import Sequence

from src.application.explain_road import QueueRoad, Road, ago, due, span
from src.domain.errors import CorruptSource, LimitsExceeded, SourceEmpty, TruncatedSource, UnsupportedFormat
from src.domain.history import HANDED_BACK, Attempt
from src.domain.job import Job, JobState
from src.domain.retry import POLICIES
from src.domain.video.keys import is_made_by

SOURCE_FAULTS = frozenset(
    error.code for error in (SourceEmpty, UnsupportedFormat, CorruptSource, TruncatedSource, LimitsExceeded)
)
"""Errors that lie in the bytes of the source, of which the job keeps reading the same copy."""


TAKEN_OVER = (
    "Nothing was encoded: the video showed a stream of this very upload already, which is this job's result."
    " To encode again, upload the film again, under the same key or another, and ask for that."
)


QUEUE = QueueRoad()


def explain(
    job: Job, attempts: Sequence[Attempt], now: float, road: Road = QUEUE, *, deleted_at: float | None = None
) -> list[str]:
    """Sentences, in the order of events; the last ones say what comes next, by the job's road. `deleted_at`: when its video was
    deleted."""
    lines = [f"{ago(job.created_at, now)}: accepted as {job.type} for tenant {job.tenant}."]
    known = 1
    for attempt in attempts:
        if attempt.generation > known:
            # When that was is not kept: it stands where it happened, between the attempts before and after it.
            known = attempt.generation
            lines.append(f"Then an operator opened it again, as generation {known}.")
        lines.append(_attempt(attempt, now))
    if job.generation > known:
        lines.append(f"Then an operator opened it again, as generation {job.generation}, which has had no attempt yet.")
    if job.error is not None and job.state is not JobState.SUCCEEDED:
        lines.append(f"Last error: {job.error.code}: {job.error.message}")
    if deleted_at is not None:
        lines.append(
            f"{ago(deleted_at, now)}: its video {job.payload.get('video_id')} was deleted, which ends its jobs."
        )
        if job.state.is_terminal:
            return [*lines, *_end(job, now, NOT_AGAIN)]
    return lines + _next(job, now, road)


def _attempt(attempt: Attempt, now: float) -> str:
    began = f"{ago(attempt.started_at, now)}: attempt {attempt.number} began on {attempt.owner}"
    if attempt.ended_at is None:
        return f"{began} and runs."
    took = span(attempt.ended_at - attempt.started_at)
    if attempt.outcome == HANDED_BACK:
        why = (
            attempt.error.code
            if attempt.error
            else "its worker was told to stop, a backend was away, or it asked to wait"
        )
        return f"{began} and was handed back after {took} ({why}), which is not counted: the next one has its number."
    reason = f" ({attempt.error.code})" if attempt.error else ""
    return f"{began} and ended {attempt.outcome} after {took}{reason}."


def _next(job: Job, now: float, road: Road) -> list[str]:
    match job.state:
        case JobState.QUEUED if job.due_at > now:
            return [f"Due in {span(job.due_at - now)}.", road.owner(job, now), road.again(job)]
        case JobState.QUEUED:
            return [*road.coming(job, now), road.owner(job, now), road.again(job)]
        case JobState.RUNNING:
            return _running(job, now, road)
        case JobState.RETRY_WAIT:
            left = job.max_attempts - job.attempts
            return [
                f"Next: attempt {job.attempts + 1} of at most {job.max_attempts} is due {due(job.due_at, now)} ({left} left).",
                f"`mediaworker jobs retry {job.id}` starts it now.",
                road.owner(job, now),
            ]
        case _:
            return _end(job, now, _again_after(job))


def _end(job: Job, now: float, next_: str) -> list[str]:
    """Of a job that has ended; `next_` says what can be done about it."""
    match job.state:
        case JobState.SUCCEEDED:
            found = [TAKEN_OVER] if _result_was_there(job) else []
            return [*found, f"{ago(job.finished_at or now, now)}: succeeded. Nothing more happens."]
        case JobState.CANCELLED:
            return [f"{ago(job.finished_at or now, now)}: cancelled. {next_}"]
        case JobState.FAILED:
            return ["The error is permanent: the same input would fail again, so it was not retried.", next_]
        case _:
            return [_why_dead(job), next_]


def _result_was_there(job: Job) -> bool:
    """Whether the stream in a job's result is another job's, which encoded the same upload before."""
    path = (job.result or {}).get("hls_path")
    return isinstance(path, str) and job.type == "video" and not is_made_by(path, job.id)


NOT_AGAIN = (
    "Nothing more happens, and `mediaworker jobs retry` refuses it: a deleted video is not encoded again. Upload the film under another"
    " video id."
)


def _again_after(job: Job) -> str:
    if job.state is JobState.CANCELLED:
        return f"`mediaworker jobs retry {job.id}` opens it again."
    if job.state is JobState.FAILED and job.error is not None and job.error.code in SOURCE_FAULTS:
        return (
            "Next: nothing by itself. A retry reads the same copy again: upload a mended source, and ask for a new job."
        )
    return f"Next: nothing by itself. Mend the cause, then `mediaworker jobs retry {job.id}`."


def _running(job: Job, now: float, road: Road) -> list[str]:
    lease = (job.lease_until or now) - now
    lines = [f"Attempt {job.attempts} of at most {job.max_attempts} belongs to {job.lease_owner} (fence {job.fence})."]
    if job.cancel_requested_at is not None:
        lines.append(f"{ago(job.cancel_requested_at, now)}: its cancellation was asked for; its worker stops it.")
    return [*lines, road.kept(lease)] if lease > 0 else [*lines, *road.lost(job, -lease, now)]


def _why_dead(job: Job) -> str:
    policy = POLICIES.get(job.error.policy) if job.error else None
    if job.attempts >= job.max_attempts:
        return f"All {job.max_attempts} attempts are used up."
    if job.error is not None and policy is not None and job.error.policy != "none":
        return f"Errors of this kind ({job.error.code}) are retried {policy.retries} times; those are used up."
    return "It was quarantined: running it again would do harm."
