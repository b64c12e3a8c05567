"""JobLedger: leases and waking."""

from __future__ import annotations

import pytest

from src.application.ports.ledger import TenantFull
from src.domain.job import Job, JobState
from tests.contracts.backends.state import LedgerPlace
from tests.contracts.moves import at_once, claim, draft
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import WholeLedger


@pytest.fixture
def ledger(ledgers: LedgerPlace) -> WholeLedger:
    return ledgers.ledger()


# ---------------------------------------------------------------------- leases
def test_a_beat_renews_all_leases_that_are_held(ledger: WholeLedger, clock: FrozenClock) -> None:
    for job_id in ("job-1", "job-2", "job-3"):
        ledger.admit(draft(job_id))
        claim(ledger, job_id)
    ledger.change("job-2", lambda job, now: job.request_cancel(now))
    clock.advance(20)
    beats = ledger.beat({"job-1": 1, "job-2": 1, "job-3": 9, "gone": 1}, lease_seconds=30)
    assert {job_id: (beat.held, beat.cancel_requested) for job_id, beat in beats.items()} == {
        "job-1": (True, False),
        "job-2": (True, True),
        "job-3": (False, False),
        "gone": (False, False),
    }
    until = {job_id: found.lease_until for job_id in ("job-1", "job-3") if (found := ledger.find(job_id))}
    assert until == {"job-1": clock.now() + 30, "job-3": clock.now() + 10}
    renewed = ledger.find("job-1")
    assert renewed is not None
    assert renewed.wake_at == clock.now() + 30


def test_a_beat_of_a_finished_job_changes_nothing(ledger: WholeLedger) -> None:
    ledger.admit(draft())
    claim(ledger)
    done = ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result={}))
    assert not ledger.beat({"job-1": 1}, lease_seconds=30)["job-1"].held
    assert ledger.find("job-1") == done


def test_watching_does_not_renew(ledger: WholeLedger, clock: FrozenClock) -> None:
    ledger.admit(draft())
    claim(ledger)
    before = ledger.find("job-1")
    clock.advance(10)
    assert ledger.watch({"job-1": 1})["job-1"].held
    assert ledger.find("job-1") == before


def test_nothing_held_is_nothing_to_beat(ledger: WholeLedger) -> None:
    assert (ledger.beat({}, lease_seconds=30), ledger.watch({})) == ({}, {})


def test_f01_a_long_job_keeps_its_lease_by_beats(ledger: WholeLedger, clock: FrozenClock) -> None:
    ledger.admit(draft())
    claim(ledger, lease=60)
    for _ in range(100):
        clock.advance(59)
        assert ledger.beat({"job-1": 1}, lease_seconds=60)["job-1"].held
        assert ledger.to_wake(1) == []


def test_a_tenant_has_at_most_so_many_running_jobs_with_a_live_lease(ledger: WholeLedger, clock: FrozenClock) -> None:
    for job_id, tenant in (("a", "t1"), ("b", "t1"), ("c", "t2"), ("d", "t1")):
        ledger.admit(draft(job_id, tenant=tenant))
    claim(ledger, "c", lease=30)
    claim(ledger, "a", lease=30, running_per_tenant=1)
    before = ledger.find("b")
    with pytest.raises(TenantFull):
        claim(ledger, "b", lease=30, running_per_tenant=1)
    assert (ledger.find("b"), list(ledger.attempts("b"))) == (before, [])
    claim(ledger, "b", lease=30, running_per_tenant=2)
    clock.advance(31)
    claim(ledger, "d", lease=30, running_per_tenant=1)


def test_other_moves_of_a_full_tenant_go_on(ledger: WholeLedger) -> None:
    for job_id in ("a", "b"):
        ledger.admit(draft(job_id))
        claim(ledger, job_id)
    done = ledger.change("a", lambda job, now: job.succeed(now, fence=1, result={}), running_per_tenant=1)
    assert done.state is JobState.SUCCEEDED


def test_two_workers_cannot_both_take_a_tenants_last_place(ledgers: LedgerPlace) -> None:
    ids = [f"job-{number}" for number in range(8)]
    for job_id in ids:
        ledgers.ledger().admit(draft(job_id))
    handles = [ledgers.ledger() for _ in ids]

    def take(number: int) -> bool:
        try:
            claim(handles[number], ids[number], running_per_tenant=2)
        except TenantFull:
            return False
        return True

    assert sum(at_once(len(ids), take)) == 2


# ---------------------------------------------------------------------- waking
def test_due_jobs_are_woken_oldest_first(ledger: WholeLedger, clock: FrozenClock) -> None:
    for job_id in ("first", "second", "third"):
        ledger.admit(draft(job_id))
        clock.advance(1)
    assert [job.id for job in ledger.to_wake(2)] == ["first", "second"]
    ledger.change("first", lambda job, now: job.published(now))
    assert [job.id for job in ledger.to_wake(9)] == ["second", "third"]


def test_only_jobs_of_the_wanted_types_are_woken(ledger: WholeLedger) -> None:
    ledger.admit(draft("first"))
    kind = ledger.admit(draft("second")).job
    assert kind is not None
    assert ledger.to_wake(9, ["another"]) == []
    assert [job.id for job in ledger.to_wake(9, ["another", kind.type])] == ["first", "second"]


def test_i9_a_vanished_workers_job_is_woken_when_its_lease_ends(ledger: WholeLedger, clock: FrozenClock) -> None:
    ledger.admit(draft())
    claim(ledger, lease=30)
    clock.advance(29)
    assert ledger.to_wake(9) == []
    clock.advance(1)
    assert [job.id for job in ledger.to_wake(9)] == ["job-1"]


def test_a_finished_job_is_never_woken(ledger: WholeLedger, clock: FrozenClock) -> None:
    ledger.admit(draft())
    claim(ledger)
    ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result={}))
    clock.advance(1e7)
    assert ledger.to_wake(9) == []


def test_f33_one_of_many_wakers_takes_a_row(ledgers: LedgerPlace) -> None:
    job = ledgers.ledger().admit(draft()).job
    assert job is not None

    def wake(_number: int) -> bool:
        answers: list[bool] = []

        def move(row: Job, now: float) -> Job:
            new, took = row.waking(now, seen=job.wake_at, hold_seconds=30)
            answers.append(took)
            return new

        ledgers.ledger().change("job-1", move)
        return answers[-1]

    assert sorted(at_once(6, wake)) == [False] * 5 + [True]
