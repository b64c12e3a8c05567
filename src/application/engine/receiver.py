"""Receives into free slots: short jobs in batches, all others one by one, and gives back what can't be taken now."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

from src.application.engine.health import Health
from src.application.engine.held import Held, HeldRuns
from src.application.engine.intake import Intake
from src.application.engine.options import BACKOFF_SECONDS, EngineOptions
from src.application.engine.short import ShortRoad
from src.application.engine.uncertain import UncertainClaims
from src.application.give_back import release_all
from src.application.metrics import LOOP_FAILURES, RECEIVE_ERRORS
from src.application.ports.meter import UNMETERED, Meter
from src.application.ports.queue import Delivery, QueueConsumer
from src.domain.errors import DatabaseUnavailable, DiskFull, QueueUnavailable, WorkerError

log = logging.getLogger(__name__)

AWAY_SECONDS = 0.2
"""Between two looks whether a backend that jobs need is back."""

FULL_SECONDS = 0.05
"""While nothing can be taken: how often to look whether that is still so, should nobody say."""

TURN_SECONDS = 1.0
"""A hand that waits for its turn shows this often that it is alive."""


class Turn:
    """One hand's turn at the queue: over at the end of the block, or before it when it says so."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self.mine = False

    def over(self) -> None:
        """The other hand may look."""
        if self.mine:
            self.mine = False
            self._lock.release()

    def __enter__(self) -> Self:
        self.mine = self._lock.acquire(timeout=TURN_SECONDS)
        return self

    def __exit__(self, *_error: object) -> None:
        self.over()


