"""The supervisor: receives into free slots, hands attempts to the executor, settles what ends, drains when told to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from src.application.engine.alarm import Alarm
from src.application.engine.health import Health
from src.application.engine.held import Held, HeldRuns, StopReason
from src.application.engine.intake import Intake
from src.application.engine.keeper import Keeper
from src.application.engine.options import EngineOptions
from src.application.engine.probes import TURN_SECONDS, Probe
from src.application.engine.progress_writer import ProgressWriter
from src.application.engine.settler import Settler
from src.application.engine.short import ShortRoad
from src.application.engine.uncertain import UncertainClaims
from src.application.engine.waker import Waker
from src.application.ports.clock import Clock
from src.application.ports.executor import Executor, ExecutorEvent, Progressed, Succeeded
from src.application.ports.ledger import JobLedger
from src.application.ports.queue import Delivery, QueueConsumer, QueueInspector
from src.domain.errors import DatabaseUnavailable, DiskFull, QueueUnavailable, WorkerError

log = logging.getLogger(__name__)

BACKOFF_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""Pauses of a loop whose backend is away; the last repeats (reliability.md F06: no busy loop)."""

AWAY_SECONDS = 0.2
"""Between two looks whether a backend that jobs need is back."""

UNKNOWN_ETA_GRACE_SECONDS = 2.0
"""At a drain, how long an attempt may go on that can't say when it ends."""

STOP_SECONDS = 3.0
"""What stopping an attempt takes at most: the executor's moment to clean up, the kill, and the hand-back."""

FULL_SECONDS = 0.05
"""While nothing can be taken: how often to look whether that is still so, should nobody say."""

LAST_SETTLING_SECONDS = 2.0
"""What is written is still told (the last reading of a job's progress) when the worker goes, if that takes no longer."""

LAST_RECEIVE_SECONDS = 2.0
"""What the last receive is waited for, which takes its slice of a second: a message that it brought when nobody is here any
more would stay hidden until its visibility ends."""

DRAIN_MARGIN_SECONDS = 10.0
"""An attempt is let finish when it ends this long before the grace time does (reliability.md F24)."""


