"""What the rows say about a video that is to be deleted, on every database; and what a deleted video's jobs change."""

from __future__ import annotations

import pytest

from src.application.ports.deletion import VideoStandings
from src.application.video.effects import video_effects
from src.domain.job import Job, JobDraft, JobState
from src.domain.video.video import Video
from tests.contracts.backends.state import State
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import WholeLedger

KEY = "tenants/t1/video/raw/1/film.mp4"
RESULT = {"hls_path": "v/1/master.m3u8", "thumbnail_path": "v/1/t.jpg", "duration_seconds": 4.0}


@pytest.fixture
def ledger(state: State) -> WholeLedger:
    return state.ledger(video_effects)


@pytest.fixture
def standings(ledger: WholeLedger, state: State) -> VideoStandings:
    return state.standings()


def admit(ledger: WholeLedger, name: str, video: str = "1", job_type: str = "video") -> Job:
    payload = {"video_id": video, "file_key": KEY}
    draft = JobDraft(id=name, type=job_type, tenant="t1", payload=payload, subject=f"video:{video}")
    row = ledger.admit(draft).job
    assert row is not None
    return row


def claim(ledger: WholeLedger, name: str) -> Job:
    return ledger.change(name, lambda job, now: job.claim(now, owner="w1", lease_seconds=30)[0])


def test_of_a_video_that_nobody_knows_there_is_nothing_to_say(standings: VideoStandings) -> None:
    found = standings.standing("none", KEY)
    assert (found.video, found.running, found.encode_asked_at) == (None, None, None)
    assert not found.active
    assert not found.sharing


def test_the_row_and_its_active_jobs_are_seen_and_nobody_elses(
    ledger: WholeLedger, standings: VideoStandings, state: State
) -> None:
    admit(ledger, "job-1")
    admit(ledger, "job-12", video="12")
    admit(ledger, "other", job_type="thumbnail")
    found = standings.standing("1", None)
    assert found.video == state.videos().get("1")
    assert [(job.id, job.state) for job in found.active] == [("job-1", JobState.QUEUED)]
    assert found.running is None
    claim(ledger, "job-1")
    running = standings.standing("1", None).running
    assert running is not None
    assert (running.id, running.fence) == ("job-1", 1)
    ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result=RESULT))
    assert list(standings.standing("1", None).active) == []


def test_it_is_told_when_the_shown_stream_was_asked_for(
    ledger: WholeLedger, standings: VideoStandings, clock: FrozenClock
) -> None:
    asked = clock.now()
    admit(ledger, "job-1")
    clock.advance(100)
    claim(ledger, "job-1")
    assert standings.standing("1", None).encode_asked_at == asked


def test_others_that_need_the_source_are_named_unless_they_are_deleted(
    standings: VideoStandings, state: State, clock: FrozenClock
) -> None:
    videos = state.videos()
    for name, key in (("1", KEY), ("2", KEY), ("3", KEY), ("4", "elsewhere")):
        videos.add(Video(id=name, tenant="t1", source_key=key))
    assert list(standings.standing("1", KEY).sharing) == ["2", "3"]
    videos.update("2", lambda row: row.deleted(clock.now()))
    assert list(standings.standing("1", KEY).sharing) == ["3"]
    assert list(standings.standing("1", None).sharing) == []


def test_a_video_is_deleted_once_and_stays_readable(state: State, clock: FrozenClock) -> None:
    state.videos().add(Video(id="1", tenant="t1", source_key=KEY))
    first = clock.now()
    assert state.videos().update("1", lambda row: row.deleted(first)).is_deleted
    clock.advance(9)
    state.videos().update("1", lambda row: row.deleted(clock.now()))
    assert state.videos().get("1").deleted_at == first


def test_lesson_14_a_job_that_ends_changes_nothing_of_a_deleted_video(
    ledger: WholeLedger, state: State, clock: FrozenClock
) -> None:
    admit(ledger, "job-1")
    claim(ledger, "job-1")
    deleted = state.videos().update("1", lambda row: row.deleted(clock.now()))
    ended = ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result=RESULT))
    assert ended.state is JobState.SUCCEEDED
    assert state.videos().get("1") == deleted
