"""From the end of an attempt to a durable outcome, and only then to the lock and the message."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from src.application.engine.held import Held, HeldRuns, StopReason
from src.application.engine.intake import lock_key
from src.application.engine.metering import count_attempt, count_returned, count_short
from src.application.engine.options import EngineOptions
from src.application.failpoints import failpoint
from src.application.give_back import release_all
from src.application.metrics import ATTEMPTS, LOST
from src.application.ports.clock import Clock
from src.application.ports.executor import ExecutorEvent, Failed, Progressed, Returned, Snoozed, Stopped, Succeeded
from src.application.ports.ledger import JobLedger, Move
from src.application.ports.lock import Idempotency
from src.application.ports.meter import UNMETERED, Meter
from src.application.ports.queue import QueueConsumer
from src.domain.errors import (
    MESSAGE_LIMIT,
    DatabaseUnavailable,
    DiskFull,
    ErrorReport,
    LeaseLost,
    LockUnavailable,
    NotFound,
    QueueUnavailable,
    Stalled,
)
from src.domain.job import Job

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

RETRY_DELAYS = (0.2, 0.5, 1.0, 2.0)
"""Seconds between tries to write an outcome while the database is away; the last one repeats. The result of a long
encode is kept until it is written, the lease is lost to somebody else, or the worker has to go (reliability.md F07)."""

OUTAGE_SECONDS = 1.0
"""Before a job that an outage broke off can be taken again."""

GiveBack = Callable[[int, float, ErrorReport | None], Move]
"""(fence, seconds before it can be taken again, why if that is an error) -> the move that gives a job back untried"""


def to_the_queue(fence: int, delay_seconds: float, why: ErrorReport | None) -> Move:
    """Where a message brings it again."""
    return lambda job, now: job.hand_back(now, fence=fence, delay_seconds=delay_seconds, error=why)


SNOOZED = "snoozed"
"""In place of an error's class, for a job that asked to wait."""