@dataclass(slots=True)
class Receiver:
    """Takes jobs, in one thread or, where messages and jobs change places in one commit, in two: while the database writes one
    hand's jobs, the other hand reads the next messages. It sets `idle` and `taking`, and ends soon after `stopping` is set."""

    queue: QueueConsumer
    intake: Intake
    short: ShortRoad
    held: HeldRuns
    health: Health
    options: EngineOptions
    on_first_receive: Callable[[], None]
    can_take: Callable[[], bool]
    """whether there is room for another job (scratch space)"""
    needed: Sequence[str]
    """backends that are probed; while one of them is away, no job is taken"""
    uncertain: UncertainClaims | None
    stopping: threading.Event
    idle: threading.Event = field(default_factory=threading.Event)
    """the last receive brought nothing, and nothing is held"""
    taking: threading.Event = field(default_factory=threading.Event)
    """messages are in its hands that are not held yet"""
    meter: Meter = UNMETERED
    _turn: threading.Lock = field(default_factory=threading.Lock)
    """held by the hand that looks at the queue"""
    _full: int = 0
    """hands that take something"""
    _counting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def hands(self) -> Sequence[str]:
        """Names of the loops that `run` is for, each in a thread of its own."""
        return ("receiver", "receiver-2") if self.short.exchanges else ("receiver",)

    @property
    def wait_seconds(self) -> float:
        """How long it waits for a message that is not there."""
        return min(self.options.receive_wait_seconds, self.health.wedged_after_seconds / 2)

    def run(self, hand: str = "receiver") -> None:
        failures = 0
        while not self.stopping.is_set():
            self.health.turned(hand)
            try:
                self._once()
                failures = 0
            except (QueueUnavailable, DatabaseUnavailable, DiskFull) as error:
                backend = "database" if isinstance(error, DatabaseUnavailable) else "queue"
                self.health.backend(backend, reachable=False)
                self.meter.add(RECEIVE_ERRORS, backend)
                log.warning("receive.failed", extra={"error_class": error.code, "error": str(error)})
                self.stopping.wait(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)])
                failures += 1
            except Exception:
                log.exception("loop.broken", extra={"loop": "receiver"})
                self.meter.add(LOOP_FAILURES, "receiver")
                self.stopping.wait(BACKOFF_SECONDS[-1])
            self.health.turned(hand)
        # A drain may take long, and receives nothing.
        self.health.left(hand)

    def _once(self) -> None:
        with Turn(self._turn) as turn:
            if turn.mine and not self.stopping.is_set():
                self._look(turn)

    def _look(self, turn: Turn) -> None:
        room = self.short.room()
        if room > 0 and not self.can_take():
            self.health.backend("scratch", reachable=False)
            log.warning("worker.full", extra={"then": "no job is taken until there is scratch space"})
            self.stopping.wait(BACKOFF_SECONDS[-1])
            return
        self.health.backend("scratch", reachable=True)
        if room <= 0:
            self.idle.clear()
            self.short.freed.wait(FULL_SECONDS)
            self.short.freed.clear()
            return
        if self.health.away(self.needed):
            self.stopping.wait(AWAY_SECONDS)
            return
        if self.uncertain is not None:
            self.uncertain.settle(self.health.goes_on)
        self.on_first_receive()
        brought = self._exchanged(room, self.wait_seconds, turn)
        if brought is None:
            brought = self._received(room, self.wait_seconds)
        self.health.backend("queue", reachable=True)
        # In this order: what the other hand brings is held before it no longer comes.
        if not brought and not self.short.coming and not len(self.held):
            self.idle.set()

    def _exchanged(self, room: int, wait_seconds: float, turn: Turn) -> int | None:
        """How many messages came, where they change places with their jobs; None elsewhere."""
        if not self.short.exchanges:
            return None

        def sorted_out() -> None:
            self.idle.clear()
            turn.over()

        # Jobs begin within the receive: a drain has to wait for it.
        self._takes(+1)
        try:
            if self.stopping.is_set():  # the drain has perhaps looked already, and waits for nobody
                return 0
            found = self.short.receive(room, wait_seconds=wait_seconds, sorted_out=sorted_out)
            if found is None:
                return None
            begun, others = found
            if others:
                self.idle.clear()
            self.health.backend("database", reachable=True)
            self._take_each(others)
            return begun + len(others)
        finally:
            self._takes(-1)

    def _takes(self, change: int) -> None:
        with self._counting:
            self._full += change
            if self._full:
                self.taking.set()
            else:
                self.taking.clear()

    def _received(self, room: int, wait_seconds: float) -> int:
        deliveries = self.queue.receive(
            room, wait_seconds=wait_seconds, visibility_seconds=self.options.visibility_seconds
        )
        if not deliveries:
            return 0
        self.idle.clear()
        self.taking.set()
        self.health.goes_on()
        try:
            self._take_all(deliveries)
        finally:
            self.taking.clear()
        return len(deliveries)

    def _take_all(self, deliveries: Sequence[Delivery]) -> None:
        if not self.short.used:
            self._take_each(deliveries)
            return
        wanted, others = self.intake.sort(deliveries)
        if wanted and not self.stopping.is_set():
            try:
                others = [*others, *self.short.take(wanted)]
                self.health.backend("database", reachable=True)
            except (DatabaseUnavailable, DiskFull):
                self._give_back(deliveries, delay_seconds=BACKOFF_SECONDS[-1])
                raise
        elif wanted:
            others = deliveries
        self._take_each(others)

    def _take_each(self, deliveries: Sequence[Delivery]) -> None:
        if self.short.used and len(deliveries) > 1 and not self.stopping.is_set():
            try:
                deliveries = self.short.take_known(deliveries)
            except (DatabaseUnavailable, DiskFull):
                self._give_back(deliveries, delay_seconds=BACKOFF_SECONDS[-1])
                raise
            except Exception:
                # A bug met one of the rows. Looked at by itself, it keeps none of the others.
                log.exception("batch.broken", extra={"messages": len(deliveries), "then": "one by one"})
        for position, delivery in enumerate(deliveries):
            if self.stopping.is_set():
                self._give_back(deliveries[position:], delay_seconds=0)
                return
            try:
                taken = self.intake.take(delivery, room=self.short.has_place)
                self.health.backend("database", reachable=True)
            except (DatabaseUnavailable, DiskFull):
                self._give_back(deliveries[position:], delay_seconds=BACKOFF_SECONDS[-1])
                raise
            except QueueUnavailable:
                raise
            except Exception as error:
                # A bug of ours met this message. The others go on, and this one is not redelivered for ever (E11).
                log.exception("message.broken", extra={"delivery": delivery.message_id})
                self._broken(delivery, error)
                continue
            if taken is not None:
                log.info("attempt.started", extra=_context(taken))
                self.short.start_one(taken)

    def _broken(self, delivery: Delivery, error: Exception) -> None:
        try:
            self.intake.broken(delivery, error)
        except WorkerError as again:
            log.warning("message.release_failed", extra={"error": str(again), "then": "it comes back by itself"})

    def _give_back(self, deliveries: Sequence[Delivery], *, delay_seconds: float) -> None:
        self.health.goes_on()
        try:
            release_all(self.queue, deliveries, delay_seconds=delay_seconds)
        except QueueUnavailable as error:
            log.warning("message.release_failed", extra={"error": str(error), "then": "they come back"})


def _context(taken: Held) -> dict[str, object]:
    job = taken.job
    return {"job": job.id, "job_type": job.type, "tenant": job.tenant, "attempt": job.attempts, "fence": job.fence}
