"""Between the ledger's rows in Redis and the domain's dataclasses.

A row is one string of seven lines. Scripts read the first and the fifth and never look into the others:

    state fence version lease_until wake_at cancel_requested_at finished_at executions    (- is none)
    [created_at, started_at, due_at, generation, attempts, crashes, lease_owner, error_counts]
    error, or nothing
    result, or nothing
    type <tab> tenant
    subject as a JSON string, or nothing
    [max_attempts, priority, trace, payload]

The last three never change: they are sent once, and the scripts take them over. Names are escaped as in JSON, so that no
name holds the end of a line or a tab.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from typing import Any

from src.domain.errors import ErrorReport
from src.domain.history import Attempt
from src.domain.job import Job, JobDraft, JobState

NONE = "-"

encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
"""A document on one line. Made once: json.dumps with separators makes an encoder at every call."""


MARK = secrets.token_hex(16)
"""Stands between documents that are encoded together, and is never kept. Nobody can put it into a document."""


def encoded(documents: Collection[Mapping[str, Any]]) -> list[str]:
    """Each on one line. A call of the encoder costs more than a small document does, so this is one call."""
    if not documents:
        return []
    together: list[Any] = [MARK] * (2 * len(documents) - 1)
    together[::2] = documents
    return encode(together)[1:-1].split(f',"{MARK}",')


@dataclass(frozen=True, slots=True)
class Row:
    """A job, and what a write must know of its row: the version it was read at, and how many executions history has."""

    job: Job
    version: int
    past: int


quoted = encode_basestring_ascii
"""A text as a JSON string, in ASCII."""


def escaped(name: str) -> str:
    """As it stands in keys and rows."""
    return quoted(name)[1:-1]


def plain(name: bytes) -> str:
    """What `escaped` was given."""
    text = name.decode()
    return str(json.loads(f'"{text}"')) if "\\" in text else text


def lines(values: Iterable[str]) -> str:
    """For the scripts, which split it again."""
    return "\n".join(values) + "\n"


def group(job: Job | JobDraft) -> str:
    """The fifth line."""
    return f"{escaped(job.type)}\t{escaped(job.tenant)}"


def about(job: Job | JobDraft) -> str:
    """The sixth line."""
    return "" if job.subject is None else quoted(job.subject)


def fixed(draft: JobDraft, payload: str) -> str:
    """The last line, for a payload that is encoded."""
    trace = "null" if draft.trace is None else quoted(draft.trace)
    return f"[{draft.max_attempts},{draft.priority},{trace},{payload}]"


def changing(job: Job, version: int, past: int) -> str:
    """The first four lines."""
    moments = (job.lease_until, job.wake_at, job.cancel_requested_at, job.finished_at)
    shown = " ".join(NONE if at is None else repr(float(at)) for at in moments)
    kept = [job.created_at, job.started_at, job.due_at, job.generation, job.attempts, job.crashes, job.lease_owner]
    return lines(
        (
            f"{job.state.value} {job.fence} {version} {shown} {past}",
            encode([*kept, dict(job.error_counts)]),
            "" if job.error is None else encode(job.error.to_json()),
            "" if job.result is None else encode(dict(job.result)),
        )
    )


def to_row(job_id: str, text: bytes) -> Row:
    """A row of its text."""
    first, kept, error, result, names, subject, rest = text.decode().split("\n")
    state, fence, version, lease_until, wake_at, cancel_at, finished_at, past = first.split(" ")
    created_at, started_at, due_at, generation, attempts, crashes, owner, counts = json.loads(kept)
    max_attempts, priority, trace, payload = json.loads(rest)
    job_type, _, tenant = names.encode().partition(b"\t")
    job = Job(
        id=job_id,
        type=plain(job_type),
        tenant=plain(tenant),
        payload=payload,
        subject=json.loads(subject) if subject else None,
        state=JobState(state),
        generation=generation,
        fence=int(fence),
        attempts=attempts,
        crashes=crashes,
        max_attempts=max_attempts,
        error_counts=counts,
        lease_owner=owner,
        lease_until=_moment(lease_until),
        due_at=due_at,
        wake_at=_moment(wake_at),
        cancel_requested_at=_moment(cancel_at),
        created_at=created_at,
        started_at=started_at,
        finished_at=_moment(finished_at),
        priority=priority,
        trace=trace,
        result=json.loads(result) if result else None,
        error=ErrorReport.from_json(json.loads(error)) if error else None,
    )
    return Row(job, int(version), int(past))


def attempt_text(attempt: Attempt) -> str:
    """An execution, without its job's id."""
    error = None if attempt.error is None else attempt.error.to_json()
    return encode(
        {
            "generation": attempt.generation,
            "fence": attempt.fence,
            "number": attempt.number,
            "owner": attempt.owner,
            "started_at": attempt.started_at,
            "ended_at": attempt.ended_at,
            "outcome": attempt.outcome,
            "error": error,
        }
    )


def to_attempt(job_id: str, text: bytes) -> Attempt:
    """An execution of its text."""
    known: Mapping[str, Any] = json.loads(text)
    error = None if known["error"] is None else ErrorReport.from_json(known["error"])
    return Attempt(**{**known, "job_id": job_id, "error": error})


def _moment(text: str) -> float | None:
    return None if text == NONE else float(text)
