"""reconcile on fakes: what it concludes from AWS Batch's answers, and that it does so once."""

from __future__ import annotations

import pytest

from src.application.ports.batch import BatchState
from src.application.ports.ledger import Limits
from src.application.ports.ops_events import EventType
from src.application.video.enqueue_next import EnqueueNext
from src.application.video.recovery.run import Run
from src.domain.errors import BatchDenied, BatchNotTaken, BatchUnavailable
from src.domain.job import JobState
from src.domain.stuck import owner_of
from src.domain.video.video import Video, VideoStatus
from tests.fakes.clinic import DAY, HOUR, LEASE, Clinic
from tests.fakes.office import KEY

NAME = "reconcile"


@pytest.fixture
def clinic() -> Clinic:
    return Clinic()


def actions(run: Run) -> list[tuple[str, str]]:
    return [(note.id, note.action) for note in run.notes if note.action != "skipped"]


def events(clinic: Clinic) -> list[EventType]:
    return [event.type for event in clinic.office.told()]


def started(clinic: Clinic, job_id: str = "job-1", video: str = "v1") -> str:
    clinic.office.submit(job_id, video=video)
    batch_id = clinic.batch_id(job_id)
    clinic.office.batch.move(batch_id, BatchState.RUNNING)
    return batch_id


def test_lesson_12_a_container_that_never_began_counts_once_is_sent_again_and_five_end_the_job(clinic: Clinic) -> None:
    clinic.office.submit()
    for number in range(1, 6):
        batch_id = clinic.batch_id()
        clinic.office.batch.end(batch_id, 1)
        assert (batch_id, "count") in actions(clinic.run(NAME))
        for _ in range(3):
            assert actions(clinic.run(NAME)) == []
        assert clinic.job().attempts == number
        clinic.clock.advance(HOUR)
        clinic.run("scan-stuck")
    job = clinic.job()
    assert (job.state, job.error and job.error.code) == (JobState.DEAD, "container_lost")
    assert clinic.office.videos.get("v1").status is VideoStatus.FAILED
    assert events(clinic) == [EventType.JOB_DEAD]
    assert [each.id for each in clinic.told] == ["job-1"]
    assert len(clinic.office.submissions.of_job("job-1")) == 5


@pytest.mark.parametrize("operation", ["describe", "listing"])
@pytest.mark.parametrize("error", [BatchUnavailable("reset"), BatchDenied("no permission")])
def test_lesson_11_no_answer_changes_nothing(
    clinic: Clinic, operation: str, error: BatchUnavailable | BatchDenied
) -> None:
    clinic.office.submit()
    clinic.office.batch.end(clinic.batch_id(), 1)
    before = (clinic.job(), clinic.office.submissions.latest("job-1"))
    clinic.office.batch.fail(operation, error)
    run = clinic.run(NAME)
    assert (clinic.job(), clinic.office.submissions.latest("job-1")) == before
    assert run.counts["error"] == 1
    assert len(actions(clinic.run(NAME))) == 2, "it is counted when Batch answers again"


@pytest.mark.parametrize("name", [NAME, "scan-stuck"])
def test_lesson_11_no_answer_is_never_gone_however_often_and_long(clinic: Clinic, name: str) -> None:
    clinic.office.submit()
    clinic.claim()
    clinic.office.batch.forget(clinic.batch_id())
    clinic.clock.advance(HOUR)
    for number in range(20):
        clinic.office.batch.fail("describe", BatchUnavailable("reset"))
        assert [each[1] for each in actions(clinic.run(name))] == ["error"]
        (row,) = clinic.office.submissions.of_job("job-1")
        assert (row.missing_times, row.missing_since, row.counted_at) == (0, None, None), number
        clinic.clock.advance(HOUR)
    assert clinic.job().state is JobState.RUNNING
    assert actions(clinic.run(name)) == [], "its first answer is the first of three"
    assert clinic.job().state is JobState.RUNNING


@pytest.mark.parametrize("name", [NAME, "scan-stuck"])
@pytest.mark.parametrize("skew", [-HOUR, HOUR])
@pytest.mark.parametrize("written", [True, False])
def test_f26_a_machine_s_wrong_clock_makes_nothing_gone(clinic: Clinic, name: str, skew: float, written: bool) -> None:
    """Rows have the database's times. One answer that does not know a batch job is one of three, whatever this machine's clock says."""
    clinic.office.submit()
    if written:
        clinic.claim()
        clinic.office.batch.forget(clinic.batch_id())
    else:
        clinic.claim(owner=owner_of("0-unwritten"))
        clinic.office.submissions.count(clinic.batch_id())
    clinic.clock.advance(121)
    clock = type("Another", (), {"now": lambda _self: clinic.clock.now() + skew})()
    object.__setattr__(clinic.sightings, "clock", clock)
    clinic.run(name)
    job = clinic.job()
    assert (job.state, job.fence) == (JobState.RUNNING, 1)
    for _ in range(3):
        clinic.run(name)
        clinic.clock.advance(HOUR)
    clinic.run("scan-stuck")
    assert clinic.job().state is JobState.RETRY_WAIT, "three answers are three, or half an hour is over"


