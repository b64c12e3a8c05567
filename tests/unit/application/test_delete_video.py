"""Deleting a video on the API's side: row, jobs, request; and what a deleted video's job does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from src.application.dispatch import QueueDispatch
from src.application.ports.ledger import DeadLetterFilter, Limits
from src.application.ports.queue import Envelope
from src.application.video.delete_objects import Removed
from src.application.video.delete_request import DeletionQueue
from src.application.video.delete_video import DeleteVideo
from src.application.video.job_types import VIDEO_JOB
from src.application.video.request import EncodeVideo
from src.application.video.submit import SubmitVideo
from src.domain.errors import Cancelled, ErrorReport, InvalidPayload, NotFound, QueueUnavailable, TenantMismatch
from src.domain.job import JobState
from src.domain.video.video import Video, VideoStatus
from src.infrastructure.memory.ops_events import MemoryOpsEvents
from tests.fakes.deletion import Archive, folder_of, source_of

RESULT = {"hls_path": "x/master.m3u8", "duration_seconds": 1.0}


@pytest.fixture
def archive() -> Archive:
    return Archive()


class Away:
    """A queue that can't be reached."""

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        raise QueueUnavailable(f"no route for {len(envelopes)}")


def submit(archive: Archive, job_id: str, video: str, **limits: int) -> str | None:
    submitter = SubmitVideo(
        ledger=archive.ledger,
        dispatch=QueueDispatch(archive.queue),
        videos=archive.videos,
        storage=archive.storage,
        events=MemoryOpsEvents(archive.clock),
        job_type=VIDEO_JOB,
        limits=Limits(**limits),
    )
    return submitter.submit(EncodeVideo(video_id=video, tenant="t1", file_key=source_of(video)), job_id).rejected


def test_a_deleted_video_is_marked_and_its_objects_are_asked_for(archive: Archive) -> None:
    deletion = archive.deleter.delete("1", "t1")
    assert deletion.video.deleted_at == archive.videos.get("1").deleted_at == archive.clock.now()
    (body,) = archive.sent()
    assert body == {
        "action": "delete_r2",
        "tenant_id": "t1",
        "video_id": "1",
        "file_key": source_of("1"),
        "hls_prefix": folder_of("1"),
        "created_at": body["created_at"],
    }
    assert archive.left("1") == 3


@pytest.mark.parametrize(("video", "tenant"), [("none", None), ("2", "t1"), ("1", "")])
def test_v10_another_tenants_video_is_as_good_as_none(archive: Archive, video: str, tenant: str | None) -> None:
    for call in (archive.deleter.delete, archive.deleter.preview, archive.deleter.mark):
        with pytest.raises(NotFound):
            call(video, tenant)
    assert archive.sent() == []
    assert not archive.videos.get("2").is_deleted


def test_a_preview_changes_nothing(archive: Archive) -> None:
    archive.job()
    deletion = archive.deleter.preview("1")
    assert [job.id for job in deletion.jobs] == ["job-1"]
    assert deletion.removal.prefix == folder_of("1")
    assert archive.sent() == []
    assert not archive.videos.get("1").is_deleted
    assert not archive.ledger.find("job-1").state.is_terminal  # type: ignore[union-attr]


def test_lesson_14_a_deleted_videos_jobs_no_longer_count_against_the_tenant(archive: Archive) -> None:
    archive.job()
    assert submit(archive, "other", "12", active_per_tenant=1) == "tenant_limit"
    (ended,) = archive.deleter.delete("1").jobs
    assert (ended.id, ended.state) == ("job-1", JobState.CANCELLED)
    assert submit(archive, "other", "12", active_per_tenant=1) is None


def test_a_running_job_is_asked_to_stop(archive: Archive) -> None:
    archive.job(running=True)
    (job,) = archive.deleter.delete("1").jobs
    assert (job.state, job.cancel_requested_at) == (JobState.RUNNING, archive.clock.now())


def test_a_job_that_waits_for_its_retry_is_closed(archive: Archive) -> None:
    archive.job(running=True)
    error = ErrorReport.of(QueueUnavailable("x"))
    archive.ledger.change("job-1", lambda job, now: job.fail(now, fence=1, error=error, dice=0))
    assert [job.state for job in archive.deleter.delete("1").jobs] == [JobState.CANCELLED]


def test_lesson_26_a_request_that_did_not_get_through_is_an_error_and_the_call_can_be_repeated(
    archive: Archive,
) -> None:
    broken = DeleteVideo(
        videos=archive.videos,
        standings=archive.standings,
        ledger=archive.ledger,
        requests=DeletionQueue(Away(), archive.clock),
        clock=archive.clock,
    )
    with pytest.raises(QueueUnavailable):
        broken.delete("1")
    first = archive.videos.get("1").deleted_at
    archive.clock.advance(60)
    assert archive.deleter.delete("1").video.deleted_at == first
    assert len(archive.sent()) == 1


def test_what_a_consumer_would_refuse_is_not_sent(archive: Archive) -> None:
    good = {"tenant_id": 7, "video_id": 1, "file_key": "", "hls_prefix": "tenants/7/video/hls/1"}
    with pytest.raises(InvalidPayload):
        archive.requests.enqueue_delete_r2(**(good | {"hls_prefix": "tenants/7/video/hls"}))  # type: ignore[arg-type]
    with pytest.raises(TenantMismatch):
        archive.requests.enqueue_delete_r2(**(good | {"tenant_id": 8}))  # type: ignore[arg-type]
    assert archive.sent() == []
    archive.requests.enqueue_delete_r2(**good)  # type: ignore[arg-type]
    (body,) = archive.sent()
    assert (body["tenant_id"], body["video_id"], body["hls_prefix"]) == (7, 1, "tenants/7/video/hls/1/")


def test_a_source_outside_the_tenants_uploads_is_left_alone(archive: Archive) -> None:
    archive.videos.put_back("1", Video(id="1", tenant="t1", source_key="tenants/t1/ai/a.mp4"))
    archive.deleter.delete("1")
    (body,) = archive.sent()
    assert (body["file_key"], body["hls_prefix"]) == ("", folder_of("1"))


def test_a_deleted_video_is_not_encoded_again(archive: Archive) -> None:
    archive.deleter.delete("1")
    assert submit(archive, "again", "1") == "not_found"


def test_lesson_15_no_outcome_changes_a_deleted_videos_row(archive: Archive) -> None:
    archive.job(running=True)
    archive.deleter.delete("1")
    before = archive.videos.get("1")
    archive.ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result=RESULT))
    assert archive.videos.get("1") == before
    assert before.status is VideoStatus.PROCESSING


def test_a_handler_that_finds_its_video_deleted_ends_the_job_cancelled_without_a_dead_letter(archive: Archive) -> None:
    archive.job(running=True)
    error = ErrorReport.of(Cancelled("video 1 was deleted"))
    ended = archive.ledger.change("job-1", lambda job, now: job.fail(now, fence=1, error=error, dice=0))
    assert ended.state is JobState.CANCELLED
    assert archive.ledger.dead_letters.list(DeadLetterFilter()) == []


def test_from_the_call_to_the_empty_folder(archive: Archive) -> None:
    archive.job()
    deletion = archive.deleter.delete("1")
    assert archive.objects.delete(deletion.removal) == Removed(source="removed", objects=2)
    assert archive.left("1") == 0
    assert archive.left("12") == 3
