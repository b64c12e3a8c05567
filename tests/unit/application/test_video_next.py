"""A job that ends makes room for the next video (lesson 14)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest

from src.application.ports.ledger import Limits
from src.application.video.enqueue_next import LOOKS, EnqueueNext
from src.domain.errors import BatchRefused, DatabaseUnavailable, ErrorReport, StorageUnavailable, UnsupportedFormat
from src.domain.job import Job, JobDraft, JobState
from src.domain.video.video import Video, VideoStatus
from tests.fakes.office import BatchOffice, Office

RESULT = {"hls_path": "v/1/master.m3u8", "thumbnail_path": None, "duration_seconds": 12.5}
ONE_EACH = Limits(active_per_tenant=1)


@dataclass
class Street:
    """Tenants with uploads, and the office that they go to."""

    office: Office = field(default_factory=lambda: BatchOffice(ONE_EACH))

    def __post_init__(self) -> None:
        numbers = itertools.count(1)
        self.next = EnqueueNext(self.office.submitter, self.office.videos, lambda: f"next-{next(numbers)}")

    def upload(self, video_id: str, tenant: str = "t1", body: bytes = b"film") -> None:
        """UPLOADED now; an empty body stands for a source that is gone."""
        key = f"tenants/{tenant}/video/raw/{video_id}/film.mp4"
        if body:
            self.office.storage.put_bytes(key, body, content_type="video/mp4", cache_control="no-cache")
        self.office.videos.add(Video(id=video_id, tenant=tenant, source_key=key))
        self.office.clock.advance(1)

    def submit(self, video_id: str, tenant: str = "t1") -> str | None:
        """The id of its job."""
        key = self.office.videos.get(video_id).source_key
        job = self.office.submit(f"job-{video_id}", video=video_id, tenant=tenant, key=key).job
        return job.id if job else None

    def end(self, job_id: str, how: str) -> Job:
        """In one of the ways in which a job ends."""
        change = self.office.ledger.change
        if how == "cancelled while it waits":
            return change(job_id, lambda job, now: job.request_cancel(now))
        row = change(job_id, lambda job, now: job.claim(now, owner="w1", lease_seconds=30)[0])
        if how == "succeeded":
            return change(job_id, lambda job, now: job.succeed(now, fence=row.fence, result=RESULT))
        if how == "cancelled":
            change(job_id, lambda job, now: job.request_cancel(now))
            return change(job_id, lambda job, now: job.cancelled(now, fence=row.fence))
        error = ErrorReport.of(UnsupportedFormat("text"))
        return change(job_id, lambda job, now: job.fail(now, fence=row.fence, error=error, dice=0))

    def active(self) -> list[str]:
        """Videos with an active job."""
        rows = [job for job in self.office.ledger.rows() if not job.state.is_terminal]
        return sorted(str(job.payload["video_id"]) for job in rows)


@pytest.fixture
def street() -> Street:
    return Street()


@pytest.mark.parametrize("how", ["succeeded", "failed", "cancelled", "cancelled while it waits"])
def test_lesson_14_every_end_of_a_job_submits_the_oldest_waiting_video_of_its_tenant(street: Street, how: str) -> None:
    for video_id in ("v1", "v2", "v3"):
        street.upload(video_id)
    street.upload("w1", tenant="t2")
    assert street.submit("v1") == "job-v1"
    assert street.submit("v2") is None, "the tenant is full"
    submitted = street.next.after(street.end("job-v1", how))
    assert submitted is not None
    assert (submitted.id, submitted.payload["video_id"], submitted.tenant) == ("next-1", "v2", "t1")
    assert street.active() == ["v2"], "one place was free, and what was cancelled does not come back by itself"
    assert street.office.batch.known()[-1].job_id == "next-1"


@pytest.mark.parametrize("state", [state for state in JobState if not state.is_terminal])
def test_a_job_that_has_not_ended_makes_no_room(street: Street, state: JobState) -> None:
    street.upload("v1")
    job = Job(id="job-1", type="video", tenant="t1", payload={"video_id": "v0"}, state=state)
    assert street.next.after(job) is None
    assert street.active() == []


def test_a_job_of_another_type_is_nothing_to_it(street: Street) -> None:
    street.upload("v1")
    assert street.next.after(Job(id="x", type="other", tenant="t1", payload={}, state=JobState.SUCCEEDED)) is None


def test_called_twice_for_one_end_it_keeps_to_the_limit(street: Street) -> None:
    for video_id in ("v1", "v2", "v3"):
        street.upload(video_id)
    street.submit("v1")
    ended = street.end("job-v1", "succeeded")
    street.next.after(ended)
    assert street.next.after(ended) is None
    assert street.active() == ["v2"]
    assert street.office.told() == [], "a limit that a follow-up meets is no event"


def test_a_video_that_can_not_begin_does_not_keep_the_others_waiting(street: Street) -> None:
    street.upload("v1")
    street.upload("gone", body=b"")
    street.office.videos.add(Video(id="odd key", tenant="t1", source_key="../odd.mp4"))
    street.office.clock.advance(1)
    street.upload("v2")
    street.submit("v1")
    submitted = street.next.after(street.end("job-v1", "succeeded"))
    assert submitted is not None
    assert submitted.payload["video_id"] == "v2"
    assert street.office.videos.get("gone").status is VideoStatus.UPLOADED


def test_it_looks_at_so_many_and_leaves_the_rest_to_the_cron(street: Street) -> None:
    for number in range(LOOKS):
        street.upload(f"gone-{number}", body=b"")
    street.upload("v1")
    assert street.next.next_of("t1") is None
    assert street.active() == []


def test_t31_under_a_limit_for_all_somebody_elses_video_gets_the_place_that_is_free() -> None:
    street = Street(BatchOffice(Limits(active_total=1)))
    street.upload("v1")
    street.upload("w1", tenant="t2")
    street.submit("v1")
    assert street.submit("w1", tenant="t2") is None
    submitted = street.next.after(street.end("job-v1", "succeeded"))
    assert submitted is not None
    assert submitted.tenant == "t2"


def test_a_tenant_that_is_full_is_passed_over_for_another_one() -> None:
    street = Street(BatchOffice(Limits(active_per_tenant=1, active_total=3)))
    for video_id, tenant in (("v1", "t1"), ("w1", "t2"), ("w2", "t2"), ("x1", "t3")):
        street.upload(video_id, tenant=tenant)
    street.submit("v1")
    street.submit("w1", tenant="t2")
    submitted = street.next.after(street.end("job-v1", "succeeded"))
    assert submitted is not None
    assert submitted.payload["video_id"] == "x1"


def test_a_road_that_is_closed_is_not_tried_for_every_video(street: Street) -> None:
    for video_id in ("v1", "v2", "v3"):
        street.upload(video_id)
    street.submit("v1")
    street.office.batch.fail("submit", BatchRefused("no such queue"), times=100)
    assert street.next.after(street.end("job-v1", "succeeded")) is None
    assert street.active() == []
    assert len(street.office.batch.calls) == 2


@pytest.mark.parametrize("broken", ["storage", "database", "ours"])
def test_trouble_never_reaches_whoever_ended_the_job(
    street: Street, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    street.upload("v1")
    street.upload("v2")
    street.submit("v1")
    ended = street.end("job-v1", "succeeded")
    errors = {"storage": StorageUnavailable("away"), "database": DatabaseUnavailable("away"), "ours": KeyError("x")}

    def fail(*_arguments: object, **_named: object) -> object:
        raise errors[broken]

    where = street.office.videos if broken == "database" else street.office.storage
    setattr(where, "waiting" if broken == "database" else "head", fail)
    assert street.next.after(ended) is None
    assert [record.message for record in caplog.records if record.message.startswith("next.")] == [
        "next.broken" if broken == "ours" else "next.failed"
    ]
    row = street.office.ledger.find("job-v1")
    assert row is not None
    assert row.state is JobState.SUCCEEDED


def test_a_video_that_got_a_job_meanwhile_is_not_counted_as_submitted(street: Street) -> None:
    """Two ends at once look at the same list."""
    street = Street(BatchOffice(Limits(active_per_tenant=2)))
    for video_id in ("v1", "v2", "v3"):
        street.upload(video_id)
    seen = list(street.office.videos.waiting(tenant="t1", limit=10))
    street.submit("v1")
    street.office.videos.waiting = lambda **_named: seen  # type: ignore[method-assign]
    submitted = street.next.next_of("t1")
    assert submitted is not None
    assert submitted.payload["video_id"] == "v2"


def test_the_ids_of_a_job_that_is_there_are_never_taken_over(street: Street) -> None:
    draft = JobDraft(id="next-1", type="other", tenant="t9", payload={})
    street.office.ledger.admit(draft)
    street.upload("v1")
    street.upload("v2")
    submitted = street.next.next_of("t1")
    assert submitted is not None
    assert (submitted.id, submitted.type) == ("next-2", "video")