@dataclass(slots=True)
class Worker:
    """One process's engine. `run` blocks until stopped; job code never runs in here."""

    queue: QueueConsumer
    inspector: QueueInspector
    ledger: JobLedger
    intake: Intake
    settler: Settler
    short: ShortRoad
    keeper: Keeper
    waker: Waker | None
    alarm: Alarm
    progress: ProgressWriter
    executor: Executor
    held: HeldRuns
    health: Health
    clock: Clock
    options: EngineOptions
    on_first_receive: Callable[[], None] = lambda: None
    can_take: Callable[[], bool] = lambda: True
    """whether there is room for another job (scratch space)"""
    probes: Sequence[Probe] = ()
    """backends that are asked now and then; while one of them is away, no job is taken"""
    uncertain: UncertainClaims | None = None
    sweep: Callable[[], object] | None = None
    """What is tidied up now and then, in a loop of its own: slow storage must hold up neither wake-ups nor alarms"""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _stop_now: threading.Event = field(default_factory=threading.Event)
    _finished: threading.Event = field(default_factory=threading.Event)
    _idle: threading.Event = field(default_factory=threading.Event)
    _taking: threading.Event = field(default_factory=threading.Event)
    _settlings: set[Future[None]] = field(default_factory=set)
    _stops: int = 0

    # ------------------------------------------------------------------ from outside
    def request_stop(self) -> None:
        """First call: take nothing new and drain. Second call: stop now. Safe from a signal handler: it only counts (an
        Event's own lock may be held by the very thread that the signal interrupts); the main loop looks."""
        self._stops += 1

    def _heed_stops(self) -> None:
        if self._stops >= 1:
            self._stopping.set()
        if self._stops >= 2:
            self._stop_now.set()

    def must_go(self) -> bool:
        """True when there is no time left to wait for a backend."""
        return self._stop_now.is_set()

    def run(self, *, drain: bool = False) -> None:
        """Work until `request_stop`, or with `drain` until the queue is empty and nothing is held."""
        loops = [
            threading.Thread(target=self._loop, args=(name, turn, pause), name=name, daemon=True)
            for name, turn, pause in (
                ("keeper", self.keeper.tick, self.options.watch_seconds),
                ("duties", self._duties, self.options.scan_seconds),
                ("progress", self.progress.tick, 0.25),
            )
        ]
        if self.sweep is not None:
            # Not in `loops`: nobody waits for it, and a long listing is not a wedged worker.
            sweeping = ("sweep", self.sweep, self.options.scan_seconds, False)
            threading.Thread(target=self._loop, args=sweeping, name="sweep", daemon=True).start()
        for probe in self.probes:
            # Not in `loops` either: a backend that hangs is not ready, but the worker is not wedged.
            probing = ("probe", probe.tick, TURN_SECONDS, False)
            threading.Thread(target=self._loop, args=probing, name=f"probe-{probe.name}", daemon=True).start()
        receiver = threading.Thread(target=self._receive_loop, name="receiver", daemon=True)
        settling = ThreadPoolExecutor(max_workers=max(2, self.options.slots), thread_name_prefix="settle")
        batches = threading.Thread(target=self.short.settle_all, args=(self._ended_short,), name="batches", daemon=True)
        for thread in (*loops, batches, receiver):
            thread.start()
        if self.short.used:
            self.executor.warm()
        try:
            while not self._stopping.is_set():
                self._dispatch(settling)
                self._heed_stops()
                if drain and self._idle.is_set() and self._drained():
                    self._stopping.set()
            self._drain(settling)
        finally:
            self._stop_now.set()
            self._finished.set()
            self.executor.close()
            # Nothing is waited for that the grace time does not cover: what is unwritten is protected by its lease.
            settling.shutdown(wait=False, cancel_futures=True)
            self.short.close()
            if not len(self.held):
                wait(self._settlings.copy(), timeout=LAST_SETTLING_SECONDS)
                batches.join(timeout=LAST_SETTLING_SECONDS)
            for thread in loops:
                thread.join(timeout=2)
            receiver.join(timeout=LAST_RECEIVE_SECONDS)
            telling = threading.Thread(target=self.progress.tick, kwargs={"everything": True}, daemon=True)
            telling.start()
            telling.join(timeout=LAST_SETTLING_SECONDS)

    # ------------------------------------------------------------------ loops
    def _loop(self, name: str, turn: Callable[[], object], pause: float, watched: bool = True) -> None:
        failures = 0
        while not self._finished.is_set():
            try:
                turn()
                failures = 0
            except WorkerError as error:
                log.warning("loop.failed", extra={"loop": name, "error_class": error.code, "error": str(error)})
                failures += 1
            except Exception:
                # The loops keep leases alive: a bug in one turn must not stop them. It is logged with its traceback.
                log.exception("loop.broken", extra={"loop": name})
                failures += 1
            if watched:
                self.health.turned(name)
            extra = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1] if failures else 0.0
            self._finished.wait(pause + extra)

    def _duties(self) -> None:
        if self.waker is not None:
            self.waker.work_off(self.clock, self._stopping.is_set)
        self.alarm.tick()

    def _receive_loop(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._receive_once()
                failures = 0
            except (QueueUnavailable, DatabaseUnavailable, DiskFull) as error:
                self.health.backend("database" if isinstance(error, DatabaseUnavailable) else "queue", reachable=False)
                log.warning("receive.failed", extra={"error_class": error.code, "error": str(error)})
                self._stopping.wait(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)])
                failures += 1
            except Exception:
                log.exception("loop.broken", extra={"loop": "receiver"})
                self._stopping.wait(BACKOFF_SECONDS[-1])
            self.health.turned("receiver")

    def _receive_once(self) -> None:
        room = self.short.room()
        if room > 0 and not self.can_take():
            self.health.backend("scratch", reachable=False)
            log.warning("worker.full", extra={"then": "no job is taken until there is scratch space"})
            self._stopping.wait(BACKOFF_SECONDS[-1])
            return
        self.health.backend("scratch", reachable=True)
        if room <= 0:
            self._idle.clear()
            self.short.freed.wait(FULL_SECONDS)
            self.short.freed.clear()
            return
        if self.health.away([probe.name for probe in self.probes]):
            self._stopping.wait(AWAY_SECONDS)
            return
        if self.uncertain is not None:
            self.uncertain.settle()
        self.on_first_receive()
        wait = min(self.options.receive_wait_seconds, self.health.wedged_after_seconds / 2)
        brought = self._exchanged(room, wait)
        if brought is None:
            brought = self._received(room, wait)
        self.health.backend("queue", reachable=True)
        if not brought and not len(self.held):
            self._idle.set()

    def _exchanged(self, room: int, wait_seconds: float) -> int | None:
        """How many messages came, where they change places with their jobs; None elsewhere."""
        if not self.short.exchanges:
            return None
        # Jobs begin within the receive: a drain has to wait for it.
        self._taking.set()
        try:
            if self._stopping.is_set():  # the drain has perhaps looked already, and waits for nobody
                return 0
            found = self.short.receive(room, wait_seconds=wait_seconds)
            if found is None:
                return None
            begun, others = found
            if begun or others:
                self._idle.clear()
            self.health.backend("database", reachable=True)
            self._take_each(others)
            return begun + len(others)
        finally:
            self._taking.clear()

    def _received(self, room: int, wait_seconds: float) -> int:
        deliveries = self.queue.receive(
            room, wait_seconds=wait_seconds, visibility_seconds=self.options.visibility_seconds
        )
        if not deliveries:
            return 0
        self._idle.clear()
        self._taking.set()
        try:
            self._take_all(deliveries)
        finally:
            self._taking.clear()
        return len(deliveries)

    def _take_all(self, deliveries: Sequence[Delivery]) -> None:
        if not self.short.used:
            self._take_each(deliveries)
            return
        wanted, others = self.intake.sort(deliveries)
        if wanted and not self._stopping.is_set():
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
        for position, delivery in enumerate(deliveries):
            if self._stopping.is_set():
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
        for delivery in deliveries:
            try:
                self.queue.release(delivery, delay_seconds=delay_seconds)
            except QueueUnavailable as error:
                log.warning("message.release_failed", extra={"error": str(error), "then": "they come back"})
                return  # the next ones would wait as long, and in vain

    # ------------------------------------------------------------------ what the executor says
    def _dispatch(self, settling: ThreadPoolExecutor, timeout_seconds: float = 0.2) -> None:
        together: list[Succeeded] = []
        for event in self.executor.events(timeout_seconds):
            if isinstance(event, Progressed):
                self._progressed(event)
            elif isinstance(event, Succeeded) and (held := self.held.get(event.run_id)) and held.short:
                together.append(event)
            else:
                future = settling.submit(self._settle, event)
                self._settlings.add(future)
                future.add_done_callback(self._settlings.discard)
        if together:
            self.short.ended(together)

    def _ended_short(self, settled: Sequence[Held]) -> None:
        for taken in settled:
            if taken.progress is not None:
                self.progress.ended(taken.job.id, succeeded=True)

    def _progressed(self, event: Progressed) -> None:
        taken = self.held.get(event.run_id)
        if taken is None:
            return
        if taken.progress is None or event.report.reached != taken.progress.reached:
            # Only getting further counts: not a loop that repeats itself, not a clock that ticks in it (lesson 9).
            taken.last_progress_at = self.clock.monotonic()
        taken.progress = event.report
        self.progress.offer(taken.job.id, taken.job.fence, event.report)

    def _settle(self, event: ExecutorEvent) -> None:
        taken = self.held.get(event.run_id)
        try:
            self.settler.settle(event)
        except Exception:
            # The lease runs out and the job is found again; the worker goes on.
            log.exception("settle.broken", extra={"run": event.run_id})
        if taken is not None:
            self.progress.ended(taken.job.id, succeeded=isinstance(event, Succeeded))
            self.short.left(taken)

    # ------------------------------------------------------------------ the end
    def _drained(self) -> bool:
        try:
            depth = self.inspector.depth()
            return not (depth.ready or depth.delayed or depth.in_flight or len(self.held) or self._anything_due())
        except WorkerError as error:
            log.warning("drain.unknown", extra={"error": str(error)})
            return False

    def _anything_due(self) -> bool:
        return self.waker is not None and bool(self.ledger.to_wake(1, self.waker.types))

    def _drain(self, settling: ThreadPoolExecutor) -> None:
        self.health.draining()
        began = self.clock.monotonic()
        deadline = began + self.options.grace_seconds
        log.info("worker.draining", extra={"held": len(self.held), "grace_seconds": self.options.grace_seconds})
        while len(self.held) or self._taking.is_set():
            self._heed_stops()
            now = self.clock.monotonic()
            if now >= deadline - STOP_SECONDS:
                self._stop_now.set()
            for taken in self.held.active():
                over = self._stop_now.is_set() or not self._fits(taken, now, began, deadline)
                if over and self.held.request_stop(taken, StopReason.DRAINED, now):
                    self.executor.stop(taken.run_id, StopReason.DRAINED.value)
            if now >= deadline + 1 or (now >= deadline - STOP_SECONDS and not len(self.held)):
                # With nothing held, what is still being received is protected by its visibility or its lease.
                log.error("drain.overdue", extra={"held": len(self.held)})
                return
            self._dispatch(settling, 0.05)

    def _fits(self, taken: Held, now: float, began: float, deadline: float) -> bool:
        margin = min(DRAIN_MARGIN_SECONDS, max(STOP_SECONDS, self.options.grace_seconds / 3))
        eta = taken.progress.eta_seconds if taken.progress else None
        if eta is None:
            return now < began + min(UNKNOWN_ETA_GRACE_SECONDS, self.options.grace_seconds / 3)
        waited = now - taken.last_progress_at
        return now + max(0.0, eta - waited) <= deadline - margin


def _context(taken: Held) -> dict[str, object]:
    job = taken.job
    return {"job": job.id, "job_type": job.type, "tenant": job.tenant, "attempt": job.attempts, "fence": job.fence}
