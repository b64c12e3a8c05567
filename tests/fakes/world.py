"""Several workers on one queue, one ledger, one lock and one clock, all in memory and stepped by the test.

The world also watches: every accepted change of a row, every acknowledgement, every lock release is checked against the
invariants of reliability.md section 2 as it happens, and a breach is kept in `breaches`.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.application import failpoints
from src.application.decoders.decoded import Decoded, Named, Reference, Requests
from src.application.engine.held import Held, HeldRuns, StopReason, work_order
from src.application.engine.intake import Intake
from src.application.engine.keeper import Keeper
from src.application.engine.options import EngineOptions
from src.application.engine.settler import Settler
from src.application.engine.waker import Waker, reference
from src.application.ports.executor import ExecutorEvent, Failed, Returned, Snoozed, Stopped, Succeeded, WorkOrder
from src.application.ports.ledger import Beat, DeadLetterFilter, JobFilter, Move
from src.application.ports.queue import Delivery, Envelope
from src.application.tally import Tally
from src.domain.errors import DatabaseUnavailable, ErrorReport, InvalidMessage, LockUnavailable, QueueUnavailable
from src.domain.job import Job, JobDraft, JobState
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.lock import MemoryIdempotency
from src.infrastructure.memory.queue import MemoryQueue
from tests.fakes.clock import FrozenClock

LEASE = 30.0
SCAN = 10.0
STALL = 200.0
PATIENCE = 200
"""Rounds of one second in which quiescence must be reached after the last fault, beyond the longest retry delay."""


class Killed(BaseException):
    """kill -9 at a failpoint: nothing after it runs, not even `except Exception`."""


@dataclass
class TestDecoders:
    """Bodies: {"job_id"} refers, {"drafts": [ids]} asks, anything else is invalid."""

    __test__ = False
    max_attempts: int = 5

    def decode(self, body: bytes, _attributes: Mapping[str, str]) -> Decoded:
        try:
            document = json.loads(body)
        except ValueError as error:
            raise InvalidMessage("not JSON") from error
        if "job_id" in document:
            return Reference(document["job_id"])
        if "drafts" in document:
            return Requests([draft(name, max_attempts=self.max_attempts) for name in document["drafts"]])
        raise InvalidMessage("no shape fits")

    def named(self, body: bytes) -> Named | None:
        """As Decoders."""
        try:
            document = json.loads(body)
        except ValueError:
            return None
        if "names" not in document:
            return None
        return Named(document["names"], document.get("type", "test"), "acme", known="type" not in document)


def draft(name: str, *, max_attempts: int = 5) -> JobDraft:
    return JobDraft(id=name, type="test", tenant="acme", payload={}, subject=name, max_attempts=max_attempts)


@dataclass
class WatchedLedger:
    """MemoryLedger with a watcher on every accepted change, and faults on demand."""

    inner: MemoryLedger
    breaches: list[str]
    fault: str | None = None
    starts: dict[tuple[str, int], int] = field(default_factory=dict)
    handed_back: dict[tuple[str, int], int] = field(default_factory=dict)
    successes: dict[tuple[str, int], int] = field(default_factory=dict)
    highest_fence: dict[str, int] = field(default_factory=dict)

    def _before(self) -> None:
        if self.fault == "down":
            raise DatabaseUnavailable("the database is away")
        if self.fault == "before":
            self.fault = None
            raise DatabaseUnavailable("refused before anything happened")

    def _after(self) -> None:
        if self.fault == "after":
            self.fault = None
            raise DatabaseUnavailable("committed, but the reply was lost")

    def admit(self, wanted: JobDraft, limits: Any = None) -> Any:
        self._before()
        answer = self.inner.admit(wanted, limits)
        self._after()
        return answer

    def change(self, job_id: str, move: Move, *, running_per_tenant: int = 0) -> Job:
        self._before()
        seen: list[tuple[Job, Job, float]] = []

        def watched(job: Job, now: float) -> Job:
            after = move(job, now)
            seen.append((job, after, now))
            return after

        row = self.inner.change(job_id, watched, running_per_tenant=running_per_tenant)
        for old, new, now in seen:
            if new is not old:
                self._accepted(old, new, now)
        self._after()
        return row

    def change_many(self, job_ids: Collection[str], move: Move) -> Mapping[str, Job]:
        self._before()
        seen: dict[str, tuple[Job, Job, float]] = {}

        def watched(job: Job, now: float) -> Job:
            after = move(job, now)
            seen[job.id] = job, after, now
            return after

        rows = self.inner.change_many(job_ids, watched)
        for job_id in rows:
            old, new, now = seen[job_id]
            if new is not old:
                self._accepted(old, new, now)
        self._after()
        return rows

    def begin(self, drafts: Sequence[JobDraft], *, owner: str, lease_seconds: float) -> Mapping[str, Job]:
        self._before()
        begun = self.inner.begin(drafts, owner=owner, lease_seconds=lease_seconds)
        for draft in drafts:
            if draft.id in begun:
                new = begun[draft.id]
                self._accepted(Job.admitted(draft, new.created_at), new, new.created_at)
        self._after()
        return begun

    def succeed(self, results: Mapping[str, tuple[int, Mapping[str, Any]]]) -> Collection[str]:
        self._before()
        before = {job_id: self.inner.find(job_id) for job_id in results}
        written = self.inner.succeed(results)
        for job_id in written:
            old, new = before[job_id], self.inner.find(job_id)
            if old is not None and new is not None and new is not old:
                self._accepted(old, new, new.finished_at or 0.0)
        self._after()
        return written

    def hand_back(self, holds: Mapping[str, int]) -> Collection[str]:
        self._before()
        before = {job_id: self.inner.find(job_id) for job_id in holds}
        given = self.inner.hand_back(holds)
        for job_id in given:
            old, new = before[job_id], self.inner.find(job_id)
            if old is not None and new is not None and new is not old:
                if old.fence != holds[job_id]:
                    self.breaches.append(f"I3 {job_id}: fence {holds[job_id]} gave back what {old.fence} holds")
                self._accepted(old, new, new.due_at)
        self._after()
        return given

    def _accepted(self, old: Job, new: Job, now: float) -> None:
        generation = (new.id, new.generation)
        if new.fence < self.highest_fence.get(new.id, 0):
            self.breaches.append(f"I3 {new.id}: write with fence {new.fence} after {self.highest_fence[new.id]}")
        self.highest_fence[new.id] = max(new.fence, self.highest_fence.get(new.id, 0))
        if old.state.is_terminal and new.generation == old.generation:
            self.breaches.append(f"I4 {new.id}: {old.state} became {new.state} in one generation")
        if new.state is JobState.SUCCEEDED:
            self.successes[generation] = self.successes.get(generation, 0) + 1
            if self.successes[generation] > 1:
                self.breaches.append(f"I2 {new.id}: {self.successes[generation]} committed results")
            writer = (new.result or {}).get("fence")
            if writer is not None and writer != old.fence:
                self.breaches.append(f"I3 {new.id}: result of fence {writer} accepted under {old.fence}")
        if new.state in (JobState.RUNNING, JobState.SUCCEEDED) and new.fence != old.fence:
            self.starts[generation] = self.starts.get(generation, 0) + 1
            if old.state is JobState.RUNNING and (old.lease_until or 0) > now:
                self.breaches.append(f"live lease of {new.id} taken")
        if old.state is JobState.RUNNING and not new.state.is_terminal and new.attempts < old.attempts:
            self.handed_back[generation] = self.handed_back.get(generation, 0) + 1
        counted = self.starts.get(generation, 0) - self.handed_back.get(generation, 0)
        if new.attempts != counted and not (new.state is JobState.QUEUED and new.attempts == 0):
            self.breaches.append(f"I6 {new.id}: {new.attempts} attempts counted, {counted} made")
        if new.attempts > new.max_attempts:
            self.breaches.append(f"I6 {new.id}: {new.attempts} of {new.max_attempts} attempts")
        if not new.state.is_terminal and new.wake_at is None:
            self.breaches.append(f"E3 {new.id}: {new.state} has no recovery owner")

    def beat(self, holds: Mapping[str, int], *, lease_seconds: float) -> Mapping[str, Beat]:
        self._before()
        return self.inner.beat(holds, lease_seconds=lease_seconds)

    def watch(self, holds: Mapping[str, int]) -> Mapping[str, Beat]:
        self._before()
        return self.inner.watch(holds)

    def to_wake(self, limit: int, types: Collection[str] | None = None) -> Sequence[Job]:
        self._before()
        return self.inner.to_wake(limit, types)


@dataclass
class WatchedQueue:
    """MemoryQueue that checks I5 (nothing is acknowledged before its outcome is durable) at each acknowledgement."""

    inner: MemoryQueue
    ledger: MemoryLedger
    dead_letters: MemoryDeadLetters
    breaches: list[str]
    down: bool = False

    def receive(self, limit: int, *, wait_seconds: float, visibility_seconds: float) -> Sequence[Delivery]:
        self._check()
        return self.inner.receive(limit, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._check()
        for delivery in deliveries:
            for job_id in self._about(delivery):
                row = self.ledger.find(job_id)
                if row is None or not (row.state.is_terminal or self._fanned_out(delivery)):
                    self.breaches.append(f"I5 message of {job_id} acknowledged while {row.state if row else 'no row'}")
        self.inner.ack(deliveries)

    def release(self, delivery: Delivery, *, delay_seconds: float) -> None:
        self._check()
        self.inner.release(delivery, delay_seconds=delay_seconds)

    def extend(self, deliveries: Sequence[Delivery], *, visibility_seconds: float) -> None:
        self._check()
        self.inner.extend(deliveries, visibility_seconds=visibility_seconds)

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        self._check()
        self.inner.publish(envelopes)

    def close(self) -> None:
        self.inner.close()

    def _check(self) -> None:
        if self.down:
            raise QueueUnavailable("the queue is away")

    def _about(self, delivery: Delivery) -> list[str]:
        try:
            document = json.loads(delivery.body)
        except ValueError:
            known = {letter.body for letter in self.dead_letters.list(DeadLetterFilter(limit=1000))}
            if delivery.body not in known:
                self.breaches.append("I5 undecodable message acknowledged but not kept")
            return []
        return [document["job_id"]] if "job_id" in document else list(document.get("drafts", []))

    @staticmethod
    def _fanned_out(delivery: Delivery) -> bool:
        return len(json.loads(delivery.body).get("drafts", [])) > 1


@dataclass
class WatchedLock:
    """MemoryIdempotency that notices when a release frees somebody else's lock."""

    inner: MemoryIdempotency
    breaches: list[str]
    down: bool = False

    def acquire(self, key: str, *, ttl_seconds: float) -> str | None:
        self._check()
        return self.inner.acquire(key, ttl_seconds=ttl_seconds)

    def renew(self, key: str, token: str, *, ttl_seconds: float) -> bool:
        self._check()
        return self.inner.renew(key, token, ttl_seconds=ttl_seconds)

    def release(self, key: str, token: str) -> bool:
        self._check()
        before = self.inner._held.get(key)
        answer = self.inner.release(key, token)
        if before is not None and before[0] != token and key not in self.inner._held:
            self.breaches.append(f"F15 {key}: another owner's lock was freed")
        return answer

    def _check(self) -> None:
        if self.down:
            raise LockUnavailable("the lock server is away")


