"""The moves of the one-shot road, where a container is started for one job and nobody waits at a queue."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.domain.errors import ErrorReport, FileAccessError, LeaseLost, Terminated
from src.domain.history import HANDED_BACK, LOST, closed_attempt
from src.domain.job import Busy, Claimed, Finished, Job, JobDraft, JobState, NotDue

REPORT = ErrorReport.of(Terminated("TERMINATED: SIGTERM"))


def a_job(max_attempts: int = 5) -> Job:
    return Job.admitted(JobDraft(id="j1", type="video", tenant="acme", payload={}, max_attempts=max_attempts), 100)


def claimed(job: Job, now: float = 100.0) -> Job:
    row, answer = job.claim(now, owner="w", lease_seconds=30)
    assert isinstance(answer, Claimed)
    return row


def waiting() -> Job:
    return claimed(a_job()).fail(100, fence=1, error=ErrorReport.of(FileAccessError("denied")), dice=0)


def test_whoever_owns_the_time_of_a_retry_may_have_it_start_before_that() -> None:
    job = waiting()
    assert job.claim(101, owner="w", lease_seconds=30)[1] == NotDue(59.0)
    row, answer = job.claim(101, owner="w", lease_seconds=30, early=True)
    assert isinstance(answer, Claimed)
    assert (row.attempts, row.fence) == (2, 2)


def test_early_takes_no_live_lease_and_no_attempt_beyond_the_last() -> None:
    running = claimed(a_job(max_attempts=1))
    assert running.claim(110, owner="v", lease_seconds=30, early=True) == (running, Busy(20.0))
    assert running.claim(131, owner="v", lease_seconds=30, early=True)[1] == Finished(JobState.DEAD)


def test_a_container_told_to_end_leaves_its_job_waiting_and_its_attempt_uncounted() -> None:
    running = claimed(a_job())
    job = running.wait_untried(110, fence=1, error=REPORT)
    assert (job.state, job.attempts, job.fence, job.due_at, job.wake_at) == (JobState.RETRY_WAIT, 0, 1, 110, 110)
    assert (job.lease_owner, job.lease_until, job.error, dict(job.error_counts)) == (None, None, REPORT, {})
    told = closed_attempt(running, job, 110)
    assert told is not None
    assert (told.outcome, told.error) == (HANDED_BACK, REPORT)
    assert claimed(job, 110).attempts == 1


def test_lesson_15_a_signal_writes_over_no_end_and_over_no_successor() -> None:
    running = claimed(a_job())
    ends = [
        running.succeed(105, fence=1, result={}),
        running.cancelled(105, fence=1),
        claimed(a_job(max_attempts=1)).fail(105, fence=1, error=REPORT, dice=0),
        claimed(running, 131),
    ]
    for job in ends:
        with pytest.raises(LeaseLost):
            job.wait_untried(140, fence=1, error=REPORT)


def test_a_cancel_that_came_before_the_signal_is_what_ends_the_job() -> None:
    running = claimed(a_job()).request_cancel(105)
    assert running.wait_untried(110, fence=1, error=REPORT).state is JobState.CANCELLED


@pytest.mark.parametrize("job", [a_job(), waiting(), replace(claimed(a_job()), lease_until=104.0)])
def test_what_is_made_already_completes_a_job_that_nobody_runs(job: Job) -> None:
    done, answer = job.made_already(105, owner="w", result={"hls_path": "x"})
    assert answer == Finished(JobState.SUCCEEDED)
    assert (done.state, done.fence, done.result) == (JobState.SUCCEEDED, job.fence + 1, {"hls_path": "x"})
    assert (done.attempts, done.wake_at, done.error) == (job.attempts + 1, None, None)
    assert done.made_already(106, owner="v", result={}) == (done, Finished(JobState.SUCCEEDED))


def test_and_not_one_that_somebody_runs() -> None:
    running = claimed(a_job())
    assert running.made_already(105, owner="v", result={}) == (running, Busy(25.0))


def test_it_counts_no_attempt_beyond_the_last() -> None:
    orphan = claimed(a_job(max_attempts=1))
    done, _ = orphan.made_already(131, owner="v", result={"hls_path": "x"})
    assert (done.state, done.attempts) == (JobState.SUCCEEDED, 1)


def test_the_execution_that_was_lost_before_it_stays_in_the_history() -> None:
    orphan = claimed(a_job())
    done, _ = orphan.made_already(131, owner="v", result={"hls_path": "x"})
    told = closed_attempt(orphan, done, 131)
    assert told is not None
    assert (told.fence, told.outcome, told.owner) == (1, LOST, "w")
