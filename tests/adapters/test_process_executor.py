"""Handlers in real child processes: many short runs in one of them, and what becomes of them when one goes wrong."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from src.application.ports.executor import (
    ExecutorEvent,
    Failed,
    Returned,
    Snoozed,
    Stopped,
    Succeeded,
    WorkOrder,
)
from src.infrastructure.process.executor import READY_SECONDS, STUCK_SECONDS, ProcessExecutor, Recycling
from src.infrastructure.process.mark import SIZE, Mark
from src.interfaces.wiring.worker import executor_argv
from tests.functional.fleet import Fleet

PATIENCE = 30.0
"""Only so that a broken test ends."""


class Bench:
    """An executor, what it was told, and what it said."""

    def __init__(self, folder: Path, recycling: Recycling) -> None:
        self.fleet = Fleet(folder)
        folder.mkdir()
        self.discarded: list[str] = []
        self.executor = ProcessExecutor(
            executor_argv(),
            discard_scratch=self.discarded.append,
            environment=self.fleet.environ(),
            recycling=recycling,
        )
        self.said: dict[str, ExecutorEvent] = {}
        self.count = 0

    def order(self, action: str, seconds: float = 0.0, **payload: Any) -> WorkOrder:
        self.count += 1
        name = f"run-{self.count:04}"
        return WorkOrder(
            run_id=name,
            job_id=name,
            type="quick",
            tenant="acme",
            subject=None,
            payload={"action": action, "seconds": seconds, "diary": str(self.fleet.diary), **payload},
            generation=1,
            fence=1,
            attempt=1,
            max_attempts=5,
        )

    def start(self, *orders: WorkOrder, processes: int = 1) -> None:
        self.executor.start_short(orders, processes=processes)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, (self.said, self.fleet.entries("start"))
            for event in self.executor.events(0.1):
                assert event.run_id not in self.said, f"{event} after {self.said[event.run_id]}"
                self.said[event.run_id] = event

    def kinds(self, *orders: WorkOrder) -> list[type]:
        self.until(lambda: all(order.run_id in self.said for order in orders))
        return [type(self.said[order.run_id]) for order in orders]

    def started(self) -> list[str]:
        return [line[1] for line in self.fleet.entries("start")]

    def pids(self) -> set[str]:
        return {line[3] for line in self.fleet.entries("start")}


@pytest.fixture
def recycling() -> Recycling:
    return Recycling()


@pytest.fixture
def bench(tmp_path: Path, recycling: Recycling) -> Iterator[Bench]:
    made = Bench(tmp_path / "data", recycling)
    yield made
    made.executor.close()
    assert made.fleet.left_running() == []


def test_many_short_runs_go_through_one_process_in_their_order(bench: Bench) -> None:
    orders = [bench.order("noop") for _ in range(300)]
    bench.start(*orders[:100])
    bench.start(*orders[100:])
    assert bench.kinds(*orders) == [Succeeded] * 300
    assert bench.started() == [order.run_id for order in orders]
    assert len(bench.pids()) == 1
    first = bench.said["run-0001"]
    assert isinstance(first, Succeeded)
    assert first.result == {"attempt": 1, "fence": 1}


def test_short_runs_spread_over_as_many_processes_as_they_may(bench: Bench) -> None:
    orders = [bench.order("sleep", 0.01) for _ in range(40)]
    bench.start(*orders, processes=2)
    assert bench.kinds(*orders) == [Succeeded] * 40
    assert len(bench.pids()) == 2


def test_orders_of_more_bytes_than_a_frame_go_in_several(bench: Bench) -> None:
    orders = [bench.order("noop", more="x" * 700_000) for _ in range(20)]
    bench.start(*orders)
    assert bench.kinds(*orders) == [Succeeded] * 20


def test_a_failure_among_others_is_its_own(bench: Bench) -> None:
    orders = [bench.order(action) for action in ("noop", "blow_up", "noop", "snooze_once", "answer_nonsense", "noop")]
    bench.start(*orders)
    assert bench.kinds(*orders) == [Succeeded, Failed, Succeeded, Snoozed, Failed, Succeeded]
    failed = bench.said[orders[1].run_id]
    assert isinstance(failed, Failed)
    assert "nobody foresaw this" in failed.error.message
    assert len(bench.pids()) == 1


def test_f27_a_process_that_dies_is_the_fault_of_the_run_that_had_begun(bench: Bench) -> None:
    before = [bench.order("noop") for _ in range(50)]
    culprit = bench.order("abort")
    after = [bench.order("noop") for _ in range(5)]
    bench.start(*before, culprit, *after)
    assert bench.kinds(*before, culprit, *after) == [Succeeded] * 50 + [Failed] + [Returned] * 5
    failed = bench.said[culprit.run_id]
    assert isinstance(failed, Failed)
    assert failed.error.policy == "crash"
    assert bench.discarded == [culprit.run_id]
    again = bench.order("noop")
    bench.start(again)
    assert bench.kinds(again) == [Succeeded]


def test_what_waits_behind_a_run_that_takes_long_is_returned(bench: Bench) -> None:
    slow = bench.order("sleep", 3.0)
    waiting = [bench.order("noop") for _ in range(20)]
    bench.start(slow, *waiting)
    assert bench.kinds(*waiting) == [Returned] * 20
    assert slow.run_id not in bench.said
    assert bench.kinds(slow) == [Succeeded]
    assert bench.started() == [slow.run_id]


SLOW_TO_BEGIN = """
import select, socket, sys
from src.infrastructure.process import wire
from src.infrastructure.process.mark import Mark
channel, mark = socket.socket(fileno=int(sys.argv[1])), Mark(int(sys.argv[3]))
wire.send_text(channel, '{"ready":true}')
while (frame := wire.receive(channel)) is not None:
    orders = list(wire.orders_of(frame["orders"]))
    if select.select([channel], [], [], 0.3)[0]:
        sys.exit(f"told before anything had begun: {wire.receive(channel)}")
    for number, order in orders:
        mark.write(number)
    done = ",".join(f'["{order.run_id}",{{}}]' for _, order in orders)
    wire.send_text(channel, f'{{"done":[{done}]}}')
