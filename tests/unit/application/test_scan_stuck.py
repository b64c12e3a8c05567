"""scan-stuck on fakes: what it does, and to whom it does nothing."""

from __future__ import annotations

import pytest

from src.application.ports.batch import BatchState
from src.application.ports.ops_events import EventType
from src.application.video.recovery.run import Run
from src.domain.errors import BatchDenied, BatchNotTaken, BatchUnavailable, DatabaseUnavailable, NetworkError
from src.domain.job import JobDraft, JobState
from src.domain.video.video import VideoStatus
from tests.fakes.clinic import DAY, HOUR, LEASE, Clinic
from tests.fakes.office import KEY

NAME = "scan-stuck"


@pytest.fixture
def clinic() -> Clinic:
    return Clinic()


def running(clinic: Clinic) -> str:
    """A job whose container has claimed it; the batch job's id."""
    clinic.office.submit()
    batch_id = clinic.batch_id()
    clinic.office.batch.move(batch_id, BatchState.RUNNING)
    clinic.claim()
    return batch_id


def queued(clinic: Clinic, job_id: str = "job-1", video: str = "v1") -> None:
    """Admitted, and whoever did it died."""
    payload = {"video_id": video, "file_key": KEY}
    clinic.office.ledger.admit(
        JobDraft(id=job_id, type="video", tenant="t1", payload=payload, subject=f"video:{video}")
    )


def actions(run: Run) -> list[tuple[str, str]]:
    return [(note.id, note.action) for note in run.notes]


def test_lesson_8_a_container_that_was_killed_is_followed_by_another(clinic: Clinic) -> None:
    lost = running(clinic)
    clinic.office.batch.lose_host(lost)
    assert actions(clinic.run(NAME)) == []
    clinic.clock.advance(LEASE + 1)
    assert actions(clinic.run(NAME)) == [("job-1", "rescue"), ("job-1", "submit")]
    job = clinic.job()
    assert (job.state, job.attempts) == (JobState.RETRY_WAIT, 1)
    assert clinic.batch_id() != lost
    clinic.clock.advance(61)
    assert actions(clinic.run(NAME)) == [], "it is held off while its container is on its way"
    clinic.clock.advance(61)
    assert actions(clinic.run(NAME)) == [("job-1", "skipped")]
    assert clinic.claim().attempts == 2


def test_five_executions_then_dead_with_the_video_failed_and_an_event(clinic: Clinic) -> None:
    clinic.office.submit()
    for execution in range(1, 6):
        batch_id = clinic.batch_id()
        clinic.office.batch.move(batch_id, BatchState.RUNNING)
        assert clinic.claim().attempts == execution
        clinic.office.batch.lose_host(batch_id)
        clinic.clock.advance(LEASE + 1)
        clinic.run(NAME)
    job = clinic.job()
    assert (job.state, job.error and job.error.code) == (JobState.DEAD, "worker_lost")
    assert clinic.office.videos.get("v1").status is VideoStatus.FAILED
    assert [event.type for event in clinic.office.told()] == [EventType.JOB_DEAD]
    assert [each.id for each in clinic.told] == ["job-1"]
    assert len(clinic.office.submissions.of_job("job-1")) == 5


def test_lesson_10_a_late_heartbeat_is_no_death_while_batch_says_that_it_runs(clinic: Clinic) -> None:
    batch_id = running(clinic)
    clinic.clock.advance(LEASE + 600)
    clinic.run(NAME)
    assert clinic.job().state is JobState.RUNNING
    clinic.clock.advance(1200)
    assert actions(clinic.run(NAME)) == [(batch_id, "terminate"), ("job-1", "rescue"), ("job-1", "submit")]
    assert clinic.job().state is JobState.RETRY_WAIT


