"""Removing a video's objects: all of them, no other, any number of times."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from src.application.outcome import Done, Run, Snooze
from src.application.ports.videos import FinishedChunk
from src.application.video.delete_handler import DeleteObjectsHandler
from src.application.video.delete_objects import (
    BATCH,
    BATCH_SECONDS,
    BUSY_SECONDS,
    STOPPING_SECONDS,
    AskedAgain,
    DeleteVideoObjects,
    Removed,
)
from src.domain.errors import (
    InvalidPayload,
    ObjectsLeft,
    OutOfTime,
    Permanent,
    StorageUnavailable,
    TenantMismatch,
    VideoBusy,
)
from src.domain.ids import storage_key
from src.domain.video.deletion import Removal, make_removal
from src.domain.video.video import Video
from tests.fakes.deletion import Archive, folder_of, source_of

RESULT = {"hls_path": "x/master.m3u8", "duration_seconds": 1.0}


@pytest.fixture
def archive() -> Archive:
    return Archive()


def removal(video: str = "1", tenant: str = "t1", *, asked_at: float | None = None) -> Removal:
    return make_removal(tenant, video, source_of(video, tenant), folder_of(video, tenant), asked_at=asked_at)


def run(tenant: str = "t1") -> Run:
    return Run(
        job_id="d", tenant=tenant, generation=1, fence=1, attempt=1, max_attempts=6, open_scratch=Path, report=print
    )


def handler(archive: Archive) -> DeleteObjectsHandler:
    return DeleteObjectsHandler(archive.storage, archive.standings, archive.chunks)


def test_the_source_and_the_folder_go_and_nothing_else(archive: Archive) -> None:
    assert archive.objects.delete(removal()) == Removed(source="removed", objects=2)
    assert [archive.left("1"), archive.left("12"), archive.left("2", "t2")] == [0, 3, 3]


def test_again_changes_nothing(archive: Archive) -> None:
    archive.objects.delete(removal())
    assert archive.objects.delete(removal()) == Removed(source="absent", objects=0)


def test_either_half_alone(archive: Archive) -> None:
    archive.objects.delete(make_removal("t1", "1", source_of("1"), ""))
    assert archive.left("1") == 2
    archive.objects.delete(make_removal("t1", "12", "", folder_of("12")))
    assert archive.left("12") == 1


def test_a_video_without_a_row_is_deleted_by_its_keys(archive: Archive) -> None:
    archive.videos.put_back("1", None)
    assert archive.objects.delete(removal()).objects == 2


def test_v10_a_row_of_another_tenant_refuses_everything(archive: Archive) -> None:
    with pytest.raises(TenantMismatch):
        archive.objects.delete(make_removal("t2", "1", "", "tenants/t2/video/hls/1/"))
    with pytest.raises(InvalidPayload):
        archive.objects.delete(make_removal("t1", "1", source_of("12"), folder_of("1")))
    assert [archive.left("1"), archive.left("12")] == [3, 3]


def test_a_source_that_another_video_needs_stays(archive: Archive) -> None:
    archive.videos.put_back("12", Video(id="12", tenant="t1", source_key=source_of("1")))
    assert archive.objects.delete(removal()) == Removed(source="shared", objects=2)
    archive.videos.update("12", lambda row: row.deleted(1.0))
    assert archive.objects.delete(removal()) == Removed(source="removed", objects=0)


def test_while_a_job_works_on_the_video_nothing_is_deleted(archive: Archive) -> None:
    archive.job(running=True)
    with pytest.raises(VideoBusy, match="job job-1 works on video 1"):
        archive.objects.delete(removal())
    assert archive.left("1") == 3


def test_waiting_for_a_running_job_costs_the_deletion_no_attempt(archive: Archive) -> None:
    archive.job(running=True)
    outcome = handler(archive).handle(removal(), run())
    assert isinstance(outcome, Snooze)
    assert outcome.seconds == BUSY_SECONDS
    assert "job-1" in outcome.reason
    archive.ledger.change("job-1", lambda job, now: job.hand_back(now, fence=1))
    assert handler(archive).handle(removal(), run()) == Done({"source": "removed", "objects": 2})


def test_a_deleted_videos_objects_go_at_once_and_again_when_its_worker_has_stopped(archive: Archive) -> None:
    archive.job(running=True)
    archive.videos.update("1", lambda row: row.deleted(1.0))
    waits = handler(archive).handle(removal(), run())
    assert isinstance(waits, Snooze)
    assert waits.seconds == STOPPING_SECONDS
    assert archive.left("1") == 0
    archive.storage.put_bytes(f"{folder_of('1')}1-1-00000000/late.m4s", b"x", content_type="a/b", cache_control="")
    archive.ledger.change("job-1", lambda job, now: job.cancelled(now, fence=1))
    assert handler(archive).handle(removal(), run()) == Done({"source": "absent", "objects": 1})
    assert archive.left("1") == 0


def test_a_job_that_begins_in_the_middle_stops_the_deletion(archive: Archive) -> None:
    for number in range(BATCH + 5):
        archive.storage.put_bytes(f"{folder_of('1')}{number:05}", b"x", content_type="a/b", cache_control="")
    pages: list[int] = []

    class Eager(type(archive.storage)):  # type: ignore[misc]
        """Its first page over, somebody claims the video."""

        def delete(self, keys: list[str]) -> None:
            super().delete(keys)
            pages.append(len(keys))
            if len(pages) == 2:
                archive.job(running=True)

    archive.storage.__class__ = Eager
    with pytest.raises(VideoBusy):
        archive.objects.delete(removal())
    assert pages == [1, BATCH]
    assert archive.left("1") == 7


def test_f42_a_stream_that_was_made_after_the_request_is_not_taken_away(archive: Archive) -> None:
    archive.job(running=True)
    archive.ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result=RESULT))
    asked = archive.clock.now()
    with pytest.raises(AskedAgain):
        archive.objects.delete(removal(asked_at=asked - 60))
    assert archive.left("1") == 3
    assert archive.objects.delete(removal(asked_at=asked + 60)).objects == 2


def test_f42_one_locked_object_does_not_keep_the_others_and_is_an_error(archive: Archive) -> None:
    locked = f"{folder_of('1')}1-1-00000000/a.m4s"
    archive.storage.locked = frozenset({locked})
    with pytest.raises(ObjectsLeft, match=r"1 objects of video 1 were not removed: .*a\.m4s") as refused:
        archive.objects.delete(removal())
    assert refused.value.left == (locked,)
    assert refused.value.retryable
    assert archive.left("1") == 1
    archive.storage.locked = frozenset()
    assert archive.objects.delete(removal()).objects == 1


def test_more_than_a_thousand_objects_go_in_pages(archive: Archive) -> None:
    for number in range(2 * BATCH + 1):
        archive.storage.put_bytes(f"{folder_of('1')}{number:05}", b"x", content_type="a/b", cache_control="")
    archive.storage.locked = frozenset({f"{folder_of('1')}00000"})
    with pytest.raises(ObjectsLeft, match="1 objects"):
        archive.objects.delete(removal())
    assert archive.left("1") == 1


def test_without_time_nothing_is_begun_and_what_was_done_stays_done(archive: Archive) -> None:
    seconds = iter([BATCH_SECONDS + 1, BATCH_SECONDS + 1, BATCH_SECONDS - 1])
    hurried = DeleteVideoObjects(archive.storage, archive.standings, time_left=lambda: next(seconds))
    with pytest.raises(OutOfTime):
        hurried.delete(removal())
    assert archive.left("1") == 2
    with pytest.raises(OutOfTime):
        DeleteVideoObjects(archive.storage, time_left=lambda: 0.0).delete(removal("12"))
    assert archive.left("12") == 3


def test_the_chunks_rows_go_with_the_objects(archive: Archive) -> None:
    archive.chunks.add(FinishedChunk(video_id="1", source_sha256="s", plan_hash="p", index=0, segments=()))
    archive.objects.delete(removal())
    assert archive.chunks.finished("1", "s", "p") == []


def test_a_storage_that_is_away_is_a_retry(archive: Archive) -> None:
    def away(_prefix: str) -> None:
        raise StorageUnavailable("no route")

    archive.storage.list = away  # type: ignore[method-assign,assignment]
    with pytest.raises(StorageUnavailable):
        handler(archive).handle(removal(), run())


def test_a_job_whose_row_names_another_tenant_deletes_nothing(archive: Archive) -> None:
    with pytest.raises(TenantMismatch):
        handler(archive).handle(removal(), run("t2"))
    assert archive.left("1") == 3


HOSTILE = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(["tenants", "t1", "t2", "video", "hls", "raw", "1", "12", "2", "..", ".", "", "*", "film.mp4"]),
        max_size=7,
    ).map("/".join),
)


@given(HOSTILE, HOSTILE, st.booleans())
def test_t26_whatever_a_request_says_only_the_videos_own_objects_can_go(key: str, prefix: str, asks: bool) -> None:
    archive = Archive()
    before = set(archive.storage.objects)
    objects = DeleteVideoObjects(archive.storage, archive.standings if asks else None)
    try:
        objects.delete(make_removal("t1", "1", key, prefix))
    except Permanent:
        assert set(archive.storage.objects) == before
        return
    gone = before - set(archive.storage.objects)
    mine = {name for name in before if name.startswith(folder_of("1"))} | {source_of("1")}
    # Without the rows, the one key that is named may be any upload of the tenant: uploads need not name their video.
    named = {storage_key(key)} if key and not asks else set()
    assert gone <= mine | {name for name in named if name.startswith("tenants/t1/video/raw/")}