"""


def test_runs_that_come_after_a_pause_are_not_stuck_before_they_begin(tmp_path: Path) -> None:
    """What was begun last was begun before the pause: the time since then is nobody's fault."""
    bench = Bench(tmp_path / "data", Recycling())
    bench.executor.argv = [sys.executable, "-c", SLOW_TO_BEGIN]
    try:
        for pause in (0.0, STUCK_SECONDS + 0.2):
            time.sleep(pause)
            orders = [bench.order("noop") for _ in range(5)]
            bench.start(*orders)
            assert bench.kinds(*orders) == [Succeeded] * 5
    finally:
        bench.executor.close()


def test_a_waiting_run_is_stopped_without_its_process(bench: Bench) -> None:
    slow = bench.order("sleep", 0.4)
    orders = [bench.order("noop") for _ in range(3)]
    bench.start(slow, *orders)
    bench.until(bench.started)
    bench.executor.stop(orders[1].run_id, "cancelled")
    assert bench.kinds(slow, *orders) == [Succeeded, Succeeded, Stopped, Succeeded]
    assert orders[1].run_id not in bench.started()
    assert len(bench.pids()) == 1


@pytest.mark.parametrize("action", ["sleep", "hold_the_interpreter"])
def test_stopping_the_running_one_returns_those_that_wait(bench: Bench, action: str) -> None:
    slow = bench.order(action, 20.0)
    bench.start(slow, waiting := bench.order("noop"))
    bench.until(bench.started)
    bench.executor.stop(slow.run_id, "cancelled")
    assert bench.kinds(slow, waiting)[0] is Stopped
    assert isinstance(bench.said[waiting.run_id], Returned)
    assert bench.started() == [slow.run_id]


