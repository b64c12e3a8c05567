"""One job, then the end: the life of a container that was started for a job (contracts.md 1.7, decision 0015).

Handler, ledger, fence, keeper, settler and executor are those of the queue's worker. There is no queue: whoever owns retries
sends a container, so a container that was started takes its job whatever time the row says, and what it can't finish waits in
RETRY_WAIT.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from src.application.engine.held import Held, HeldRuns, StopReason, work_order
from src.application.engine.intake import lock_key
from src.application.engine.keeper import Keeper
from src.application.engine.options import EngineOptions, OnLockFailure
from src.application.engine.progress_writer import ProgressWriter
from src.application.engine.settler import Settler
from src.application.engine.stop import StopSwitch
from src.application.engine.verdict import Event, Verdict, of_ended, of_outcome
from src.application.failpoints import failpoint
from src.application.guard import Gone, Guard, Made
from src.application.ports.clock import Clock
from src.application.ports.executor import Executor, Progressed, Succeeded
from src.application.ports.ledger import JobLedger
from src.application.ports.lock import Idempotency
from src.domain.errors import DatabaseUnavailable, LockUnavailable, NotFound, WorkerError
from src.domain.job import Busy, ClaimAnswer, Claimed, Finished, Job, JobState

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

DATABASE_SECONDS = 60.0
"""How long a database that is away is asked again before the container gives up. Its row then says what it said."""

ASK_AGAIN_SECONDS = 1.0
"""Between two tries of the database or the lock."""

LAST_READING_SECONDS = 2.0
"""What the last readings of progress are waited for: a store that hangs must not outlast the grace time."""

EVENTS_SECONDS = 0.2
"""Longest wait for the executor before a signal is looked for."""


@dataclass(slots=True)
class OneShot:
    """One process, one job. `run` blocks until the end and starts nothing before everything says that there is work to do."""

    ledger: JobLedger
    lock: Idempotency
    executor: Executor
    settler: Settler
    keeper: Keeper
    progress: ProgressWriter
    held: HeldRuns
    clock: Clock
    options: EngineOptions
    stop: StopSwitch
    guard_of: Callable[[str], Guard]
    """the guard of a job type. Raises UnknownJobType"""
    bind: Callable[[Job], object] = lambda _job: None
    """is told whose job this is, as soon as that is known"""
    prepare: Callable[[], object] = lambda: None
    """the checks that only work needs. Raises ConfigError"""
    ended: Callable[[Job], object] = lambda _job: None
    """is told of a job that has ended, whoever ended it; called again for the same end it must do no harm"""
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self, job_id: str) -> Verdict:
        """How it ended. Raises ConfigError, UnknownJobType, DatabaseUnavailable, StorageUnavailable or LockUnavailable when it
        did not begin; then the row says what it said."""
        try:
            verdict = self._run(job_id)
        except NotFound:
            return Verdict(Event.NOT_FOUND)
        if verdict.job is not None and verdict.job.state.is_terminal:
            try:
                self.ended(verdict.job)
            except Exception:
                # The end is written; what should follow from it has owners of its own who look again.
                log.exception("end.untold")
        return verdict

    def _run(self, job_id: str) -> Verdict:
        job, answer = self._asking(lambda: self._look(job_id))
        self.bind(job)
        guard = self.guard_of(job.type)
        if answer is not None:
            return of_ended(job, answer)
        if job.cancel_requested_at is None:
            match guard(job):
                case Made(result):
                    return self._complete(job, result)
                case Gone(reason):
                    return self._close(job, reason)
        if self.stop.requested:
            return Verdict(Event.TERMINATED, job, {"signal": self.stop.name})
        self.prepare()
        return self._locked(job)

    # ------------------------------------------------------------------ before the work
    def _look(self, job_id: str) -> tuple[Job, Busy | Finished | None]:
        """The row, and why there is nothing to do. What follows decides again, under the row's lock."""
        answers: list[Busy | Finished | None] = []

        def look(job: Job, now: float) -> Job:
            answers.append(job.taken(now))
            return job

        return self.ledger.change(job_id, look), answers[-1]

    def _complete(self, job: Job, result: Mapping[str, object]) -> Verdict:
        answers: list[Busy | Finished] = []

        def move(row: Job, now: float) -> Job:
            after, answer = row.made_already(now, owner=self.options.owner, result=result)
            answers.append(answer)
            return after

        row = self._asking(lambda: self.ledger.change(job.id, move))
        if row.state is JobState.SUCCEEDED:
            return Verdict(Event.READY, row)
        return of_ended(row, answers[-1])

    def _close(self, job: Job, reason: str) -> Verdict:
        def move(row: Job, now: float) -> Job:
            if row.state.is_terminal:
                return row
            # One that waits ends at once; one whose worker vanished ends by the claim, which looks for that.
            closed = row.request_cancel(now)
            return closed.claim(now, owner=self.options.owner, lease_seconds=self.options.lease_seconds)[0]

        row = self._asking(lambda: self.ledger.change(job.id, move))
        return Verdict(Event.DELETED, row, {"reason": reason})

    def _locked(self, job: Job) -> Verdict:
        token = self._wait_for_lock(job)
        if isinstance(token, Verdict):
            return token
        failpoint("lock.acquired")
        answer: ClaimAnswer | None = None
        try:
            answer = self._claim(job.id)
        finally:
            if not isinstance(answer, Claimed):
                self._unlock(job, token)
        if isinstance(answer, Claimed):
            failpoint("claim.committed")
            return self._perform(answer.job, token)
        return of_ended(self._asking(lambda: self._look(job.id))[0], answer, here=True)

    def _wait_for_lock(self, job: Job) -> str | Verdict | None:
        """A token, None to go without one, or why not. Somebody's lock says little (lesson 1), the row says it: a lock that
        outlives its owner ends with its time."""
        began = self.clock.monotonic()
        while not self.stop.requested:
            try:
                token = self.lock.acquire(lock_key(job.id), ttl_seconds=self.options.lease_seconds)
            except LockUnavailable as error:
                if self.options.on_lock_failure is OnLockFailure.PAUSE:
                    raise
                log.warning("lock.unavailable", extra={"error": str(error), "then": "database claim alone"})
                return None
            if token is not None:
                return token
            row, answer = self._asking(lambda: self._look(job.id))
            if answer is not None:
                return of_ended(row, answer)
            if self.clock.monotonic() - began > self.options.lease_seconds + ASK_AGAIN_SECONDS:
                return Verdict(Event.TAKEN, row, {"reason": "its lock is held"})
            self.clock.sleep(ASK_AGAIN_SECONDS)
        return Verdict(Event.TERMINATED, job, {"signal": self.stop.name})

    def _unlock(self, job: Job, token: str | None) -> None:
        if token is None:
            return
        try:
            self.lock.release(lock_key(job.id), token)
        except LockUnavailable as error:
            log.warning("lock.release_failed", extra={"error": str(error), "then": "it expires by itself"})

    def _claim(self, job_id: str) -> ClaimAnswer:
        answers: list[ClaimAnswer] = []

        def move(job: Job, now: float) -> Job:
            if answers and isinstance(answers[-1], Claimed) and _same_claim(answers[-1].job, job):
                # Committed, and only the answer was lost.
                return job
            after, answer = job.claim(
                now, owner=self.options.owner, lease_seconds=self.options.lease_seconds, early=True
            )
            answers.append(answer)
            return after

        self._asking(lambda: self.ledger.change(job_id, move))
        return answers[-1]

    def _asking(self, ask: Callable[[], Answer]) -> Answer:
        """Ask a database that may be away for a moment. Raises DatabaseUnavailable when it is for longer, or we must go."""
        began = self.clock.monotonic()
        while True:
            try:
                return ask()
            except DatabaseUnavailable as error:
                if self.stop.requested or self.clock.monotonic() - began > DATABASE_SECONDS:
                    raise
                log.warning("database.away", extra={"error": str(error)})
                self.clock.sleep(ASK_AGAIN_SECONDS)

    # ------------------------------------------------------------------ the work
    def _perform(self, job: Job, token: str | None) -> Verdict:
        now = self.clock.monotonic()
        taken = Held(job, None, token, received_at=now, last_progress_at=now)
        self.held.add(taken)
        log.info(
            Event.START.value, extra={"attempt": job.attempts, "max_attempts": job.max_attempts, "fence": job.fence}
        )
        loops = [
            threading.Thread(target=self._loop, args=(name, turn, pause), name=name, daemon=True)
            for name, turn, pause in (
                ("keeper", self.keeper.tick, self.options.watch_seconds),
                ("progress", self.progress.tick, 0.25),
            )
        ]
        for loop in loops:
            loop.start()
        try:
            self.executor.start(work_order(taken))
            return self._until_the_end(taken)
        finally:
            self._over.set()
            self.executor.close()
            for loop in loops:
                loop.join(timeout=2)
            self.progress.finish(LAST_READING_SECONDS)

    def _until_the_end(self, taken: Held) -> Verdict:
        while self.held.get(taken.run_id) is not None:
            if self.stop.requested and self.held.request_stop(taken, StopReason.DRAINED, self.clock.monotonic()):
                self.executor.stop(taken.run_id, StopReason.DRAINED.value)
            for event in self.executor.events(EVENTS_SECONDS):
                if isinstance(event, Progressed):
                    self._progressed(taken, event)
                    continue
                row = self.settler.settle(event)
                made = isinstance(event, Succeeded)
                self.progress.ended(taken.job.id, succeeded=made and row is not None)
                return of_outcome(taken.job, row, made=made, stop=self.stop)
        # The keeper gave it up: stopped, and it never said that it is.
        return of_outcome(taken.job, None, made=False, stop=self.stop)

    def _progressed(self, taken: Held, event: Progressed) -> None:
        taken.heard(event.report, self.clock.monotonic())
        self.progress.offer(taken.job.id, taken.job.fence, event.report)

    def _loop(self, name: str, turn: Callable[[], object], pause: float) -> None:
        while not self._over.is_set():
            try:
                turn()
            except WorkerError as error:
                log.warning("loop.failed", extra={"loop": name, "error_class": error.code, "error": str(error)})
            except Exception:
                # The loops keep the lease alive: a bug in one turn must not stop them. It is logged with its traceback.
                log.exception("loop.broken", extra={"loop": name})
            self._over.wait(pause)


def _same_claim(wanted: Job, seen: Job) -> bool:
    claim = ("state", "generation", "fence", "lease_owner", "started_at")
    return all(getattr(wanted, name) == getattr(seen, name) for name in claim)
