"""A video job's moves and its video's row are one commit, on every ledger."""

from __future__ import annotations

import pytest

from src.application.catalog import no_effects
from src.application.ports.videos import FinishedChunk
from src.application.video.effects import video_effects
from src.domain.errors import ErrorReport, LeaseLost, UnsupportedFormat
from src.domain.job import Job, JobDraft, JobState
from src.domain.video.video import Video, VideoStatus
from tests.contracts.backends.state import State
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import WholeLedger

RESULT = {"hls_path": "v/1/master.m3u8", "thumbnail_path": "v/1/t.jpg", "duration_seconds": 4.0}


@pytest.fixture
def ledger(state: State) -> WholeLedger:
    made = state.ledger(video_effects)
    made.admit(
        JobDraft(
            id="job-1", type="video", tenant="t1", subject="v1", payload={"video_id": "v1", "file_key": "raw/a.mp4"}
        )
    )
    return made


def claim(ledger: WholeLedger) -> Job:
    return ledger.change("job-1", lambda job, now: job.claim(now, owner="w1", lease_seconds=30)[0])


def test_an_admitted_job_has_a_video(ledger: WholeLedger, state: State, clock: FrozenClock) -> None:
    video = state.videos().get("v1")
    assert (video.tenant, video.source_key, video.status) == ("t1", "raw/a.mp4", VideoStatus.UPLOADED)
    assert video.created_at == clock.now()


def test_a_video_that_exists_is_kept_when_its_job_is_admitted(state: State) -> None:
    state.videos().add(Video(id="v1", tenant="t1", source_key="raw/a.mp4", title="mine"))
    state.ledger(video_effects).admit(
        JobDraft(id="job-1", type="video", tenant="t1", payload={"video_id": "v1", "file_key": "raw/a.mp4"})
    )
    assert state.videos().get("v1").title == "mine"


def test_job_and_video_succeed_together(ledger: WholeLedger, state: State, clock: FrozenClock) -> None:
    claim(ledger)
    assert state.videos().get("v1").status is VideoStatus.PROCESSING
    clock.advance(9)
    ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result=RESULT))
    video = state.videos().get("v1")
    assert (video.status, video.hls_path, video.updated_at) == (VideoStatus.READY, "v/1/master.m3u8", clock.now())


def test_job_and_video_fail_together(ledger: WholeLedger, state: State) -> None:
    claim(ledger)
    error = ErrorReport.of(UnsupportedFormat("text is not a video"))
    ledger.change("job-1", lambda job, now: job.fail(now, fence=1, error=error, dice=0))
    video = state.videos().get("v1")
    assert (video.status, video.error_reason) == (VideoStatus.FAILED, "text is not a video")


def test_f03_a_late_writer_changes_neither_job_nor_video(ledger: WholeLedger, state: State, clock: FrozenClock) -> None:
    claim(ledger)
    clock.advance(31)
    claim(ledger)
    with pytest.raises(LeaseLost):
        ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result=RESULT))
    assert state.videos().get("v1").status is VideoStatus.PROCESSING


def test_a_result_that_breaks_the_completion_contract_completes_nothing(ledger: WholeLedger, state: State) -> None:
    claim(ledger)
    with pytest.raises(KeyError):
        ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result={}))
    found = ledger.find("job-1")
    assert found is not None
    assert found.state is JobState.RUNNING
    assert state.videos().get("v1").status is VideoStatus.PROCESSING


def test_lesson_14_closing_the_job_of_a_deleted_video_does_not_bring_the_video_back(state: State) -> None:
    draft = JobDraft(id="job-1", type="video", tenant="t1", payload={"video_id": "v1", "file_key": "raw/a.mp4"})
    state.ledger(no_effects).admit(draft)
    closed = state.ledger(video_effects).change("job-1", lambda job, now: job.request_cancel(now))
    assert closed.state is JobState.CANCELLED
    assert state.videos().find("v1") is None


def keep_a_chunk(state: State) -> FinishedChunk:
    chunk = FinishedChunk(video_id="v1", source_sha256="s", plan_hash="p", index=0, segments=())
    state.chunks().add(chunk)
    return chunk


def test_the_commit_that_makes_a_video_ready_forgets_its_chunks(ledger: WholeLedger, state: State) -> None:
    claim(ledger)
    keep_a_chunk(state)
    other = FinishedChunk(video_id="v2", source_sha256="s", plan_hash="p", index=0, segments=())
    state.chunks().add(other)
    ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result=RESULT))
    assert list(state.chunks().finished("v1", "s", "p")) == []
    assert list(state.chunks().finished("v2", "s", "p")) == [other]


def test_a_completion_that_is_not_committed_keeps_the_chunks(ledger: WholeLedger, state: State) -> None:
    claim(ledger)
    chunk = keep_a_chunk(state)
    with pytest.raises(KeyError):
        ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result={}))
    assert list(state.chunks().finished("v1", "s", "p")) == [chunk]
