"""CronTicks: what any number of schedulers share (I10: one job for each moment of an entry)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from src.application.ports.cron import Board, CronTicks, Standing, Tick
from src.application.ports.ledger import JobFilter
from src.domain.cron import tick_id
from src.domain.job import JobDraft, JobState
from tests.contracts.backends.state import LedgerPlace
from tests.fakes.clock import FrozenClock

NAME = 'na\tm"é'
DAILY = {NAME: "0 3 * * * Asia/Seoul"}


@pytest.fixture
def ticks(ledgers: LedgerPlace) -> CronTicks:
    return ledgers.cron_ticks()


def draft(at: float, name: str = NAME) -> JobDraft:
    return JobDraft(id=tick_id(name, at), type="cleanup", tenant="default", payload={"at": at})


def test_an_entry_is_known_from_its_first_sight_on(ticks: CronTicks, clock: FrozenClock) -> None:
    assert ticks.board(DAILY) == Board(clock.now(), {NAME: Standing()})
    ticks.know(DAILY)
    seen = clock.now()
    clock.advance(100)
    ticks.know(DAILY)
    assert ticks.board(DAILY) == Board(clock.now(), {NAME: Standing(seen)})


def test_a_moment_is_used_up_with_its_job(ledgers: LedgerPlace, ticks: CronTicks, clock: FrozenClock) -> None:
    ticks.know(DAILY)
    at = clock.now() + 10
    clock.advance(15)
    admission = ticks.fire(NAME, at, draft(at))
    assert admission is not None
    assert admission.created
    job = ledgers.ledger().find(tick_id(NAME, at))
    assert job is not None
    assert (job.state, job.type, job.payload) == (JobState.QUEUED, "cleanup", {"at": at})
    last = Tick(scheduled_at=at, fired_at=clock.now(), job_id=job.id)
    assert ledgers.cron_ticks().board(DAILY).entries == {NAME: Standing(at, last)}


def test_i10_a_moment_fires_once_and_none_before_it_afterwards(
    ledgers: LedgerPlace, ticks: CronTicks, clock: FrozenClock
) -> None:
    ticks.know(DAILY)
    now = clock.now()
    assert ticks.fire(NAME, now + 60, draft(now + 60)) is not None
    for other in (ticks, ledgers.cron_ticks()):
        assert other.fire(NAME, now + 60, draft(now + 60)) is None
        assert other.fire(NAME, now + 59, draft(now + 59)) is None
    assert [job.payload["at"] for job in ledgers.ledger().list(JobFilter())] == [now + 60]
    assert ticks.fire(NAME, now + 61, draft(now + 61)) is not None


def test_i10_a_moment_fires_once_also_when_its_job_is_gone(ticks: CronTicks, clock: FrozenClock) -> None:
    """What decides is the moment, not whether a job of that id is there."""
    now = clock.now()
    assert ticks.fire(NAME, now, draft(now)) is not None
    assert ticks.fire(NAME, now, replace(draft(now), id="another")) is None


def test_i10_many_schedulers_fire_each_moment_once(ledgers: LedgerPlace, clock: FrozenClock) -> None:
    handles = [ledgers.cron_ticks() for _ in range(5)]
    moments = [clock.now() + number for number in range(6)]

    def run(ticks: CronTicks) -> list[float]:
        return [at for at in moments if ticks.fire(NAME, at, draft(at)) is not None]

    with ThreadPoolExecutor(5) as pool:
        fired = [at for found in pool.map(run, handles) for at in found]
    assert sorted(fired) == moments
    assert len(ledgers.ledger().list(JobFilter())) == len(moments)


def test_entries_take_nothing_from_each_other(ledgers: LedgerPlace, ticks: CronTicks, clock: FrozenClock) -> None:
    both = {NAME: "a", "other": "b"}
    ticks.know(both)
    now = clock.now()
    assert ticks.fire(NAME, now + 5, draft(now + 5)) is not None
    assert ticks.fire("other", now, draft(now, "other")) is not None
    board = ticks.board(both)
    assert {name: standing.last and standing.last.scheduled_at for name, standing in board.entries.items()} == {
        NAME: now + 5,
        "other": now,
    }


def test_a_changed_schedule_is_a_new_one_and_both_stay_known(ticks: CronTicks, clock: FrozenClock) -> None:
    """Two versions of the settings side by side: what one fires is not behind the other's first sight."""
    ticks.know(DAILY)
    first = clock.now()
    assert ticks.fire(NAME, first + 5, draft(first + 5)) is not None
    changed = {NAME: "0 9 * * * Asia/Seoul"}
    clock.advance(60)
    assert ticks.board(changed).entries[NAME].after is None
    ticks.know(changed)
    clock.advance(60)
    ticks.know(DAILY)
    assert ticks.board(changed).entries[NAME].after == ticks.board(DAILY).entries[NAME].after == first + 60
    later = clock.now()
    assert ticks.fire(NAME, later, draft(later)) is not None
    assert ticks.board(changed).entries[NAME].after == ticks.board(DAILY).entries[NAME].after == later


def test_a_moment_is_used_up_by_the_active_job_about_the_same_subject(
    ledgers: LedgerPlace, ticks: CronTicks, clock: FrozenClock
) -> None:
    ticks.know(DAILY)
    now = clock.now()
    busy = ledgers.ledger().admit(JobDraft(id="by-hand", type="cleanup", tenant="default", payload={}, subject="cache"))
    assert busy.created
    admission = ticks.fire(NAME, now, replace(draft(now), subject="cache"))
    assert admission is not None
    assert admission.job is not None
    assert (admission.created, admission.job.id) == (False, "by-hand")
    last = ticks.board(DAILY).entries[NAME].last
    assert last is not None
    assert last.job_id == "by-hand"
    assert ticks.fire(NAME, now, draft(now)) is None


def test_a_clock_that_is_set_back_frees_no_moment(ticks: CronTicks, clock: FrozenClock) -> None:
    ticks.know(DAILY)
    at = clock.now() + 10
    clock.advance(10)
    assert ticks.fire(NAME, at, draft(at)) is not None
    clock.step(-3600)
    assert ticks.fire(NAME, at, draft(at)) is None
    board = ticks.board(DAILY)
    assert board.now == clock.now()
    assert board.entries[NAME].after == at
