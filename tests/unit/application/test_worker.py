"""The supervisor's own steps: what it does with messages while it stops, or while a backend says nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest

from src.application.engine.alarm import Alarm
from src.application.engine.followups import Followups
from src.application.engine.health import WEDGED_SECONDS, Health
from src.application.engine.pace import Pace
from src.application.engine.progress_writer import ProgressWriter
from src.application.engine.short import ShortRoad
from src.application.engine.uncertain import UncertainClaims
from src.application.engine.worker import Worker
from src.application.ports.exchange import Sort
from src.application.ports.ledger import DeadLetter, Move
from src.application.ports.ops_events import OpsEvent
from src.application.ports.queue import Delivery, Envelope, QueueDepth
from src.domain.errors import DatabaseUnavailable, LockUnavailable, NetworkError, QueueUnavailable
from src.domain.job import Job, JobState
from src.domain.progress import ProgressReport
from src.infrastructure.memory.progress import MemoryProgress
from tests.fakes.clock import FrozenClock
from tests.fakes.world import Station, World, draft


class Exchange:
    """A MessageExchange that brings nothing and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def receive(
        self,
        limit: int,
        *,
        wait_seconds: float,
        visibility_seconds: float,
        owner: str,
        lease_seconds: float,
        sort: Sort,
    ) -> tuple[Sequence[Job], Sequence[Delivery]]:
        self.asked += 1
        return (), ()


class Silent:
    """Stands for a backend of which every call waits in vain; says how many there were."""

    def __init__(self, error: type[NetworkError]) -> None:
        self.error, self.calls = error, 0

    def __call__(self, *_given: object, **_more: object) -> None:
        self.calls += 1
        raise self.error("no answer")


class Nobody:
    def notify(self, _letter: DeadLetter) -> None:
        raise AssertionError("there is no letter")

    def notify_event(self, event: OpsEvent) -> None:
        """Tells nobody."""


@pytest.fixture
def world() -> World:
    return World(workers=1)


@pytest.fixture
def station(world: World) -> Station:
    return world.workers[0]


@pytest.fixture
def settling() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def worker_of(world: World, station: Station, exchange: Exchange | None = None) -> Worker:
    parts = station.intake, station.settler, station.executor, station.held, Pace(world.clock), world.clock
    return Worker(
        queue=world.queue,
        inspector=world.queue.inner,
        ledger=world.ledger,
        intake=station.intake,
        settler=station.settler,
        short=ShortRoad(*parts, slots=8, exchange=exchange),
        keeper=station.keeper,
        waker=None,
        alarm=Alarm(world.dead_letters, Nobody()),
        progress=ProgressWriter(MemoryProgress(world.clock), world.clock),
        executor=station.executor,
        held=station.held,
        health=Health(world.clock),
        clock=world.clock,
        options=station.keeper.options,
    )


def received(world: World, count: int) -> Sequence[Delivery]:
    for number in range(count):
        world.submit(f"job-{number}")
    return world.queue.receive(count, wait_seconds=0, visibility_seconds=60)


# ---------------------------------------------------------------------- the end
def test_f24_a_stop_between_two_receives_begins_no_job(world: World, station: Station) -> None:
    exchange = Exchange()
    worker = worker_of(world, station, exchange)
    worker._receiver._once()
    assert exchange.asked == 1

    def stop_meanwhile() -> bool:
        worker._stopping.set()
        return True

    worker._receiver.can_take = stop_meanwhile
    worker._receiver._once()
    assert exchange.asked == 1
    assert not worker._receiver.taking.is_set()


