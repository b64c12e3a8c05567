"""VideoRepository and ChunkRepository."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from src.application.ports.videos import ChunkRepository, FinishedChunk, StoredSegment, VideoRepository
from src.domain.errors import Conflict, NotFound
from src.domain.video.video import Video, VideoStatus
from tests.contracts.backends.state import State
from tests.fakes.clock import FrozenClock

RESULT = {
    "hls_path": "v/1/master.m3u8",
    "thumbnail_path": None,
    "duration_seconds": 12.5,
    "renditions": [{"name": "240p"}],
}


@pytest.fixture
def videos(state: State) -> VideoRepository:
    return state.videos()


@pytest.fixture
def chunks(state: State) -> ChunkRepository:
    return state.chunks()


def video(video_id: str = "v1", tenant: str = "t1") -> Video:
    return Video(id=video_id, tenant=tenant, source_key="tenants/t1/raw/é.mp4", title="'; DROP TABLE videos; --")


def test_a_video_reads_back_as_it_was_written(videos: VideoRepository, state: State, clock: FrozenClock) -> None:
    added = videos.add(video())
    assert added == replace(video(), created_at=clock.now(), updated_at=clock.now())
    assert state.videos().get("v1") == added


def test_every_field_survives_the_repository(videos: VideoRepository, state: State) -> None:
    videos.add(video())
    ready = videos.update("v1", lambda row: row.ready(job_id="job-1", fence=7, source_key="raw/b.mp4", result=RESULT))
    assert ready.is_ready
    assert state.videos().get("v1") == ready


def test_odd_characters_in_free_text_do_not_keep_a_video_from_being_written(
    videos: VideoRepository, state: State
) -> None:
    videos.add(replace(video(), title="a\x00b \udce9 é"))
    videos.update("v1", lambda row: row.failed(job_id="job-1", fence=7, reason="no such file: \x00\udcff ü"))
    found = state.videos().get("v1")
    assert found.title.startswith("a")
    assert found.title.endswith("é")
    assert found.error_reason is not None
    assert found.error_reason.startswith("no such file: ")
    assert found.error_reason.endswith(" ü")


def test_adding_twice_keeps_the_first_row(videos: VideoRepository) -> None:
    videos.add(video())
    assert videos.add(video(tenant="t2")).tenant == "t1"


def test_an_unknown_video_is_not_found(videos: VideoRepository) -> None:
    assert videos.find("nobody") is None
    with pytest.raises(NotFound):
        videos.get("nobody")
    with pytest.raises(NotFound):
        videos.update("nobody", lambda row: row)


def test_an_update_tells_when(videos: VideoRepository, clock: FrozenClock) -> None:
    videos.add(video())
    clock.advance(5)
    assert videos.update("v1", lambda row: row).updated_at == clock.now() - 5
    changed = videos.update("v1", lambda row: row.processing(job_id="job-1", fence=1))
    assert (changed.status, changed.updated_at) == (VideoStatus.PROCESSING, clock.now())


def test_an_update_that_raises_writes_nothing(videos: VideoRepository) -> None:
    before = videos.add(video())

    def refuse(_row: Video) -> Video:
        raise Conflict("no")

    with pytest.raises(Conflict):
        videos.update("v1", refuse)
    assert videos.get("v1") == before


def test_updates_at_the_same_time_lose_nothing(state: State) -> None:
    state.videos().add(video())
    gate = threading.Barrier(4)

    def count() -> None:
        videos = state.videos()
        gate.wait()
        for _ in range(10):
            videos.update("v1", lambda row: replace(row, fence=row.fence + 1))

    workers = [threading.Thread(target=count) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert state.videos().get("v1").fence == 40


def chunk(index: int, *, video_id: str = "v1", source: str = "s", plan: str = "p", key: str = "a") -> FinishedChunk:
    init = StoredSegment(
        rendition="240p", key=f"{key}/init.mp4", size=700, sha256="0" * 64, duration_seconds=0.0, init=True
    )
    media = StoredSegment(rendition="240p", key=f"{key}/{index}.m4s", size=9, sha256="f" * 64, duration_seconds=4.004)
    return FinishedChunk(video_id=video_id, source_sha256=source, plan_hash=plan, index=index, segments=(init, media))


def test_finished_chunks_come_back_by_index(chunks: ChunkRepository, state: State) -> None:
    for index in (2, -1, 0):
        chunks.add(chunk(index))
    assert list(state.chunks().finished("v1", "s", "p")) == [chunk(-1), chunk(0), chunk(2)]


def test_chunks_of_another_video_source_or_plan_are_not_ours(chunks: ChunkRepository) -> None:
    for other in (chunk(0, video_id="v2"), chunk(0, source="x"), chunk(0, plan="x")):
        chunks.add(other)
    assert list(chunks.finished("v1", "s", "p")) == []


def test_the_same_chunk_again_replaces_the_row(chunks: ChunkRepository) -> None:
    chunks.add(chunk(0, key="fence-1"))
    chunks.add(chunk(0, key="fence-2"))
    assert list(chunks.finished("v1", "s", "p")) == [chunk(0, key="fence-2")]


def test_a_ready_videos_chunks_are_forgotten(chunks: ChunkRepository) -> None:
    chunks.add(chunk(0))
    chunks.add(chunk(0, video_id="v2"))
    chunks.forget("v1")
    assert list(chunks.finished("v1", "s", "p")) == []
    assert list(chunks.finished("v2", "s", "p")) == [chunk(0, video_id="v2")]
