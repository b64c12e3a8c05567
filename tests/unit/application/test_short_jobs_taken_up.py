"""Short jobs that have a row already are claimed many at a time: what goes wrong between the claim and the start."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import pytest

from src.application.engine.held import run_id
from src.application.engine.uncertain import UncertainClaims
from src.application.ports.ledger import Move
from src.domain.errors import DatabaseUnavailable, DiskFull
from src.domain.job import Job, JobState
from tests.fakes.flaky import FlakyLedger
from tests.fakes.world import LEASE, World


@dataclass
class FullAfterTwo(FlakyLedger):
    """The second commit of many has no room."""

    def change_many(self, job_ids: Collection[str], move: Move) -> Mapping[str, Job]:
        """See JobLedger."""
        self.inner.change_many(sorted(job_ids)[:2], move)
        raise DiskFull("no room for the rest")


@pytest.fixture
def world() -> World:
    """The first worker is killed with four jobs in hand; their leases are over."""
    world = World(workers=2)
    for number in range(4):
        world.foreign([f"job-{number}"])
    world.deliver_many(world.workers[0], 10)
    return world


def left_by(world: World) -> None:
    world.kill(world.workers[0])
    world.clock.advance(2 * LEASE)


def test_f29_what_was_claimed_is_held_and_started_when_the_queue_is_away_for_the_ended_ones(world: World) -> None:
    dead, alive = world.workers
    world.end(dead, run_id(next(each.job for each in dead.held.active() if each.job.id == "job-0")), "succeed")
    left_by(world)
    world.foreign(["job-0"])
    deliveries = world.queue.receive(10, wait_seconds=0, visibility_seconds=LEASE)
    world.queue.down = True
    held, others = alive.intake.take_known(deliveries)
    assert {taken.job.id for taken in held} == {"job-1", "job-2", "job-3"}, "claimed: nobody else may start them"
    assert len(alive.held) == len(held)
    assert others == []
    world.queue.down = False
    world.clock.advance(2 * LEASE)
    assert world.queue.inner.depth().ready == 4, "what was not acknowledged comes back"
    assert world.breaches == []


def test_f07_what_was_claimed_before_the_disk_was_full_is_given_back(world: World) -> None:
    left_by(world)
    alive = world.workers[1]
    uncertain = UncertainClaims(world.ledger)
    alive.intake = replace(alive.intake, uncertain=uncertain, ledger=FullAfterTwo(world.ledger))
    with pytest.raises(DiskFull):
        alive.intake.take_known(world.queue.receive(10, wait_seconds=0, visibility_seconds=LEASE))
    assert uncertain.settle() == 2
    rows = [row for number in range(4) if (row := world.memory.find(f"job-{number}"))]
    assert [row.state for row in rows[:2]] == [JobState.QUEUED, JobState.QUEUED]
    assert [row.attempts for row in rows] == [1, 1, 1, 1], "nothing was tried"
    assert world.breaches == []


def test_f08_what_the_other_hand_has_begun_meanwhile_is_not_given_back_under_its_feet(world: World) -> None:
    """Where messages and jobs change places in one commit, two hands take jobs: one's connection broke, the other took the same."""
    world.foreign(["new-1"])
    station = world.workers[1]
    uncertain = UncertainClaims(world.ledger, station.held)
    station.intake = replace(station.intake, uncertain=uncertain)
    wanted, _ = station.intake.sort(world.queue.receive(10, wait_seconds=0, visibility_seconds=LEASE))
    world.ledger.fault = "before"
    with pytest.raises(DatabaseUnavailable):
        station.intake.take_short(wanted)
    (taken,), _ = station.intake.take_short(wanted)
    assert uncertain.settle() == 0
    row = world.memory.find("new-1")
    assert row is not None
    assert (row.state, row.fence) == (JobState.RUNNING, taken.job.fence), "it runs"
    assert uncertain.settle() == 0
    assert world.breaches == []
