"""What the engine does about an outage: attempts that it broke off, leases that nobody could renew, locks left behind."""

from __future__ import annotations

import pytest

from src.application.engine.uncertain import UncertainClaims
from src.domain.errors import DatabaseUnavailable
from src.domain.job import Job, JobState
from tests.fakes.world import LEASE, Station, World


@pytest.fixture
def world() -> World:
    return World(workers=2)


def row(world: World) -> Job:
    found = world.memory.find("job-1")
    assert found is not None
    return found


def change(part: object, **fields: object) -> None:
    """The parts are frozen in the product."""
    for name, value in fields.items():
        object.__setattr__(part, name, value)


def started(world: World, station: Station) -> str:
    world.submit("job-1")
    assert world.deliver(station) is not None
    (run,) = station.executor.running
    return run


def test_an_attempt_that_an_outage_broke_off_is_given_back_uncounted(world: World) -> None:
    station = world.workers[0]
    asked: list[tuple[str, float]] = []
    change(station.settler, outage=lambda code, since: not asked.append((code, since)))  # type: ignore[func-returns-value]
    began = world.clock.monotonic()
    run = started(world, station)
    world.clock.advance(3)
    world.end(station, run, "network")
    assert (row(world).state, row(world).attempts) == (JobState.QUEUED, 0)
    assert [since for _, since in asked] == [began]
    error = row(world).error
    assert error is not None
    assert error.code == asked[0][0], "why it was given back is kept"
    world.clock.advance(2)
    assert world.deliver(world.workers[1]) is not None
    assert not world.breaches


def test_after_an_outage_those_who_hold_a_lease_come_first(world: World) -> None:
    holder, other = world.workers
    change(other.intake, database_was_away=lambda: True)
    run = started(world, holder)
    world.clock.advance(LEASE + 1)
    world.duplicate("job-1")
    # Nobody could renew: its lease is over, but its worker is about to write the outcome.
    assert world.deliver(other) is None
    world.end(holder, run, "succeed")
    assert (row(world).state, row(world).attempts) == (JobState.SUCCEEDED, 1)
    assert not world.breaches


def test_a_while_after_an_outage_a_dead_workers_job_is_taken_over(world: World) -> None:
    holder, other = world.workers
    started(world, holder)
    world.clock.advance(LEASE + 1)
    world.duplicate("job-1")
    assert world.deliver(other) is not None
    assert row(world).attempts == 2


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_claim_of_unknown_fate_leaves_no_lock_and_costs_no_attempt(world: World, fault: str) -> None:
    station = world.workers[0]
    uncertain = UncertainClaims(world.ledger)
    change(station.intake, uncertain=uncertain)
    world.submit("job-1")
    world.ledger.fault = fault
    with pytest.raises(DatabaseUnavailable):
        world.deliver(station)
    assert world.lock.inner.acquire("job:job-1:lock", ttl_seconds=1) is not None
    assert uncertain.settle() == (fault == "after")
    assert (row(world).state, row(world).attempts) == (JobState.QUEUED, 0)