def test_a_listing_that_breaks_off_changes_nothing(clinic: Clinic) -> None:
    for number in range(4):
        started(clinic, f"job-{number}", f"v{number}")
    clinic.office.batch.end(clinic.batch_id("job-0"), 1)
    clinic.office.batch.fail("listing", after=True)
    assert actions(clinic.run(NAME)) == [("ListJobs", "error")]


def test_succeeded_makes_nothing_ready_and_is_told_when_the_job_is_not_done(clinic: Clinic) -> None:
    clinic.office.batch.end(started(clinic), 0)
    batch_id = clinic.batch_id()
    assert actions(clinic.run(NAME)) == [(batch_id, "desync")]
    job = clinic.job()
    assert (job.state, job.attempts, job.wake_at) == (JobState.QUEUED, 0, clinic.clock.now())
    assert clinic.office.videos.get("v1").status is VideoStatus.UPLOADED
    (event,) = clinic.office.told()
    assert (event.type, event.aws_batch_job_id, event.tell_at is not None) == (EventType.BATCH_DESYNC, batch_id, True)
    clinic.clock.advance(121)
    assert actions(clinic.run("scan-stuck")) == [("job-1", "submit")]


def test_succeeded_and_done_is_closed_without_a_word(clinic: Clinic) -> None:
    batch_id = started(clinic)
    clinic.claim()
    clinic.succeed()
    clinic.office.batch.end(batch_id, 0)
    assert actions(clinic.run(NAME)) == [(batch_id, "close")]
    assert events(clinic) == []
    assert clinic.office.submissions.open(10) == []


def test_lesson_14_the_next_video_of_a_tenant_follows_a_container_that_may_not_submit(clinic: Clinic) -> None:
    office = clinic.office
    object.__setattr__(office.submitter, "limits", Limits(active_per_tenant=1))
    office.submit()
    office.videos.add(Video(id="v2", tenant="t1", source_key=KEY, status=VideoStatus.UPLOADED))
    assert office.submit("job-2", video="v2").rejected == "tenant_limit"
    following = EnqueueNext(office.submitter, office.videos, lambda: "job-3")
    object.__setattr__(clinic.jobs[NAME], "ended", following.after)
    clinic.claim()
    clinic.succeed()
    clinic.run(NAME)
    assert clinic.rows() == 1, "its container may still look for the next one itself"
    office.batch.end(clinic.batch_id(), 0)
    clinic.run(NAME)
    assert clinic.job("job-3").payload["video_id"] == "v2"


def test_a_second_container_that_saw_the_job_taken_is_no_desync(clinic: Clinic) -> None:
    started(clinic)
    clinic.claim()
    second = clinic.office.batch.submit("job-1", name="video", tenant="t1")
    clinic.office.batch.move(second, BatchState.STARTING)
    assert actions(clinic.run(NAME)) == [(second, "adopt")]
    clinic.office.batch.end(second, 0)
    assert actions(clinic.run(NAME)) == [(second, "close")]
    assert (clinic.job().state, events(clinic)) == (JobState.RUNNING, [])


def test_not_found_is_nothing_twice_and_nothing_at_all_while_the_lease_is_live(clinic: Clinic) -> None:
    clinic.office.submit()
    clinic.office.batch.forget(clinic.batch_id())
    assert actions(clinic.run(NAME)) == [], "it may be too young to be known"
    clinic.clock.advance(121)
    for _ in range(2):
        assert actions(clinic.run(NAME)) == []
    clinic.claim(owner="batch:unknown")
    for _ in range(3):
        assert actions(clinic.run(NAME)) == []
    assert clinic.job().state is JobState.RUNNING
    clinic.clock.advance(LEASE + 1)
    assert [each[1] for each in actions(clinic.run(NAME))] == ["close"]
    assert clinic.job().state is JobState.RUNNING, "scan-stuck owns it"


def test_not_found_three_times_counts(clinic: Clinic) -> None:
    clinic.office.submit()
    batch_id = clinic.batch_id()
    clinic.office.batch.forget(batch_id)
    clinic.clock.advance(121)
    for _ in range(2):
        assert actions(clinic.run(NAME)) == []
    assert actions(clinic.run(NAME)) == [(batch_id, "count"), ("job-1", "RETRY_WAIT")]


