"""Three workers, any order of faults: the invariants of reliability.md section 2 hold after every step (G3)."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from src.application.engine.held import StopReason
from src.domain.errors import DatabaseUnavailable, QueueUnavailable, WorkerError
from src.domain.job import JobState
from tests.fakes.world import FAILURES, LEASE, STALL, Station, World

WORKER_POINTS = (
    "message.received",
    "message.decoded",
    "lock.acquired",
    "claim.committed",
    "complete.before",
    "complete.committed",
    "fail.committed",
    "lock.released",
    "message.acked",
)
ENDINGS = ["succeed", "succeed", "snooze", "return", *FAILURES]
worker = st.integers(0, 2)
job = st.sampled_from(["job-a", "job-b", "job-c", "job-d"])


class EngineMachine(RuleBasedStateMachine):
    """Rules are what can happen to a fleet; the world checks each accepted write as it happens."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def _at(self, number: int) -> Station:
        return self.world.workers[number]

    @initialize()
    def some_work(self) -> None:
        self.world.submit("job-a")
        self.world.submit("job-b")

    # ------------------------------------------------------------------ producers
    @rule(name=job, published=st.booleans())
    def submit(self, name: str, published: bool) -> None:
        self.world.submit(name, published=published)

    @rule(names=st.lists(job, min_size=1, max_size=3, unique=True))
    def foreign(self, names: list[str]) -> None:
        self.world.foreign(names)

    @rule(name=job)
    def duplicate(self, name: str) -> None:
        if name in self.world.jobs:
            self.world.duplicate(name)

    @rule()
    def rubbish(self) -> None:
        self.world.rubbish()

    # ------------------------------------------------------------------ workers
    @rule(number=worker)
    def deliver(self, number: int) -> None:
        if not self._at(number).paused:
            self._tolerant(lambda: self.world.deliver(self._at(number)))

    @rule(number=worker, limit=st.integers(1, 6))
    def deliver_many(self, number: int, limit: int) -> None:
        if not self._at(number).paused:
            self._tolerant(lambda: self.world.deliver_many(self._at(number), limit))

    @rule(number=worker)
    def end_many(self, number: int) -> None:
        if not self._at(number).paused:
            self._tolerant(lambda: self.world.end_many(self._at(number)))

    @rule(number=worker)
    def return_many(self, number: int) -> None:
        if not self._at(number).paused:
            self._tolerant(lambda: self.world.return_many(self._at(number)))

    @rule(number=worker, point=st.sampled_from(WORKER_POINTS))
    def killed_while_giving_many_back(self, number: int, point: str) -> None:
        station = self._at(number)
        if not station.paused:
            self.world.killed_at(station, point, lambda: self.world.return_many(station))

    @rule(number=worker, point=st.sampled_from(WORKER_POINTS))
    def killed_while_receiving_many(self, number: int, point: str) -> None:
        station = self._at(number)
        if not station.paused:
            self.world.killed_at(station, point, lambda: self.world.deliver_many(station))

    @rule(number=worker, point=st.sampled_from(WORKER_POINTS))
    def killed_while_settling_many(self, number: int, point: str) -> None:
        station = self._at(number)
        if not station.paused:
            self.world.killed_at(station, point, lambda: self.world.end_many(station))

    @rule(number=worker, how=st.sampled_from(ENDINGS), which=st.integers(0, 3))
    def end(self, number: int, how: str, which: int) -> None:
        station = self._at(number)
        runs = sorted(station.executor.running)
        if runs and not station.paused:
            run = runs[which % len(runs)]
            self.world.end(station, run, "stop" if run in station.executor.stopped else how)

    @rule(number=worker)
    def tick(self, number: int) -> None:
        station = self._at(number)
        if station.paused:
            return
        database_up = self.world.ledger.fault is None
        station.keeper.tick()
        if database_up:
            self._check_keeper(station)

    def _check_keeper(self, station: Station) -> None:
        now = self.world.clock.monotonic()
        for held in station.held.active():
            row = self.world.memory.find(held.job.id)
            lost = row is None or row.fence != held.job.fence or row.state is not JobState.RUNNING
            assert not (lost and held.stop_reason is None), f"{held.run_id} goes on without its lease"
            if now - held.last_progress_at >= STALL:
                assert held.stop_reason is not None, f"{held.run_id} goes on without progress"

    @rule(number=worker)
    def drain(self, number: int) -> None:
        if not self._at(number).paused and self.world.ledger.fault is None:
            self.world.drain(self._at(number))

    @rule(number=worker)
    def kill(self, number: int) -> None:
        self.world.kill(self._at(number))

    @rule(number=worker, point=st.sampled_from(WORKER_POINTS))
    def killed_while_receiving(self, number: int, point: str) -> None:
        station = self._at(number)
        if not station.paused:
            self.world.killed_at(station, point, lambda: self.world.deliver(station))

    @rule(number=worker, point=st.sampled_from(WORKER_POINTS), how=st.sampled_from(ENDINGS))
    def killed_while_settling(self, number: int, point: str, how: str) -> None:
        station = self._at(number)
        runs = sorted(station.executor.running)
        if runs and not station.paused:
            self.world.killed_at(station, point, lambda: self.world.end(station, runs[0], how))

    @rule(number=worker)
    def pause_or_resume(self, number: int) -> None:
        station = self._at(number)
        station.paused = not station.paused

    @precondition(lambda self: self.world.ledger.fault is None and not self.world.queue.down)
    @rule(number=worker, other=worker, how=st.sampled_from(ENDINGS), tick_first=st.booleans())
    def frozen_past_its_lease_then_resumed(self, number: int, other: int, how: str, tick_first: bool) -> None:
        """F03: somebody else takes over, then the frozen worker goes on as if nothing had happened."""
        station, successor = self._at(number), self._at(other)
        runs = sorted(station.executor.running)
        if not runs or number == other or successor.paused:
            return
        self.world.clock.advance(LEASE + 5)
        while self.world.deliver(successor) is not None:
            pass
        station.paused = False
        if tick_first:
            self.tick(number)
        run = runs[0]
        self.world.end(station, run, "stop" if run in station.executor.stopped else how)

    @precondition(lambda self: self.world.ledger.fault is None and not self.world.queue.down)
    @rule(number=worker, other=worker)
    def long_job_with_beats(self, number: int, other: int) -> None:
        """F01: many leases long, renewed all the time, while a duplicate of its message arrives elsewhere."""
        station, neighbour = self._at(number), self._at(other)
        runs = sorted(station.executor.running)
        if not runs or number == other or station.paused or neighbour.paused:
            return
        for _ in range(8):
            self.world.clock.advance(LEASE / 3)
            self.tick(number)
        self.world.duplicate(station.executor.running[runs[0]].job_id)
        self.world.deliver(neighbour)

    @precondition(lambda self: self.world.ledger.fault is None)
    @rule(number=worker, how=st.sampled_from(ENDINGS))
    def reply_lost_while_settling(self, number: int, how: str) -> None:
        """F08: the outcome is committed, the answer never comes."""
        station = self._at(number)
        runs = [run for run in sorted(station.executor.running) if run not in station.executor.stopped]
        if runs and not station.paused:
            self.world.ledger.fault = "after"
            self.world.end(station, runs[0], how)

    # ------------------------------------------------------------------ the world around
    @precondition(lambda self: self.world.ledger.fault is None and not self.world.lock.down)
    @rule(number=worker, how=st.sampled_from(ENDINGS))
    def lock_lost_and_taken_by_somebody_between_lock_and_claim(self, number: int, how: str) -> None:
        """F14, F15: a failover forgot the key, somebody is just about to claim under it, and the first owner ends."""
        station = self._at(number)
        runs = sorted(station.executor.running)
        if not runs or station.paused:
            return
        key = f"job:{station.executor.running[runs[0]].job_id}:lock"
        self.world.lock.inner.forget(key)
        self.world.lock.inner.acquire(key, ttl_seconds=LEASE)
        self.world.end(station, runs[0], "stop" if runs[0] in station.executor.stopped else how)

    @rule(seconds=st.sampled_from([1.0, 9.0, 11.0, 29.0, 34.0, 61.0]))
    def advance(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @rule()
    def advance_past_the_stall_limit(self) -> None:
        self.world.clock.advance(STALL + 1)

    @rule(name=job)
    def drop_lock(self, name: str) -> None:
        self.world.lock.inner.forget(f"job:{name}:lock")

    @rule()
    def lock_server(self) -> None:
        self.world.lock.down = not self.world.lock.down

    @rule(fault=st.sampled_from(["before", "after", None]))
    def database_fault(self, fault: str | None) -> None:
        self.world.ledger.fault = fault

    @rule()
    def queue_outage(self) -> None:
        self.world.queue.down = not self.world.queue.down

    @rule()
    def wake(self) -> None:
        self._tolerant(self.world.waker.tick)

    @precondition(lambda self: self.world.ledger.fault is None and not self.world.queue.down)
    @rule()
    def waker_killed_after_publishing(self) -> None:
        self.world.killed_at(self.world.workers[0], "wake.published", self.world.waker.tick)

    @rule(name=job)
    def cancel(self, name: str) -> None:
        self._operate(name, lambda row, now: row.request_cancel(now))

    @rule(name=job)
    def retry(self, name: str) -> None:
        self._operate(name, lambda row, now: row.reopen(now))

    def _operate(self, name: str, move: Any) -> None:
        if self.world.memory.find(name) is None:
            return
        try:
            self.world.ledger.change(name, move)
        except WorkerError:
            return  # Conflict, or the scripted database fault: an operator sees it and tries again

    def _tolerant(self, step: Any) -> None:
        try:
            step()
        except (DatabaseUnavailable, QueueUnavailable):
            return  # the worker's loops log it and go on; the message comes back

    # ------------------------------------------------------------------ invariants
    @invariant()
    def no_breach(self) -> None:
        assert not self.world.breaches, self.world.breaches

    @invariant()
    def a_stopped_run_keeps_its_reason(self) -> None:
        for station in self.world.workers:
            for held in station.held.active():
                if held.run_id in station.executor.stopped:
                    assert isinstance(held.stop_reason, StopReason)

    def teardown(self) -> None:
        self.world.quiesce()
        assert not self.world.breaches, self.world.breaches


EXAMPLES = int(os.environ.get("MEDIAWORKER_TEST_EXAMPLES", "150"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_any_order_of_faults_keeps_the_invariants() -> None:
    run_state_machine_as_test(EngineMachine, settings=SETTINGS)
