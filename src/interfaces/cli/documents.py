"""Jobs, attempts and dead letters as the command line shows them. The field names are a promise to scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from src.application.ports.ledger import DeadLetter
from src.application.ports.ops_events import OpsEvent
from src.application.ports.submissions import BatchSubmission
from src.domain.errors import ErrorReport, NetworkError
from src.domain.history import Attempt
from src.domain.job import Job, JobState
from src.domain.progress import ProgressReport
from src.infrastructure.observability.redaction import HIDDEN, SECRET_KEY, redacted

Document = dict[str, Any]

BODY_SHOWN = 4096
"""Characters of a dead message that `dlq show` prints; the backup keeps all."""

DEEPEST = 40
"""Levels of a body that are shown; a document nested deeper can't be printed."""


def iso(at: float | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def status_document(job: Job, reading: ProgressReport | NetworkError | None) -> Document:
    """What `status --json` prints; `progress` is null when its backend did not answer."""
    return {
        "id": job.id,
        "type": job.type,
        "tenant": job.tenant,
        "subject": job.subject,
        "state": job.state.value,
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "generation": job.generation,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "due_at": iso(job.due_at) if job.state in (JobState.QUEUED, JobState.RETRY_WAIT) else None,
        "cancel_requested": job.cancel_requested_at is not None,
        "progress": None if isinstance(reading, NetworkError) else progress_document(job, reading),
        "error": error_document(job.error),
        "result": dict(job.result) if job.result is not None else None,
    }


def progress_document(job: Job, reading: ProgressReport | None) -> Document:
    """The last reading. A job that succeeded is at 100, whatever the last reading said; without one it is at 0."""
    done = job.state is JobState.SUCCEEDED
    if reading is None:
        empty: Document = {"step": None, "step_index": None, "step_total": None, "eta_seconds": None, "parts": {}}
        return {"percent": 100.0 if done else 0.0, **empty, "detail": None}
    document = reading.to_json()
    if done:
        document |= {"percent": 100.0, "eta_seconds": 0.0}
    return document


def error_document(error: ErrorReport | None, *, traceback: bool = False) -> Document | None:
    """Class, message and whether another attempt could help."""
    if error is None:
        return None
    document: Document = {"class": error.code, "message": redacted(error.message), "retryable": error.retryable}
    return document | {"traceback": redacted(error.traceback or "")} if traceback else document


def attempt_document(attempt: Attempt) -> Document:
    """One execution."""
    return {
        "generation": attempt.generation,
        "number": attempt.number,
        "fence": attempt.fence,
        "owner": attempt.owner,
        "started_at": iso(attempt.started_at),
        "ended_at": iso(attempt.ended_at),
        "outcome": attempt.outcome,
        "error": error_document(attempt.error),
    }


def job_document(job: Job, reading: ProgressReport | NetworkError | None, attempts: list[Attempt]) -> Document:
    """Everything about one job."""
    return {
        **status_document(job, reading),
        "payload": shown(job.payload),
        "fence": job.fence,
        "crashes": job.crashes,
        "priority": job.priority,
        "lease_owner": job.lease_owner,
        "lease_until": iso(job.lease_until),
        "trace": job.trace,
        "history": [attempt_document(attempt) for attempt in attempts],
    }


def letter_document(letter: DeadLetter, *, whole: bool = False) -> Document:
    """A dead letter; `whole` adds body and traceback."""
    document: Document = {
        "id": letter.id,
        "job": letter.job_id,
        "type": letter.type,
        "tenant": letter.tenant,
        "queue": letter.queue,
        "attempts": letter.attempts,
        "created_at": iso(letter.created_at),
        "notified_at": iso(letter.notified_at),
        "error": error_document(letter.error, traceback=whole),
    }
    if not whole:
        return document
    return document | {"body": body_document(letter.body), "attributes": shown(letter.attributes)}


def submission_document(submission: BatchSubmission) -> Document:
    """One batch job that was made for a job; `state` is what Batch said last, null before anybody asked;
    SUBMITTING, without an id, while Batch's answer to the submission is not known."""
    return {
        "aws_batch_job_id": submission.batch_id if submission.answered else None,
        "generation": submission.generation,
        "attempt": submission.attempt,
        "submitted_at": iso(submission.submitted_at),
        "state": _state_of(submission),
        "reason": redacted(submission.reason) or None,
        "counted_at": iso(submission.counted_at),
        "missing_times": submission.missing_times,
        "missing_since": iso(submission.missing_since),
    }


def _state_of(submission: BatchSubmission) -> str | None:
    if not submission.answered:
        return "SUBMITTING"
    return submission.state.value if submission.state else None


def event_document(event: OpsEvent) -> Document:
    """One operators' event (contracts.md 1.5)."""
    return {
        "id": event.id,
        "type": event.type.value,
        "severity": event.severity.value,
        "tenant": event.tenant,
        "video": event.video_id,
        "job": event.job_id,
        "aws_batch_job_id": event.aws_batch_job_id,
        "payload": shown(event.payload),
        "created_at": iso(event.created_at),
    }


def shown(value: object, level: int = 0) -> Any:
    """What a message carries, fit to be shown: fields that are named like secrets are hidden, and what looks like one
    in a text; what is nested deeper than any message that we take is left out."""
    if level > DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        return {
            str(name): HIDDEN if SECRET_KEY.search(str(name)) else shown(kept, level + 1)
            for name, kept in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [shown(each, level + 1) for each in value]
    return redacted(value) if isinstance(value, str) else value


def body_document(body: bytes, limit: int | None = BODY_SHOWN) -> object:
    """The body as JSON where it is JSON, else as text with the unreadable bytes escaped. Secrets are hidden: the exact
    bytes are in a purge's backup."""
    try:
        # NaN and its kin are no JSON: as words they can be printed in a document that is.
        return shown(json.loads(body, parse_constant=str))
    except (ValueError, RecursionError):
        return redacted(body.decode("utf-8", "backslashreplace"))[:limit]
