"""The recovery jobs of videos' rows: enqueue-uploaded, stuck-pending, stuck-videos, recover-dead."""

from __future__ import annotations

import pytest

from src.application.ports.ledger import Limits
from src.application.ports.ops_events import EventType, OpsEvent
from src.application.video.recovery.run import Run
from src.domain.errors import BatchNotTaken, FfmpegFailed, Stalled, StorageUnavailable
from src.domain.job import JobState
from src.domain.rescue import given_up
from src.domain.video.video import Video, VideoStatus
from tests.fakes.clinic import DAY, HOUR, Clinic
from tests.fakes.office import KEY


@pytest.fixture(params=[True, False], ids=["batch", "queue"])
def clinic(request: pytest.FixtureRequest) -> Clinic:
    """On either road."""
    return Clinic(batch=request.param)


def actions(run: Run) -> list[tuple[str, str]]:
    return [(note.id, note.action) for note in run.notes if note.action != "skipped"]


def video(clinic: Clinic, name: str, status: VideoStatus, *, tenant: str = "t1", key: str = KEY) -> None:
    clinic.office.videos.add(Video(id=name, tenant=tenant, source_key=key, status=status))


def status(clinic: Clinic, name: str = "v1") -> VideoStatus:
    return clinic.office.videos.get(name).status


# ---------------------------------------------------------------------- enqueue-uploaded
def test_an_uploaded_video_without_a_job_is_submitted_and_only_once(clinic: Clinic) -> None:
    video(clinic, "v1", VideoStatus.UPLOADED)
    assert actions(clinic.run("enqueue-uploaded")) == [], "whoever uploaded it may be about to submit it"
    clinic.clock.advance(61)
    assert actions(clinic.run("enqueue-uploaded", dry_run=True)) == [("v1", "submit")]
    assert clinic.rows() == 0
    assert actions(clinic.run("enqueue-uploaded")) == [("v1", "submit")]
    assert actions(clinic.run("enqueue-uploaded")) == []
    assert clinic.rows() == 1


def test_a_tenant_s_limit_keeps_nobody_else_waiting() -> None:
    clinic = Clinic()
    object.__setattr__(clinic.office.submitter, "limits", Limits(active_per_tenant=1, active_total=3))
    clinic.office.storage.put_bytes("tenants/t2/x.mp4", b"film", content_type="video/mp4", cache_control="")
    for name in ("a", "b", "c"):
        video(clinic, name, VideoStatus.UPLOADED)
    video(clinic, "d", VideoStatus.UPLOADED, tenant="t2", key="tenants/t2/x.mp4")
    clinic.clock.advance(61)
    assert actions(clinic.run("enqueue-uploaded")) == [("a", "submit"), ("d", "submit")]


@pytest.mark.parametrize("why", ["its tenant's limit", "its source", "its key"])
def test_e3_videos_that_can_t_be_submitted_keep_nobody_from_being_reached(clinic: Clinic, why: str) -> None:
    """However many they are: the limit of a run bounds what it does."""
    object.__setattr__(clinic.office.submitter, "limits", Limits(active_per_tenant=1))
    keys = {"its tenant's limit": KEY, "its source": "tenants/t1/none.mp4", "its key": "tenants/t3/x.mp4"}
    for number in range(5):
        video(clinic, f"a{number}", VideoStatus.UPLOADED, key=keys[why])
    clinic.office.storage.put_bytes("tenants/t2/x.mp4", b"film", content_type="video/mp4", cache_control="")
    video(clinic, "b", VideoStatus.UPLOADED, tenant="t2", key="tenants/t2/x.mp4")
    clinic.clock.advance(61)
    for _ in range(2):
        clinic.run("enqueue-uploaded", limit=2)
    assert "b" in {str(row.payload["video_id"]) for row in clinic.office.ledger.rows()}


def test_e3_pending_videos_that_wait_or_are_wrong_keep_nobody_from_being_reached(clinic: Clinic) -> None:
    for number in range(3):
        video(clinic, f"a{number}", VideoStatus.PENDING, key="tenants/t1/none.mp4")
        video(clinic, f"b{number}", VideoStatus.PENDING, key="tenants/t3/x.mp4")
    video(clinic, "c", VideoStatus.PENDING)
    clinic.clock.advance(2 * HOUR)
    clinic.run("stuck-pending", limit=2)
    assert status(clinic, "c") is VideoStatus.UPLOADED