def test_a_stop_that_overtakes_the_beginning_is_heeded(bench: Bench) -> None:
    """The stop may come when the run has left the waiting ones and has not begun yet: over many tries, some do."""
    for _ in range(30):
        orders = [bench.order("noop") for _ in range(20)]
        bench.start(*orders)
        for order in orders[::3]:
            bench.executor.stop(order.run_id, "drained")
        bench.kinds(*orders)


def test_a_long_run_has_a_process_of_its_own(bench: Bench) -> None:
    slow = bench.order("sleep", 5.0)
    bench.executor.start(slow)
    bench.until(bench.started)
    orders = [bench.order("noop") for _ in range(10)]
    bench.start(*orders)
    assert bench.kinds(*orders) == [Succeeded] * 10
    assert slow.run_id not in bench.said
    assert bench.kinds(slow) == [Succeeded]
    assert len(bench.pids()) == 2


def test_a_warm_executor_has_a_process_before_the_first_order_and_after_a_death(bench: Bench) -> None:
    bench.executor.warm()
    bench.until(lambda: len(bench.fleet.left_running()) == 1)
    bench.start(dying := bench.order("abort"))
    assert bench.kinds(dying) == [Failed]
    bench.until(lambda: len(bench.fleet.left_running()) == 1)


def test_a_warm_executor_is_ready_when_its_process_says_so(bench: Bench) -> None:
    assert bench.executor.ready()
    bench.executor.warm()
    assert not bench.executor.ready()
    bench.until(bench.executor.ready)
    assert len(bench.fleet.left_running()) == 1


@pytest.mark.parametrize("argv", [[sys.executable, "-c", "raise SystemExit(1)"], ["/nonexistent/interpreter"]])
def test_a_process_that_can_not_be_had_is_not_waited_for(tmp_path: Path, argv: Sequence[str]) -> None:
    executor = ProcessExecutor(argv, discard_scratch=lambda _name: None, environment={})
    try:
        executor.warm()
        deadline = time.monotonic() + READY_SECONDS / 2
        while not executor.ready():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        executor.close()


def test_close_says_of_every_run_that_it_was_stopped(bench: Bench) -> None:
    orders = [bench.order("sleep", 20.0), *(bench.order("noop") for _ in range(5))]
    bench.start(*orders)
    bench.until(bench.started)
    bench.executor.close()
    assert set(bench.kinds(*orders)) == {Stopped}
    bench.start(late := bench.order("noop"))
    assert bench.kinds(late) == [Stopped]


class TestRecycling:
    @pytest.fixture
    def recycling(self) -> Recycling:
        return Recycling(after_jobs=2, after_batches=3)

    def test_f43_a_child_is_replaced_after_so_many_batches_and_nothing_is_lost(self, bench: Bench) -> None:
        for _ in range(8):
            orders = [bench.order("noop") for _ in range(4)]
            bench.start(*orders)
            assert bench.kinds(*orders) == [Succeeded] * 4
        assert 2 < len(bench.pids()) < 5
        assert str(os.getpid()) not in bench.pids()

    def test_f43_a_child_is_replaced_after_so_many_long_runs(self, bench: Bench) -> None:
        for _ in range(5):
            bench.executor.start(order := bench.order("noop"))
            assert bench.kinds(order) == [Succeeded]
        assert len(bench.pids()) == 3


