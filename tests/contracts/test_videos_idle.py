"""VideoRepository.idle: videos in one state that nobody works on, by the age of their row."""

from __future__ import annotations

from src.application.video.effects import video_effects
from src.domain.video.video import Video, VideoStatus
from tests.contracts.backends.state import State
from tests.contracts.moves import claim
from tests.contracts.test_videos_waiting import admit, ids, upload
from tests.fakes.clock import FrozenClock


def idle(state: State, status: VideoStatus, before: float) -> list[str]:
    return ids(state.videos().idle(status, before=before, limit=100))


def test_only_those_in_that_state_that_have_not_changed_since(state: State, clock: FrozenClock) -> None:
    upload(state, "old", status=VideoStatus.PENDING)
    clock.advance(10)
    upload(state, "ready", status=VideoStatus.READY)
    upload(state, "new", status=VideoStatus.PENDING)
    assert idle(state, VideoStatus.PENDING, clock.now()) == ["old"]
    assert idle(state, VideoStatus.PENDING, clock.now() + 1) == ["old", "new"]
    state.videos().update("old", lambda video: video.uploaded())
    assert idle(state, VideoStatus.PENDING, clock.now() + 1) == ["new"]
    state.videos().update("new", lambda video: video.deleted(clock.now()))
    assert idle(state, VideoStatus.PENDING, clock.now() + 1) == []


def test_deleted_ones_are_given_to_who_asks_for_them_and_no_others(state: State, clock: FrozenClock) -> None:
    for video_id in ("gone", "purged", "kept"):
        upload(state, video_id)
    for video_id in ("gone", "purged"):
        state.videos().update(video_id, lambda video: video.deleted(clock.now()))
    state.videos().update("purged", lambda video: video.source_purged(clock.now()))
    asked = {"before": clock.now() + 1, "limit": 9, "deleted": True}
    assert sorted(ids(state.videos().idle(VideoStatus.UPLOADED, **asked))) == ["gone", "purged"]  # type: ignore[arg-type]
    assert ids(state.videos().idle(VideoStatus.UPLOADED, with_source=True, **asked)) == ["gone"]  # type: ignore[arg-type]
    assert idle(state, VideoStatus.UPLOADED, clock.now() + 1) == ["kept"]


def test_pages_leave_out_none(state: State, clock: FrozenClock) -> None:
    for video_id in ("d", "c", "b", "a"):
        upload(state, video_id)
        upload(state, f"{video_id}2")
        clock.advance(1)
    found, after = list[str](), None
    while page := state.videos().idle(VideoStatus.UPLOADED, before=clock.now() + 1, limit=3, after=after):
        found += ids(page)
        after = (page[-1].updated_at, page[-1].id)
    assert found == ["d", "d2", "c", "c2", "b", "b2", "a", "a2"]


def test_one_with_an_active_job_is_not_idle(state: State, clock: FrozenClock) -> None:
    ledger = state.ledger(video_effects)
    upload(state, "a")
    admit(ledger, "a")
    claim(ledger, "job-a")
    assert idle(state, VideoStatus.PROCESSING, clock.now() + 1) == []
    ledger.change("job-a", lambda job, now: job.cancelled(now, fence=job.fence))
    state.videos().update("a", lambda video: video.processing(job_id="job-a", fence=9))
    assert idle(state, VideoStatus.PROCESSING, clock.now() + 1) == ["a"]


def test_whose_source_was_purged_is_remembered_until_it_is_encoded_again(state: State, clock: FrozenClock) -> None:
    state.videos().add(Video(id="a", tenant="t1", source_key="raw/a.mp4", status=VideoStatus.READY))
    state.videos().update("a", lambda video: video.source_purged(clock.now()))
    until = clock.now() + 1
    assert state.videos().get("a").source_purged_at == clock.now()
    assert state.videos().idle(VideoStatus.READY, before=until, limit=9, with_source=True) == []
    assert idle(state, VideoStatus.READY, until) == ["a"]
    result = {"hls_path": "v/1/master.m3u8", "duration_seconds": 4.0}
    state.videos().update("a", lambda video: video.ready(job_id="j", fence=1, source_key="raw/b.mp4", result=result))
    assert ids(state.videos().idle(VideoStatus.READY, before=until, limit=9, with_source=True)) == ["a"]