def lost(clinic: Clinic, *, after: bool) -> str:
    """Submitted, and the answer was lost after Batch took it, or before; what stands in the id's place."""
    clinic.office.batch.fail("submit", BatchUnavailable("reset"), after=after)
    clinic.office.submit()
    (row,) = clinic.office.submissions.of_job("job-1")
    assert (row.answered, row.attempt, row.fence) == (False, 1, 0)
    return row.batch_id


def test_f34_a_lost_reply_s_batch_job_that_has_ended_counts_as_any_other(clinic: Clinic) -> None:
    lost(clinic, after=True)
    (known,) = clinic.office.batch.known()
    clinic.office.batch.lose_host(known.batch_id)
    for operation in ("of_job", "of_job"):
        clinic.office.batch.fail(operation)
        assert [each[1] for each in actions(clinic.run(NAME))] == ["error"], "no answer changes nothing"
    run = clinic.run(NAME)
    assert actions(run) == [(known.batch_id, "adopt"), (known.batch_id, "count"), ("job-1", "RETRY_WAIT")]
    assert clinic.job().attempts == 1
    assert clinic.office.submissions.open(10) == []


def test_f34_what_never_got_there_is_forgotten_and_sent_again(clinic: Clinic) -> None:
    asked = lost(clinic, after=False)
    clinic.clock.advance(119)
    assert actions(clinic.run(NAME)) == []
    clinic.clock.advance(1)
    assert [each[1] for each in actions(clinic.run("scan-stuck"))] == [], "reconcile has it"
    assert actions(clinic.run(NAME, dry_run=True)) == [(asked, "forget")]
    assert actions(clinic.run(NAME)) == [(asked, "forget")]
    assert clinic.job().attempts == 0
    assert actions(clinic.run("scan-stuck")) == [("job-1", "submit")]
    assert [row.answered for row in clinic.office.submissions.of_job("job-1")] == [True]


def test_f34_one_who_asks_while_another_does_submits_nothing(clinic: Clinic) -> None:
    asked = lost(clinic, after=True)
    clinic.office.road().dispatch(clinic.job())
    assert len(clinic.office.batch.known()) == 1
    assert [row.batch_id for row in clinic.office.submissions.of_job("job-1")] == [asked]


def test_f34_an_older_one_is_not_taken_for_what_was_asked(clinic: Clinic) -> None:
    clinic.office.batch.add("job-1", name="video-job-1")
    clinic.clock.advance(DAY)
    lost(clinic, after=False)
    clinic.clock.advance(121)
    assert next(each[1] for each in actions(clinic.run(NAME))) == "forget"


def test_a_refused_submission_leaves_no_row(clinic: Clinic) -> None:
    clinic.office.batch.fail("submit", BatchNotTaken("throttled"))
    assert clinic.office.submit().rejected == "submit_failed"
    assert clinic.office.submissions.of_job("job-1") == []


def test_a_lost_reply_s_batch_job_is_adopted_so_that_no_second_one_is_sent(clinic: Clinic) -> None:
    lost(clinic, after=True)
    (known,) = clinic.office.batch.known()
    clinic.clock.advance(HOUR)
    assert [each[1] for each in actions(clinic.run("scan-stuck"))] == []
    assert actions(clinic.run(NAME)) == [(known.batch_id, "adopt")]
    clinic.clock.advance(HOUR)
    assert actions(clinic.run("scan-stuck")) == []
    assert len(clinic.office.batch.known()) == 1


def test_of_two_that_wait_for_one_job_the_newest_stays(clinic: Clinic) -> None:
    clinic.office.submit()
    first = clinic.batch_id()
    clinic.clock.advance(10)
    second = clinic.office.batch.submit("job-1", name="video", tenant="t1")
    clinic.run(NAME)
    assert actions(clinic.run(NAME)) == [(first, "duplicate")]
    assert events(clinic) == [EventType.ORPHAN_CANCELLED]
    clinic.run(NAME)
    assert clinic.job().attempts == 0, "another one is there: nothing is counted"
    assert [job.batch_id for job in clinic.office.batch.known() if not job.state.ended] == [second]


def test_an_orphan_goes_only_after_15_minutes_and_when_others_get_hosts(clinic: Clinic) -> None:
    orphan = clinic.office.batch.add("gone-job")
    somebody = clinic.office.batch.add(None)
    for batch_id in (orphan, somebody):
        clinic.office.batch.move(batch_id, BatchState.RUNNABLE)
    clinic.clock.advance(901)
    assert actions(clinic.run(NAME)) == [], "nobody got a host: there may be none"
    started(clinic)
    assert actions(clinic.run(NAME)) == [(orphan, "orphan")]
    assert events(clinic) == [EventType.ORPHAN_CANCELLED]
    states = {job.batch_id: job.state for job in clinic.office.batch.known()}
    assert (states[orphan], states[somebody]) == (BatchState.FAILED, BatchState.RUNNABLE)


