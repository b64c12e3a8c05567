"""RevocableLedger: an admission that led to nothing is taken back, and nothing else is."""

from __future__ import annotations

import threading

import pytest

from src.application.video.effects import video_effects
from src.domain.errors import NotFound
from src.domain.job import Claimed, Finished, JobDraft, JobState
from tests.contracts.backends.state import State
from tests.contracts.moves import claim, draft
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import EffectsLedger


@pytest.fixture
def ledger(state: State) -> EffectsLedger:
    return state.ledger()


def test_a_row_that_nobody_touched_goes_and_its_subject_is_free(ledger: EffectsLedger, state: State) -> None:
    ledger.admit(draft(subject="v1"))
    assert ledger.withdraw("job-1") is None
    assert state.ledger().find("job-1") is None
    assert ledger.admit(draft("job-2", subject="v1")).created
    assert ledger.admit(draft("job-1")).created


def test_taking_it_back_again_is_the_same(ledger: EffectsLedger) -> None:
    ledger.admit(draft())
    assert ledger.withdraw("job-1") is None
    assert ledger.withdraw("job-1") is None


def test_a_job_that_was_claimed_stays_whatever_became_of_it(ledger: EffectsLedger, clock: FrozenClock) -> None:
    ledger.admit(draft())
    assert isinstance(claim(ledger), Claimed)
    for move in (
        lambda job, now: job,
        lambda job, now: job.hand_back(now, fence=1),
        lambda job, now: job.request_cancel(now),
    ):
        row = ledger.change("job-1", move)
        assert ledger.withdraw("job-1") == row
        assert ledger.find("job-1") == row


def test_a_job_that_was_cancelled_or_reopened_stays(ledger: EffectsLedger) -> None:
    ledger.admit(draft())
    ended = ledger.change("job-1", lambda job, now: job.request_cancel(now))
    assert ledger.withdraw("job-1") == ended
    again = ledger.change("job-1", lambda job, now: job.reopen(now))
    assert ledger.withdraw("job-1") == again


def test_the_videos_row_stays_uploaded(state: State) -> None:
    ledger = state.ledger(video_effects)
    payload = {"video_id": "v1", "file_key": "raw/a.mp4"}
    ledger.admit(JobDraft(id="job-1", type="video", tenant="t1", subject="video:v1", payload=payload))
    assert ledger.withdraw("job-1") is None
    assert state.videos().get("v1").status.value == "UPLOADED"


def test_a_claim_at_the_same_moment_gets_the_job_or_finds_none(state: State) -> None:
    """Never a container that runs a job whose row is gone."""
    for number in range(10):
        job_id = f"job-{number}"
        state.ledger().admit(draft(job_id))
        gate, claimed = threading.Barrier(2), list[bool]()

        def run(job_id: str = job_id, gate: threading.Barrier = gate, claimed: list[bool] = claimed) -> None:
            ledger = state.ledger()
            gate.wait()
            try:
                claimed.append(isinstance(claim(ledger, job_id), Claimed))
            except NotFound:
                claimed.append(False)

        runner = threading.Thread(target=run)
        runner.start()
        ledger = state.ledger()
        gate.wait()
        row = ledger.withdraw(job_id)
        runner.join()
        assert (row is not None) == (ledger.find(job_id) is not None) == claimed[0]
        assert row is None or row.state is JobState.RUNNING


def test_an_ended_job_is_answered_as_before(ledger: EffectsLedger) -> None:
    ledger.admit(draft())
    ledger.change("job-1", lambda job, now: job.request_cancel(now))
    ledger.withdraw("job-1")
    assert claim(ledger) == Finished(JobState.CANCELLED)
