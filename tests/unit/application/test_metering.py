"""What the engine counts, and how the numbers are kept."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from src.application.engine.held import StopReason
from src.application.metrics import (
    ATTEMPTS,
    DEAD_LETTERS,
    DURATION,
    JOBS,
    LEASES_LOST,
    QUEUE_MESSAGES,
    QUEUE_UP,
    RECEIVE_ERRORS,
    RETRIES,
)
from src.application.ports.ledger import DeadLetterFilter
from src.application.ports.meter import Reading
from src.application.ports.queue import Envelope
from src.application.soundings import FRESH_SECONDS, Sounding, sound
from src.application.tally import WINDOW_SECONDS, Tally
from src.domain.errors import QueueUnavailable
from tests.fakes.clock import FrozenClock
from tests.fakes.world import LEASE, World
from tests.unit.application.test_worker import worker_of


@pytest.fixture
def world() -> World:
    return World(workers=2, max_attempts=2)


def attempts(world: World) -> dict[str, int]:
    return {labels[1]: count for (metric, labels), count in world.tally.counters().items() if metric is ATTEMPTS}


def jobs(world: World) -> dict[str, int]:
    return {labels[1]: count for (metric, labels), count in world.tally.counters().items() if metric is JOBS}


# ---------------------------------------------------------------------- the engine
def test_c6_each_end_of_an_attempt_is_counted_once_by_its_outcome(world: World) -> None:
    station = world.workers[0]

    def run(name: str, how: str) -> None:
        world.submit(name)
        held = world.deliver(station)
        assert held is not None
        world.clock.advance(2)
        world.end(station, held.run_id, how)

    run("good", "succeed")
    assert world.tally.histograms()[DURATION, ("test",)][1] == 2.0
    run("bad", "permanent")
    run("later", "snooze")
    run("again", "network")
    assert (jobs(world), attempts(world)) == (
        {"succeeded": 1, "failed": 1},
        {"succeeded": 1, "failed": 1, "returned": 1, "retried": 1},
    )
    assert sum(world.tally.histograms()[DURATION, ("test",)][0]) == 3, "what was returned has no duration"
    assert {labels for metric, labels in world.tally.counters() if metric is RETRIES} == {("test", "network")}
    assert {labels for metric, labels in world.tally.counters() if metric is DEAD_LETTERS} == {
        ("test", "corrupt_source")
    }


def test_c6_short_jobs_are_counted_together(world: World) -> None:
    station = world.workers[0]
    for number in range(6):
        world.foreign([f"job-{number}"])
    world.deliver_many(station, 10)
    world.clock.advance(0.25)
    world.end_many(station)
    assert (jobs(world), attempts(world)) == ({"succeeded": 6}, {"succeeded": 6})
    counts, total = world.tally.histograms()[DURATION, ("test",)]
    assert (sum(counts), total) == (6, 1.5)


def test_c6_an_attempt_whose_lease_was_lost_is_no_end_of_a_job(world: World) -> None:
    first, second = world.workers
    world.submit("job")
    held = world.deliver(first)
    assert held is not None
    world.clock.advance(LEASE + 1)
    world.waker.tick()
    world.clock.advance(100)
    taken = world.deliver(second)
    assert taken is not None
    first.keeper.tick()
    assert held.stop_reason is StopReason.LEASE_LOST
    assert world.tally.count(LEASES_LOST) == 1
    world.end(first, held.run_id, "stop")
    assert (jobs(world), attempts(world)) == ({}, {"lost": 1})
    world.end(second, taken.run_id, "succeed")
    assert jobs(world) == {"succeeded": 1}


def test_c6_what_ends_when_it_is_to_be_claimed_and_what_is_no_message_count_too(world: World) -> None:
    world.submit("job")
    for _ in range(2):
        assert world.deliver(world.workers[0]) is not None
        world.kill(world.workers[0])
        world.clock.advance(200)
    assert world.deliver(world.workers[0]) is None
    assert jobs(world) == {"dead": 1}
    world.rubbish()
    world.deliver(world.workers[0])
    letters = {labels: n for (metric, labels), n in world.tally.counters().items() if metric is DEAD_LETTERS}
    assert letters == {("test", "worker_lost"): 1, ("", "invalid_message"): 1}


def test_c6_a_receive_that_fails_is_counted_by_its_backend(world: World) -> None:
    worker = worker_of(world, world.workers[0])
    worker._receiver.meter = world.tally
    worker._receiver.on_first_receive = worker._stopping.set
    world.queue.down = True
    worker._receiver.run()
    assert world.tally.count(RECEIVE_ERRORS, "queue") == 1


# ---------------------------------------------------------------------- the tally
def test_a_value_counts_in_the_bucket_that_it_fits_in() -> None:
    tally = Tally(FrozenClock())
    for value in (0.0, 0.01, 0.011, 43200.0, 43200.1):
        tally.observe(DURATION, "a", value=value)
    counts, total = tally.histograms()[DURATION, ("a",)]
    assert (counts[0], counts[1], counts[-2], counts[-1]) == (2, 1, 1, 1)
    assert total == pytest.approx(86400.121)


def test_recent_figures_forget_what_is_older_than_the_window() -> None:
    clock = FrozenClock()
    tally = Tally(clock)
    assert (tally.recent().failure_rate, tally.recent().mean_seconds) == (None, None)
    tally.add(JOBS, "a", "dead", amount=3)
    tally.observe(DURATION, "a", value=4.0, times=3)
    clock.advance(100)
    tally.add(JOBS, "a", "succeeded")
    tally.observe(DURATION, "a", value=8.0)
    recent = tally.recent()
    assert (recent.over_seconds, recent.processing_rate, recent.failure_rate, recent.mean_seconds) == (
        100.0,
        0.04,
        0.75,
        5.0,
    )
    clock.advance(WINDOW_SECONDS - 50)
    recent = tally.recent()
    assert (recent.over_seconds, recent.failure_rate, recent.mean_seconds) == (WINDOW_SECONDS, 0.0, 8.0)
    clock.advance(WINDOW_SECONDS)
    assert tally.recent().processing_rate == 0.0


def test_a_metric_takes_the_labels_that_it_has() -> None:
    with pytest.raises(TypeError, match="worker_jobs"):
        Tally(FrozenClock()).add(JOBS, "a")


def test_a_message_that_is_set_aside_is_counted_as_the_job_that_it_names(world: World) -> None:
    world.queue.inner.publish([Envelope(body=b'{"names": "e1"}', key="e1"), Envelope(body=b"{", key="r")])
    assert [world.deliver(world.workers[0]) for _ in range(2)] == [None, None]
    told = {(letter.job_id, letter.type, letter.tenant) for letter in world.dead_letters.list(DeadLetterFilter())}
    assert told == {("e1", "test", "acme"), (None, None, None)}
    counters = world.tally.counters()
    assert jobs(world) == {"failed": 1}
    assert {labels for metric, labels in counters if metric is DEAD_LETTERS} == {
        ("test", "invalid_message"),
        ("", "invalid_message"),
    }


def test_a_type_that_nobody_knows_is_in_the_letter_and_in_no_label(world: World) -> None:
    world.queue.inner.publish([Envelope(body=b'{"names": "e1", "type": "made-up-1"}', key="e1")])
    assert world.deliver(world.workers[0]) is None
    (letter,) = world.dead_letters.list(DeadLetterFilter())
    assert (letter.job_id, letter.type) == ("e1", "made-up-1")
    assert jobs(world) == {}
    assert {labels for metric, labels in world.tally.counters() if metric is DEAD_LETTERS} == {("", "invalid_message")}


# ---------------------------------------------------------------------- soundings
class Queue:
    """Answers, fails, or hangs until it is let go."""

    def __init__(self) -> None:
        self.asked, self.fails = 0, False
        self.gate = threading.Event()
        self.gate.set()

    def ask(self) -> Sequence[Reading]:
        self.asked += 1
        assert self.gate.wait(30)
        if self.fails:
            raise QueueUnavailable("no answer")
        return [Reading(QUEUE_MESSAGES, ("q", "ready"), 7.0)]


@pytest.fixture
def asked() -> Queue:
    return Queue()


def told(sounding: Sounding, within_seconds: float = 30) -> list[float]:
    return [each.value for each in sound([sounding], within_seconds=within_seconds)]


def test_a_fresh_answer_is_told_again_and_an_old_one_never(asked: Queue) -> None:
    clock = FrozenClock()
    sounding = Sounding(QUEUE_UP, asked.ask, clock)
    assert [told(sounding), told(sounding), asked.asked] == [[1.0, 7.0], [1.0, 7.0], 1]
    clock.advance(FRESH_SECONDS + 0.1)
    asked.fails = True
    assert (told(sounding), asked.asked) == ([0.0], 2)
    asked.fails = False
    assert told(sounding) == [1.0, 7.0]


def test_a_backend_that_hangs_holds_one_thread_and_says_so(asked: Queue) -> None:
    sounding = Sounding(QUEUE_UP, asked.ask, FrozenClock())
    asked.gate.clear()
    assert [told(sounding, 0.01) for _ in range(5)] == [[0.0]] * 5
    assert asked.asked == 1
    asked.gate.set()
    assert told(sounding) == [1.0, 7.0]
    assert asked.asked == 1


def test_a_bug_in_a_question_is_no_figure(asked: Queue, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Sequence[Reading]:
        raise ValueError("nobody foresaw this")

    assert told(Sounding(QUEUE_UP, broken, FrozenClock())) == [0.0]
    assert "metrics.broken" in caplog.text
