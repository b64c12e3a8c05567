"""From a delivery to a claimed job, or to the reason why not."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from src.application.decoders.decoded import Newer, Reference, Requests
from src.application.engine.batch_intake import BatchIntake
from src.application.engine.held import Held
from src.application.engine.metering import OUTCOMES, count_end
from src.application.engine.options import OnLockFailure
from src.application.failpoints import failpoint
from src.application.metrics import DEAD_LETTERS, JOBS
from src.application.ports.ledger import DeadLetter, DeadLetters, TenantFull
from src.application.ports.lock import Idempotency
from src.application.ports.meter import UNMETERED, Meter
from src.application.ports.queue import Delivery
from src.domain.errors import (
    DatabaseUnavailable,
    ErrorReport,
    JobNotFound,
    LockUnavailable,
    NetworkError,
    NotFound,
    Permanent,
    TenantMismatch,
)
from src.domain.job import Busy, ClaimAnswer, Claimed, Finished, Job, JobDraft, JobState, NotDue, Throttled

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)

SOON_SECONDS = 1.0
"""After a refusal that ends at a known time, how much later than that time to look again."""

LOCK_RETRY_SECONDS = 5.0
"""A held lock over a job that nobody runs: its owner died between lock and claim (reliability.md K03)."""

THROTTLE_SECONDS = 5.0
"""When a tenant is at its limit of running jobs; doubled with every refusal up to a minute."""

FOREIGN_SECONDS = 60.0
"""A row whose job type this worker does not know."""

BACK_SECONDS = 5.0
"""After an outage of the database: what those who still hold a job get to renew their lease, or to write their outcome."""

SUBJECT_BUSY_SECONDS = 15.0
"""While another job about the same subject is active."""


def lock_key(job_id: str) -> str:
    """contracts.md 1.4."""
    return f"job:{job_id}:lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake(BatchIntake):
    """Decode, admit, lock, claim. Whatever a message says, it ends acknowledged with a durable outcome, given back, or held."""

    dead_letters: DeadLetters
    lock: Idempotency
    queue_name: str
    redact: Callable[[str], str] = str
    """takes secrets out of an error's texts before they are stored"""
    ended: Callable[[Job], object] = lambda _job: None
    """is told of jobs that ended when they were to be claimed (cancelled, attempts used up)"""
    meter: Meter = UNMETERED
    goes_on: Callable[[], None] = lambda: None
    """is told between two questions to backends"""
    rows_wait: threading.Event = field(default_factory=threading.Event)
    """set when rows were made that have no message yet: the waker has something to do now"""

    def take(self, delivery: Delivery, room: Callable[[], bool] = lambda: True) -> Held | None:
        """The job to run now, or None when the message is dealt with: given back when the job is a long one and there is no
        `room`. Raises DatabaseUnavailable or QueueUnavailable; the message then comes back by itself."""
        self.goes_on()
        failpoint("message.received")
        try:
            decoded = self.decoders.decode(delivery.body, delivery.attributes)
        except Permanent as error:
            self._quarantine(delivery, error)
            return None
        failpoint("message.decoded")
        match decoded:
            case Newer():
                self.queue.release(delivery, delay_seconds=self.options.newer_schema_delay_seconds)
                return None
            case Requests([draft]):
                return self._take_draft(delivery, draft, room)
            case Requests(drafts):
                self._fan_out(delivery, drafts)
                return None
            case Reference(job_id):
                return self._take_job(delivery, job_id, room)

    def broken(self, delivery: Delivery, error: Exception) -> None:
        """Taking the message failed in a way nobody foresaw: give it back, and after several tries keep it aside."""
        if delivery.receive_count is None or delivery.receive_count < self.options.unknown_job_receives:
            self.queue.release(delivery, delay_seconds=float(2 ** (delivery.receive_count or 1)))
            return
        self._quarantine(delivery, error)

    # ------------------------------------------------------------------ kinds of message
    def _take_draft(self, delivery: Delivery, draft: JobDraft, room: Callable[[], bool]) -> Held | None:
        job = self.ledger.admit(draft).job
        if job is None:  # pragma: no cover - only limits reject, and a delivery is admitted without limits
            raise AssertionError("admit without limits never rejects")
        if (job.tenant, job.type) != (draft.tenant, draft.type):
            # Somebody else's job of that id (or about that subject): a message must not drive it (contracts.md 1.2).
            said = f"the message says tenant {draft.tenant!r} and type {draft.type!r}"
            self._quarantine(
                delivery, TenantMismatch(f"{said}, job {draft.id} is another's", fix="use an id of your own")
            )
            return None
        if job.id != draft.id:
            # Another job about the same subject is active: this one waits its turn, and must not be answered with that.
            self.queue.release(delivery, delay_seconds=SUBJECT_BUSY_SECONDS)
            return None
        if job.state.is_terminal:
            self._ack(delivery)
            return None
        return self._take_job(delivery, job.id, room)

    def _fan_out(self, delivery: Delivery, drafts: Sequence[JobDraft]) -> None:
        """Several jobs in one message: each becomes a row of its own, which the waker puts on the queue."""
        rows = [(draft, self.ledger.admit(draft).job) for draft in drafts]
        if any(row is None or row.id != draft.id for draft, row in rows):
            # One of them waits for another job about its subject; admitting the others again changes nothing.
            self.queue.release(delivery, delay_seconds=SUBJECT_BUSY_SECONDS)
            return
        strangers = [draft.id for draft, row in rows if row and (row.tenant, row.type) != (draft.tenant, draft.type)]
        if strangers:
            self._quarantine(delivery, TenantMismatch(f"jobs {', '.join(strangers)} are another's"))
            return
        self._ack(delivery)
        self.rows_wait.set()

    def _take_job(self, delivery: Delivery, job_id: str, room: Callable[[], bool]) -> Held | None:
        token: str | None = None
        try:
            token = self.lock.acquire(lock_key(job_id), ttl_seconds=self.options.lease_seconds)
        except LockUnavailable as error:
            if self.options.on_lock_failure is OnLockFailure.PAUSE:
                log.warning(
                    "lock.unavailable", extra={"job": job_id, "error": str(error), "then": "message given back"}
                )
                self.queue.release(delivery, delay_seconds=LOCK_RETRY_SECONDS)
                return None
            log.warning("lock.unavailable", extra={"job": job_id, "error": str(error), "then": "database claim alone"})
            self.goes_on()
        else:
            if token is None:
                self._look(delivery, job_id)
                return None
        failpoint("lock.acquired")
        try:
            answer = self._claim(job_id, delivery.receive_count or 1, room)
        except NotFound:
            self._unlock(job_id, token)
            self._unknown(delivery, job_id)
            return None
        except NetworkError:
            # The message comes back soon: a lock left behind would keep it waiting for as long as a lease.
            self._unlock(job_id, token)
            raise
        if isinstance(answer, Claimed):
            failpoint("claim.committed")
            now = self.clock.monotonic()
            short = self.is_short(answer.job.type)
            taken = Held(answer.job, delivery, token, received_at=now, last_progress_at=now, short=short)
            self.held.add(taken)
            return taken
        self._unlock(job_id, token)
        self._refused(delivery, job_id, answer)
        return None

    # ------------------------------------------------------------------ steps
    def _claim(self, job_id: str, received: int, room: Callable[[], bool]) -> ClaimAnswer:
        answers: list[ClaimAnswer] = []
        was: list[Job] = []

        def move(job: Job, now: float) -> Job:
            was.append(job)
            if not self.knows(job.type):
                # Another worker's kind of job (another queue's, a newer release's): not ours to fail.
                answers.append(NotDue(FOREIGN_SECONDS))
                return job
            if job.state is JobState.RUNNING and (job.lease_until or 0) <= now and self.database_was_away():
                answers.append(Busy(BACK_SECONDS))
                return job
            after, answer = job.claim(now, owner=self.options.owner, lease_seconds=self.options.lease_seconds)
            if isinstance(answer, Claimed) and not self.is_short(job.type) and not room():
                answers.append(NotDue(0.0))
                return job
            answers.append(answer)
            return after

        try:
            row = self.ledger.change(job_id, move, running_per_tenant=self.options.running_per_tenant)
        except DatabaseUnavailable:
            if self.uncertain is not None and answers and isinstance(answers[-1], Claimed):
                self.uncertain.note(answers[-1].job)
            raise
        except TenantFull:
            return Throttled(min(60.0, THROTTLE_SECONDS * 2 ** min(4, received - 1)))
        if row.state.is_terminal and not was[-1].state.is_terminal:
            count_end(self.meter, row)
            self.ended(row)
        return answers[-1]

    def _look(self, delivery: Delivery, job_id: str) -> None:
        """The lock is somebody else's. That is never a reason to delete a message (lesson 1); only the row is."""
        answers: list[ClaimAnswer] = []

        def look(job: Job, now: float) -> Job:
            later = NotDue(max(job.due_at - now, min(LOCK_RETRY_SECONDS, self.options.lease_seconds / 3)))
            answers.append(job.taken(now) or later)
            return job

        try:
            self.ledger.change(job_id, look)
        except NotFound:
            self._unknown(delivery, job_id)
            return
        self._refused(delivery, job_id, answers[-1])

    def _refused(self, delivery: Delivery, job_id: str, answer: ClaimAnswer) -> None:
        match answer:
            case Finished():
                self._ack(delivery)
            case Busy(seconds):
                self.queue.release(delivery, delay_seconds=seconds + SOON_SECONDS)
            case NotDue(seconds) | Throttled(seconds):
                self.queue.release(delivery, delay_seconds=seconds)
                self.ledger.change(job_id, lambda job, now: job.published(now))
            case Claimed():  # pragma: no cover - handled by the caller
                raise AssertionError("a claimed job is not refused")

    def _unknown(self, delivery: Delivery, job_id: str) -> None:
        """A reference to a row that is not there: perhaps its commit is late (lesson 7), so wait before giving up."""
        if delivery.receive_count is None or delivery.receive_count < self.options.unknown_job_receives:
            waited = float(2 ** (delivery.receive_count or 1))
            self.queue.release(delivery, delay_seconds=min(self.options.unknown_job_delay_seconds, waited))
            return
        self._quarantine(
            delivery,
            JobNotFound(
                f"no job {job_id} in the ledger after {delivery.receive_count} deliveries",
                fix="publish after the commit, or send the full body instead of a reference",
            ),
        )

    def _quarantine(self, delivery: Delivery, error: Exception) -> None:
        """Durable first, then acknowledged."""
        named = self.decoders.named(delivery.body)
        known_type = named.type if named and named.known else None
        digest = hashlib.sha256(delivery.message_id.encode() + b"\0" + delivery.body).hexdigest()[:32]
        letter = DeadLetter(
            id=f"m-{digest}",
            job_id=named.job_id if named else None,
            type=named.type if named else None,
            tenant=named.tenant if named else None,
            queue=self.queue_name,
            body=delivery.body,
            error=ErrorReport.of(error, self.redact),
            attempts=delivery.receive_count or 1,
            created_at=self.clock.now(),
            attributes=delivery.attributes,
        )
        self.dead_letters.add(letter)
        # Types that nobody knows are no labels: whoever makes them up would make series without end.
        self.meter.add(DEAD_LETTERS, known_type or "", letter.error.code)
        if known_type is not None:
            # A job was asked for and failed, though it never had a row.
            self.meter.add(JOBS, known_type, OUTCOMES[JobState.FAILED])
        log.warning(
            "message.quarantined",
            extra={
                "letter": letter.id,
                "job": letter.job_id,
                "error_class": letter.error.code,
                "error": letter.error.message,
            },
        )
        self._ack(delivery)

    def _ack(self, delivery: Delivery) -> None:
        self.queue.ack([delivery])
        failpoint("message.acked")

    def _unlock(self, job_id: str, token: str | None) -> None:
        if token is None:
            return
        try:
            self.lock.release(lock_key(job_id), token)
        except LockUnavailable as error:
            log.warning(
                "lock.release_failed", extra={"job": job_id, "error": str(error), "then": "it expires by itself"}
            )