def test_one_that_can_t_be_terminated_is_left_alone(clinic: Clinic) -> None:
    running(clinic)
    clinic.clock.advance(LEASE + 1800)
    clinic.office.batch.fail("terminate")
    run = clinic.run(NAME)
    assert actions(run) == [("job-1", "error")]
    assert run.away
    assert clinic.job().state is JobState.RUNNING
    assert len(clinic.office.submissions.of_job("job-1")) == 1


@pytest.mark.parametrize("error", [BatchUnavailable("reset"), BatchDenied("no permission")])
def test_lesson_11_no_answer_changes_nothing(clinic: Clinic, error: BatchUnavailable | BatchDenied) -> None:
    clinic.office.batch.lose_host(running(clinic))
    clinic.clock.advance(DAY)
    before = clinic.job()
    clinic.office.batch.fail("describe", error)
    run = clinic.run(NAME)
    after = clinic.job()
    assert (after.state, after.fence, after.attempts) == (before.state, before.fence, before.attempts)
    assert actions(run) == [("DescribeJobs", "error"), ("job-1", "skipped")]
    assert clinic.office.told()[-1].type is EventType.RECONCILE_DESCRIBE_JOBS_FAILED
    clinic.clock.advance(61)
    assert ("job-1", "submit") in actions(clinic.run(NAME))


def test_gone_for_good_is_three_answers_in_a_row(clinic: Clinic) -> None:
    batch_id = running(clinic)
    clinic.office.batch.forget(batch_id)
    clinic.clock.advance(200)
    for _ in range(2):
        assert actions(clinic.run(NAME)) == [("job-1", "skipped")]
        clinic.clock.advance(61)
    assert ("job-1", "submit") in actions(clinic.run(NAME))


def test_lesson_13_a_retry_is_sent_when_it_is_due_and_not_before(clinic: Clinic) -> None:
    batch_id = running(clinic)
    due = clinic.fail(NetworkError("reset")).due_at
    clinic.office.batch.end(batch_id, 1)
    assert actions(clinic.run(NAME)) == []
    clinic.clock.advance(due - clinic.clock.now())
    assert actions(clinic.run(NAME)) == [("job-1", "submit")]


def test_a_job_whose_caller_died_before_it_submitted_gets_its_container(clinic: Clinic) -> None:
    queued(clinic)
    assert actions(clinic.run(NAME)) == [("job-1", "skipped")]
    clinic.clock.advance(121)
    assert actions(clinic.run(NAME)) == [("job-1", "submit")]
    assert len(clinic.office.submissions.of_job("job-1")) == 1


def test_a_submission_that_fails_is_told_once_and_tried_again(clinic: Clinic) -> None:
    clinic.office.batch.lose_host(running(clinic))
    clinic.clock.advance(LEASE + 1)
    for _ in range(3):
        clinic.office.batch.fail("submit", BatchNotTaken("throttled"))
        assert ("job-1", "error") in actions(clinic.run(NAME))
        clinic.clock.advance(61)
    (event,) = clinic.office.told()
    assert (event.type, event.payload["error_class"]) == (EventType.BATCH_SUBMIT_FAILED, "batch_not_taken")
    assert actions(clinic.run(NAME)) == [("job-1", "submit")]
    assert clinic.claim().attempts == 2


def test_a_cancelled_job_whose_container_vanished_ends_cancelled(clinic: Clinic) -> None:
    clinic.office.batch.lose_host(running(clinic))
    clinic.office.ledger.change("job-1", lambda row, now: row.request_cancel(now))
    clinic.clock.advance(LEASE + 1)
    clinic.run(NAME)
    assert clinic.job().state is JobState.CANCELLED
    assert len(clinic.office.submissions.of_job("job-1")) == 1


