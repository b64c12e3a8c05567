"""Submitting a video: one active job, reasons for a refusal, nothing lost when the queue is away."""

from __future__ import annotations

import json

import pytest

from src.application.ports.ledger import Limits
from src.application.ports.ops_events import EventType, Severity
from src.application.ports.submissions import BatchSubmission
from src.application.video.plan_preview import PreviewPlan
from src.application.video.request import EncodeVideo, parse_encode_video
from src.domain.errors import (
    BatchDenied,
    BatchNotTaken,
    BatchRefused,
    DatabaseUnavailable,
    InvalidPayload,
    TenantMismatch,
)
from src.domain.job import JobState
from src.domain.video.keys import losers, raw_key
from src.domain.video.planning import PlanSettings
from src.domain.video.video import Video, VideoStatus
from tests.fakes.media import ScriptedProber
from tests.fakes.office import KEY, BatchOffice, Office


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def batch_office() -> BatchOffice:
    return BatchOffice()


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


# ---------------------------------------------------------------------- limits and their reasons (contracts.md 1.8)
@pytest.mark.parametrize(
    ("limits", "video", "tenant", "reason"),
    [
        (Limits(active_per_tenant=1), "v2", "t1", "tenant_limit"),
        (Limits(active_total=1), "v2", "t2", "global_limit"),
        (Limits(total_per_subject=1), "v1", "t1", "per_video_limit"),
    ],
)
def test_v10_a_video_over_a_limit_is_rejected_with_its_reason_and_stays_uploaded(
    limits: Limits, video: str, tenant: str, reason: str
) -> None:
    office, key = BatchOffice(limits), f"tenants/{tenant}/video/raw/s/film.mp4"
    office.storage.put_bytes(key, b"film", content_type="video/mp4", cache_control="no-cache")
    office.submit("job-1")
    if reason == "per_video_limit":
        office.ledger.change("job-1", lambda job, now: job.request_cancel(now))
    if video != "v1":
        office.videos.add(Video(id=video, tenant=tenant, source_key=key))
    rejected = office.submit("job-2", video=video, tenant=tenant, key=key)
    assert (rejected.job, rejected.rejected) == (None, reason)
    assert office.videos.get(video).status is VideoStatus.UPLOADED
    assert office.ledger.find("job-2") is None
    assert len(office.batch.known()) == 1
    wanted = [(EventType.TENANT_LIMIT_EXCEEDED, Severity.WARNING, "t1", "v2")] if reason == "tenant_limit" else []
    assert [(event.type, event.severity, event.tenant, event.video_id) for event in office.told()] == wanted


def test_a_limit_met_by_a_cron_is_no_event() -> None:
    office = BatchOffice(Limits(active_per_tenant=1))
    office.submit()
    waiting = EncodeVideo(video_id="v2", tenant="t1", file_key=KEY)
    assert office.submitter.submit(waiting, "job-2", asked=False).rejected == "tenant_limit"
    assert office.told() == []


# ---------------------------------------------------------------------- the road of AWS Batch
def test_b1_a_submitted_video_has_a_job_a_batch_job_and_the_row_between_them(batch_office: BatchOffice) -> None:
    submission = batch_office.submit()
    assert (submission.created, submission.rejected) == (True, None)
    (container,) = batch_office.batch.known()
    assert (container.job_id, container.name) == ("job-1", "video-job-1")
    row = batch_office.submissions.latest("job-1")
    assert row is not None
    assert (row.batch_id, row.generation, row.attempt) == (container.batch_id, 1, 1)
    assert batch_office.post.sent == [], "no message: a worker would take the job from the container"
    assert batch_office.ledger.to_wake(10) == [], "nobody looks after it as long as a container may take to start"


def test_lesson_7_the_row_is_committed_before_anything_is_submitted(batch_office: BatchOffice) -> None:
    seen: list[JobState | None] = []

    def ids() -> str:
        row = batch_office.ledger.find("job-1")
        seen.append(row.state if row is not None else None)
        return "batch-1"

    batch_office.batch.ids = ids
    batch_office.submit()
    assert seen == [JobState.QUEUED]


@pytest.mark.parametrize(
    ("error", "severity"),
    [
        (BatchRefused("no such queue", fix="create it"), Severity.ERROR),
        (BatchDenied("no permission"), Severity.ERROR),
        (BatchNotTaken("throttled"), Severity.WARNING),
    ],
)
def test_lesson_5_a_submission_that_did_nothing_leaves_nothing_behind(
    batch_office: BatchOffice, error: BatchRefused | BatchNotTaken, severity: Severity
) -> None:
    batch_office.batch.fail("submit", error)
    submission = batch_office.submit()
    assert (submission.job, submission.rejected, submission.error) == (None, "submit_failed", error)
    assert batch_office.ledger.find("job-1") is None
    assert batch_office.videos.get("v1").status is VideoStatus.UPLOADED
    assert batch_office.submissions.of_job("job-1") == []
    (event,) = batch_office.told()
    assert (event.type, event.severity, event.job_id) == (EventType.BATCH_SUBMIT_FAILED, severity, "job-1")
    assert (event.payload["error_class"], event.payload["error"]) == (error.code, error.message)
    assert batch_office.submit("job-2").created, "the video can be submitted again at once"


@pytest.mark.parametrize("after", [False, True], ids=["not taken", "taken"])
def test_f34_a_submission_whose_fate_is_unknown_leaves_the_row_that_a_container_will_look_for(
    batch_office: BatchOffice, after: bool
) -> None:
    batch_office.batch.fail("submit", after=after)
    submission = batch_office.submit()
    assert submission.rejected == "submit_failed"
    assert submission.job is not None
    row = batch_office.ledger.find("job-1")
    assert row is not None
    assert row.state is JobState.QUEUED
    assert [job.id for job in batch_office.ledger.to_wake(10)] == ["job-1"], "scan-stuck sees it"
    (event,) = batch_office.told()
    assert (event.severity, event.payload["outcome"]) == (Severity.WARNING, "unknown")
    assert batch_office.submit("job-2").job == row, "and asking again finds it, too"


def test_a_job_that_was_begun_meanwhile_is_not_taken_back(batch_office: BatchOffice) -> None:
    def ids() -> str:
        batch_office.ledger.change("job-1", lambda job, now: job.claim(now, owner="w1", lease_seconds=30)[0])
        raise BatchNotTaken("throttled")

    batch_office.batch.ids = ids
    submission = batch_office.submit()
    assert submission.created
    assert submission.job is not None
    assert submission.job.state is JobState.RUNNING


def test_an_id_that_batch_would_not_take_makes_no_row(batch_office: BatchOffice) -> None:
    with pytest.raises(InvalidPayload):
        batch_office.submit("job 1\n")
    assert batch_office.ledger.rows() == []


def test_a_batch_job_whose_row_could_not_be_written_finds_its_job(batch_office: BatchOffice) -> None:
    def away(_asked: BatchSubmission, _batch_id: str) -> BatchSubmission:
        raise DatabaseUnavailable("no route")

    batch_office.submissions.answered = away  # type: ignore[assignment, method-assign]
    with pytest.raises(DatabaseUnavailable) as raised:
        batch_office.submit()
    (container,) = batch_office.batch.known()
    assert batch_office.ledger.find(container.job_id or "") is not None
    assert container.batch_id in raised.value.message


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
