"""A job's story names the owners of its own road."""

from __future__ import annotations

import pytest

from src.application.explain import explain
from src.application.explain_road import BatchRoad
from src.domain.batch import BatchState
from src.domain.errors import ErrorReport, StorageUnavailable
from tests.fakes.office import BatchOffice

OF_THE_QUEUE = ("message", "waker", "worker")


class Desk(BatchOffice):
    """Asks for the story of job-1."""

    def story(self, *, deleted_at: float | None = None) -> str:
        job, road = self.ledger.find("job-1"), BatchRoad(self.submissions.of_job("job-1"))
        assert job is not None
        return "\n".join(explain(job, (), self.clock.now(), road, deleted_at=deleted_at))

    def submission(self) -> str:
        return self.submissions.of_job("job-1")[-1].batch_id

    def claim(self) -> int:
        owner = f"batch:{self.submission()}"
        return self.ledger.change("job-1", lambda job, now: job.claim(now, owner=owner, lease_seconds=30)[0]).fence


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    made.submit()
    return made


def test_a_queued_job_names_its_container_and_scan_stuck(desk: Desk) -> None:
    story = desk.story()
    assert f"asked for a container (execution 1): batch job {desk.submission()}" in story
    assert "AWS Batch was not asked about it since" in story
    assert "`scan-stuck` (`mediaworker run recovery`" in story
    assert "`mediaworker jobs retry job-1` sends a container now" in story
    assert not [word for word in OF_THE_QUEUE if word in story.replace("mediaworker", "")]
    desk.submissions.seen(desk.submission(), BatchState.RUNNABLE, "")
    assert "AWS Batch said last that it is RUNNABLE" in desk.story()
    desk.submissions.missing(desk.submission())
    assert "RUNNABLE, and since then 1 times that it does not know it" in desk.story()


def test_a_container_that_ended_before_it_began_is_reconciles(desk: Desk) -> None:
    desk.submissions.seen(desk.submission(), BatchState.FAILED, "Host EC2 terminated")
    assert "has ended FAILED (Host EC2 terminated). `reconcile`" in desk.story()
    desk.submissions.count(desk.submission())
    assert "has ended FAILED (Host EC2 terminated). Next: another one." in desk.story()


def test_a_submission_whose_answer_was_lost_is_reconciles(desk: Desk) -> None:
    row = desk.submissions.of_job("job-1")[0]
    desk.submissions._rows.clear()
    desk.submissions.begin(type(row)(batch_id="asked:job-1.1.0", job_id="job-1", generation=1, attempt=1))
    assert "its answer is not known. `reconcile`" in desk.story()
    desk.submissions._rows.clear()
    assert "None was asked for yet." in desk.story()


def test_a_running_job_is_taken_by_no_other_worker(desk: Desk) -> None:
    fence = desk.claim()
    assert "no other one may take it before. If the container is lost, `scan-stuck`" in desk.story()
    desk.clock.advance(31)
    assert "left alone until it has been silent for 20 min" in desk.story()
    assert "any worker" not in desk.story()
    error = ErrorReport.of(StorageUnavailable("no bucket"))
    desk.ledger.change("job-1", lambda job, now: job.fail(now, fence=fence, error=error, dice=0))
    story = desk.story()
    assert "attempt 2 of at most 5 is due" in story
    assert "sends a container if none is on its way" in story
    assert "message" not in story


def test_a_job_that_was_opened_again_waits_for_a_container_of_its_generation(desk: Desk) -> None:
    desk.ledger.change("job-1", lambda job, now: job.request_cancel(now))
    desk.ledger.change("job-1", lambda job, now: job.reopen(now))
    assert "None was asked for yet." in desk.story()


def test_the_job_of_a_deleted_video_is_not_offered_a_retry(desk: Desk) -> None:
    at = desk.clock.now()
    desk.clock.advance(5)
    desk.ledger.change("job-1", lambda job, now: job.request_cancel(now))
    story = desk.story(deleted_at=at)
    assert "5.0 s ago: its video v1 was deleted, which ends its jobs." in story
    assert "under another video id" in story
    assert "opens it again" not in story
    assert "opens it again" in desk.story()