def test_f35_one_that_finds_no_host_is_told_once_and_not_submitted_again(clinic: Clinic) -> None:
    clinic.office.submit()
    clinic.office.batch.move(clinic.batch_id(), BatchState.RUNNABLE)
    clinic.clock.advance(HOUR + 1)
    for told in ([(clinic.batch_id(), "alarm")], []):
        assert actions(clinic.run(NAME)) == told
        assert actions(clinic.run("scan-stuck")) == []
    assert events(clinic) == [EventType.BATCH_DESYNC]


def test_a_container_that_never_claims_is_ended_and_told(clinic: Clinic) -> None:
    batch_id = started(clinic)
    clinic.clock.advance(901)
    assert actions(clinic.run(NAME)) == [(batch_id, "terminate")]
    assert events(clinic) == [EventType.BATCH_DESYNC]
    assert actions(clinic.run(NAME)) == [(batch_id, "count"), ("job-1", "RETRY_WAIT")]


def test_two_at_once_count_once(clinic: Clinic) -> None:
    clinic.office.submit()
    clinic.office.batch.end(clinic.batch_id(), 1)
    first = Run(NAME)
    inside: list[Run] = []

    def meanwhile() -> None:
        if not inside:
            inside.append(Run(NAME))
            clinic.jobs[NAME].run(inside[0])

    first.going_on = meanwhile
    clinic.jobs[NAME].run(first)
    assert clinic.job().attempts == 1
    assert (len(actions(inside[0])), actions(first)) == (2, [])


def test_a_dry_run_writes_nothing_anywhere(clinic: Clinic) -> None:
    clinic.office.submit()
    clinic.office.batch.end(clinic.batch_id(), 1)
    clinic.office.batch.add("gone-job")
    clinic.office.batch.submit("job-1", name="video", tenant="t1")
    before = (clinic.job(), clinic.office.submissions.of_job("job-1"), clinic.office.batch.known())
    run = clinic.run(NAME, dry_run=True)
    assert {each[1] for each in actions(run)} == {"count", "adopt"}
    assert (clinic.job(), clinic.office.submissions.of_job("job-1"), clinic.office.batch.known()) == before
    assert events(clinic) == []


def test_a_run_is_bounded(clinic: Clinic) -> None:
    for number in range(3):
        clinic.office.submit(f"job-{number}", video=f"v{number}")
        clinic.office.batch.end(clinic.batch_id(f"job-{number}"), 1)
    run = clinic.run(NAME, limit=2)
    assert (run.more, run.counts["count"]) == (True, 2)
    assert not clinic.run(NAME, limit=10).more


@pytest.mark.parametrize("wait", [0, 2 * HOUR])
def test_e3_batch_jobs_that_wait_keep_nobody_s_end_from_being_seen(clinic: Clinic, wait: float) -> None:
    """A queue may hold more of them than a run may deal with, for hours, and an administrator is told of each once."""
    for number in range(4):
        clinic.office.submit(f"job-{number}", video=f"v{number}")
        clinic.office.batch.move(clinic.batch_id(f"job-{number}"), BatchState.RUNNABLE)
        clinic.clock.advance(1)
    clinic.office.batch.end(clinic.batch_id("job-3"), 1)
    clinic.clock.advance(wait)
    for _ in range(3):
        clinic.run(NAME, limit=2)
    assert clinic.job("job-3").attempts == 1


def test_a_backlog_at_batch_hides_no_container_that_runs(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.application.video.recovery.reconcile.LISTED", 2)
    for number in range(3):
        clinic.office.submit(f"job-{number}", video=f"v{number}")
        clinic.office.batch.move(clinic.batch_id(f"job-{number}"), BatchState.RUNNABLE)
    unwritten = clinic.office.batch.submit("job-2", name="video", tenant="t1")
    clinic.office.batch.move(unwritten, BatchState.RUNNING)
    assert (unwritten, "adopt") in actions(clinic.run(NAME))


def test_lesson_12_one_of_two_deals_with_an_end_that_both_have_seen(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.office.batch.end(started(clinic), 0)
    of_job, inside = clinic.office.submissions.of_job, list[Run]()

    def meanwhile(job_id: str) -> object:
        # The first one has read what Batch says, and not yet acted.
        if not inside:
            inside.append(Run(NAME))
            clinic.jobs[NAME].run(inside[0])
        return of_job(job_id)

    monkeypatch.setattr(clinic.office.submissions, "of_job", meanwhile)
    first = Run(NAME)
    clinic.jobs[NAME].run(first)
    assert (actions(inside[0]), actions(first)) == ([(clinic.batch_id(), "desync")], [])