@dataclass
class SteppedExecutor:
    """Runs nothing: the test decides how and when each run ends."""

    running: dict[str, WorkOrder] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    starting: bool = False

    def start(self, order: WorkOrder) -> None:
        self.running[order.run_id] = order

    def start_short(self, orders: Sequence[WorkOrder], *, processes: int) -> None:
        assert processes > 0
        self.running.update((order.run_id, order) for order in orders)

    def warm(self) -> None:
        """Nothing to warm."""

    def ready(self) -> bool:
        return not self.starting

    def stop(self, run_id: str, _reason: str) -> None:
        if run_id in self.running:
            self.stopped.append(run_id)

    def events(self, _timeout_seconds: float) -> Sequence[ExecutorEvent]:
        return ()

    def close(self) -> None:
        self.running.clear()


@dataclass
class Station:
    """One worker process."""

    name: str
    held: HeldRuns
    executor: SteppedExecutor
    intake: Intake
    settler: Settler
    keeper: Keeper
    paused: bool = False


class World:
    """Everything, and the verbs that the tests speak."""

    def __init__(self, workers: int = 3, max_attempts: int = 5) -> None:
        self.clock = FrozenClock()
        self.tally = Tally(self.clock)
        self.breaches: list[str] = []
        self.dead_letters = MemoryDeadLetters(self.clock)
        self.memory = MemoryLedger(self.clock, self.dead_letters)
        self.ledger = WatchedLedger(self.memory, self.breaches)
        self.queue = WatchedQueue(MemoryQueue(self.clock), self.memory, self.dead_letters, self.breaches)
        tokens = itertools.count()
        self.lock = WatchedLock(MemoryIdempotency(self.clock, lambda: f"t{next(tokens)}"), self.breaches)
        self.max_attempts = max_attempts
        self.waker = Waker(self.ledger, self.queue, hold_seconds=3 * SCAN)
        self._serial = itertools.count()
        self._dice = random.Random(7)
        self.workers = [self._station() for _ in range(workers)]
        self.jobs: list[str] = []

    def _station(self) -> Station:
        name = f"w{next(self._serial)}"
        options = EngineOptions(owner=name, lease_seconds=LEASE, scan_seconds=SCAN, stall_seconds=STALL)
        held, executor = HeldRuns(), SteppedExecutor()
        intake = Intake(
            decoders=TestDecoders(self.max_attempts),  # type: ignore[arg-type]
            ledger=self.ledger,
            dead_letters=self.dead_letters,
            lock=self.lock,
            queue=self.queue,
            held=held,
            clock=self.clock,
            options=options,
            queue_name="test",
            # Every job may come by either road: alone, or with others as short ones do.
            is_short=lambda _type: True,
            has_short=True,
            meter=self.tally,
        )
        settler = Settler(
            ledger=self.ledger,
            lock=self.lock,
            queue=self.queue,
            held=held,
            clock=self.clock,
            options=options,
            dice=self._dice.random,
            must_go=lambda: self.ledger.fault == "down",
            meter=self.tally,
        )
        keeper = Keeper(self.ledger, self.lock, self.queue, executor, held, self.clock, options, meter=self.tally)
        return Station(name, held, executor, intake, settler, keeper)

    # ------------------------------------------------------------------ producers and operators
    def submit(self, name: str, *, published: bool = True) -> None:
        row = self.memory.admit(draft(name, max_attempts=self.max_attempts)).job
        assert row is not None
        self._know(name)
        if published:
            self.queue.inner.publish([reference(row)])
            self.memory.change(name, lambda job, now: job.published(now))

    def foreign(self, names: Sequence[str]) -> None:
        body = json.dumps({"drafts": list(names)}).encode()
        self.queue.inner.publish([Envelope(body=body, key=f"f{next(self._serial)}")])
        for name in names:
            self._know(name)

    def duplicate(self, name: str) -> None:
        body = json.dumps({"job_id": name}).encode()
        self.queue.inner.publish([Envelope(body=body, key=f"d{next(self._serial)}")])

    def rubbish(self) -> None:
        self.queue.inner.publish([Envelope(body=b"\xff{", key=f"r{next(self._serial)}")])

    def _know(self, name: str) -> None:
        if name not in self.jobs:
            self.jobs.append(name)

    # ------------------------------------------------------------------ workers
    def deliver(self, station: Station) -> Held | None:
        deliveries = self.queue.receive(1, wait_seconds=0, visibility_seconds=station.keeper.options.visibility_seconds)
        for delivery in deliveries:
            taken = station.intake.take(delivery)
            if taken is not None:
                station.executor.start(work_order(taken))
            return taken
        return None

    def deliver_many(self, station: Station, limit: int = 4) -> None:
        """As a worker receives short jobs: those that are new together, those that are known together, the others one by one."""
        visibility = station.keeper.options.visibility_seconds
        deliveries = self.queue.receive(limit, wait_seconds=0, visibility_seconds=visibility)
        wanted, others = station.intake.sort(deliveries)
        if wanted:
            held, known = station.intake.take_short(wanted)
            station.executor.start_short([work_order(one) for one in held], processes=1)
            others = [*others, *known]
        held, others = station.intake.take_known(others)
        station.executor.start_short([work_order(one) for one in held], processes=1)
        for delivery in others:
            taken = station.intake.take(delivery)
            if taken is not None:
                station.executor.start(work_order(taken))

    def end_many(self, station: Station) -> None:
        """Everything that runs succeeds, together."""
        events = [Succeeded(run, {"fence": int(run.rsplit("-", 1)[1])}) for run in sorted(station.executor.running)]
        for event in events:
            station.executor.running.pop(event.run_id)
        station.settler.settle_short(events)

    def return_many(self, station: Station) -> None:
        """Nothing that runs was begun: it is given back, together."""
        events = [Returned(run) for run in sorted(station.executor.running)]
        station.executor.running.clear()
        station.settler.hand_back_short(events)

    def end(self, station: Station, run: str, how: str) -> Job | None:
        station.executor.running.pop(run, None)
        fence = int(run.rsplit("-", 1)[1])
        event: ExecutorEvent
        if how == "succeed":
            event = Succeeded(run, {"fence": fence})
        elif how == "snooze":
            event = Snoozed(run, 5.0, "later")
        elif how == "stop":
            event = Stopped(run)
        elif how == "return":
            event = Returned(run)
        else:
            event = Failed(run, FAILURES[how])
        settled = station.settler.settle(event)
        if settled is not None and settled.fence != fence:
            self.breaches.append(f"I3 {settled.id}: outcome of fence {fence} accepted under {settled.fence}")
        return settled

    def drain(self, station: Station) -> None:
        for held in station.held.active():
            station.held.request_stop(held, StopReason.DRAINED, self.clock.monotonic())
            self.end(station, held.run_id, "stop")

    def kill(self, station: Station) -> None:
        self.workers[self.workers.index(station)] = self._station()

    def killed_at(self, station: Station, point: str, step: Callable[[], object]) -> None:
        """Run a step; the worker dies when it reaches the failpoint."""

        def hook(name: str) -> None:
            if name == point:
                raise Killed(name)

        failpoints.arm(hook)
        try:
            step()
        except Killed:
            self.kill(station)
        except (DatabaseUnavailable, QueueUnavailable):
            pass
        finally:
            failpoints.arm(None)

    # ------------------------------------------------------------------ the end
    def heal(self) -> None:
        self.ledger.fault = None
        self.queue.down = False
        self.lock.down = False
        for station in list(self.workers):
            if station.paused:
                station.paused = False

    def quiesce(self) -> None:
        """No more faults: a healthy worker does what comes; every job must end within the bound (I1, I9)."""
        self.heal()
        for station in list(self.workers):
            self.kill(station)
        healthy = self.workers[0]
        horizon = self._longest_wait() + LEASE + SCAN + PATIENCE
        steps = int(horizon)
        for second in range(steps):
            self.clock.advance(1.0)
            if second % int(SCAN) == 0:
                self.waker.tick()
            healthy.keeper.tick()
            while self.deliver(healthy) is not None:
                pass
            for held in healthy.held.active():
                self.end(healthy, held.run_id, "stop" if held.stop_reason else "succeed")
            if not self.unfinished() and not len(healthy.held):
                break
        if self.unfinished():
            self.breaches.append(f"I1 not terminal after {horizon:g} s: {self.unfinished()}")

    def _longest_wait(self) -> float:
        now = self.clock.now()
        waits = [row.due_at - now for row in self.memory.list(JobFilter(limit=1000)) if not row.state.is_terminal]
        return max([0.0, *waits])

    def unfinished(self) -> list[str]:
        rows = {name: self.memory.find(name) for name in self.jobs}
        return [
            f"{name}:{row.state if row else 'no row'}"
            for name, row in rows.items()
            if not row or not row.state.is_terminal
        ]


def _report(code: str, *, retryable: bool, policy: str) -> ErrorReport:
    return ErrorReport(code, f"scripted {code}", retryable, policy)


FAILURES = {
    "permanent": _report("corrupt_source", retryable=False, policy="none"),
    "network": _report("network", retryable=True, policy="network"),
    "ffmpeg": _report("ffmpeg", retryable=True, policy="ffmpeg"),
    "crash": _report("crash", retryable=True, policy="crash"),
}
