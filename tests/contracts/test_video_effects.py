"""A video job's moves and its video's row are one commit, on every ledger."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from src.application.ports.ledger import Admission, Limits
from src.application.ports.ops_events import EventFilter, EventType, Severity
from src.application.ports.videos import FinishedChunk
from src.application.video.effects import video_effects
from src.domain.errors import ErrorReport, LeaseLost, StorageUnavailable, UnsupportedFormat
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


def dead(ledger: WholeLedger) -> Job:
    """Ends the claimed job for good."""
    error = ErrorReport.of(StorageUnavailable("away"))
    row = ledger.change("job-1", lambda job, now: replace(job, attempts=job.max_attempts))
    return ledger.change("job-1", lambda job, now: job.fail(now, fence=row.fence, error=error, dice=0))


def test_job_dead_is_written_with_the_move_once_for_each_generation(ledger: WholeLedger, state: State) -> None:
    claim(ledger)
    job = dead(ledger)
    assert job.state is JobState.DEAD
    (event,) = state.ops_events().list(EventFilter())
    assert (event.type, event.severity, event.job_id) == (EventType.JOB_DEAD, Severity.ERROR, "job-1")
    assert (event.tenant, event.video_id, event.payload["error_class"]) == ("t1", "v1", "storage_unavailable")
    ledger.change("job-1", lambda row, now: row.reopen(now))
    claim(ledger)
    dead(ledger)
    assert [event.payload["generation"] for event in state.ops_events().list(EventFilter())] == [2, 1]
    assert state.ops_events().untold(10) == [], "its dead letter is what an administrator is told"


def test_a_job_that_ends_otherwise_is_no_death(ledger: WholeLedger, state: State) -> None:
    claim(ledger)
    error = ErrorReport.of(UnsupportedFormat("text is not a video"))
    ledger.change("job-1", lambda job, now: job.fail(now, fence=1, error=error, dice=0))
    assert state.ops_events().list(EventFilter()) == []


@pytest.mark.parametrize("limits", [None, Limits(active_per_tenant=50)], ids=["index alone", "under limits"])
def test_b1_of_two_submitters_at_once_one_makes_the_job_and_both_get_it(state: State, limits: Limits | None) -> None:
    """The partial unique index decides, on whichever database; counting for limits only comes before it."""
    for number in range(8):
        gate, answers = threading.Barrier(2), list[Admission]()

        def submit(
            job_id: str, number: int = number, gate: threading.Barrier = gate, answers: list[Admission] = answers
        ) -> None:
            payload = {"video_id": f"x{number}", "file_key": "raw/a.mp4"}
            draft = JobDraft(id=job_id, type="video", tenant="t1", subject=f"video:x{number}", payload=payload)
            ledger = state.ledger(video_effects)
            gate.wait()
            answers.append(ledger.admit(draft, limits))

        both = [threading.Thread(target=submit, args=(f"{name}-{number}",)) for name in ("a", "b")]
        for each in both:
            each.start()
        for each in both:
            each.join()
        first, second = answers
        assert first.job is not None
        assert second.job is not None
        assert first.job.id == second.job.id
        assert sorted((first.created, second.created)) == [False, True]
