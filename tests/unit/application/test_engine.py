"""The engine's promises one by one, on memory adapters and a frozen clock; lessons are contracts.md section 5's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.application.engine.held import StopReason
from src.application.engine.keeper import Keeper
from src.application.engine.options import EngineOptions, OnLockFailure
from src.application.ports.ledger import DeadLetterFilter
from src.application.ports.queue import Envelope
from src.domain.errors import DatabaseUnavailable, QueueUnavailable
from src.domain.job import JobState
from tests.fakes.world import LEASE, STALL, Station, World


@pytest.fixture
def world() -> World:
    return World(workers=2)


def state(world: World, name: str = "job-1") -> JobState:
    row = world.memory.find(name)
    assert row is not None
    return row.state


def depth(world: World) -> tuple[int, int, int]:
    """(ready, delayed, in flight)"""
    found = world.queue.inner.depth()
    return found.ready, found.delayed, found.in_flight


def running(world: World, number: int = 0) -> str:
    station = world.workers[number]
    (run,) = station.executor.running
    return run


def started(world: World, number: int = 0) -> Station:
    world.submit("job-1")
    station = world.workers[number]
    assert world.deliver(station) is not None
    return station


def with_options(station: Station, **changes: object) -> Station:
    """The same worker with other numbers."""
    options = EngineOptions(owner=station.name, lease_seconds=LEASE, stall_seconds=STALL, **changes)  # type: ignore[arg-type]
    keeper = station.keeper
    object.__setattr__(station.intake, "options", options)
    station.keeper = Keeper(
        keeper.ledger, keeper.lock, keeper.queue, keeper.executor, keeper.held, keeper.clock, options
    )
    return station


def test_a_message_is_acknowledged_only_after_the_outcome_is_durable(world: World) -> None:
    station = started(world)
    assert depth(world) == (0, 0, 1)
    world.end(station, running(world), "succeed")
    assert state(world) is JobState.SUCCEEDED
    assert depth(world) == (0, 0, 0)
    assert not world.breaches


def test_lesson_1_a_refused_lock_gives_the_message_back(world: World) -> None:
    world.submit("job-1")
    world.lock.inner.acquire("job:job-1:lock", ttl_seconds=LEASE)
    assert world.deliver(world.workers[0]) is None
    assert depth(world) == (0, 1, 0)
    world.clock.advance(LEASE + 1)
    assert world.deliver(world.workers[0]) is not None


def test_k03_a_lock_whose_owner_died_before_the_claim_costs_at_most_its_ttl(world: World) -> None:
    world.submit("job-1")
    world.killed_at(world.workers[0], "lock.acquired", lambda: world.deliver(world.workers[0]))
    waited = 0.0
    while world.deliver(world.workers[1]) is None:
        world.clock.advance(1)
        waited += 1
        assert waited <= LEASE + 5


def test_k11_a_redelivered_finished_job_is_acknowledged_even_while_its_lock_is_held(world: World) -> None:
    station = started(world)
    run = running(world)
    world.killed_at(station, "complete.committed", lambda: world.end(station, run, "succeed"))
    world.duplicate("job-1")
    assert world.deliver(world.workers[1]) is None
    assert depth(world)[0] == 0
    assert not world.workers[1].executor.running


def test_lesson_2_a_crash_after_receiving_loses_nothing(world: World) -> None:
    world.submit("job-1")
    world.killed_at(world.workers[0], "message.received", lambda: world.deliver(world.workers[0]))
    world.quiesce()
    assert state(world) is JobState.SUCCEEDED


def test_lesson_3_a_running_job_is_not_entered_again(world: World) -> None:
    started(world)
    world.duplicate("job-1")
    assert world.deliver(world.workers[1]) is None
    assert not world.workers[1].executor.running
    assert depth(world)[1] == 1


def test_lesson_5_the_lock_is_free_after_every_ending(world: World) -> None:
    for how in ("succeed", "permanent", "network", "crash", "snooze"):
        name = f"job-{how}"
        world.submit(name)
        station = world.workers[0]
        while world.deliver(station) is None:
            world.clock.advance(1)
        world.end(station, running(world), how)
        assert world.lock.inner.acquire(f"job:{name}:lock", ttl_seconds=1) is not None, how
        world.lock.inner.forget(f"job:{name}:lock")


def test_lesson_6_rubbish_is_quarantined_with_its_reason_and_starves_nobody(world: World) -> None:
    world.rubbish()
    world.submit("job-1")
    assert world.deliver(world.workers[0]) is None
    (letter,) = world.dead_letters.list(DeadLetterFilter())
    assert (letter.error.code, letter.body) == ("invalid_message", b"\xff{")
    assert world.deliver(world.workers[0]) is not None


def test_lesson_7_a_message_that_came_before_its_commit_waits_for_the_row(world: World) -> None:
    world.duplicate("job-1")
    assert world.deliver(world.workers[0]) is None
    assert depth(world) == (0, 1, 0)
    world.submit("job-1", published=False)
    world.clock.advance(31)
    assert world.deliver(world.workers[0]) is not None


def test_a_message_for_a_job_that_never_appears_is_quarantined_not_redelivered_for_ever(world: World) -> None:
    world.duplicate("ghost")
    for _ in range(10):
        world.deliver(world.workers[0])
        world.clock.advance(31)
    (letter,) = world.dead_letters.list(DeadLetterFilter())
    assert letter.error.code == "job_not_found"
    assert depth(world) == (0, 0, 0)


def test_lesson_9_no_progress_for_the_stall_limit_stops_the_run(world: World) -> None:
    station = started(world)
    for _ in range(int(STALL / 10)):
        world.clock.advance(10)
        station.keeper.tick()
    assert station.held.active()[0].stop_reason is StopReason.STALLED
    settled = world.end(station, running(world), "stop")
    assert settled is not None
    assert settled.state is JobState.RETRY_WAIT
    assert settled.error is not None
    assert settled.error.code == "stalled"


def test_lesson_10_failed_heartbeats_are_tried_again_and_a_healthy_job_lives(world: World) -> None:
    station = started(world)
    world.clock.advance(LEASE / 3)
    world.ledger.fault = "down"
    station.keeper.tick()
    world.ledger.fault = None
    world.clock.advance(1)
    station.keeper.tick()
    row = world.memory.find("job-1")
    assert row is not None
    assert row.lease_until == world.clock.now() + LEASE
    assert station.held.active()[0].stop_reason is None


def test_lesson_13_a_retry_whose_message_is_gone_is_woken_when_due(world: World) -> None:
    station = started(world)
    run = running(world)
    world.killed_at(station, "fail.committed", lambda: world.end(station, run, "network"))
    row = world.memory.find("job-1")
    assert row is not None
    assert row.state is JobState.RETRY_WAIT
    world.clock.advance(row.due_at - world.clock.now())
    assert world.waker.tick() == 1
    # The dead worker's lock may still stand; then the message is given back until it expires, never longer.
    for _ in range(int(LEASE) + 6):
        if world.deliver(world.workers[1]) is not None:
            return
        world.clock.advance(1)
    pytest.fail("nobody took the retry within the lock's ttl")


def test_lesson_15_a_late_stop_does_not_overwrite_success(world: World) -> None:
    station = started(world)
    run = running(world)
    world.end(station, run, "succeed")
    assert world.end(station, run, "stop") is None
    assert state(world) is JobState.SUCCEEDED


def test_lesson_17_an_outcome_waits_for_a_database_that_is_away(world: World) -> None:
    station = started(world)
    world.ledger.fault = "before"
    settled = world.end(station, running(world), "succeed")
    assert settled is not None
    assert settled.state is JobState.SUCCEEDED
    assert world.clock.slept


def test_f08_a_lost_reply_to_a_commit_is_read_back_not_repeated(world: World) -> None:
    station = started(world)
    world.ledger.fault = "after"
    settled = world.end(station, running(world), "network")
    assert settled is not None
    assert (settled.state, settled.attempts) == (JobState.RETRY_WAIT, 1)
    assert settled.error_counts == {"network": 1}


def test_f01_ten_hours_under_a_short_lease_without_a_takeover(world: World) -> None:
    station = started(world)
    for _ in range(3600):
        world.clock.advance(10)
        station.held.active()[0].last_progress_at = world.clock.monotonic()
        station.keeper.tick()
        assert world.deliver(world.workers[1]) is None
    assert station.held.active()[0].stop_reason is None
    world.end(station, running(world), "succeed")
    assert state(world) is JobState.SUCCEEDED


def test_f03_a_lost_lease_stops_the_run_and_nothing_is_written(world: World) -> None:
    station = started(world)
    world.clock.advance(LEASE + 5)
    assert world.deliver(world.workers[1]) is not None
    station.keeper.tick()
    assert station.held.active()[0].stop_reason is StopReason.LEASE_LOST
    assert world.end(station, running(world, 0), "stop") is None
    world.end(world.workers[1], running(world, 1), "succeed")
    assert state(world) is JobState.SUCCEEDED


def test_f06_a_database_that_is_away_at_the_claim_leaves_the_message_in_the_queue(world: World) -> None:
    world.submit("job-1")
    world.ledger.fault = "down"
    with pytest.raises(DatabaseUnavailable):
        world.deliver(world.workers[0])
    world.quiesce()
    assert state(world) is JobState.SUCCEEDED


def test_f12_a_lock_server_that_is_away_degrades_or_pauses_by_setting(world: World) -> None:
    world.submit("job-1")
    world.lock.down = True
    pausing = with_options(world.workers[1], on_lock_failure=OnLockFailure.PAUSE)
    assert world.deliver(pausing) is None
    assert depth(world) == (0, 1, 0)
    world.clock.advance(6)
    assert world.deliver(world.workers[0]) is not None


def test_f14_a_lock_server_that_forgot_is_asked_again(world: World) -> None:
    station = started(world)
    world.lock.inner.forget("job:job-1:lock")
    world.clock.advance(LEASE / 3)
    station.keeper.tick()
    assert world.lock.inner.acquire("job:job-1:lock", ttl_seconds=1) is None


def test_f30_a_queue_that_limits_visibility_loses_its_message_before_the_limit(world: World) -> None:
    station = with_options(world.workers[0], message_hold_limit_seconds=100.0)
    world.submit("job-1")
    world.deliver(station)
    held = station.held.active()[0]
    for _ in range(15):
        world.clock.advance(10)
        held.last_progress_at = world.clock.monotonic()
        # The watched queue calls an early acknowledgement a breach; here it is the rule.
        station.keeper.tick()
    assert held.delivery is None
    assert depth(world) == (0, 0, 0)
    assert world.breaches == ["I5 message of job-1 acknowledged while RUNNING"]
    world.breaches.clear()
    world.quiesce()
    assert state(world) is JobState.SUCCEEDED


def test_f30_a_queue_that_is_silent_is_asked_once_a_beat_to_let_messages_go(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may keep whoever asks for most of a lease; no lease may end of that."""
    station = with_options(world.workers[0], message_hold_limit_seconds=100.0)
    for name in ("job-1", "job-2", "job-3"):
        world.submit(name)
        assert world.deliver(station) is not None
    asked: list[float] = []

    def silent(_deliveries: object) -> None:
        asked.append(world.clock.monotonic())
        world.clock.advance(0.8 * LEASE)
        raise QueueUnavailable("no answer")

    beats = 0
    with monkeypatch.context() as away:
        away.setattr(world.queue, "ack", silent)
        while len(asked) < 3:
            world.clock.advance(1)
            for held in station.held.active():
                held.last_progress_at = world.clock.monotonic()
            before = len(asked)
            station.keeper.tick()
            beats += 1
            assert len(asked) - before <= 1
            assert beats < 1000
    assert {state(world, name) for name in ("job-1", "job-2", "job-3")} == {JobState.RUNNING}
    world.clock.advance(0.1 * LEASE)
    assert world.ledger.to_wake(10) == [], "their leases go on"
    assert station.executor.stopped == []