def test_dead_jobs_that_stay_dead_keep_nobody_from_being_reached(clinic: Clinic) -> None:
    for number in range(4):
        die(clinic, Stalled("no progress") if number == 3 else FfmpegFailed("bad"), f"job-{number}", f"v{number}")
        clinic.clock.advance(1)
    assert actions(clinic.run("recover-dead", limit=2)) == [("job-3", "reopen")]


def test_lesson_16_one_whose_source_is_gone_is_passed_over(clinic: Clinic) -> None:
    video(clinic, "a", VideoStatus.UPLOADED, key="tenants/t1/video/raw/a/none.mp4")
    video(clinic, "b", VideoStatus.UPLOADED)
    clinic.clock.advance(61)
    assert actions(clinic.run("enqueue-uploaded")) == [("b", "submit")]


def test_when_batch_takes_nothing_the_run_ends() -> None:
    clinic = Clinic()
    for name in ("a", "b"):
        video(clinic, name, VideoStatus.UPLOADED)
    clinic.clock.advance(61)
    clinic.office.batch.fail("submit", BatchNotTaken("throttled"))
    run = clinic.run("enqueue-uploaded")
    assert (actions(run), run.away) == ([("a", "error")], True)


# ---------------------------------------------------------------------- stuck-pending
def test_a_pending_video_whose_source_is_there_for_an_hour_is_uploaded(clinic: Clinic) -> None:
    video(clinic, "v1", VideoStatus.PENDING)
    clinic.clock.advance(HOUR + 1)
    assert actions(clinic.run("stuck-pending", dry_run=True)) == [("v1", "uploaded")]
    assert status(clinic) is VideoStatus.PENDING
    assert actions(clinic.run("stuck-pending")) == [("v1", "uploaded")]
    assert status(clinic) is VideoStatus.UPLOADED


def test_one_that_is_being_uploaded_is_left_alone(clinic: Clinic) -> None:
    video(clinic, "v1", VideoStatus.PENDING)
    clinic.clock.advance(2 * DAY)
    clinic.office.storage.put_bytes(KEY, b"film", content_type="video/mp4", cache_control="")
    assert actions(clinic.run("stuck-pending")) == []


@pytest.mark.parametrize("content", [None, b""])
def test_one_that_nothing_came_for_fails_after_a_day(clinic: Clinic, content: bytes | None) -> None:
    key = "tenants/t1/video/raw/v1/film.mp4"
    video(clinic, "v1", VideoStatus.PENDING, key=key)
    if content is not None:
        clinic.office.storage.put_bytes(key, content, content_type="video/mp4", cache_control="")
    clinic.clock.advance(DAY)
    assert actions(clinic.run("stuck-pending")) == []
    clinic.clock.advance(1)
    assert actions(clinic.run("stuck-pending")) == [("v1", "failed")]
    assert status(clinic) is VideoStatus.FAILED
    told = [event.type for event in clinic.office.told()]
    assert told == ([] if content is None else [EventType.UPLOAD_INTEGRITY_FAIL])


