"""Keeps what this worker holds: renews leases, visibility and locks while there is progress, and notices when to stop.

It runs in the supervisor's own thread; job code runs in other processes and can't block it (mission.md E4).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from src.application.engine.held import Held, HeldRuns, StopReason
from src.application.engine.intake import lock_key
from src.application.engine.options import EngineOptions
from src.application.failpoints import failpoint
from src.application.metrics import LEASES_LOST
from src.application.ports.clock import Clock
from src.application.ports.executor import Executor
from src.application.ports.ledger import JobLedger
from src.application.ports.lock import Idempotency
from src.application.ports.meter import UNMETERED, Meter
from src.application.ports.queue import QueueConsumer
from src.domain.errors import DatabaseUnavailable, DiskFull, LockUnavailable, QueueUnavailable

log = logging.getLogger(__name__)

GIVE_UP_SECONDS = 30.0
"""After a stop: the executor's grace, the kill and the reaping take 12 s at most."""


@dataclass(slots=True)
class Keeper:
    """Call `tick` about every `watch_seconds`; it renews when a third of the lease has passed since the last renewal."""

    ledger: JobLedger
    lock: Idempotency
    queue: QueueConsumer
    executor: Executor
    held: HeldRuns
    clock: Clock
    options: EngineOptions
    on_backend: Callable[[str, bool], None] = lambda _name, _up: None
    """(backend, reachable): for readiness"""
    meter: Meter = UNMETERED
    goes_on: Callable[[], None] = lambda: None
    """is told between two questions to backends: a turn has several"""
    _renewed_at: dict[str, float] = field(default_factory=dict)

    def tick(self) -> None:
        """One look at everything held."""
        runs = self.held.active()
        names = {held.run_id for held in runs}
        for gone in [name for name in self._renewed_at if name not in names]:
            del self._renewed_at[gone]
        if not runs:
            return
        runs = [held for held in runs if not self._given_up(held)]
        self._stop_stalled(runs)
        now = self.clock.monotonic()
        due: list[Held] = []
        rest: list[Held] = []
        for held in runs:
            waited = now - self._renewed_at.get(held.run_id, held.received_at)
            (due if waited >= self.options.beat_seconds else rest).append(held)
        if due:
            self._renew(due, now)
        if rest:
            self._watch(rest, renew=False)

    def _renew(self, runs: list[Held], now: float) -> None:
        failpoint("beat.before")
        if self._watch(runs, renew=True):
            for held in runs:
                self._renewed_at[held.run_id] = now
        extended = self._extend(runs)
        self._renew_locks(runs)
        if extended:
            # Last, right after a beat: a queue that falls silent here keeps no lease waiting that is not fresh.
            self._let_go_of_old_messages(runs)

    def _extend(self, runs: list[Held]) -> bool:
        """Whether the queue answered, or was not asked."""
        deliveries = [held.delivery for held in runs if held.delivery is not None and held.stop_reason is None]
        try:
            if deliveries:
                self.queue.extend(deliveries, visibility_seconds=self.options.visibility_seconds)
            self.on_backend("queue", True)
        except QueueUnavailable as error:
            self.on_backend("queue", False)
            log.warning(
                "message.extend_failed", extra={"error": str(error), "then": "it may come back; the lease protects"}
            )
            return False
        return True

    def _renew_locks(self, runs: list[Held]) -> None:
        for held in runs:
            self.goes_on()
            try:
                self._renew_lock(held)
            except LockUnavailable as error:
                self.goes_on()
                # Asked for each of them, a server that is silent would keep the leases waiting, which are the real locks.
                log.warning(
                    "lock.renew_failed", extra={"job": held.job.id, "error": str(error), "then": "the lease protects"}
                )
                return

    def _renew_lock(self, held: Held) -> None:
        if held.lock_token is None or held.is_settled():
            return
        key = lock_key(held.job.id)
        if not self.lock.renew(key, held.lock_token, ttl_seconds=self.options.lease_seconds):
            # The lock's server lost it (restart, failover). The ledger's lease is the real one: take it again if free.
            held.lock_token = self.lock.acquire(key, ttl_seconds=self.options.lease_seconds)
            if held.is_settled() and held.lock_token is not None:
                # Settled meanwhile, and its lock with it: the one just taken would stand for nobody.
                self.lock.release(key, held.lock_token)

    def _watch(self, runs: list[Held], *, renew: bool) -> bool:
        holds: dict[str, int] = {}
        for held in runs:
            holds[held.job.id] = max(held.job.fence, holds.get(held.job.id, 0))
        try:
            if renew:
                beats = self.ledger.beat(holds, lease_seconds=self.options.lease_seconds)
            else:
                beats = self.ledger.watch(holds)
        except (DatabaseUnavailable, DiskFull) as error:
            self.on_backend("database", False)
            self.goes_on()
            log.warning("beat.failed", extra={"error": str(error), "jobs": len(runs)})
            return False
        self.on_backend("database", True)
        self.goes_on()
        for held in runs:
            beat = beats.get(held.job.id)
            # A worker that stood still may have taken its own job again.
            if beat is None or not beat.held or held.job.fence < holds[held.job.id]:
                self._stop(held, StopReason.LEASE_LOST)
            elif beat.cancel_requested:
                self._stop(held, StopReason.CANCELLED)
        return True

    def _stop_stalled(self, runs: list[Held]) -> None:
        now = self.clock.monotonic()
        for held in runs:
            if now - held.last_progress_at >= self.options.stall_seconds:
                self._stop(held, StopReason.STALLED)

    def _let_go_of_old_messages(self, runs: list[Held]) -> None:
        """A queue that limits how long a message may be hidden would hand it to somebody else: acknowledge it before
        that; the row's own wake-up time brings the job back if this worker dies (reliability.md F30)."""
        limit = self.options.message_hold_limit_seconds
        if limit is None:
            return
        now = self.clock.monotonic()
        for held in runs:
            if held.delivery is not None and now - held.received_at >= limit:
                try:
                    self.queue.ack([held.delivery])
                except QueueUnavailable as error:
                    # Asked for each of them, a queue that is silent would keep the leases waiting.
                    log.warning("message.unsettled", extra={"job": held.job.id, "error": str(error)})
                    return
                finally:
                    self.goes_on()
                held.delivery = None
                log.info("message.let_go", extra={"job": held.job.id, "after_seconds": limit})

    def _given_up(self, held: Held) -> bool:
        """An attempt that was stopped and never reported its end must not keep its lease for ever: another worker takes it."""
        if held.stop_requested_at is None or self.clock.monotonic() - held.stop_requested_at < GIVE_UP_SECONDS:
            return False
        log.error("attempt.unstoppable", extra={"job": held.job.id, "fence": held.job.fence})
        self.held.remove(held.run_id)
        return True

    def _stop(self, held: Held, reason: StopReason) -> None:
        if self.held.request_stop(held, reason, self.clock.monotonic()):
            if reason is StopReason.LEASE_LOST:
                self.meter.add(LEASES_LOST)
            log.warning("attempt.stopping", extra={"job": held.job.id, "fence": held.job.fence, "reason": reason.value})
            self.executor.stop(held.run_id, reason.value)