@dataclass(frozen=True, slots=True)
class Settler:
    """Writes one attempt's outcome with its fence; a superseded attempt writes nothing."""

    ledger: JobLedger
    lock: Idempotency
    queue: QueueConsumer
    held: HeldRuns
    clock: Clock
    options: EngineOptions
    dice: Callable[[], float]
    """random number in [0, 1), for retry jitter"""
    must_go: Callable[[], bool] = lambda: False
    """True when the worker's grace time is over: stop trying to reach a database that is away"""

    outage: Callable[[str, float], bool] = lambda _error_code, _since: False
    """whether an error of this class is that of a backend which was away at some time since then (monotonic)"""
    give_back: GiveBack = to_the_queue

    put_back: Callable[[Sequence[tuple[Job, float]]], object] = lambda _jobs: None
    """messages, each visible after so many seconds, for jobs whose own went in the commit that began them"""
    meter: Meter = UNMETERED

    def settle(self, event: ExecutorEvent) -> Job | None:
        """The row as settled, or None when the outcome is not this worker's to write (lease lost, row gone, no time left)."""
        if isinstance(event, Progressed):  # pragma: no cover - the worker routes progress elsewhere
            raise TypeError("progress does not end an attempt")
        taken = self.held.begin_settling(event.run_id)
        if taken is None:
            return None
        try:
            return self._settle(taken, event)
        finally:
            self.held.remove(taken.run_id)

    def settle_short(self, events: Sequence[Succeeded]) -> Sequence[Held]:
        """Write the successes of short jobs, all together, and acknowledge those that were written; which those are."""
        results = {event.run_id: event.result for event in events}
        many = self.held.begin_settling_all(results)
        if not many:
            return ()
        try:
            failpoint("complete.before")
            # Of two attempts at one job (this worker stood still, and took it again) the later one counts.
            later = sorted(many, key=lambda taken: taken.job.fence)
            wanted = {taken.job.id: (taken.job.fence, results[taken.run_id]) for taken in later}
            written = self._trying(lambda: self.ledger.succeed(wanted), many[0])
            if written is None:
                return ()
            failpoint("complete.committed")
            done: list[Held] = []
            for taken in many:
                if taken.job.id in written and wanted[taken.job.id][0] == taken.job.fence:
                    done.append(taken)
                else:
                    log.warning("outcome.refused", extra=_context(taken, reason="lease lost"))
                    self.meter.add(ATTEMPTS, taken.job.type, LOST)
            self._finish_short(done)
            return done
        finally:
            self.held.remove(*(taken.run_id for taken in many))

    def hand_back_short(self, events: Sequence[Returned]) -> Sequence[Job]:
        """Give back untried the short jobs that were never begun, rows and messages all together. What can't be given back (it was
        to be cancelled, its lease is lost) is settled by itself; the rows of these, where the outcome was ours."""
        many = self.held.begin_settling_all([event.run_id for event in events])
        if not many:
            return ()
        try:
            failpoint("complete.before")
            # Of two attempts at one job (this worker stood still, and took it again) the later one counts.
            wanted = {taken.job.id: taken.job.fence for taken in sorted(many, key=lambda taken: taken.job.fence)}
            given = self._trying(lambda: self.ledger.hand_back(wanted), many[0])
            if given is None:
                return ()
            failpoint("fail.committed")
            back = [taken for taken in many if taken.job.id in given and wanted[taken.job.id] == taken.job.fence]
            self._finish_given_back(back)
            left = set(map(id, many)) - set(map(id, back))
            settled = [self._settle(taken, Returned(taken.run_id)) for taken in many if id(taken) in left]
            return [job for job in settled if job is not None]
        finally:
            self.held.remove(*(taken.run_id for taken in many))

    def _finish_given_back(self, back: Sequence[Held]) -> None:
        log.info("batch.returned", extra={"jobs": len(back)})
        count_returned(self.meter, back)
        for taken in back:
            self._release_lock(taken)
        failpoint("lock.released")
        try:
            release_all(self.queue, [one.delivery for one in back if one.delivery is not None], delay_seconds=0.0)
            self.put_back([(one.job, 0.0) for one in back if one.delivery is None])
        except QueueUnavailable as error:
            log.warning("messages.unsettled", extra={"jobs": len(back), "reason": str(error)})
        failpoint("message.acked")

    def _finish_short(self, done: Sequence[Held]) -> None:
        log.info("batch.settled", extra={"jobs": len(done)})
        count_short(self.meter, done, self.clock.monotonic())
        for taken in done:
            # Only one that came the long way, by a retry, has a lock.
            self._release_lock(taken)
        failpoint("lock.released")
        try:
            self.queue.ack([taken.delivery for taken in done if taken.delivery is not None])
        except QueueUnavailable as error:
            log.warning("messages.unsettled", extra={"jobs": len(done), "reason": str(error)})
        failpoint("message.acked")

    def _settle(self, taken: Held, event: Succeeded | Snoozed | Failed | Stopped | Returned) -> Job | None:
        move = self._move(taken, event)
        if move is None:
            log.warning("attempt.abandoned", extra=_context(taken, reason="lease lost"))
            self.meter.add(ATTEMPTS, taken.job.type, LOST)
            return None
        failpoint("complete.before")
        written = self._write(taken, move)
        if written is None:
            self.meter.add(ATTEMPTS, taken.job.type, LOST)
            return None
        job, now = written
        count_attempt(self.meter, taken, job, self.clock.monotonic())
        failpoint("complete.committed" if isinstance(event, Succeeded) else "fail.committed")
        log.info(
            "attempt.settled",
            extra=_context(taken, state=job.state.value, error_class=job.error.code if job.error else None),
        )
        self._release_lock(taken)
        failpoint("lock.released")
        self._finish_message(taken, job, now)
        failpoint("message.acked")
        return job

    def _move(self, taken: Held, event: Succeeded | Snoozed | Failed | Stopped | Returned) -> Move | None:
        fence = taken.job.fence
        match event:
            case Succeeded(_, result):
                return lambda job, now: job.succeed(now, fence=fence, result=result)
            case Snoozed(_, seconds, reason):
                why = ErrorReport(SNOOZED, reason[:MESSAGE_LIMIT], retryable=True) if reason else None
                return self.give_back(fence, seconds, why)
            case Failed(_, error) if self.outage(error.code, taken.received_at):
                # No fault of the job's, and no reason to count the attempt: it is taken again when the backend is back.
                log.warning("attempt.outage", extra=_context(taken, error_class=error.code, error=error.message))
                return self.give_back(fence, OUTAGE_SECONDS, error)
            case Failed(_, error):
                return self._fail(fence, error)
            case Stopped():
                return self._stopped(taken, fence)
            case Returned():
                return self.give_back(fence, 0.0, None)

    def _stopped(self, taken: Held, fence: int) -> Move | None:
        match taken.stop_reason:
            case StopReason.CANCELLED:
                return lambda job, now: job.cancelled(now, fence=fence)
            case StopReason.STALLED:
                seconds = self.options.stall_seconds
                step = taken.progress.step if taken.progress else "start"
                stalled = Stalled(
                    f"no progress for {seconds:g} s in step {step!r}; the process group was killed",
                    fix="see the attempt's log; raise WORKER_VIDEO__STALL_SECONDS if the work is only slow",
                )
                return self._fail(fence, ErrorReport.of(stalled))
            case StopReason.LEASE_LOST:
                return None
            case StopReason.DRAINED | None:
                return self.give_back(fence, 0.0, None)

    def _fail(self, fence: int, error: ErrorReport) -> Move:
        dice = self.dice()
        scale = self.options.retry_scale
        return lambda job, now: job.fail(now, fence=fence, error=error, dice=dice, scale=scale)

    def _write(self, taken: Held, move: Move) -> tuple[Job, float] | None:
        """Try until it is written, superseded, or the worker must go. Repeating is safe: the move carries the fence, and
        a commit whose reply was lost is found as our own SUCCEEDED, or as a row that left RUNNING under our fence."""
        tries: list[list[float]] = []

        def write() -> tuple[Job, float]:
            times: list[float] = []
            tries.append(times)

            def timed(job: Job, now: float) -> Job:
                times.append(now)
                return move(job, now)

            return self.ledger.change(taken.job.id, timed), times[-1]

        try:
            return self._trying(write, taken)
        except LeaseLost as error:
            if len(tries) > 1 and (ours := self._read_back(taken)):
                return ours
            log.warning("outcome.refused", extra=_context(taken, reason=str(error)))
        except NotFound:
            log.warning("outcome.refused", extra=_context(taken, reason="the row is gone"))
        return None

    def _trying(self, write: Callable[[], Answer], taken: Held) -> Answer | None:
        """Write, however long the database is away; None when the worker must go first."""
        tries = 0
        while True:
            try:
                return write()
            except (DatabaseUnavailable, DiskFull) as error:
                if self.must_go():
                    log.error("outcome.unwritten", extra=_context(taken, reason=str(error)))  # noqa: TRY400 - expected here
                    return None
                if tries == 0:
                    log.warning("outcome.waiting", extra=_context(taken, reason=str(error)))
                self._pause(RETRY_DELAYS[min(tries, len(RETRY_DELAYS) - 1)])
                tries += 1

    def _pause(self, seconds: float) -> None:
        """In slices, so that the end of the grace time is not slept through."""
        while seconds > 0 and not self.must_go():
            self.clock.sleep(min(0.2, seconds))
            seconds -= 0.2

    def _read_back(self, taken: Held) -> tuple[Job, float] | None:
        """After a lost reply: did our own commit go through? Then nobody has claimed since, so the fence is still ours."""
        seen: list[tuple[Job, float]] = []

        def look(job: Job, now: float) -> Job:
            seen.append((job, now))
            return job

        try:
            self.ledger.change(taken.job.id, look)
        except (DatabaseUnavailable, NotFound):
            return None
        job, now = seen[-1]
        return (job, now) if job.fence == taken.job.fence else None

    def _release_lock(self, taken: Held) -> None:
        if taken.lock_token is None:
            return
        try:
            self.lock.release(lock_key(taken.job.id), taken.lock_token)
        except LockUnavailable as error:
            log.warning("lock.release_failed", extra=_context(taken, reason=str(error)))

    def _finish_message(self, taken: Held, job: Job, now: float) -> None:
        try:
            if taken.delivery is None:
                if not job.state.is_terminal:
                    self.put_back([(job, max(0.0, job.due_at - now))])
            elif job.state.is_terminal:
                self.queue.ack([taken.delivery])
            else:
                self.queue.release(taken.delivery, delay_seconds=max(0.0, job.due_at - now))
        except QueueUnavailable as error:
            # The outcome is durable: the message comes back and is recognised (reliability.md F29).
            log.warning("message.unsettled", extra=_context(taken, reason=str(error)))


def _context(taken: Held, **more: object) -> dict[str, object]:
    return {
        "job": taken.job.id,
        "tenant": taken.job.tenant,
        "attempt": taken.job.attempts,
        "fence": taken.job.fence,
        **more,
    }