def test_f32_cancel_of_a_running_job_stops_it_at_the_next_look(world: World) -> None:
    station = started(world)
    world.memory.change("job-1", lambda job, now: job.request_cancel(now))
    world.clock.advance(1)
    station.keeper.tick()
    assert station.executor.stopped == [running(world)]
    world.end(station, running(world), "stop")
    assert state(world) is JobState.CANCELLED
    assert depth(world) == (0, 0, 0)


def test_a_drain_hands_back_at_once_without_burning_the_attempt(world: World) -> None:
    station = started(world)
    world.drain(station)
    row = world.memory.find("job-1")
    assert row is not None
    assert (row.state, row.attempts) == (JobState.QUEUED, 0)
    assert depth(world) == (1, 0, 0)


def test_one_message_with_several_jobs_becomes_a_row_each(world: World) -> None:
    world.foreign(["job-1", "job-2", "job-3"])
    assert world.deliver(world.workers[0]) is None
    assert depth(world) == (0, 0, 0)
    world.quiesce()
    assert [state(world, f"job-{number}") for number in (1, 2, 3)] == [JobState.SUCCEEDED] * 3


def test_a_submission_whose_publish_never_happened_is_woken(world: World) -> None:
    world.submit("job-1", published=False)
    assert world.waker.tick() == 1
    assert world.waker.tick() == 0
    assert world.deliver(world.workers[0]) is not None