def test_f24_a_receive_that_hangs_does_not_keep_a_worker_that_holds_nothing(
    world: World, station: Station, settling: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = worker_of(world, station)
    began = world.clock.monotonic()
    worker._receiver.taking.set()
    monkeypatch.setattr(station.executor, "events", passing(world.clock))
    worker._drain(settling)
    assert world.clock.monotonic() - began < worker.options.grace_seconds


def test_f24_a_store_of_progress_that_hangs_does_not_keep_the_worker(
    world: World, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = worker_of(world, station)
    back, reading = threading.Event(), ProgressReport(percent=10, step="x", step_index=1, step_total=1)

    def hang(job_id: str, fence: int, _report: ProgressReport) -> None:
        # The next one is left to the end.
        worker.progress.offer(f"{job_id}-next", fence, reading)
        back.wait()

    monkeypatch.setattr(worker.progress.progress, "record", hang)
    worker.progress.offer("job-1", 1, reading)
    worker.request_stop()
    running = threading.Thread(target=worker.run, daemon=True)
    running.start()
    running.join(timeout=30)
    ended = not running.is_alive()
    back.set()
    assert ended


def passing(clock: FrozenClock) -> Callable[[float], Sequence[object]]:
    def events(timeout_seconds: float) -> Sequence[object]:
        clock.advance(timeout_seconds)
        return ()

    return events


# ---------------------------------------------------------------------- liveness
def soon(what: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not what() and time.monotonic() < until:
        time.sleep(0.01)
    return what()


def test_f45_a_worker_is_live_for_as_long_as_a_backend_may_keep_a_turn(
    world: World, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = worker_of(world, station)
    hung, begun = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        hung.wait(60)

    monkeypatch.setattr(type(worker.keeper), "tick", lambda _keeper: hang())
    clock = FrozenClock()
    worker.health.clock = clock
    running = threading.Thread(target=worker.run, daemon=True)
    running.start()
    try:
        assert begun.wait(20)
        clock.advance(WEDGED_SECONDS)
        assert soon(worker.health.live), "its own pause is added"
        clock.advance(worker.options.watch_seconds)
        assert not worker.health.live()
        hung.set()
        assert soon(worker.health.live)
    finally:
        hung.set()
        worker.request_stop()
        running.join(20)
    assert not running.is_alive()


def test_a_waker_that_looks_seldom_is_not_wedged(
    world: World, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, clock = worker_of(world, station), FrozenClock()
    worker.options = replace(worker.options, scan_seconds=100.0)
    worker.health.clock = clock
    woken: list[float] = []
    monkeypatch.setattr(Worker, "_wake", lambda worker: woken.append(worker.health.clock.monotonic()))
    running = threading.Thread(target=worker.run, daemon=True)
    running.start()
    try:
        assert soon(lambda: bool(woken))
        for _ in range(2):
            clock.advance(WEDGED_SECONDS - 1)
            # All others have come round since.
            assert soon(worker.health.live)
        assert len(woken) == 1
    finally:
        worker.request_stop()
        running.join(20)


def test_f24_a_long_drain_is_live(world: World, station: Station) -> None:
    """Its receiver has ended, as it should."""
    worker, clock = worker_of(world, station), FrozenClock()
    worker.health.clock = clock
    worker.health.watch("receiver")
    worker._stopping.set()
    worker._receiver.run("receiver")
    clock.advance(10 * WEDGED_SECONDS)
    assert worker.health.live()


# ---------------------------------------------------------------------- bugs
def test_e11_a_bug_that_one_row_meets_keeps_no_other_from_being_taken_up(
    world: World, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, deliveries = worker_of(world, station), received(world, 3)
    many, one = world.ledger.change_many, world.ledger.change

    def broken_many(job_ids: Collection[str], move: Move) -> Mapping[str, Job]:
        if "job-1" in job_ids:
            raise ValueError("nobody foresaw this row")
        return many(job_ids, move)

    def broken(job_id: str, move: Move, *, running_per_tenant: int = 0) -> Job:
        if job_id == "job-1":
            raise ValueError("nobody foresaw this row")
        return one(job_id, move, running_per_tenant=running_per_tenant)

    monkeypatch.setattr(world.ledger, "change_many", broken_many)
    monkeypatch.setattr(world.ledger, "change", broken)
    worker._receiver._take_each(deliveries)
    assert {taken.job.id for taken in station.held.active()} == {"job-0", "job-2"}
    assert len(station.executor.running) == 2
    assert world.queue.inner.depth().delayed == 1, "and it is looked at a few times more, then kept aside"


# ---------------------------------------------------------------------- recovery
def test_i9_all_that_a_dead_worker_leaves_is_woken_in_one_turn(world: World, station: Station) -> None:
    names = [f"job-{number}" for number in range(3 * world.waker.batch)]
    begun = world.ledger.begin([draft(name) for name in names], owner="dead", lease_seconds=30)
    assert len(begun) == len(names)
    worker = worker_of(world, station)
    worker.waker = world.waker
    world.clock.advance(31)
    worker._wake()
    assert world.queue.inner.depth().ready == len(names)


def take_the_one(world: World) -> None:
    """The only message there is, for good."""
    (delivery,) = world.queue.receive(1, wait_seconds=0, visibility_seconds=60)
    world.queue.ack([delivery])


def test_a_drain_does_not_end_between_the_taking_of_a_row_and_its_message(
    world: World, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs of an event with several are rows first. A drain once ended while the waker had them in hand."""
    worker = worker_of(world, station)
    worker.waker = world.waker
    world.ledger.begin([draft("job-1")], owner="dead", lease_seconds=30)
    world.clock.advance(31)
    assert not worker._drained(), "it is due"
    publish, believed = world.waker.publisher.publish, list[bool]()

    def meanwhile(envelopes: Sequence[Envelope]) -> None:
        asking = threading.Thread(target=lambda: believed.append(worker._drained()))
        asking.start()
        asking.join(10)
        publish(envelopes)

    monkeypatch.setattr(world.waker.publisher, "publish", meanwhile)
    worker._wake()
    assert believed == [False]
    assert not worker._drained(), "its message waits"
    take_the_one(world)
    assert worker._drained()


def test_a_drain_does_not_end_while_rows_are_taken_whose_messages_could_not_be_sent(
    world: World, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are due again when the waker's hold is over, and nowhere to be seen until then."""
    worker = worker_of(world, station)
    worker.waker = world.waker
    world.ledger.begin([draft("job-1")], owner="dead", lease_seconds=30)
    world.clock.advance(31)
    with monkeypatch.context() as away:
        away.setattr(world.waker.publisher, "publish", Silent(QueueUnavailable))
        with pytest.raises(QueueUnavailable):
            worker._wake()
    assert not worker._drained(), "the row is held"
    world.clock.advance(world.waker.hold_seconds + 1)
    assert not worker._drained(), "it is due again"
    worker._wake()
    take_the_one(world)
    assert worker._drained()


def test_a_drain_does_not_end_between_what_follows_an_end_and_the_message_of_its_job(
    world: World, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message comes after the queue was looked at, and nobody is at work any more when that is asked."""
    worker = worker_of(world, station)
    worker.followups = Followups(lambda _job: world.submit("next"))
    worker.followups.ended(Job(id="job-1", type="video", tenant="t1", payload={}))
    depth = world.queue.inner.depth

    def meanwhile() -> QueueDepth:
        found = depth()
        assert worker.followups is not None
        worker.followups.tick()
        return found

    monkeypatch.setattr(world.queue.inner, "depth", meanwhile)
    assert not worker._drained()
    worker.followups.tick()
    assert not worker._drained(), "the next one's message waits"


def test_jobs_of_one_message_are_woken_without_waiting_for_the_next_scan(
    world: World, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are rows without messages; a scan is ten seconds away, usually."""
    worker = worker_of(world, station)
    worker.waker = world.waker
    worker.options = replace(worker.options, scan_seconds=3600)
    woken, turned = threading.Event(), threading.Event()
    tick = world.waker.tick

    def ticked() -> int:
        count = tick()
        turned.set()
        if count:
            woken.set()
        return count

    monkeypatch.setattr(type(world.waker), "tick", lambda _self: ticked())
    waking = threading.Thread(
        target=worker._loop, args=("waker", worker._wake, 3600.0, True, station.intake.rows_wait), daemon=True
    )
    waking.start()
    assert turned.wait(10)
    world.foreign(["job-1", "job-2"])
    assert world.deliver(station) is None
    assert woken.wait(30)
    worker._finished.set()
    station.intake.rows_wait.set()
    waking.join(30)
    assert not waking.is_alive()
    assert world.queue.inner.depth().ready == 2


class Stuck(Nobody):
    """A way of telling administrators that takes its time."""

    def __init__(self) -> None:
        self.asked, self.goes_on = threading.Event(), threading.Event()

    def notify(self, _letter: DeadLetter) -> None:
        self.asked.set()
        self.goes_on.wait()


@pytest.fixture
def told(world: World, station: Station, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stuck]:
    """Whom a worker that runs tells of a dead letter."""
    world.rubbish()
    world.deliver(station)
    worker, way = worker_of(world, station), Stuck()
    worker.alarm, worker.waker = Alarm(world.dead_letters, way), world.waker
    worker.options = replace(worker.options, scan_seconds=0.01)
    running = threading.Thread(target=worker.run, daemon=True)
    running.start()
    yield way
    way.goes_on.set()
    monkeypatch.setattr(station.executor, "events", passing(world.clock))
    worker.request_stop()
    running.join(timeout=30)


def test_i9_a_slow_way_of_telling_administrators_keeps_nothing_from_being_woken(world: World, told: Stuck) -> None:
    assert told.asked.wait(10)
    world.ledger.begin([draft("job-1")], owner="dead", lease_seconds=30)
    world.clock.advance(31)

    until = time.monotonic() + 10
    while (row := world.memory.find("job-1")) is not None and row.fence == 1 and time.monotonic() < until:
        time.sleep(0.02)
    assert row is not None
    assert row.fence > 1, "nobody woke what a dead worker left"


# ---------------------------------------------------------------------- backends that say nothing
def test_f16_a_queue_that_is_silent_is_asked_once_to_take_messages_back(
    world: World, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, deliveries = worker_of(world, station), received(world, 3)
    world.ledger.fault = "down"
    monkeypatch.setattr(world.queue, "release", silent := Silent(QueueUnavailable))
    with pytest.raises(DatabaseUnavailable):
        worker._receiver._take_each(deliveries)
    assert silent.calls == 1


def test_f13_a_lock_server_that_is_silent_is_asked_once_a_beat(
    world: World, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        world.submit(f"job-{number}")
        assert world.deliver(station) is not None
    monkeypatch.setattr(world.lock, "renew", silent := Silent(LockUnavailable))
    for beats in (1, 2):
        world.clock.advance(station.keeper.options.beat_seconds)
        station.keeper.tick()
        assert silent.calls == beats
    world.clock.advance(station.keeper.options.lease_seconds - 1)
    assert {row.state for name in world.jobs if (row := world.memory.find(name))} == {JobState.RUNNING}
    assert station.executor.stopped == []


def test_f13_a_store_of_progress_that_is_silent_is_asked_once_a_turn_and_gets_the_readings_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryProgress(world.clock)
    writer = ProgressWriter(store, world.clock)
    for number in range(3):
        writer.offer(f"job-{number}", 1, ProgressReport(percent=10, step="x", step_index=1, step_total=1))
    with monkeypatch.context() as away:
        away.setattr(store, "record", silent := Silent(NetworkError))
        writer.tick(everything=True)
        assert silent.calls == 1
    writer.tick(everything=True)
    assert sum(store.latest(f"job-{number}") is not None for number in range(3)) == 2


class Hanging:
    """Stands for backends each of which keeps whoever asks for as long as it can, and whether the worker counted as live then."""

    def __init__(self, health: Health, error: type[NetworkError], seconds: float = WEDGED_SECONDS - 5) -> None:
        self.health, self.error, self.seconds = health, error, seconds
        self.lived: list[bool] = []

    def __call__(self, *_given: object, **_more: object) -> None:
        assert isinstance(self.health.clock, FrozenClock)
        self.health.clock.advance(self.seconds)
        self.lived.append(self.health.live())
        raise self.error("no answer")


@pytest.fixture
def patient(world: World, station: Station) -> Worker:
    """A worker whose health has a clock of its own, and that is told where a turn goes on (wiring/worker.py)."""
    worker = worker_of(world, station)
    worker.health.clock = FrozenClock()
    worker.keeper.goes_on = worker.health.goes_on
    object.__setattr__(worker.intake, "goes_on", worker.health.goes_on)
    return worker


def test_f45_a_beat_whose_database_queue_and_lock_all_hang_is_live(
    world: World, station: Station, patient: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be one server. An outage restarts nothing."""
    for number in range(2):
        world.submit(f"job-{number}")
        assert world.deliver(station) is not None
    hangs = [Hanging(patient.health, error) for error in (DatabaseUnavailable, QueueUnavailable, LockUnavailable)]
    for place, name, hang in zip(
        (world.ledger, world.queue, world.lock), ("beat", "extend", "renew"), hangs, strict=True
    ):
        monkeypatch.setattr(place, name, hang)
    world.clock.advance(station.keeper.options.beat_seconds)
    patient.health.turned("keeper")
    station.keeper.tick()
    assert [hang.lived for hang in hangs] == [[True]] * 3
    assert patient.health.live()


def test_f45_a_receive_whose_lock_ledger_and_queue_all_hang_is_live(
    world: World, station: Station, patient: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries = received(world, 2)
    hangs = [Hanging(patient.health, error) for error in (LockUnavailable, DatabaseUnavailable, QueueUnavailable)]
    for place, name, hang in zip(
        (world.lock, world.ledger, world.queue), ("acquire", "change", "release"), hangs, strict=True
    ):
        monkeypatch.setattr(place, name, hang)
    monkeypatch.setattr(world.ledger, "change_many", lambda *_given: {})
    patient.health.turned("receiver")
    with pytest.raises(DatabaseUnavailable):
        patient._receiver._take_each(deliveries)
    assert [hang.lived for hang in hangs] == [[True]] * 3


def test_f45_many_claims_that_are_read_back_from_a_slow_database_are_no_wedge(
    world: World, station: Station, patient: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch's answer was lost; its rows are read back one by one."""
    patient.uncertain = patient._receiver.uncertain = UncertainClaims(world.ledger)
    begun = world.ledger.begin([draft(f"job-{number}") for number in range(5)], owner="w", lease_seconds=30)
    for job in begun.values():
        patient.uncertain.note(job)
    change, lived = world.ledger.change, list[bool]()

    def slowly(job_id: str, move: Move, *, running_per_tenant: int = 0) -> Job:
        assert isinstance(patient.health.clock, FrozenClock)
        patient.health.clock.advance(WEDGED_SECONDS / 3)
        lived.append(patient.health.live())
        return change(job_id, move, running_per_tenant=running_per_tenant)

    monkeypatch.setattr(world.ledger, "change", slowly)
    patient.health.turned("receiver")
    patient._receiver._once()
    assert lived == [True] * 5
    assert {row.state for name in begun if (row := world.memory.find(name))} == {JobState.QUEUED}


def test_f45_a_receive_that_hangs_at_the_end_of_its_wait_is_live(
    world: World, station: Station, patient: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient._watched()
    hang = Hanging(patient.health, QueueUnavailable, patient._receiver.wait_seconds + WEDGED_SECONDS - 5)
    for loop in ("keeper", "waker", "progress"):
        patient.health.left(loop)
    monkeypatch.setattr(world.queue, "receive", hang)
    with pytest.raises(QueueUnavailable):
        patient._receiver._once()
    assert hang.lived == [True]


def test_f45_a_waker_that_waited_for_a_drain_s_look_is_live(
    world: World, station: Station, patient: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look has the waker's lock, and a queue that hangs keeps it; then the database keeps the waker."""
    patient.waker = replace(world.waker, goes_on=patient.health.goes_on)
    queue = Hanging(patient.health, QueueUnavailable)
    ledger = Hanging(patient.health, DatabaseUnavailable)
    monkeypatch.setattr(world.ledger, "to_wake", ledger)
    turning = threading.Event()

    def turn() -> None:
        patient.health.turned("waker")
        turning.set()
        with suppress(DatabaseUnavailable):
            patient._wake()

    waking = threading.Thread(target=turn, daemon=True)

    def depth() -> None:
        waking.start()
        assert turning.wait(10)
        queue()

    monkeypatch.setattr(world.queue.inner, "depth", depth)
    assert not patient._drained()
    waking.join(10)
    assert not waking.is_alive()
    assert (queue.lived, ledger.lived) == ([True], [True])
