"""purge-jobs: how long rows of ended jobs stay, and how a run goes about it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pytest

from src.application.ports.ended_jobs import EndedJobs, OutdatedPage, Place
from src.application.ports.ledger import DeadLetterFilter
from src.application.video.recovery import purge_jobs
from src.application.video.recovery.purge_jobs import PurgeJobs
from src.application.video.recovery.run import Run
from src.domain.errors import DatabaseUnavailable, SourceEmpty
from src.domain.job import JobDraft
from tests.fakes.clinic import DAY, Clinic

NAME = "purge-jobs"


@pytest.fixture
def clinic() -> Clinic:
    return Clinic(batch=False)


def end(clinic: Clinic, *ids: str, well: bool = True) -> None:
    for each in ids:
        clinic.office.ledger.admit(JobDraft(id=each, type="work", tenant="t1", payload={}))
        clinic.claim(each, owner="w")
        if well:
            clinic.office.ledger.change(each, lambda row, now: row.succeed(now, fence=1, result={}))
        else:
            clinic.fail(SourceEmpty("nothing in it"), each)


def left(clinic: Clinic) -> set[str]:
    return {job.id for job in clinic.office.ledger.rows()}


def notes(run: Run) -> list[tuple[str, str]]:
    return [(note.id, note.action) for note in run.notes]


def test_rows_are_kept_for_ninety_days_and_no_longer(clinic: Clinic) -> None:
    end(clinic, "a", "b")
    clinic.clock.advance(DAY)
    end(clinic, "c")
    clinic.clock.advance(89 * DAY)
    assert clinic.run(NAME).notes == [], "ninety days are not more than ninety days"
    clinic.clock.advance(1)
    assert notes(clinic.run(NAME, dry_run=True)) == [("2 jobs", "remove")]
    assert left(clinic) == {"a", "b", "c"}
    assert notes(clinic.run(NAME)) == [("2 jobs", "remove")]
    assert left(clinic) == {"c"}


def test_what_stays_takes_nobody_s_turn(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many dead letters nobody deals with: the rows behind them go."""
    monkeypatch.setattr(purge_jobs, "PAGE", 2)
    end(clinic, "a1", "a2", "a3", "a4", "a5", well=False)
    clinic.clock.advance(1)
    end(clinic, "b")
    clinic.clock.advance(91 * DAY)
    run = clinic.run(NAME, limit=1)
    assert (notes(run), run.more) == ([("1 jobs", "remove")], False)
    assert left(clinic) == {"a1", "a2", "a3", "a4", "a5"}
    letters = clinic.office.ledger.dead_letters
    letters.remove([letter.id for letter in letters.list(DeadLetterFilter())])
    assert clinic.run(NAME, limit=3).counts["remove"] == 3
    assert left(clinic) == set()


def test_a_run_is_bounded_and_goes_page_by_page(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge_jobs, "PAGE", 2)
    end(clinic, *(f"e{number}" for number in range(5)))
    clinic.clock.advance(91 * DAY)
    run = clinic.run(NAME, dry_run=True)
    assert (run.looked, run.more, len(left(clinic))) == (3, False, 5)
    run = clinic.run(NAME, dry_run=True, limit=2)
    assert (run.looked, run.more) == (2, True)
    run = clinic.run(NAME, limit=2)
    assert (run.looked, run.more, len(left(clinic))) == (2, True, 1)
    run = clinic.run(NAME, limit=2)
    assert (run.looked, run.more, left(clinic)) == (1, False, set())


def test_one_run_at_a_time(clinic: Clinic) -> None:
    end(clinic, "a")
    clinic.clock.advance(91 * DAY)
    assert clinic.lock.acquire(f"video:{NAME}:lock", ttl_seconds=600)
    run: Run = clinic.run(NAME)
    assert (run.refused, left(clinic)) == ("another purge-jobs is running", {"a"})


@dataclass
class Meanwhile:
    """EndedJobs: between the look and the removal something happens."""

    inner: EndedJobs
    happens: Sequence[str] = ()
    clinic: Clinic | None = None
    away: bool = False
    removed: list[str] = field(default_factory=list)

    def now(self) -> float:
        return self.inner.now()

    def outdated(self, before: float, limit: int, after: Place | None = None) -> OutdatedPage:
        return self.inner.outdated(before, limit, after)

    def remove(self, ids: Collection[str], before: float) -> Collection[str]:
        for job_id in self.happens:
            assert self.clinic is not None
            self.clinic.office.ledger.change(job_id, lambda row, now: row.reopen(now))
        if self.away:
            raise DatabaseUnavailable("no route")
        return self.inner.remove(ids, before)


def test_what_is_reopened_after_the_look_stays_and_is_not_told_as_gone(clinic: Clinic) -> None:
    end(clinic, "a", "b")
    clinic.clock.advance(91 * DAY)
    run = Run(NAME)
    PurgeJobs(jobs=Meanwhile(clinic.ended_jobs, ["a"], clinic)).run(run)
    assert notes(run) == [("1 jobs", "remove"), ("1 jobs", "skipped")]
    assert left(clinic) == {"a"}


def test_a_database_that_is_away_ends_the_run(clinic: Clinic) -> None:
    end(clinic, "a")
    clinic.clock.advance(91 * DAY)
    run = Run(NAME)
    with pytest.raises(DatabaseUnavailable):
        PurgeJobs(jobs=Meanwhile(clinic.ended_jobs, away=True)).run(run)
    assert (run.notes, left(clinic)) == ([], {"a"})
