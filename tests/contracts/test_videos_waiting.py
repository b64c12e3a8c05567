"""VideoRepository.waiting: UPLOADED videos that nobody works on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from src.application.video.effects import video_effects
from src.domain.errors import ErrorReport, StorageUnavailable
from src.domain.job import JobDraft
from src.domain.video.video import Video, VideoStatus
from tests.contracts.backends.state import State
from tests.contracts.moves import claim
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import EffectsLedger

RESULT = {"hls_path": "v/1/master.m3u8", "thumbnail_path": "v/1/t.jpg", "duration_seconds": 4.0}


@pytest.fixture
def ledger(state: State) -> EffectsLedger:
    return state.ledger(video_effects)


def upload(state: State, video_id: str, tenant: str = "t1", status: VideoStatus = VideoStatus.UPLOADED) -> None:
    state.videos().add(Video(id=video_id, tenant=tenant, source_key=f"raw/{video_id}.mp4", status=status))


def admit(ledger: EffectsLedger, video_id: str, job_id: str | None = None) -> str:
    job_id = job_id or f"job-{video_id}"
    payload = {"video_id": video_id, "file_key": f"raw/{video_id}.mp4"}
    assert ledger.admit(
        JobDraft(id=job_id, type="video", tenant="t1", subject=f"video:{video_id}", payload=payload)
    ).created
    return job_id


def ids(videos: Sequence[Video]) -> list[str]:
    return [video.id for video in videos]


def waiting(state: State) -> list[str]:
    return ids(state.videos().waiting(limit=100))


def test_the_oldest_comes_first_and_pages_leave_out_none(
    state: State, ledger: EffectsLedger, clock: FrozenClock
) -> None:
    for video_id in ("d", "c", "b", "a"):
        upload(state, video_id)
        upload(state, f"{video_id}2")
        clock.advance(1)
    found, after = list[str](), None
    while page := state.videos().waiting(limit=3, after=after):
        found += ids(page)
        after = (page[-1].created_at, page[-1].id)
    assert found == ["d", "d2", "c", "c2", "b", "b2", "a", "a2"]


def test_one_tenants_videos_are_asked_for_alone(state: State, ledger: EffectsLedger) -> None:
    upload(state, "v1")
    upload(state, "v2", tenant="t2")
    assert ids(state.videos().waiting(tenant="t2", limit=10)) == ["v2"]
    assert ids(state.videos().waiting(tenant="t3", limit=10)) == []


@pytest.mark.parametrize("status", [status for status in VideoStatus if status is not VideoStatus.UPLOADED])
def test_only_uploaded_videos_wait(state: State, ledger: EffectsLedger, status: VideoStatus) -> None:
    upload(state, "v1", status=status)
    assert waiting(state) == []


def test_lesson_14_a_deleted_video_does_not_wait(state: State, ledger: EffectsLedger) -> None:
    upload(state, "v1")
    upload(state, "v2")
    state.videos().update("v1", lambda video: video.deleted(5.0))
    assert waiting(state) == ["v2"]


def test_a_video_with_an_active_job_does_not_wait(state: State, ledger: EffectsLedger, clock: FrozenClock) -> None:
    upload(state, "v1")
    upload(state, "v11")
    assert waiting(state) == ["v1", "v11"]
    job = admit(ledger, "v1")
    assert waiting(state) == ["v11"], "QUEUED"
    claim(ledger, job)
    ledger.change(job, lambda row, now: row.hand_back(now, fence=1))
    assert state.videos().get("v1").status is VideoStatus.UPLOADED
    assert waiting(state) == ["v11"], "handed back"
    clock.advance(1)
    claim(ledger, job)
    error = ErrorReport.of(StorageUnavailable("away"))
    ledger.change(job, lambda row, now: row.fail(now, fence=2, error=error, dice=0))
    assert waiting(state) == ["v11"], "RETRY_WAIT"


def test_a_finished_video_does_not_wait(state: State, ledger: EffectsLedger) -> None:
    job = admit(ledger, "v1")
    claim(ledger, job)
    ledger.change(job, lambda row, now: row.succeed(now, fence=1, result=RESULT))
    assert waiting(state) == []


@pytest.mark.parametrize("running", [False, True])
def test_a_video_whose_job_was_cancelled_waits_for_somebody_to_ask(
    state: State, ledger: EffectsLedger, running: bool
) -> None:
    """The next end would start anew what somebody has just stopped."""
    job = admit(ledger, "v1")
    if running:
        claim(ledger, job)
        ledger.change(job, lambda row, now: row.request_cancel(now))
        ledger.change(job, lambda row, now: row.cancelled(now, fence=1))
    else:
        ledger.change(job, lambda row, now: row.request_cancel(now))
    assert state.videos().get("v1").status is VideoStatus.UPLOADED
    assert waiting(state) == []
    again = admit(ledger, "v1", "job-2")
    assert ledger.withdraw(again) is None
    assert waiting(state) == ["v1"], "somebody has asked, and it came to nothing"