def test_a_storage_that_does_not_answer_decides_nothing_and_the_others_have_their_turn(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        video(clinic, name, VideoStatus.PENDING)
    clinic.clock.advance(2 * DAY)
    head, asked = clinic.office.storage.head, list[str]()

    def once(key: str) -> object:
        asked.append(key)
        if len(asked) == 1:
            raise StorageUnavailable("reset")
        return head(key)

    monkeypatch.setattr(clinic.office.storage, "head", once)
    assert actions(clinic.run("stuck-pending")) == [("a", "error"), ("b", "uploaded")]
    assert status(clinic, "a") is VideoStatus.PENDING


# ---------------------------------------------------------------------- stuck-videos
def test_a_processing_video_without_a_job_is_uploaded_again_and_told(clinic: Clinic) -> None:
    video(clinic, "v1", VideoStatus.PROCESSING)
    assert actions(clinic.run("stuck-videos")) == []
    clinic.clock.advance(301)
    assert actions(clinic.run("stuck-videos", dry_run=True)) == [("v1", "uploaded")]
    assert status(clinic) is VideoStatus.PROCESSING
    assert actions(clinic.run("stuck-videos")) == [("v1", "uploaded")]
    assert status(clinic) is VideoStatus.UPLOADED
    assert [event.type for event in clinic.office.told()] == [EventType.VIDEO_STUCK_DETECTED]
    clinic.clock.advance(61)
    assert actions(clinic.run("enqueue-uploaded")) == [("v1", "submit")]


def test_one_whose_job_is_active_is_its_job_s_matter(clinic: Clinic) -> None:
    clinic.office.submit()
    clinic.claim(owner="w")
    clinic.clock.advance(DAY)
    assert status(clinic) is VideoStatus.PROCESSING
    assert actions(clinic.run("stuck-videos")) == []


# ---------------------------------------------------------------------- recover-dead
def die(clinic: Clinic, error: FfmpegFailed | Stalled, job_id: str = "job-1", video: str = "v1") -> None:
    clinic.office.submit(job_id, video=video)
    for _ in range(5):
        clinic.claim(job_id, owner="w")
        if clinic.fail(error, job_id).state is JobState.DEAD:
            return
    raise AssertionError("it lives")


def test_a_job_that_died_of_circumstances_is_reopened_once(clinic: Clinic) -> None:
    die(clinic, Stalled("no progress"))
    assert actions(clinic.run("recover-dead", dry_run=True)) == [("job-1", "reopen")]
    assert clinic.job().state is JobState.DEAD
    assert actions(clinic.run("recover-dead")) == [("job-1", "reopen")]
    job = clinic.job()
    assert (job.state, job.generation, job.attempts) == (JobState.QUEUED, 2, 0)
    for _ in range(3):
        clinic.claim(owner="w")
        clinic.fail(Stalled("no progress"))
    assert clinic.job().state is JobState.DEAD
    assert actions(clinic.run("recover-dead")) == []


def test_what_the_film_is_to_blame_for_or_took_five_hosts_with_it_stays_dead(clinic: Clinic) -> None:
    die(clinic, FfmpegFailed("bad"))
    clinic.office.submit("job-2", video="v2")
    clinic.office.ledger.change("job-2", lambda row, now: given_up(row, now, fence=0, why="15 containers came"))
    run = clinic.run("recover-dead")
    assert (actions(run), run.looked) == ([], 2)


def test_lesson_16_one_whose_source_is_gone_stays_dead(clinic: Clinic) -> None:
    die(clinic, Stalled("no progress"))
    clinic.office.storage.delete([KEY])
    run = clinic.run("recover-dead")
    assert (actions(run), run.looked) == ([], 1)
    assert clinic.job().state is JobState.DEAD


def test_one_that_is_older_than_a_week_or_whose_video_went_on_stays_dead(clinic: Clinic) -> None:
    die(clinic, Stalled("no progress"))
    clinic.clock.advance(8 * DAY)
    assert clinic.run("recover-dead").looked == 0
    die(clinic, Stalled("no progress"), "job-2", "v2")
    clinic.office.videos.update("v2", lambda row: row.deleted(clinic.clock.now()))
    die(clinic, Stalled("no progress"), "job-3", "v3")
    clinic.office.submit("job-4", video="v3")
    clinic.claim("job-4", owner="w")
    assert actions(clinic.run("recover-dead")) == []


def test_all_of_them_are_reached_in_pages(clinic: Clinic) -> None:
    for number in range(70):
        error = Stalled("no progress") if number % 2 else FfmpegFailed("bad")
        die(clinic, error, f"job-{number}", f"v{number}")
        clinic.clock.advance(1)
    run = clinic.run("recover-dead", limit=1000)
    assert (run.looked, run.counts["reopen"]) == (70, 35)


def test_a_video_that_went_on_between_look_and_move_is_left_alone(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    video(clinic, "v1", VideoStatus.PROCESSING)
    clinic.clock.advance(301)
    add = clinic.office.events.add

    def meanwhile(event: OpsEvent) -> bool:
        clinic.office.videos.update("v1", lambda row: row.processing(job_id="job-9", fence=1))
        return add(event)

    monkeypatch.setattr(clinic.office.events, "add", meanwhile)
    assert actions(clinic.run("stuck-videos")) == []
    assert status(clinic) is VideoStatus.PROCESSING
