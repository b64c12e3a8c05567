"""The moves of a job's row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.domain.errors import Conflict, Crashed, ErrorReport, FileAccessError, LeaseLost, SourceMissing, UnexpectedError
from src.domain.history import HANDED_BACK, closed_attempt, is_dead_letter, told_by
from src.domain.job import CRASH_LIMIT, Busy, Claimed, Finished, Job, JobDraft, JobState, NotDue

REPORT = ErrorReport.of(FileAccessError("busy"))


def a_job(**fields: object) -> Job:
    draft = JobDraft(id="job-1", type="video", tenant="acme", payload={"n": 1}, **fields)  # type: ignore[arg-type]
    return Job.admitted(draft, now=100.0)


def claimed(job: Job, now: float = 100.0) -> Job:
    after, answer = job.claim(now, owner="w1", lease_seconds=30)
    assert isinstance(answer, Claimed)
    return after


def test_a_claim_counts_the_attempt_and_raises_the_fence_before_any_work() -> None:
    job = claimed(a_job())
    assert (job.state, job.attempts, job.fence, job.lease_until) == (JobState.RUNNING, 1, 1, 130.0)


def test_a_live_lease_refuses_a_second_claim_and_says_for_how_long() -> None:
    job = claimed(a_job())
    same, answer = job.claim(110.0, owner="w2", lease_seconds=30)
    assert same is job
    assert answer == Busy(20.0)


def test_an_expired_lease_is_taken_over_under_a_higher_fence() -> None:
    job = claimed(a_job())
    taken, answer = job.claim(131.0, owner="w2", lease_seconds=30)
    assert isinstance(answer, Claimed)
    assert (taken.fence, taken.attempts, taken.lease_owner) == (2, 2, "w2")
    closed, opened = closed_attempt(job, taken, 131.0), told_by(taken)
    assert closed is not None
    assert (closed.fence, closed.outcome, closed.error, closed.ended_at) == (1, "LOST", None, 131.0)
    assert opened is not None
    assert (opened.number, opened.owner, opened.outcome) == (2, "w2", None)


@pytest.mark.parametrize("move", ["beat", "succeed", "fail", "hand_back", "cancelled"])
def test_a_lower_fence_is_refused_by_every_move(move: str) -> None:
    job, _ = claimed(a_job()).claim(131.0, owner="w2", lease_seconds=30)
    calls = {
        "beat": lambda: job.beat(132, fence=1, lease_seconds=30),
        "succeed": lambda: job.succeed(132, fence=1, result={}),
        "fail": lambda: job.fail(132, fence=1, error=ErrorReport.of(UnexpectedError("x")), dice=0),
        "hand_back": lambda: job.hand_back(132, fence=1),
        "cancelled": lambda: job.cancelled(132, fence=1),
    }
    with pytest.raises(LeaseLost):
        calls[move]()


def test_success_repeated_with_the_same_fence_changes_nothing() -> None:
    job = claimed(a_job()).succeed(105, fence=1, result={"a": 1})
    assert job.succeed(106, fence=1, result={"a": 2}) is job
    assert job.wake_at is None


def test_permanent_errors_do_not_retry() -> None:
    job = claimed(a_job()).fail(101, fence=1, error=ErrorReport.of(SourceMissing("gone")), dice=0)
    assert job.state is JobState.FAILED
    assert job.attempts == 1
    assert is_dead_letter(claimed(a_job()), job)


def test_file_access_waits_one_two_and_four_minutes_then_dies() -> None:
    job = a_job(max_attempts=9)
    now, waits = 100.0, []
    while True:
        job = claimed(job, now)
        job = job.fail(now, fence=job.fence, error=ErrorReport.of(FileAccessError("denied")), dice=0)
        if job.state is not JobState.RETRY_WAIT:
            break
        waits.append(job.due_at - now)
        now = job.due_at
    assert waits == [60, 120, 240]
    assert job.state is JobState.DEAD
    assert job.attempts == 4


def test_a_retry_is_not_claimed_before_its_time() -> None:
    job = claimed(a_job()).fail(100, fence=1, error=ErrorReport.of(FileAccessError("denied")), dice=0)
    same, answer = job.claim(130, owner="w", lease_seconds=30)
    assert same is job
    assert answer == NotDue(30.0)


def test_f27_a_job_that_kills_its_process_is_quarantined_after_three_crashes() -> None:
    job, now = a_job(), 100.0
    for _ in range(CRASH_LIMIT):
        assert not job.state.is_terminal
        job = claimed(job, now)
        job = job.fail(now, fence=job.fence, error=ErrorReport.of(Crashed("killed by SIGABRT")), dice=0)
        now = job.due_at + 1
    assert job.state is JobState.DEAD
    assert job.error is not None
    assert job.error.code == "crash_loop"
    assert job.attempts == CRASH_LIMIT


def test_attempts_used_up_by_vanished_workers_end_dead() -> None:
    job, now = a_job(max_attempts=2), 100.0
    for _ in range(2):
        job = claimed(job, now)
        now += 31
    job, answer = job.claim(now, owner="w", lease_seconds=30)
    assert answer == Finished(JobState.DEAD)
    assert job.error is not None
    assert job.error.code == "worker_lost"


def test_handing_back_does_not_burn_the_attempt_but_keeps_the_fence() -> None:
    job = claimed(a_job()).hand_back(105, fence=1)
    assert (job.state, job.attempts, job.fence) == (JobState.QUEUED, 0, 1)
    assert claimed(job, 105).fence == 2


def test_handing_back_keeps_its_reason_in_the_row_and_in_the_attempt_s_history() -> None:
    running = claimed(a_job())
    job = running.hand_back(105, fence=1, error=REPORT)
    assert (job.error, dict(job.error_counts)) == (REPORT, {})
    told = closed_attempt(running, job, 105)
    assert told is not None
    assert (told.outcome, told.error) == (HANDED_BACK, REPORT)
    again = claimed(job, 105)
    told = closed_attempt(again, again.hand_back(106, fence=2), 106)
    assert told is not None
    assert (told.outcome, told.error) == (HANDED_BACK, None), "an earlier attempt's reason is not this one's"


def test_cancel_before_a_claim_is_immediate_and_during_a_run_is_a_flag() -> None:
    assert a_job().request_cancel(101).state is JobState.CANCELLED
    running = claimed(a_job()).request_cancel(101)
    assert running.state is JobState.RUNNING
    assert running.cancel_requested_at == 101
    assert running.cancelled(102, fence=1).state is JobState.CANCELLED


def test_f32_completion_wins_over_a_cancel_request_that_came_late() -> None:
    running = claimed(a_job()).request_cancel(101)
    assert running.succeed(102, fence=1, result={}).state is JobState.SUCCEEDED


def test_a_cancelled_job_whose_worker_vanished_is_not_run_again() -> None:
    running = claimed(a_job()).request_cancel(101)
    job, answer = running.claim(131, owner="w2", lease_seconds=30)
    assert answer == Finished(JobState.CANCELLED)
    assert job.state is JobState.CANCELLED


def test_terminal_states_are_final_unless_an_operator_reopens() -> None:
    job = claimed(a_job()).succeed(105, fence=1, result={})
    with pytest.raises(Conflict):
        job.request_cancel(106)
    again = job.reopen(200)
    assert (again.state, again.generation, again.attempts, again.fence) == (JobState.QUEUED, 2, 0, 1)
    with pytest.raises(Conflict):
        again.reopen(201)


def test_one_waker_takes_a_row_the_others_leave_it() -> None:
    job = a_job()
    taken, ours = job.waking(101, seen=job.wake_at, hold_seconds=30)
    assert ours
    _, theirs = taken.waking(101, seen=job.wake_at, hold_seconds=30)
    assert not theirs


def test_every_active_state_has_a_wake_up_time_and_no_terminal_one_has() -> None:
    queued, running = a_job(), claimed(a_job())
    waiting = running.fail(100, fence=1, error=ErrorReport.of(FileAccessError("x")), dice=0)
    assert None not in (queued.wake_at, running.wake_at, waiting.wake_at)
    assert running.wake_at == running.lease_until
    assert waiting.wake_at == waiting.due_at
    assert running.succeed(100, fence=1, result={}).wake_at is None


def test_a_retry_now_keeps_every_counter_and_only_moves_the_time() -> None:
    waiting = Job(id="j", type="video", tenant="t", payload={}, state=JobState.RETRY_WAIT, attempts=2, due_at=900.0,
                  wake_at=900.0, error_counts={"network": 2}, crashes=1, fence=2)  # fmt: skip
    assert waiting.retry_now(100.0) == replace(waiting, due_at=100.0, wake_at=100.0)
    queued = replace(waiting, state=JobState.QUEUED, due_at=50.0)
    assert queued.retry_now(100.0) == replace(queued, wake_at=100.0), "nobody waits longer for having asked"


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.RETRY_WAIT, JobState.QUEUED}))
def test_only_a_waiting_job_can_be_made_due_now(state: JobState) -> None:
    with pytest.raises(Conflict, match=state):
        Job(id="j", type="video", tenant="t", payload={}, state=state).retry_now(100.0)
