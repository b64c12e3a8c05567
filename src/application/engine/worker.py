"""The supervisor: receives into free slots, hands attempts to the executor, settles what ends, drains when told to."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial

from src.application.engine.alarm import Alarm
from src.application.engine.followups import Followups
from src.application.engine.health import Health
from src.application.engine.held import Held, HeldRuns, StopReason
from src.application.engine.intake import Intake
from src.application.engine.keeper import Keeper
from src.application.engine.options import BACKOFF_SECONDS, EngineOptions
from src.application.engine.probes import TURN_SECONDS, Probe
from src.application.engine.progress_writer import ProgressWriter
from src.application.engine.receiver import Receiver
from src.application.engine.settler import Settler
from src.application.engine.short import ShortRoad
from src.application.engine.uncertain import UncertainClaims
from src.application.engine.waker import Waker
from src.application.events.relay import Relay
from src.application.metrics import LOOP_FAILURES
from src.application.ports.clock import Clock
from src.application.ports.executor import Executor, ExecutorEvent, Progressed, Returned, Succeeded
from src.application.ports.ledger import JobLedger
from src.application.ports.meter import UNMETERED, Meter
from src.application.ports.queue import QueueConsumer, QueueInspector
from src.domain.errors import WorkerError

log = logging.getLogger(__name__)

UNKNOWN_ETA_GRACE_SECONDS = 2.0
"""At a drain, how long an attempt may go on that can't say when it ends."""

STOP_SECONDS = 3.0
"""What stopping an attempt takes at most: the executor's moment to clean up, the kill, and the hand-back."""

FOLLOWUP_SECONDS = 0.25
"""How often to look whether a job has ended since."""

RELAY_SECONDS = 0.25
"""Between two looks for events that were written."""

