"""What happened to a job and what happens next, in words. Every active state names who moves it on (mission.md E3)."""

from __future__ import annotations

from collections.abc import Sequence

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


def explain(job: Job, attempts: Sequence[Attempt], now: float) -> list[str]:
    """Sentences, in the order of events; the last ones say what comes next."""
    lines = [f"{_ago(job.created_at, now)}: accepted as {job.type} for tenant {job.tenant}."]
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
    return lines + _next(job, now)


def _attempt(attempt: Attempt, now: float) -> str:
    began = f"{_ago(attempt.started_at, now)}: attempt {attempt.number} began on {attempt.owner}"
    if attempt.ended_at is None:
        return f"{began} and runs."
    took = _span(attempt.ended_at - attempt.started_at)
    if attempt.outcome == HANDED_BACK:
        why = (
            attempt.error.code
            if attempt.error
            else "its worker was told to stop, a backend was away, or it asked to wait"
        )
        return f"{began} and was handed back after {took} ({why}), which is not counted: the next one has its number."
    reason = f" ({attempt.error.code})" if attempt.error else ""
    return f"{began} and ended {attempt.outcome} after {took}{reason}."


def _next(job: Job, now: float) -> list[str]:
    match job.state:
        case JobState.QUEUED if job.is_untouched and job.wake_at == job.due_at:
            # `Job.published` moves the wake-up away: whoever asked is about to send the message, or could not.
            published = f"the waker of any worker publishes one {_in(job.wake_at or now, now)}"
            return [
                f"No message is known to have been sent for it. Next: {published}, and a free worker receives it.",
                _again(job),
            ]
        case JobState.QUEUED if job.due_at > now:
            return [f"Due in {_span(job.due_at - now)}.", _waker(job, now), _again(job)]
        case JobState.QUEUED:
            return ["Next: a free worker receives its message from the queue.", _waker(job, now), _again(job)]
        case JobState.RUNNING:
            return _running(job, now)
        case JobState.RETRY_WAIT:
            left = job.max_attempts - job.attempts
            return [
                f"Next: attempt {job.attempts + 1} of at most {job.max_attempts} is due {_in(job.due_at, now)} ({left} left).",
                f"`mediaworker jobs retry {job.id}` starts it now.",
                _waker(job, now),
            ]
        case JobState.SUCCEEDED:
            found = [TAKEN_OVER] if _result_was_there(job) else []
            return [*found, f"{_ago(job.finished_at or now, now)}: succeeded. Nothing more happens."]
        case JobState.CANCELLED:
            return [
                f"{_ago(job.finished_at or now, now)}: cancelled. `mediaworker jobs retry {job.id}` opens it again."
            ]
        case JobState.FAILED:
            return [
                "The error is permanent: the same input would fail again, so it was not retried.",
                _after_failure(job),
            ]
        case JobState.DEAD:
            return [_why_dead(job), f"Next: nothing by itself. Mend the cause, then `mediaworker jobs retry {job.id}`."]


def _result_was_there(job: Job) -> bool:
    """Whether the stream in a job's result is another job's, which encoded the same upload before."""
    path = (job.result or {}).get("hls_path")
    return isinstance(path, str) and job.type == "video" and not is_made_by(path, job.id)


def _after_failure(job: Job) -> str:
    if job.error is not None and job.error.code in SOURCE_FAULTS:
        return (
            "Next: nothing by itself. A retry reads the same copy again: upload a mended source, and ask for a new job."
        )
    return f"Next: nothing by itself. Mend the cause, then `mediaworker jobs retry {job.id}`."


def _running(job: Job, now: float) -> list[str]:
    lease = (job.lease_until or now) - now
    lines = [f"Attempt {job.attempts} of at most {job.max_attempts} belongs to {job.lease_owner} (fence {job.fence})."]
    if job.cancel_requested_at is not None:
        lines.append(f"{_ago(job.cancel_requested_at, now)}: its cancellation was asked for; its worker stops it.")
    if lease > 0:
        lines.append(
            f"Its lease runs {_span(lease)} more and is renewed while the worker lives; then any worker may take it."
        )
    else:
        lines.append(
            f"Its lease ran out {_span(-lease)} ago: the worker is lost, and the next claim takes the job over."
        )
        lines.append(_waker(job, now))
    return lines


def _why_dead(job: Job) -> str:
    policy = POLICIES.get(job.error.policy) if job.error else None
    if job.attempts >= job.max_attempts:
        return f"All {job.max_attempts} attempts are used up."
    if job.error is not None and policy is not None and job.error.policy != "none":
        return f"Errors of this kind ({job.error.code}) are retried {policy.retries} times; those are used up."
    return "It was quarantined: running it again would do harm."


def _waker(job: Job, now: float) -> str:
    if job.wake_at is None:
        return "Nobody wakes it: it has ended."
    return f"If its message is lost, the waker of any worker publishes another one {_in(job.wake_at, now)}."


def _again(job: Job) -> str:
    return f"`mediaworker jobs retry {job.id}` publishes it now; one too many does no harm."


def _in(at: float, now: float) -> str:
    return f"in {_span(at - now)}" if at > now else "at its next round"


def _ago(at: float, now: float) -> str:
    return f"{_span(now - at)} ago"


def _span(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
