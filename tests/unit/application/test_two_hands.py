"""Where messages and jobs change places in one commit, one hand looks at the queue while the other's rows are written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from src.application.engine import receiver
from src.application.engine.receiver import Receiver
from src.application.engine.uncertain import UncertainClaims
from src.application.ports.exchange import Sort
from src.application.ports.queue import Delivery, QueueDepth
from src.domain.errors import DatabaseUnavailable
from src.domain.job import Job
from tests.fakes.world import Station, World, draft
from tests.unit.application.test_worker import Exchange, worker_of

PATIENCE_SECONDS = 20.0
"""For what happens at once; a test that waits this long has failed."""


@dataclass
class Counter(Exchange):
    """A MessageExchange over a world's messages; `writing` happens between its look and its commit."""

    world: World
    writing: Callable[[], object] = lambda: None
    asked: int = 0
    limits: list[int] = field(default_factory=list)

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
        self.limits.append(limit)
        deliveries = self.world.queue.inner.receive(limit, wait_seconds=0, visibility_seconds=visibility_seconds)
        if not deliveries:
            return (), ()
        wanted, others = sort(deliveries)
        self.writing()
        begun = self.world.ledger.begin([draft for _, draft in wanted], owner=owner, lease_seconds=lease_seconds)
        return list(begun.values()), others


@pytest.fixture
def world() -> World:
    return World(workers=1)


@pytest.fixture
def station(world: World) -> Station:
    return world.workers[0]


@pytest.fixture
def counter(world: World) -> Counter:
    return Counter(world)


@pytest.fixture
def hands(world: World, station: Station, counter: Counter) -> Receiver:
    return worker_of(world, station, counter)._receiver


def by_the_other(hands: Receiver) -> bool:
    """The other hand's look; whether it came to an end."""
    other = threading.Thread(target=hands._once)
    other.start()
    other.join(PATIENCE_SECONDS)
    return not other.is_alive()


def test_only_an_exchange_has_two(world: World, station: Station, hands: Receiver) -> None:
    assert len(set(hands.hands)) == 2
    assert len(worker_of(world, station)._receiver.hands) == 1


def test_one_looks_while_the_others_rows_are_written(
    world: World, station: Station, hands: Receiver, counter: Counter
) -> None:
    seen: list[object] = []

    def writing() -> None:
        counter.writing = lambda: None
        seen.append(hands.short.coming)
        world.foreign(["second"])
        seen.append(by_the_other(hands))
        seen.append(sorted(held.job.id for held in station.held.active()))
        seen.append(hands.taking.is_set())

    world.foreign(["first"])
    counter.writing = writing
    hands._once()
    assert seen == [1, True, ["second"], True], "a drain waits for what is still written"
    assert sorted(held.job.id for held in station.held.active()) == ["first", "second"]
    assert counter.limits[1] <= counter.limits[0] - 1, "what is coming takes room"
    assert hands.short.coming == 0
    assert not hands.taking.is_set()


def test_nobody_is_idle_while_jobs_are_coming(world: World, hands: Receiver, counter: Counter) -> None:
    seen: list[bool] = []

    def writing() -> None:
        assert by_the_other(hands)
        seen.append(hands.idle.is_set())

    world.foreign(["first"])
    counter.writing = writing
    hands.idle.set()
    hands._once()
    assert (counter.asked, seen) == (2, [False])


def test_one_hand_at_a_time_looks(
    world: World, hands: Receiver, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "TURN_SECONDS", 0.01)
    with receiver.Turn(hands._turn):
        hands._once()
        assert counter.asked == 0
    hands._once()
    assert counter.asked == 1


def test_a_batch_with_others_in_it_keeps_the_turn(world: World, hands: Receiver, counter: Counter) -> None:
    seen: list[bool] = []
    world.foreign(["short"])
    world.submit("known")
    counter.writing = lambda: seen.append(hands._turn.locked())
    hands._once()
    assert seen == [True], "long jobs are counted one look at a time"
    assert not hands._turn.locked()


def test_a_write_that_fails_leaves_nothing_behind(world: World, hands: Receiver, counter: Counter) -> None:
    def fail() -> None:
        raise DatabaseUnavailable("gone")

    world.foreign(["first"])
    counter.writing = fail
    with pytest.raises(DatabaseUnavailable):
        hands._once()
    assert hands.short.coming == 0
    assert not hands.taking.is_set()
    assert not hands._turn.locked()


def test_a_drain_does_not_end_while_messages_and_jobs_change_places(
    world: World, station: Station, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a moment the message is gone and its job is not held yet."""
    worker, believed = worker_of(world, station, counter), list[bool]()
    world.foreign(["job-1"])
    monkeypatch.setattr(world.queue.inner, "depth", lambda: QueueDepth(ready=0, delayed=0, in_flight=0))
    assert worker._drained(), "were it not for what is on its way"
    counter.writing = lambda: believed.append(worker._drained())
    worker._receiver._once()
    assert believed == [False]
    assert not worker._drained(), "it is held by now"


def test_a_drain_does_not_end_before_a_claim_whose_answer_was_lost_is_read_back(
    world: World, station: Station, counter: Counter
) -> None:
    """Its message went in that commit. The other hand may have found nothing since, and nobody holds it."""
    worker = worker_of(world, station, counter)
    worker.uncertain = worker._receiver.uncertain = UncertainClaims(world.ledger, station.held)
    worker.waker = world.waker
    (begun,) = world.ledger.begin([draft("job-1")], owner="w0", lease_seconds=30).values()
    assert worker._drained(), "were it another worker's"
    worker.uncertain.note(begun)
    assert not worker._drained()
    worker._receiver._once()
    assert not worker._drained(), "its row is due"
    worker._wake()
    assert world.queue.inner.depth().ready == 1
