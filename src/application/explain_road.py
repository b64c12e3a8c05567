"""Who brings a waiting or running job on, in words, on each road (docs/recovery.md has the owners)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from src.application.ports.submissions import BatchSubmission
from src.domain.job import Job, JobState
from src.domain.stuck import Patience

OWNER = "`scan-stuck` (`mediaworker run recovery`, or `mediaworker recover scan-stuck`)"
SEEKER = "`reconcile` (`mediaworker run recovery`, or `mediaworker recover reconcile`)"


class Road(Protocol):
    """Sentences about one job."""

    def coming(self, job: Job, now: float) -> Sequence[str]:
        """What is on its way to a job that is due."""

    def owner(self, job: Job, now: float) -> str:
        """Who sees to it that something comes, and when."""

    def again(self, job: Job) -> str:
        """What an operator can do at once."""

    def kept(self, lease: float) -> str:
        """What becomes of a running job whose lease goes on for so many seconds."""

    def lost(self, job: Job, silent: float, now: float) -> Sequence[str]:
        """What becomes of one whose lease is over since so many seconds."""


@dataclass(frozen=True, slots=True)
class QueueRoad:
    """Messages, workers and their wakers."""

    def coming(self, job: Job, now: float) -> Sequence[str]:
        """A message."""
        if _is_unsent(job):
            return ["No message is known to have been sent for it. Next: one, and a free worker receives it."]
        return ["Next: a free worker receives its message from the queue."]

    def owner(self, job: Job, now: float) -> str:
        """The waker."""
        if job.wake_at is None:
            return "Nobody wakes it: it has ended."
        if _is_unsent(job):
            return f"The waker of any worker publishes one {due(job.wake_at, now)}."
        return f"If its message is lost, the waker of any worker publishes another one {due(job.wake_at, now)}."

    def again(self, job: Job) -> str:
        """Another message."""
        return f"`mediaworker jobs retry {job.id}` publishes it now; one too many does no harm."

    def kept(self, lease: float) -> str:
        """Any worker."""
        return f"Its lease runs {span(lease)} more and is renewed while the worker lives; then any worker may take it."

    def lost(self, job: Job, silent: float, now: float) -> Sequence[str]:
        """Any worker, now."""
        first = f"Its lease ran out {span(silent)} ago: the worker is lost, and the next claim takes the job over."
        return [first, self.owner(job, now)]


def _is_unsent(job: Job) -> bool:
    """`Job.published` moves the wake-up away: whoever asked for the job is about to send its message, or could not."""
    return job.state is JobState.QUEUED and job.is_untouched and job.wake_at == job.due_at


@dataclass(frozen=True, slots=True)
class BatchRoad:
    """Containers of AWS Batch, and the recovery jobs. `submissions` are the job's, oldest first."""

    submissions: Sequence[BatchSubmission]
    patience: Patience = field(default_factory=Patience)

    def coming(self, job: Job, now: float) -> Sequence[str]:
        """A container, or what is known of the last one."""
        last = next((one for one in reversed(self.submissions) if one.generation == job.generation), None)
        if last is None:
            return ["Next: AWS Batch starts a container for it. None was asked for yet."]
        asked = f"{ago(last.submitted_at, now)}: AWS Batch was asked for a container (execution {last.attempt})"
        if not last.answered:
            return [f"{asked}, and its answer is not known. {SEEKER} finds out what came of it."]
        if last.counted_at is not None:
            return [f"{asked}: batch job {last.batch_id}, which has ended{_said(last)}. Next: another one."]
        if last.state is not None and last.state.ended:
            return [f"{asked}: batch job {last.batch_id}, which has ended{_said(last)}. {SEEKER} draws the conclusion."]
        known = (
            f"AWS Batch said last that it is {last.state}" if last.state else "AWS Batch was not asked about it since"
        )
        return [
            f"{asked}: batch job {last.batch_id}; {known}{_missing(last)}.",
            "Next: its container starts, and claims the job.",
        ]

    def owner(self, job: Job, now: float) -> str:
        """scan-stuck."""
        if job.wake_at is None:
            return "Nobody looks after it: it has ended."
        return f"{OWNER} looks at it {due(job.wake_at, now)}, and sends a container if none is on its way."

    def again(self, job: Job) -> str:
        """Another container."""
        return f"`mediaworker jobs retry {job.id}` sends a container now; one too many does no harm."

    def kept(self, lease: float) -> str:
        """No other container before the lease is over."""
        return (
            f"Its lease runs {span(lease)} more and is renewed while the container lives; no other one may take it before."
            f" If the container is lost, {OWNER} sends another one."
        )

    def lost(self, job: Job, silent: float, now: float) -> Sequence[str]:
        """What AWS Batch says of the container decides."""
        limit = span(self.patience.silent)
        decision = "when AWS Batch says that its container has ended, it sends another one"
        alive = f"one that lives is left alone until it has been silent for {limit}, and is then terminated"
        first = f"Its lease ran out {span(silent)} ago: nothing is heard of its container."
        return [first, f"{OWNER} looks at it {due(job.wake_at or now, now)}: {decision}; {alive}."]


def _said(one: BatchSubmission) -> str:
    return (f" {one.state}" if one.state else "") + (f" ({one.reason})" if one.reason else "")


def _missing(one: BatchSubmission) -> str:
    return f", and since then {one.missing_times} times that it does not know it" if one.missing_times else ""


def due(at: float, now: float) -> str:
    """When."""
    return f"in {span(at - now)}" if at > now else "at its next round"


def ago(at: float, now: float) -> str:
    """How long ago."""
    return f"{span(now - at)} ago"


def span(seconds: float) -> str:
    """A time in the unit that people would use."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