def test_a_dry_run_writes_nothing_anywhere(clinic: Clinic) -> None:
    clinic.office.batch.lose_host(running(clinic))
    clinic.clock.advance(LEASE + 1800)
    before = (clinic.job(), clinic.office.submissions.of_job("job-1"), len(clinic.office.batch.calls))
    assert actions(clinic.run(NAME, dry_run=True)) == [("job-1", "rescue")]
    clinic.office.batch.fail("describe")
    clinic.run(NAME, dry_run=True)
    assert (clinic.job(), clinic.office.submissions.of_job("job-1")) == before[:2]
    assert {name for name, _what in clinic.office.batch.calls[before[2] :]} == {"describe"}
    assert clinic.office.told() == []


def test_an_error_of_one_job_never_stops_the_others(clinic: Clinic) -> None:
    for number in range(3):
        clinic.office.submit(f"job-{number}", video=f"v{number}")
        clinic.claim(f"job-{number}")
        batch_id = clinic.batch_id(f"job-{number}")
        clinic.office.batch.move(batch_id, BatchState.RUNNING)
        clinic.office.batch.lose_host(batch_id)
    clinic.clock.advance(LEASE + 1)
    clinic.office.batch.fail("submit", BatchUnavailable("reset"))
    assert [each for each in actions(clinic.run(NAME)) if each[1] in ("submit", "error")] == [
        ("job-0", "error"),
        ("job-1", "submit"),
        ("job-2", "submit"),
    ]


def test_a_run_is_bounded_and_says_that_there_is_more(clinic: Clinic) -> None:
    for number in range(3):
        queued(clinic, f"job-{number}", f"v{number}")
    clinic.clock.advance(121)
    run = clinic.run(NAME, limit=2)
    assert (run.looked, run.more) == (2, True)
    # What was looked at does not keep the others from their turn.
    assert [each[0] for each in actions(clinic.run(NAME, limit=2))] == ["job-2"]


def test_b3_a_job_whose_container_is_still_ending_is_looked_at_again_after_a_minute(clinic: Clinic) -> None:
    batch_id = running(clinic)
    clinic.office.ledger.change("job-1", lambda row, now: row.wait_untried(now, fence=row.fence))
    assert actions(clinic.run(NAME)) == [("job-1", "skipped")]
    clinic.office.batch.end(batch_id, 1)
    clinic.clock.advance(61)
    assert actions(clinic.run(NAME)) == [("job-1", "submit")]


def test_b3_jobs_that_wait_for_a_host_keep_no_lost_one_from_the_next_scan(clinic: Clinic) -> None:
    """However many wait, and for however long."""
    for number in range(2, 8):
        clinic.office.submit(f"job-{number}", video=f"v{number}")
        clinic.office.batch.move(clinic.batch_id(f"job-{number}"), BatchState.RUNNABLE)
    clinic.clock.advance(HOUR + 121)
    lost = running(clinic)
    for _ in range(3):
        clinic.run(NAME, limit=2)
        clinic.clock.advance(20)
        clinic.office.ledger.beat({"job-1": 1}, lease_seconds=LEASE)
    clinic.office.batch.lose_host(lost)
    clinic.clock.advance(LEASE + 1)
    assert actions(clinic.run(NAME, limit=2)) == [("job-1", "rescue"), ("job-1", "submit")]
    # Those that wait are not forgotten for it: their batch job's end makes them due.
    clinic.office.batch.end(clinic.batch_id("job-2"), 1)
    clinic.run("reconcile")
    clinic.clock.advance(HOUR)
    assert ("job-2", "submit") in actions(clinic.run(NAME))


