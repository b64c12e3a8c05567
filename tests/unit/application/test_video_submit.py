"""Submitting a video: one active job, reasons for a refusal, nothing lost when the queue is away."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from src.application.catalog import Catalog
from src.application.ports.ledger import Limits
from src.application.ports.queue import Envelope
from src.application.video.job_types import VIDEO_JOB
from src.application.video.plan_preview import PreviewPlan
from src.application.video.request import EncodeVideo, parse_encode_video
from src.application.video.submit import Submission, SubmitVideo
from src.domain.errors import InvalidPayload, QueueUnavailable, TenantMismatch
from src.domain.job import JobState
from src.domain.video.keys import losers, raw_key
from src.domain.video.planning import PlanSettings
from src.domain.video.video import Video, VideoStatus
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.storage import MemoryStorage
from src.infrastructure.memory.videos import MemoryVideos, appliers
from tests.fakes.clock import FrozenClock
from tests.fakes.media import ScriptedProber

KEY = "tenants/t1/video/raw/s/film.mp4"


@dataclass
class Post:
    """A queue's producer side that may be away."""

    away: bool = False
    sent: list[Envelope] = field(default_factory=list)

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        if self.away:
            raise QueueUnavailable("no route")
        self.sent += envelopes


class Office:
    def __init__(self, limits: Limits | None = None) -> None:
        clock = FrozenClock()
        self.videos = MemoryVideos(clock)
        self.storage = MemoryStorage(clock)
        self.storage.put_bytes(KEY, b"film", content_type="video/mp4", cache_control="no-cache")
        self.post = Post()
        self.ledger = MemoryLedger(
            clock=clock,
            effects=Catalog([VIDEO_JOB]).effects,
            appliers=appliers(self.videos),
            dead_letters=MemoryDeadLetters(clock),
        )
        self.submitter = SubmitVideo(
            ledger=self.ledger,
            publisher=self.post,
            videos=self.videos,
            storage=self.storage,
            job_type=VIDEO_JOB,
            limits=limits or Limits(),
        )

    def submit(self, job_id: str = "job-1", *, video: str = "v1", tenant: str = "t1", key: str = KEY) -> Submission:
        return self.submitter.submit(EncodeVideo(video_id=video, tenant=tenant, file_key=key), job_id)


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_submitted_video_has_a_job_a_row_and_a_message(office: Office) -> None:
    submission = office.submit()
    assert submission.created
    assert submission.job is not None
    assert submission.job.state is JobState.QUEUED
    assert office.videos.get("v1").status is VideoStatus.UPLOADED
    body = json.loads(office.post.sent[0].body)
    assert {name: body[name] for name in ("job_id", "video_id", "tenant_id", "file_key", "attempt")} == {
        "job_id": "job-1",
        "video_id": "v1",
        "tenant_id": "t1",
        "file_key": KEY,
        "attempt": 1,
    }


def test_a_second_submit_answers_with_the_active_job(office: Office) -> None:
    office.submit()
    again = office.submit("job-2")
    assert (again.created, again.job and again.job.id) == (False, "job-1")
    assert len(office.post.sent) == 1


def test_a_queue_that_is_away_loses_nothing(office: Office) -> None:
    office.post.away = True
    submission = office.submit()
    assert submission.rejected == "submit_failed"
    assert [job.id for job in office.ledger.to_wake(10)] == ["job-1"]


def test_lesson_16_a_source_that_is_not_there_makes_no_job(office: Office) -> None:
    assert office.submit(key="tenants/t1/video/raw/s/none.mp4").rejected == "not_found"


def test_an_empty_source_counts_as_not_uploaded(office: Office) -> None:
    office.storage.put_bytes(KEY, b"", content_type="video/mp4", cache_control="no-cache")
    assert office.submit().rejected == "not_uploaded"


def test_a_ready_video_is_not_submitted_again(office: Office) -> None:
    office.videos.add(Video(id="v1", tenant="t1", source_key=KEY, status=VideoStatus.READY))
    assert office.submit().rejected == "not_uploaded"


def test_a_new_upload_of_a_ready_video_is_submitted(office: Office) -> None:
    shown = Video(id="v1", tenant="t1", source_key="tenants/t1/video/raw/s/old.mp4", status=VideoStatus.READY)
    office.videos.add(shown)
    assert office.submit().created
    assert office.videos.get("v1").status is VideoStatus.READY


@pytest.mark.parametrize(("replaced", "rejected"), [(True, None), (False, "not_uploaded")])
def test_a_ready_video_is_submitted_again_when_its_source_was_replaced(
    office: Office, replaced: bool, rejected: str | None
) -> None:
    made_from = {"metadata": {"source_version": office.storage.head(KEY).version}}
    office.videos.add(Video(id="v1", tenant="t1", source_key=KEY, status=VideoStatus.READY, result=made_from))
    if replaced:
        office.storage.put_bytes(KEY, b"another film", content_type="video/mp4", cache_control="no-cache")
    assert office.submit().rejected == rejected


def test_another_tenants_video_looks_like_none(office: Office) -> None:
    office.videos.add(Video(id="v1", tenant="t2", source_key="x"))
    assert office.submit().rejected == "not_found"


def test_no_tenant_is_a_reason(office: Office) -> None:
    assert office.submit(tenant="").rejected == "no_tenant"


def test_limits_refuse_with_their_reason() -> None:
    office = Office(Limits(active_per_tenant=1))
    office.submit()
    assert office.submit("job-2", video="v2").rejected == "tenant_limit"


def test_t12_a_key_of_another_tenant_is_refused(office: Office) -> None:
    with pytest.raises(TenantMismatch):
        office.submit(key="tenants/t2/video/raw/film.mp4")


def test_a_request_is_read_strictly_and_passes_over_what_it_does_not_know() -> None:
    request = parse_encode_video("t1", {"video_id": 7, "file_key": KEY, "title": "x", "ladder": "academy"})
    assert request == EncodeVideo(video_id="7", tenant="t1", file_key=KEY, ladder="academy")
    for wrong in ({"video_id": 7}, {"file_key": KEY}, {"video_id": 7, "file_key": "../x"}):
        with pytest.raises(InvalidPayload):
            parse_encode_video("t1", wrong)
    with pytest.raises(InvalidPayload, match="no ladder"):
        parse_encode_video("t1", {"video_id": 7, "file_key": KEY, "ladder": "huge"})


def test_a_raw_key_keeps_only_plain_characters_of_the_name() -> None:
    assert raw_key("t1", "v1", "../../Mein Film (1).MP4") == "tenants/t1/video/raw/v1/Mein_Film_1_.MP4"
    assert raw_key("t1", "v1", "..") == "tenants/t1/video/raw/v1/source"


def test_losers_are_older_fences_of_the_same_job_and_all_other_jobs() -> None:
    base, own = "tenants/t/video/hls/v/", "0123abcd"
    keys = [f"{base}{name}/master.m3u8" for name in (f"1-1-{own}", f"1-3-{own}", f"2-1-{own}", "1-7-ffffffff", "other")]
    assert losers(keys, f"{base}1-2-{own}/") == [keys[0], keys[3]]


def test_a_preview_says_what_would_run() -> None:
    preview = PreviewPlan(ScriptedProber(), PlanSettings(), lambda plan: [["ffmpeg", str(plan.frames)]])
    document = json.loads(json.dumps(preview.preview(lambda _offset, length: b"x" * length, 100)))
    assert document["source"]["resolution"] == "426x240"
    assert document["commands"] == [["ffmpeg", "500"]]
    assert document["estimated_cpu_seconds"] > 0
