"""Jobs longer than SQS hides a message, with the engine's parts around real queues."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from src.application.engine.held import Held
from src.domain.job import JobState
from tests.contracts.backends.sqs import Sides, SqsPlace, sqs_place
from tests.fakes.world import LEASE, Station, World

HOUR = 3600.0


class SqsWorld(World):
    """Its messages are on SQS."""

    def __init__(self, folder: Path) -> None:
        super().__init__(workers=2)
        self.place: SqsPlace = sqs_place(self.clock, folder)
        self.sides: Sides = self.place.queue()
        self.queue.inner = self.sides  # type: ignore[assignment] # the same methods, another class

    def work(self, station: Station, held: Held, seconds: float) -> None:
        """The job gets on, and its keeper beats."""
        for _ in range(int(seconds / (LEASE / 3))):
            self.clock.advance(LEASE / 3)
            held.last_progress_at = self.clock.monotonic()
            station.keeper.tick()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SqsWorld]:
    made = SqsWorld(tmp_path)
    yield made
    made.place.close()


def begun(world: SqsWorld) -> tuple[Station, Held, str]:
    """A job that runs, received almost twelve hours ago as far as the queue's limit goes."""
    station = world.workers[0]
    world.submit("job-1")
    held = world.deliver(station)
    assert held is not None
    (run,) = station.executor.running
    consumer = world.sides.consumer
    for receipt in consumer._held:
        # Twelve hours of beats are 4320 calls; those that matter are the last ones.
        consumer._held[receipt] -= 12 * HOUR - 100
    return station, held, run


def test_f30_a_message_that_came_back_after_twelve_hours_finds_its_job_running_and_goes_back(world: SqsWorld) -> None:
    station, held, run = begun(world)
    world.work(station, held, 200)
    assert world.sides.depth().ready == 1, "SQS shows it again"
    other = world.workers[1]
    assert world.deliver(other) is None, "the lease is alive"
    assert world.sides.depth().ready == 0, "it waits for the end of the lease"
    world.work(station, held, 60)
    assert world.deliver(other) is None
    world.end(station, run, "succeed")
    row = world.memory.find("job-1")
    assert row is not None
    assert (row.state, row.attempts, row.fence) == (JobState.SUCCEEDED, 1, 1)
    world.clock.advance(LEASE + 10)
    assert world.deliver(other) is None
    assert (world.sides.depth().ready, world.sides.depth().in_flight) == (0, 0), "recognised as done, and acknowledged"
    assert world.breaches == []


def test_f30_a_worker_that_dies_after_its_message_came_back_is_succeeded_by_it(world: SqsWorld) -> None:
    station, held, _run = begun(world)
    world.work(station, held, 200)
    world.kill(station)
    world.clock.advance(LEASE + 1)
    taken = world.deliver(world.workers[-1])
    assert taken is not None
    assert (taken.job.id, taken.job.fence, taken.job.attempts) == ("job-1", 2, 2)
    assert world.breaches == []