def test_a_tenant_at_its_limit_waits_and_others_go_on(world: World) -> None:
    world.submit("job-1")
    world.submit("job-2")
    limited = with_options(world.workers[0], running_per_tenant=1)
    assert world.deliver(limited) is not None
    assert world.deliver(limited) is None
    assert state(world, "job-2") is JobState.QUEUED
    world.end(limited, running(world), "succeed")
    world.clock.advance(6)
    assert world.deliver(limited) is not None


def test_f41_a_newer_message_goes_back_to_the_queue_untouched(world: World) -> None:
    from src.application.decoders.decoded import Newer

    station = world.workers[0]
    world.queue.inner.publish([Envelope(body=b"{}", key="n")])
    decode = station.intake.decoders
    object.__setattr__(station.intake, "decoders", type("D", (), {"decode": lambda *_: Newer("9")})())
    assert world.deliver(station) is None
    assert depth(world) == (0, 1, 0)
    assert decode is not station.intake.decoders


def test_t13_a_message_with_another_tenants_job_id_does_not_drive_that_job(world: World) -> None:
    from src.domain.job import JobDraft

    world.memory.admit(JobDraft(id="job-1", type="test", tenant="theirs", payload={}))
    world.queue.inner.publish([Envelope(body=b'{"drafts":["job-1"]}', key="x")])
    assert world.deliver(world.workers[0]) is None
    assert state(world) is JobState.QUEUED
    (letter,) = world.dead_letters.list(DeadLetterFilter())
    assert letter.error.code == "tenant_mismatch"