def test_a_database_that_is_away_ends_the_run_and_frees_the_lock(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.office.batch.lose_host(running(clinic))
    clinic.clock.advance(LEASE + 1)

    def away(*_arguments: object) -> None:
        raise DatabaseUnavailable("no route")

    with monkeypatch.context() as patch:
        patch.setattr(clinic.office.ledger, "change", away)
        with pytest.raises(DatabaseUnavailable):
            clinic.run(NAME)
    assert ("job-1", "submit") in actions(clinic.run(NAME))


# ---------------------------------------------------------------------- alone
def test_lesson_11_a_second_run_says_that_there_is_one_and_does_nothing(clinic: Clinic) -> None:
    clinic.office.batch.lose_host(running(clinic))
    clinic.clock.advance(LEASE + 1)
    token = clinic.lock.acquire("video:scan-stuck:lock", ttl_seconds=600)
    run = clinic.run(NAME)
    assert (run.refused, run.looked) == ("another scan-stuck is running", 0)
    assert token is not None
    clinic.lock.release("video:scan-stuck:lock", token)
    assert clinic.run(NAME).refused is None


def test_a_dry_run_takes_no_lock_and_none_keeps_it_waiting(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever only looks must not make the run that acts say that another one is at it (contracts.md 1.9: nothing is written anywhere)."""
    with monkeypatch.context() as patch:
        for call in ("acquire", "renew", "release"):
            patch.delattr(type(clinic.lock), call)
        for name in clinic.jobs:
            assert clinic.run(name, dry_run=True).refused is None
    assert clinic.lock.acquire(f"video:{NAME}:lock", ttl_seconds=600) is not None
    assert clinic.run(NAME, dry_run=True).refused is None
    assert clinic.run(NAME).refused is not None


def test_the_lock_is_free_after_a_run_and_each_recovery_job_has_its_own(clinic: Clinic) -> None:
    for name in clinic.jobs:
        clinic.run(name)
        assert clinic.lock.acquire(f"video:{name}:lock", ttl_seconds=1) is not None


def test_a_run_that_lost_its_lock_goes_no_further(clinic: Clinic) -> None:
    for number in range(2):
        queued(clinic, f"job-{number}", f"v{number}")
    clinic.clock.advance(121)
    dispatch = clinic.office.batch.submit

    def slow(job_id: str, *, name: str, tenant: str) -> str:
        clinic.lock.forget("video:scan-stuck:lock")
        return dispatch(job_id, name=name, tenant=tenant)

    clinic.office.batch.submit = slow  # type: ignore[method-assign]
    run = clinic.run(NAME)
    assert run.looked == 1
    assert run.refused == "called off: another run has the lock"


def test_the_report_is_a_document_with_counts(clinic: Clinic) -> None:
    clinic.office.batch.lose_host(running(clinic))
    clinic.clock.advance(LEASE + 1)
    report = clinic.run(NAME).report()
    assert report["counts"] == {"rescue": 1, "submit": 1}
    assert [each["id"] for each in report["done"]] == ["job-1", "job-1"]
    assert (report["looked"], report["errors"], report["skipped"]) == (1, [], [])


def test_where_nothing_goes_by_batch_it_says_so() -> None:
    assert "WORKER_DISPATCH__BACKEND" in (Clinic(batch=False).run(NAME).refused or "")


def test_f33_two_at_once_send_one_container(clinic: Clinic) -> None:
    clinic.office.batch.lose_host(running(clinic))
    clinic.clock.advance(LEASE + 1)
    inside: list[Run] = []

    def meanwhile() -> None:
        if not inside:
            inside.append(Run(NAME))
            clinic.jobs[NAME].run(inside[0])

    first = Run(NAME, going_on=meanwhile)
    clinic.jobs[NAME].run(first)
    assert actions(inside[0]) == [("job-1", "rescue"), ("job-1", "submit")]
    assert actions(first) == [("job-1", "skipped")]
    assert len(clinic.office.submissions.of_job("job-1")) == 2


def test_a_dry_run_counts_its_own_look_and_does_not_write_it_down(clinic: Clinic) -> None:
    clinic.office.batch.forget(running(clinic))
    clinic.clock.advance(200)
    clinic.run(NAME)
    clinic.clock.advance(61)
    for _ in range(3):
        assert actions(clinic.run(NAME, dry_run=True)) == [("job-1", "skipped")]
    clinic.run(NAME)
    clinic.clock.advance(61)
    assert actions(clinic.run(NAME, dry_run=True)) == [("job-1", "rescue")]