GATHER_SECONDS = 0.05
"""Between word of rows that wait and the turn that wakes them: what comes meanwhile is woken with them."""

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
    followups: Followups | None = None
    """What is done when a job has ended, after its outcome is written and its message settled"""
    relay: Relay | None = None
    """Sends the events that were written with the moves of jobs"""
    meter: Meter = UNMETERED
    _stopping: threading.Event = field(default_factory=threading.Event)
    _stop_now: threading.Event = field(default_factory=threading.Event)
    _finished: threading.Event = field(default_factory=threading.Event)
    _receiver: Receiver = field(init=False)
    _settlings: set[Future[None]] = field(default_factory=set)
    _waking: threading.Lock = field(default_factory=threading.Lock)
    """held while rows are woken: one that was taken and has no message yet is neither due nor in the queue"""
    _taken_until: float = -math.inf
    """monotonic; rows may be in that state until then, because the last waking failed"""
    _stops: int = 0

    def __post_init__(self) -> None:
        self._receiver = Receiver(
            queue=self.queue,
            intake=self.intake,
            short=self.short,
            held=self.held,
            health=self.health,
            options=self.options,
            on_first_receive=self.on_first_receive,
            can_take=self.can_take,
            needed=[probe.name for probe in self.probes],
            uncertain=self.uncertain,
            stopping=self._stopping,
            meter=self.meter,
        )

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
        loops = self._watched()
        if self.sweep is not None:
            # Not in `loops`: nobody waits for it, and a long listing is not a wedged worker.
            sweeping = ("sweep", self.sweep, self.options.scan_seconds, False)
            threading.Thread(target=self._loop, args=sweeping, name="sweep", daemon=True).start()
        # Nor for administrators: fifty letters to one who takes ten seconds for each are no reason to wake nothing.
        alarming = ("alarm", self.alarm.tick, self.options.scan_seconds, False)
        telling = threading.Thread(target=self._loop, args=alarming, name="alarm", daemon=True)
        if self.followups is not None:
            # Nor is it for this one.
            following = ("followups", self.followups.tick, FOLLOWUP_SECONDS, False)
            threading.Thread(target=self._loop, args=following, name="followups", daemon=True).start()
        if self.relay is not None:
            # Nor for one: a receiver that hangs holds up nobody but itself.
            relaying = ("relay", self.relay.tick, RELAY_SECONDS, False)
            threading.Thread(target=self._loop, args=relaying, name="relay", daemon=True).start()
        for probe in self.probes:
            # Not in `loops` either: a backend that hangs is not ready, but the worker is not wedged.
            probing = ("probe", probe.tick, TURN_SECONDS, False)
            threading.Thread(target=self._loop, args=probing, name=f"probe-{probe.name}", daemon=True).start()
        receivers = [
            threading.Thread(target=self._receiver.run, args=(hand,), name=hand, daemon=True)
            for hand in self._receiver.hands
        ]
        settling = ThreadPoolExecutor(max_workers=max(2, self.options.slots), thread_name_prefix="settle")
        batches = threading.Thread(target=self.short.settle_all, args=(self._ended_short,), name="batches", daemon=True)
        if self.short.used:
            self.executor.warm()
        for thread in (*loops, telling, batches, *receivers):
            thread.start()
        try:
            while not self._stopping.is_set():
                self._dispatch(settling)
                self._heed_stops()
                if drain and self._receiver.idle.is_set() and self._drained():
                    self._stopping.set()
            self._drain(settling)
        finally:
            self._stop_now.set()
            self._finished.set()
            self.intake.rows_wait.set()
            self.executor.close()
            # Nothing is waited for that the grace time does not cover: what is unwritten is protected by its lease.
            settling.shutdown(wait=False, cancel_futures=True)
            self.short.close()
            if not len(self.held):
                wait(self._settlings.copy(), timeout=LAST_SETTLING_SECONDS)
                batches.join(timeout=LAST_SETTLING_SECONDS)
            for thread in (*loops, telling):
                thread.join(timeout=2)
            for thread in receivers:
                thread.join(timeout=LAST_RECEIVE_SECONDS)
            self.progress.finish(LAST_SETTLING_SECONDS)
        if drain:
            # Somebody waits for this worker to have done everything; others' letters and events are told by whoever comes next.
            self.alarm.last()
            if self.relay is not None:
                self.relay.last()

    # ------------------------------------------------------------------ loops
    def _watched(self) -> Sequence[threading.Thread]:
        """Those without which the worker is wedged, from here on: also one that never comes to its first turn. Receivers as well."""
        turns = (
            ("keeper", self.keeper.tick, self.options.watch_seconds, None),
            ("waker", self._wake, self.options.scan_seconds, self.intake.rows_wait),
            ("progress", self.progress.tick, 0.25, None),
        )
        for name, _turn, pause, _sooner in turns:
            self.health.watch(name, pause=pause)
        for hand in self._receiver.hands:
            # It waits within its turn, and what it asks last may be what hangs.
            self.health.watch(hand, pause=self._receiver.wait_seconds)
        return [
            threading.Thread(target=self._loop, args=(name, turn, pause, True, sooner), name=name, daemon=True)
            for name, turn, pause, sooner in turns
        ]

    def _loop(
        self,
        name: str,
        turn: Callable[[], object],
        pause: float,
        watched: bool = True,
        sooner: threading.Event | None = None,
    ) -> None:
        """`sooner` ends a pause, but for one after a failure."""
        failures = 0
        while not self._finished.is_set():
            if watched:
                self.health.turned(name)
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
            if failures:
                self.meter.add(LOOP_FAILURES, name)
            if watched:
                self.health.turned(name)
            if failures:
                self._finished.wait(pause + BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1])
            elif sooner is None:
                self._finished.wait(pause)
            elif sooner.wait(pause):
                # Cleared before the turn: what comes in it may be behind what it looked at, and has the next one.
                sooner.clear()
                self._finished.wait(GATHER_SECONDS)

    def _wake(self) -> None:
        if self.waker is not None:
            with self._waking:
                # A drain's look may have had it, for as long as a backend that hangs keeps one.
                self.health.goes_on()
                try:
                    self.waker.work_off(self.clock, self._stopping.is_set)
                except BaseException:
                    self._taken_until = self.clock.monotonic() + self.waker.hold_seconds
                    raise

    # ------------------------------------------------------------------ what the executor says
    def _dispatch(self, settling: ThreadPoolExecutor, timeout_seconds: float = 0.2) -> None:
        together: list[Succeeded] = []
        returned: list[Returned] = []
        for event in self.executor.events(timeout_seconds):
            if isinstance(event, Progressed):
                self._progressed(event)
            elif isinstance(event, Succeeded) and self._is_short(event):
                together.append(event)
            elif isinstance(event, Returned) and self._is_short(event):
                returned.append(event)
            else:
                self._submit(settling, partial(self._settle, event))
        if together:
            self.short.ended(together)
        if returned:
            self._submit(settling, partial(self._hand_back, returned))

    def _is_short(self, event: Succeeded | Returned) -> bool:
        held = self.held.get(event.run_id)
        return held is not None and held.short

    def _submit(self, settling: ThreadPoolExecutor, work: Callable[[], None]) -> None:
        future = settling.submit(work)
        self._settlings.add(future)
        future.add_done_callback(self._settlings.discard)

    def _ended_short(self, settled: Sequence[Held]) -> None:
        for taken in settled:
            if taken.progress is not None:
                self.progress.ended(taken.job.id, succeeded=True)

    def _progressed(self, event: Progressed) -> None:
        taken = self.held.get(event.run_id)
        if taken is None:
            return
        taken.heard(event.report, self.clock.monotonic())
        self.progress.offer(taken.job.id, taken.job.fence, event.report)

    def _settle(self, event: ExecutorEvent) -> None:
        taken = self.held.get(event.run_id)
        try:
            job = self.settler.settle(event)
            if job is not None and job.state.is_terminal and self.followups is not None:
                self.followups.ended(job)
        except Exception:
            # The lease runs out and the job is found again; the worker goes on.
            log.exception("settle.broken", extra={"run": event.run_id})
        if taken is not None:
            self.progress.ended(taken.job.id, succeeded=isinstance(event, Succeeded))
            self.short.left(taken)

    def _hand_back(self, events: Sequence[Returned]) -> None:
        try:
            for job in self.settler.hand_back_short(events):
                if job.state.is_terminal and self.followups is not None:
                    self.followups.ended(job)
        except Exception:
            # The leases run out and the jobs are found again; the worker goes on.
            log.exception("settle.broken", extra={"jobs": len(events)})
        self.short.returned(len(events))

    # ------------------------------------------------------------------ the end
    def _drained(self) -> bool:
        if not self._waking.acquire(blocking=False):
            return False
        try:
            if self.clock.monotonic() < self._taken_until or self._unfinished():
                return False
            # In this order: what a message asked for is in the ledger before the message is gone. And what follows an end may have
            # been over since, and its job's message come: so that is looked at before as well.
            depth = self.inspector.depth()
            waiting = depth.ready or depth.delayed or depth.in_flight
            return not (waiting or self._unfinished() or self._anything_due())
        except WorkerError as error:
            log.warning("drain.unknown", extra={"error": str(error)})
            return False
        finally:
            self._waking.release()

    def _unfinished(self) -> bool:
        # What follows an end may bring another job; a claim whose answer was lost may have taken its message along.
        return bool(
            self.short.coming
            or (self.uncertain is not None and self.uncertain.pending)
            or len(self.held)
            or self._settlings
            or (self.followups is not None and self.followups.pending)
        )

    def _anything_due(self) -> bool:
        return self.waker is not None and bool(self.ledger.to_wake(1, self.waker.types))

    def _drain(self, settling: ThreadPoolExecutor) -> None:
        self.health.draining()
        began = self.clock.monotonic()
        deadline = began + self.options.grace_seconds
        log.info("worker.draining", extra={"held": len(self.held), "grace_seconds": self.options.grace_seconds})
        while len(self.held) or self._receiver.taking.is_set():
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