def test_e11_a_message_that_trips_over_a_bug_of_ours_is_kept_aside_after_some_tries(world: World) -> None:
    station = world.workers[0]
    world.rubbish()
    for _ in range(station.intake.options.unknown_job_receives):
        world.clock.advance(40)
        (delivery,) = world.queue.receive(1, wait_seconds=0, visibility_seconds=5)
        station.intake.broken(delivery, RuntimeError("a bug"))
    (letter,) = world.dead_letters.list(DeadLetterFilter())
    assert "a bug" in letter.error.message
    assert depth(world) == (0, 0, 0)


def test_lesson_4_the_lock_is_kept_while_the_outcome_is_unknown(world: World) -> None:
    station = started(world)
    world.ledger.fault = "down"
    assert world.end(station, running(world), "succeed") is None
    assert world.lock.inner.acquire("job:job-1:lock", ttl_seconds=1) is None


def test_lesson_8_a_worker_killed_right_after_its_claim_leaves_nothing_for_ever(world: World) -> None:
    world.submit("job-1")
    world.killed_at(world.workers[0], "claim.committed", lambda: world.deliver(world.workers[0]))
    assert state(world) is JobState.RUNNING
    world.quiesce()
    assert state(world) is JobState.SUCCEEDED


def test_lesson_12_the_same_failed_attempt_is_counted_once(world: World) -> None:
    station = started(world)
    run = running(world)
    world.end(station, run, "network")
    assert world.end(station, run, "network") is None
    row = world.memory.find("job-1")
    assert row is not None
    assert (row.attempts, dict(row.error_counts)) == (1, {"network": 1})


