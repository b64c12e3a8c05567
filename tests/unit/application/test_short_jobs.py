"""The road of short jobs: how many are asked for, and what happens to those that do not go smoothly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from src.application.catalog import JobType
from src.application.engine.held import StopReason
from src.application.engine.pace import HORIZON_SECONDS, MOST, Pace
from src.application.engine.short import MIXED_SECONDS, ShortRoad
from src.application.engine.uncertain import UncertainClaims
from src.application.ports.executor import Succeeded
from src.application.ports.ledger import Effect
from src.application.ports.queue import Delivery
from src.domain.errors import ConfigError, DatabaseUnavailable, InvalidPayload
from src.domain.job import Job, JobState
from tests.fakes.clock import FrozenClock
from tests.fakes.world import LEASE, World


@pytest.fixture
def world() -> World:
    return World(workers=2)


def published(world: World, count: int) -> list[str]:
    names = [f"job-{number}" for number in range(count)]
    for name in names:
        world.foreign([name])
    return names


def received(world: World) -> Sequence[Delivery]:
    return world.queue.receive(10, wait_seconds=0, visibility_seconds=LEASE)


def states(world: World) -> set[JobState]:
    return {row.state for name in world.jobs if (row := world.memory.find(name))}


# ---------------------------------------------------------------------- the road
def test_new_jobs_are_claimed_run_and_settled_together(world: World) -> None:
    names = published(world, 6)
    station = world.workers[0]
    world.deliver_many(station, 10)
    assert len(station.held) == len(names)
    assert states(world) == {JobState.RUNNING}
    world.end_many(station)
    assert states(world) == {JobState.SUCCEEDED}
    assert len(station.held) == 0
    assert world.queue.inner.depth().ready + world.queue.inner.depth().in_flight == 0
    assert world.breaches == []


def test_copies_in_one_batch_are_one_execution(world: World) -> None:
    published(world, 2)
    published(world, 2)
    station = world.workers[0]
    world.deliver_many(station, 10)
    assert len(station.held) == 2
    world.end_many(station)
    world.quiesce()
    assert states(world) == {JobState.SUCCEEDED}
    assert {row.attempts for name in set(world.jobs) if (row := world.memory.find(name))} == {1}


def test_a_replay_of_finished_jobs_is_acknowledged_and_runs_nothing(world: World) -> None:
    published(world, 5)
    station = world.workers[0]
    world.deliver_many(station, 10)
    world.end_many(station)
    published(world, 5)
    world.deliver_many(station, 10)
    assert len(station.held) == 0
    assert world.queue.inner.depth().ready + world.queue.inner.depth().in_flight == 0


def test_f03_a_batch_of_a_frozen_worker_writes_nothing_over_its_successor(world: World) -> None:
    published(world, 3)
    frozen, successor = world.workers
    world.deliver_many(frozen, 10)
    world.clock.advance(LEASE * 2)
    world.deliver_many(successor, 10)
    assert len(successor.held) == 3
    world.end_many(frozen)
    assert states(world) == {JobState.RUNNING}
    world.end_many(successor)
    assert states(world) == {JobState.SUCCEEDED}
    assert world.breaches == []


@pytest.mark.parametrize("later_first", [True, False])
def test_f03_a_worker_that_took_its_own_job_again_settles_the_later_attempt(world: World, later_first: bool) -> None:
    published(world, 1)
    station = world.workers[0]
    for _ in range(2):
        world.deliver_many(station)
        world.clock.advance(LEASE * 2)
    runs = sorted(station.executor.running, reverse=later_first)
    assert [int(run.rsplit("-", 1)[1]) for run in runs] == ([2, 1] if later_first else [1, 2])
    settled = station.settler.settle_short([Succeeded(run, {"fence": int(run.rsplit("-", 1)[1])}) for run in runs])
    assert [held.job.fence for held in settled] == [2]
    assert states(world) == {JobState.SUCCEEDED}
    assert world.breaches == []


def test_f03_a_worker_that_took_its_own_job_again_stops_the_earlier_attempt(world: World) -> None:
    published(world, 1)
    station = world.workers[0]
    for _ in range(2):
        world.deliver_many(station)
        world.clock.advance(LEASE * 2)
    station.keeper.tick()
    assert [int(run.rsplit("-", 1)[1]) for run in station.executor.stopped] == [1]


def test_f08_a_lost_reply_to_a_batch_is_found_to_be_our_own(world: World) -> None:
    published(world, 3)
    station = world.workers[0]
    world.deliver_many(station, 10)
    world.ledger.fault = "after"
    world.end_many(station)
    assert states(world) == {JobState.SUCCEEDED}
    assert world.queue.inner.depth().ready + world.queue.inner.depth().in_flight == 0
    assert world.breaches == []


def test_f08_jobs_whose_claim_was_answered_by_nobody_are_run_once_after_their_lease(world: World) -> None:
    published(world, 3)
    world.ledger.fault = "after"
    with pytest.raises(DatabaseUnavailable):
        world.deliver_many(world.workers[0], 10)
    assert states(world) == {JobState.RUNNING}
    world.quiesce()
    assert states(world) == {JobState.SUCCEEDED}
    assert world.breaches == []


def test_f08_a_batch_whose_claim_was_answered_by_nobody_is_given_back_when_the_database_is_back(world: World) -> None:
    names = published(world, 3)
    uncertain = UncertainClaims(world.ledger)
    station = world.workers[0]
    station.intake = replace(station.intake, uncertain=uncertain)
    world.ledger.fault = "after"
    with pytest.raises(DatabaseUnavailable):
        world.deliver_many(station, 10)
    assert uncertain.settle() == 3
    assert states(world) == {JobState.QUEUED}
    assert {row.attempts for name in names if (row := world.memory.find(name))} == {0}
    assert uncertain.settle() == 0
    assert world.breaches == []


def test_what_a_dead_worker_left_is_taken_up_together(world: World) -> None:
    names = published(world, 6)
    dead, alive = world.workers
    world.deliver_many(dead, 10)
    world.kill(dead)
    world.clock.advance(2 * LEASE)
    held, others = alive.intake.take_known(received(world))
    assert {taken.job.id for taken in held} == set(names)
    assert others == []
    assert {taken.job.fence for taken in held} == {2}
    assert all(taken.short and taken.lock_token is None for taken in held)
    assert world.breaches == []


def test_done_and_foreign_ones_among_known_jobs_are_told_apart(world: World) -> None:
    published(world, 3)
    station = world.workers[0]
    world.deliver_many(station, 10)
    world.end_many(station)
    published(world, 3)
    world.foreign(["live-1", "live-2"])
    deliveries = received(world)
    held, others = station.intake.take_known(deliveries)
    assert held == []
    assert [delivery for delivery in others if b"job-" in delivery.body] == [], "the ended ones are acknowledged"
    assert len(others) == 1, "several jobs in one message are looked at by themselves"
    assert world.breaches == []


def test_f08_known_jobs_whose_claim_was_answered_by_nobody_are_given_back(world: World) -> None:
    names = published(world, 3)
    dead, alive = world.workers
    world.deliver_many(dead, 10)
    world.kill(dead)
    world.clock.advance(2 * LEASE)
    uncertain = UncertainClaims(world.ledger)
    alive.intake = replace(alive.intake, uncertain=uncertain)
    deliveries = received(world)
    world.ledger.fault = "after"
    with pytest.raises(DatabaseUnavailable):
        alive.intake.take_known(deliveries)
    assert uncertain.settle() == len(names)
    assert states(world) == {JobState.QUEUED}


def test_what_was_returned_is_given_back_untried(world: World) -> None:
    (name,) = published(world, 1)
    station = world.workers[0]
    world.deliver_many(station)
    (run,) = station.executor.running
    world.end(station, run, "return")
    row = world.memory.find(name)
    assert row is not None
    assert (row.state, row.attempts) == (JobState.QUEUED, 0)
    assert world.queue.inner.depth().ready == 1


def test_many_returned_are_given_back_untried_with_one_call(world: World) -> None:
    names = published(world, 5)
    station = world.workers[0]
    world.deliver_many(station, 10)
    world.return_many(station)
    assert states(world) == {JobState.QUEUED}
    assert {row.attempts for name in names if (row := world.memory.find(name))} == {0}
    depth = world.queue.inner.depth()
    assert (depth.ready, depth.in_flight, len(station.held)) == (5, 0, 0)
    world.deliver_many(world.workers[1], 10)
    world.end_many(world.workers[1])
    assert states(world) == {JobState.SUCCEEDED}
    assert world.breaches == []


def test_f03_a_worker_that_lost_its_leases_gives_nothing_of_its_successors_back(world: World) -> None:
    published(world, 3)
    frozen, successor = world.workers
    world.deliver_many(frozen, 10)
    world.clock.advance(LEASE * 2)
    world.deliver_many(successor, 10)
    world.return_many(frozen)
    assert states(world) == {JobState.RUNNING}
    assert world.queue.inner.depth().ready == 0
    assert len(frozen.held) == 0
    world.end_many(successor)
    assert states(world) == {JobState.SUCCEEDED}
    assert world.breaches == []


def test_f08_a_lost_reply_to_many_given_back_is_found_to_be_our_own(world: World) -> None:
    published(world, 3)
    station = world.workers[0]
    world.deliver_many(station, 10)
    world.ledger.fault = "after"
    world.return_many(station)
    assert states(world) == {JobState.QUEUED}
    assert world.queue.inner.depth().ready == 3


def test_one_of_those_returned_that_was_to_be_cancelled_is_cancelled(world: World) -> None:
    names = published(world, 3)
    station = world.workers[0]
    world.deliver_many(station, 10)
    world.memory.change(names[1], lambda job, now: job.request_cancel(now))
    world.return_many(station)
    found = [row.state for name in names if (row := world.memory.find(name))]
    assert found == [JobState.QUEUED, JobState.CANCELLED, JobState.QUEUED]
    assert (world.queue.inner.depth().ready, world.queue.inner.depth().in_flight) == (2, 0)


def test_jobs_whose_messages_went_with_their_claim_get_new_ones_all_at_once(world: World) -> None:
    names = published(world, 3)
    station = world.workers[0]
    world.deliver_many(station, 10)
    world.queue.inner.ack([held.delivery for held in station.held.active() if held.delivery is not None])
    for held in station.held.active():
        held.delivery = None
    told: list[Sequence[tuple[Job, float]]] = []
    station.settler = replace(station.settler, put_back=told.append)
    world.return_many(station)
    (jobs,) = told
    assert [(job.id, delay) for job, delay in jobs] == [(name, 0.0) for name in names]


# ---------------------------------------------------------------------- how many
def test_the_pace_follows_what_gets_done() -> None:
    clock = FrozenClock()
    pace = Pace(clock)
    assert pace.allowance(2) == 2, "nothing is known yet"
    for _ in range(20):
        pace.took()
        clock.advance(0.1)
        pace.ended(100, left=0)
    assert pace.allowance(1) == pytest.approx(1000 * HORIZON_SECONDS, rel=0.05)
    clock.advance(3600)
    assert pace.allowance(1) == pytest.approx(1000 * HORIZON_SECONDS, rel=0.05), "idle time says nothing"


def test_the_pace_falls_while_nothing_ends() -> None:
    clock = FrozenClock()
    pace = Pace(clock)
    pace.took()
    clock.advance(0.5)
    pace.ended(999, left=1)
    before = pace.allowance(1)
    clock.advance(60)
    assert pace.allowance(1) < before / 20


def test_the_pace_has_an_end() -> None:
    clock = FrozenClock()
    pace = Pace(clock)
    pace.took()
    clock.advance(0.001)
    pace.ended(1_000_000, left=0)
    assert pace.allowance(1) == MOST


def road(world: World, slots: int = 2) -> ShortRoad:
    station = world.workers[0]
    return ShortRoad(
        station.intake, station.settler, station.executor, station.held, Pace(world.clock), world.clock, slots=slots
    )


def test_batches_are_asked_for_when_half_of_what_may_be_held_is_free(world: World) -> None:
    short = road(world)
    short.pace.took()
    world.clock.advance(0.25)
    short.pace.ended(100, left=0)
    assert short.room() == 100
    published(world, 60)
    world.deliver_many(world.workers[0], 40)
    assert short.room() == 60
    world.deliver_many(world.workers[0], 20)
    assert short.room() == 0


def test_nothing_is_asked_for_before_there_is_a_process_to_run_it(world: World) -> None:
    short = road(world)
    station = world.workers[0]
    station.executor.starting = True
    assert short.room() == 0
    station.executor.starting = False
    assert short.room() == 2


def test_a_long_job_without_a_place_makes_the_next_batches_small(world: World) -> None:
    short = road(world, slots=1)
    assert short.has_place()
    assert short.room() == 1
    short.pace.took()
    world.clock.advance(0.25)
    short.pace.ended(100, left=0)
    published(world, 1)
    world.deliver_many(world.workers[0])
    assert not short.has_place()
    assert short.room() == 0
    world.end_many(world.workers[0])
    assert short.room() == 1
    world.clock.advance(MIXED_SECONDS)
    assert short.room() == 100


def test_f24_a_stop_between_claim_and_start_is_heeded(world: World) -> None:
    published(world, 2)
    short = road(world)
    deliveries = world.queue.receive(10, wait_seconds=0, visibility_seconds=LEASE)
    wanted, _ = short.intake.sort(deliveries[:1])
    held = [*short.intake.take_short(wanted)[0], short.intake.take(deliveries[1])]
    for one in held:
        assert one is not None
        # The executor does not know it yet, and so has nothing to stop.
        assert short.held.request_stop(one, StopReason.DRAINED, world.clock.monotonic())
        one.short = one is held[0]
        short.start_one(one)
    assert world.workers[0].executor.stopped == [one.run_id for one in held if one is not None]


def test_e11_a_batch_with_a_value_that_cannot_be_kept_is_taken_one_by_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_drafts: object, **_more: object) -> None:
        raise InvalidPayload("one of them can't be kept")

    monkeypatch.setattr(world.memory, "begin", refused)
    names = published(world, 3)
    short = road(world)
    wanted, _ = short.intake.sort(world.queue.receive(10, wait_seconds=0, visibility_seconds=LEASE))
    others = short.take(wanted)
    assert [held.job.id for held in map(short.intake.take, others) if held is not None] == names


# ---------------------------------------------------------------------- registration
def test_a_short_type_with_effects_is_refused_when_it_is_registered() -> None:
    def effects(_old: Job | None, _new: Job) -> list[Effect]:
        return []

    with pytest.raises(ConfigError, match="short and has effects"):
        JobType(name="odd", parse=lambda _tenant, _payload: None, handler="m:C", short=True, effects=effects)