LIAR = """
import socket, sys, time
from src.infrastructure.process.mark import Mark
channel, mark = socket.socket(fileno=int(sys.argv[1])), Mark(int(sys.argv[3]))
channel.recv(9)
for end in {ends!r}:
    mark.add(end)
said = {said!r}
channel.sendall(len(said).to_bytes(4, "big") + said)
time.sleep({stays})
"""
MINE = b'["run-0001",{}]'
DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    "said",
    [
        b'{"done":[["nobody",{}]]}',
        b'{"done":[%s,["nobody",{}]]}' % MINE,
        b'{"done":[%s,%s]}' % (MINE, MINE),
        b'{"done":[[["run-0001"],{}]]}',
        b'{"run":"run-0001","error":7}',
        b'{"run":"run-0001","snooze":1%s}' % (b"0" * 400),
        b'{"run":"run-0001","progress":{"percent":1%s}}' % (b"0" * 400),
        b'{"done":%s' % DEEP,
    ],
)
def test_a_child_that_breaks_the_protocol_is_not_trusted_any_further(tmp_path: Path, said: bytes) -> None:
    assert_crashed(tmp_path, LIAR.format(ends=[], said=said, stays=60))


@pytest.mark.parametrize("end", [b'[["run-0001"],{}]', b'{"run-0001":{}}', DEEP])
def test_ends_that_a_job_wrote_over_are_none(tmp_path: Path, end: bytes) -> None:
    assert_crashed(tmp_path, LIAR.format(ends=[end], said=b"", stays=0))


def assert_crashed(folder: Path, program: str) -> None:
    """The run of a process that does this has crashed, and the worker hears of it."""
    bench = Bench(folder / "data", Recycling())
    executor = ProcessExecutor(
        [sys.executable, "-c", program], discard_scratch=lambda _name: None, environment=bench.fleet.environ()
    )
    try:
        executor.start(order := bench.order("noop"))
        found: list[ExecutorEvent] = []
        deadline = time.monotonic() + PATIENCE
        while not found and time.monotonic() < deadline:
            found += executor.events(0.2)
        (event,) = found
        assert isinstance(event, Failed)
        assert (event.run_id, event.error.policy) == (order.run_id, "crash")
    finally:
        executor.close()


def test_f24_a_signal_at_the_end_of_a_wait_for_events_does_not_make_it_endless(bench: Bench) -> None:
    """An idle worker's main thread waits here. The handler outlasts the wait, as one does on a machine that is busy; the
    second alarm is there only so that a broken test ends."""
    alarms: list[int] = []

    def on_alarm(_number: int, _frame: FrameType | None) -> None:
        alarms.append(1)
        if len(alarms) > 1:
            raise TimeoutError("still waiting")
        time.sleep(0.1)

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 2.0)
    try:
        assert not bench.executor.events(0.05)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert alarms == [1]


@pytest.mark.parametrize("memory", [True, False])
def test_f22_what_a_process_shares_with_the_worker_has_its_space_from_the_beginning(
    memory: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Touched later, a page for which a full disk has no place kills whoever touches it."""
    if not memory:
        monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "away" if memory else tmp_path))
    mark = Mark()
    try:
        assert os.fstat(mark.descriptor).st_blocks * 512 >= SIZE
        mark.write(7)
        assert (mark.read(), mark.ends()) == (7, "[]")
    finally:
        mark.close()
    assert not list(tmp_path.iterdir())


def test_e4_a_process_that_reads_nothing_any_more_is_stopped_all_the_same(bench: Bench) -> None:
    """Its job holds the interpreter, and somebody waits to give it more orders than its channel takes."""
    first, other = bench.order("sleep", 600), bench.order("sleep", 600)
    bench.start(first)
    bench.executor.start(other)
    bench.until(lambda: len(bench.started()) == 2)
    (child,) = (child for child in bench.executor._children if first.run_id in child.runs)
    os.kill(child.process.pid, signal.SIGSTOP)
    waiting = [bench.order("noop", pad="x" * 8192) for _ in range(200)]
    giving = threading.Thread(target=bench.start, args=waiting)
    giving.start()
    bench.until(lambda: len(child.runs) > 1)
    bench.executor.stop(other.run_id, "cancelled")
    bench.executor.stop(first.run_id, "stalled")
    assert bench.kinds(first, other) == [Stopped, Stopped]
    giving.join(timeout=PATIENCE)
    assert set(bench.kinds(*waiting)) == {Returned}