def test_t12_two_ids_never_meet_in_one_run() -> None:
    from src.application.engine.held import run_id
    from src.domain.job import Job

    names = {run_id(Job(id=name, type="t", tenant="a", payload={})) for name in ("a.b", "a:b", "a_b", "a-b", "j" * 128)}
    assert len(names) == 5
    assert max(len(name) for name in names) < 80


def test_e1_another_job_about_the_same_subject_waits_its_turn_and_is_not_answered_for(world: World) -> None:
    from src.domain.job import JobDraft

    world.memory.admit(JobDraft(id="first", type="test", tenant="acme", payload={}, subject="job-1"))
    world.foreign(["job-1"])
    assert world.deliver(world.workers[0]) is None
    assert (state(world, "first"), depth(world)) == (JobState.QUEUED, (0, 1, 0))
    world.memory.change("first", lambda job, now: job.request_cancel(now))
    world.clock.advance(20)
    assert world.deliver(world.workers[0]) is not None
    assert state(world, "job-1") is JobState.RUNNING


def test_e1_a_message_with_several_jobs_is_kept_until_each_has_its_row(world: World) -> None:
    from src.domain.job import JobDraft

    world.memory.admit(JobDraft(id="first", type="test", tenant="acme", payload={}, subject="job-2"))
    world.foreign(["job-1", "job-2"])
    assert world.deliver(world.workers[0]) is None
    assert depth(world) == (0, 1, 0)
    world.memory.change("first", lambda job, now: job.request_cancel(now))
    world.clock.advance(20)
    world.deliver(world.workers[0])
    assert state(world, "job-2") is JobState.QUEUED
    assert depth(world) == (0, 0, 0)


def test_f41_a_job_of_a_type_this_worker_does_not_know_is_left_alone(world: World) -> None:
    world.submit("job-1")
    station = world.workers[0]
    object.__setattr__(station.intake, "knows", lambda _type: False)
    assert world.deliver(station) is None
    row = world.memory.find("job-1")
    assert row is not None
    assert (row.state, row.attempts) == (JobState.QUEUED, 0)
    assert depth(world) == (0, 1, 0)


def test_lesson_5_a_lock_is_not_taken_again_for_a_job_that_was_settled_meanwhile(world: World) -> None:
    station = started(world)
    held = station.held.active()[0]
    world.lock.inner.forget("job:job-1:lock")
    held.settling = True
    station.keeper._renew_lock(held)
    assert world.lock.inner.acquire("job:job-1:lock", ttl_seconds=1) is not None


def test_an_attempt_that_never_reports_its_end_loses_its_lease(world: World) -> None:
    station = started(world)
    world.clock.advance(STALL)
    station.keeper.tick()
    for _ in range(8):
        world.clock.advance(10)
        station.keeper.tick()
    assert not len(station.held)
    world.clock.advance(LEASE)
    world.waker.tick()
    assert world.deliver(world.workers[1]) is not None


def test_lesson_14_a_job_that_ends_at_its_claim_is_told_as_ended(world: World) -> None:
    """Nobody else sees that it ended: the worker that had it is gone."""
    told: list[tuple[str, JobState]] = []
    station = world.workers[0]
    object.__setattr__(station.intake, "ended", lambda job: told.append((job.id, job.state)))
    for name in ("job-1", "job-2"):
        world.submit(name)
    world.memory.change("job-1", lambda job, now: replace(job, attempts=job.max_attempts, error=None))
    assert world.deliver(station) is None
    assert told == [("job-1", JobState.DEAD)]
    assert world.deliver(station) is not None
    world.duplicate("job-1")
    assert world.deliver(station) is None
    assert told == [("job-1", JobState.DEAD)], "a message for a job that has ended long ago tells nothing new"
