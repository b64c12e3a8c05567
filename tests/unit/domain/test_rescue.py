"""Moves of a job whose container is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.domain.errors import LeaseLost
from src.domain.history import LOST, closed_attempt
from src.domain.job import Job, JobDraft, JobState
from src.domain.rescue import due_now, given_up, held_off, never_began, rescued

NOW = 1000.0


def queued(max_attempts: int = 5) -> Job:
    return Job.admitted(JobDraft(id="j", type="video", tenant="t", payload={}, max_attempts=max_attempts), NOW - 500)


def running(max_attempts: int = 5) -> Job:
    return queued(max_attempts).claim(NOW - 100, owner="batch:b1", lease_seconds=30)[0]


def test_a_vanished_container_s_job_waits_again_and_its_execution_stays_counted() -> None:
    row = rescued(running(), NOW, fence=1, hold_seconds=60)
    assert (row.state, row.attempts, row.fence, row.due_at, row.wake_at) == (JobState.RETRY_WAIT, 1, 1, NOW, NOW + 60)
    told = closed_attempt(running(), row, NOW)
    assert told is not None
    assert (told.outcome, told.error and told.error.code) == (LOST, "worker_lost")


def test_the_last_execution_ends_it() -> None:
    row = rescued(running(1), NOW, fence=1, hold_seconds=60)
    assert (row.state, row.wake_at) == (JobState.DEAD, None)
    assert row.error is not None
    assert "STUCK_MAX_ATTEMPTS" in row.error.message


def test_one_that_was_to_be_cancelled_is_cancelled() -> None:
    asked = running().request_cancel(NOW - 50)
    assert rescued(asked, NOW, fence=1, hold_seconds=60).state is JobState.CANCELLED


def test_f33_one_that_renewed_its_lease_or_went_on_is_not_touched() -> None:
    beaten = running().beat(NOW, fence=1, lease_seconds=30)
    for row in (beaten, queued(), replace(running(), fence=2)):
        with pytest.raises(LeaseLost):
            rescued(row, NOW, fence=1, hold_seconds=60)


def test_lesson_12_a_container_that_never_began_counts_once_and_five_of_them_end_the_job() -> None:
    row = queued()
    for number in range(1, 5):
        fence = row.fence
        row = never_began(row, NOW, fence=fence, why="no image", dice=0.5)
        assert (row.state, row.attempts) == (JobState.RETRY_WAIT, number)
        assert row.due_at > NOW
        with pytest.raises(LeaseLost):
            never_began(row, NOW, fence=fence, why="no image", dice=0.5)
    row = never_began(row, NOW, fence=row.fence, why="no image", dice=0.5)
    assert (row.state, row.attempts) == (JobState.DEAD, 5)
    assert row.error is not None
    assert (row.error.code, "RECONCILE_MAX_ATTEMPTS" in row.error.message) == ("container_lost", True)


def test_what_runs_did_begin() -> None:
    with pytest.raises(LeaseLost):
        never_began(running(), NOW, fence=1, why="", dice=0)
    with pytest.raises(LeaseLost):
        given_up(running(), NOW, fence=1, why="")


def test_one_that_nobody_does_is_given_up() -> None:
    assert given_up(queued(), NOW, fence=0, why="15 containers came").state is JobState.DEAD


def test_the_owner_looks_at_once_or_later() -> None:
    assert due_now(queued().published(NOW), NOW, fence=0).wake_at == NOW
    assert held_off(queued(), NOW, seconds=300).wake_at == NOW + 300
    for row in (running(), rescued(running(1), NOW, fence=1, hold_seconds=1)):
        assert due_now(row, NOW, fence=1) is row
        assert held_off(row, NOW, seconds=300) is row
