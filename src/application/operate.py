"""What an operator does to jobs: cancel, retry, requeue dead letters, purge them. None of it needs a live worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from src.application.ports.clock import Clock
from src.application.ports.dispatch import Dispatch
from src.application.ports.ledger import (
    DeadLetter,
    DeadLetterFilter,
    DeadLetters,
    JobLedger,
)
from src.application.ports.queue import Envelope, QueuePublisher
from src.domain.errors import Conflict, NotFound
from src.domain.job import Job, JobState

PAGE = 200
"""Letters read at a time; a body has at most 256 KiB."""


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Ends a waiting job at once; asks the worker of a running one to stop it."""

    ledger: JobLedger

    def cancel(self, job_id: str) -> Job:
        """The row after it. Raises NotFound, Conflict when the job has ended otherwise, DatabaseUnavailable."""
        return self.ledger.change(job_id, lambda job, now: job.request_cancel(now))


def _anything(_job: Job) -> None:
    """No job is known beforehand to fail."""


@dataclass(frozen=True, slots=True)
class RetryJob:
    """Starts a job now: a waiting retry at once, a queued job by another message (one too many does no harm: the claim decides),
    an ended job in a new generation (its old dead letter goes in the same commit)."""

    ledger: JobLedger
    dispatch: Dispatch
    may_start: Callable[[Job], None] = _anything
    """raises Conflict for a job that could only fail; asked before anything is changed"""

    def retry(self, job_id: str) -> Job:
        """The row after it. Raises NotFound, Conflict when the job runs, DatabaseUnavailable, what `may_start`
        raises (then nothing was changed), and what `dispatch` raises (then the job is due already, and the recovery owner of its road brings it on)."""

        self.may_start(self.ledger.change(job_id, lambda job, _now: job))

        def move(job: Job, now: float) -> Job:
            return job.retry_now(now) if job.state in (JobState.RETRY_WAIT, JobState.QUEUED) else job.reopen(now)

        return self._set_going(self.ledger.change(job_id, move))

    def retry_failed(self, job_id: str, generation: int) -> Job:
        """As `retry`, only for the failed generation that a dead letter tells of. Raises Conflict otherwise."""

        self.may_start(self.ledger.change(job_id, lambda job, _now: job))

        def move(job: Job, now: float) -> Job:
            if job.generation != generation or job.state not in (JobState.FAILED, JobState.DEAD):
                raise Conflict(f"job {job.id} has moved on: generation {job.generation}, {job.state}")
            return job.reopen(now)

        return self._set_going(self.ledger.change(job_id, move))

    def _set_going(self, job: Job) -> Job:
        # After the commit, never before: a worker must not meet a message whose row still says ended (lesson 7).
        self.dispatch.dispatch(job)
        return self.ledger.change(job.id, lambda row, now: row.published(now))


@dataclass(frozen=True, slots=True)
class Requeued:
    """What became of one letter: `done`, or the reason why not."""

    letter: DeadLetter
    done: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RequeueDeadLetters:
    """Gives dead letters another chance. A letter is removed after its job or message is safely on its way again."""

    ledger: JobLedger
    dead_letters: DeadLetters
    publisher: QueuePublisher
    """for bare messages"""
    dispatch: Dispatch
    """for jobs"""
    clock: Clock
    may_start: Callable[[Job], None] = _anything
    """as RetryJob's"""

    def requeue(
        self, criteria: DeadLetterFilter, *, dry_run: bool = False, per_second: float | None = None
    ) -> Iterator[Requeued]:
        """One answer per letter that matches, as it happens; `limit` and `offset` of the criteria are ours. With
        `dry_run` nothing changes. Raises DatabaseUnavailable, QueueUnavailable, and what `dispatch` raises."""
        for number, letter in enumerate(_snapshot(self.dead_letters, criteria)):
            if dry_run:
                yield Requeued(letter, done=False, reason="dry run")
                continue
            if per_second and number:
                self.clock.sleep(1 / per_second)
            yield self._requeue(letter)

    def _requeue(self, letter: DeadLetter) -> Requeued:
        if letter.job_id is None or not letter.is_job:
            self.publisher.publish([Envelope(body=letter.body, key=letter.id, attributes=letter.attributes)])
        else:
            try:
                RetryJob(self.ledger, self.dispatch, self.may_start).retry_failed(letter.job_id, _generation(letter))
            except (Conflict, NotFound) as error:
                return Requeued(letter, done=False, reason=str(error))
        # A job's letter has gone with its new generation; a bare message's goes only now that it is published again.
        self.dead_letters.remove([letter.id])
        return Requeued(letter, done=True)


@dataclass(frozen=True, slots=True)
class PurgeDeadLetters:
    """Forgets dead letters, after `backup` has kept them."""

    dead_letters: DeadLetters

    def purge(
        self, criteria: DeadLetterFilter, backup: Callable[[Sequence[DeadLetter]], None], *, dry_run: bool = False
    ) -> int:
        """How many (would) go. A page is removed only when `backup` has returned for it. Raises DatabaseUnavailable."""
        letters = _snapshot(self.dead_letters, criteria)
        if dry_run:
            return len(letters)
        removed = 0
        for first in range(0, len(letters), PAGE):
            page = letters[first : first + PAGE]
            backup(page)
            removed += self.dead_letters.remove([letter.id for letter in page])
        return removed


def _snapshot(dead_letters: DeadLetters, criteria: DeadLetterFilter) -> Sequence[DeadLetter]:
    """All that match now: a job that dies again while we requeue must not be requeued again by the same call."""
    found: dict[str, DeadLetter] = {}
    offset = 0
    while page := dead_letters.list(replace(criteria, limit=PAGE, offset=offset)):
        found.update((letter.id, letter) for letter in page)
        offset += len(page)
    return list(found.values())


def _generation(letter: DeadLetter) -> int:
    """The ledger names a job's letters `{job id}.{generation}`."""
    return int(letter.id.rpartition(".")[2])
