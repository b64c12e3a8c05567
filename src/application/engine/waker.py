"""The one recovery owner: every active row carries `wake_at`; when it passes, the waker publishes a message for the row.

Redelivery by the queue is the fast road. This is the road that always exists: a message lost between commit and publish,
expired, acknowledged early, or never sent; a worker that vanished; a retry whose release never reached the queue.
A message is only a hint, so one too many does no harm: the claim decides.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from src.application.failpoints import failpoint
from src.application.ports.clock import Clock
from src.application.ports.ledger import JobLedger
from src.application.ports.queue import Envelope, QueuePublisher
from src.domain.job import Job

log = logging.getLogger(__name__)


WORK_OFF_SECONDS = 5.0
"""Far below the time after which a loop that has not come round counts as wedged."""


def reference(job: Job) -> Envelope:
    """The smallest message that brings a job back: its id. The ledger knows the rest."""
    body = json.dumps({"job_id": job.id, "type": job.type}, separators=(",", ":")).encode()
    attributes = {"traceparent": job.trace} if job.trace else {}
    return Envelope(body=body, key=job.id, priority=job.priority, attributes=attributes)


@dataclass(frozen=True, slots=True)
class Waker:
    """Any number may run; `waking` lets one of them take each row."""

    ledger: JobLedger
    publisher: QueuePublisher
    hold_seconds: float = 30.0
    """How long a row is left alone when publishing fails or this process dies in between."""
    batch: int = 100
    types: Collection[str] | None = None
    """job types that this worker's queue carries (None: all); the others are left to their own wakers"""
    goes_on: Callable[[], None] = lambda: None
    """is told between two questions to backends: a turn has several"""

    def tick(self) -> int:
        """Wake what is due; how many. Raises DatabaseUnavailable or QueueUnavailable: the next tick tries again."""
        ours = self._take(self.ledger.to_wake(self.batch, self.types))
        if not ours:
            return 0
        self.goes_on()
        self.publisher.publish([reference(seen) for seen in ours])
        self.goes_on()
        failpoint("wake.published")
        self.ledger.change_many([seen.id for seen in ours], lambda job, now: job.published(now))
        for seen in ours:
            log.info("job.woken", extra={"job": seen.id, "state": seen.state.value})
        return len(ours)

    def work_off(self, clock: Clock, over: Callable[[], bool]) -> None:
        """Wake all that is due, as far as the time goes: a worker that dies leaves many short jobs, and where their messages
        went with their beginning nobody else brings them back. Raises as `tick` does."""
        until = clock.monotonic() + WORK_OFF_SECONDS
        while not over() and self.tick() and clock.monotonic() < until:
            pass

    def _take(self, due: Sequence[Job]) -> Sequence[Job]:
        """Those that no other waker takes."""
        self.goes_on()
        seen, ours = {job.id: job.wake_at for job in due}, dict[str, bool]()

        def move(job: Job, now: float) -> Job:
            after, ours[job.id] = job.waking(now, seen=seen[job.id], hold_seconds=self.hold_seconds)
            return after

        rows = self.ledger.change_many(seen, move) if seen else {}
        return [job for job in due if job.id in rows and ours[job.id]]
