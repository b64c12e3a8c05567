"""purge-raw and sweep-orphans: what they remove, and above all what they don't."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from src.application.video.recovery.run import Run
from src.domain.errors import ConfigError, DatabaseUnavailable, StorageUnavailable
from src.domain.video.keys import attempt_prefix, video_prefix
from src.domain.video.video import Video, VideoStatus
from tests.fakes.clinic import DAY, HOUR, Clinic
from tests.fakes.office import KEY

PURGE, SWEEP = "purge-raw", "sweep-orphans"


@pytest.fixture
def clinic() -> Clinic:
    return Clinic()


def actions(run: Run) -> list[tuple[str, str]]:
    return [(note.id, note.action) for note in run.notes if note.action != "skipped"]


def keep(clinic: Clinic, name: str, status: VideoStatus, *, key: str | None = None, version: str | None = None) -> str:
    """A video of this state, with a source; the source's key."""
    key = key or f"tenants/t1/video/raw/{name}/film.mp4"
    put(clinic, key)
    made_from = clinic.office.storage.head(key).version if version is None else version
    result = {"hls_path": "", "duration_seconds": 1.0, "metadata": {"source_version": made_from}}
    clinic.office.videos.add(Video(id=name, tenant="t1", source_key=key, status=status, result=result))
    return key


def put(clinic: Clinic, key: str) -> str:
    clinic.office.storage.put_bytes(key, b"content", content_type="video/mp4", cache_control="")
    return key


def there(clinic: Clinic, key: str) -> bool:
    return key in clinic.office.storage.objects


# ---------------------------------------------------------------------- purge-raw
def test_a_ready_video_s_source_goes_after_three_days_and_is_not_looked_for_again(clinic: Clinic) -> None:
    key = keep(clinic, "v1", VideoStatus.READY)
    clinic.clock.advance(3 * DAY)
    assert actions(clinic.run(PURGE)) == []
    clinic.clock.advance(1)
    assert actions(clinic.run(PURGE, dry_run=True)) == [("v1", "purge")]
    assert there(clinic, key)
    assert actions(clinic.run(PURGE)) == [("v1", "purge")]
    assert not there(clinic, key)
    clinic.clock.advance(30 * DAY)
    assert clinic.run(PURGE).looked == 0


def test_f42_a_source_that_is_uploaded_anew_at_that_moment_stays(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = keep(clinic, "v1", VideoStatus.READY)
    clinic.clock.advance(3 * DAY + 1)
    update = clinic.office.videos.update

    def meanwhile(video_id: str, change: Callable[[Video], Video]) -> Video:
        row = update(video_id, change)
        if row.source_purged_at is not None:
            clinic.office.storage.put_bytes(key, b"another film", content_type="video/mp4", cache_control="")
        return row

    monkeypatch.setattr(clinic.office.videos, "update", meanwhile)
    assert actions(clinic.run(PURGE)) == []
    assert there(clinic, key)
    assert clinic.office.videos.get("v1").source_purged_at is None


def test_sources_that_stay_keep_no_other_from_going(clinic: Clinic) -> None:
    for number in range(3):
        keep(clinic, f"a{number}", VideoStatus.READY, key=f"tenants/t1/elsewhere/{number}.mp4")
    clinic.clock.advance(1)
    key = keep(clinic, "b", VideoStatus.READY)
    clinic.clock.advance(3 * DAY + 1)
    assert actions(clinic.run(PURGE, limit=2)) == [("b", "purge")]
    assert not there(clinic, key)


def test_a_failed_video_s_source_is_kept_longer(clinic: Clinic) -> None:
    key = keep(clinic, "v1", VideoStatus.FAILED)
    clinic.clock.advance(29 * DAY)
    clinic.run(PURGE)
    assert there(clinic, key)
    clinic.clock.advance(2 * DAY)
    clinic.run(PURGE)
    assert not there(clinic, key)


@pytest.mark.parametrize("status", list(VideoStatus))
def test_e3_a_deleted_video_whose_objects_were_never_asked_for_loses_its_source(
    clinic: Clinic, status: VideoStatus
) -> None:
    key = keep(clinic, "v1", status, version="another upload")
    clinic.clock.advance(100 * DAY)
    clinic.office.videos.update("v1", lambda row: row.deleted(clinic.clock.now()))
    clinic.clock.advance(3 * DAY)
    clinic.run(PURGE)
    assert there(clinic, key), "its request may be on its way"
    clinic.clock.advance(1)
    assert actions(clinic.run(PURGE)) == [("v1", "purge")]
    assert not there(clinic, key)
    assert clinic.run(PURGE).looked == 0


def test_a_deleted_video_s_source_that_another_video_was_made_from_stays(clinic: Clinic) -> None:
    key = keep(clinic, "v1", VideoStatus.READY)
    keep(clinic, "v2", VideoStatus.UPLOADED, key=key)
    clinic.office.videos.update("v1", lambda row: row.deleted(clinic.clock.now()))
    clinic.clock.advance(100 * DAY)
    clinic.run(PURGE)
    assert there(clinic, key)


@pytest.mark.parametrize("status", [VideoStatus.PENDING, VideoStatus.UPLOADED, VideoStatus.PROCESSING])
def test_other_videos_keep_theirs(clinic: Clinic, status: VideoStatus) -> None:
    key = keep(clinic, "v1", status)
    clinic.clock.advance(365 * DAY)
    clinic.run(PURGE)
    assert there(clinic, key)


def test_a_source_that_an_active_job_needs_stays(clinic: Clinic) -> None:
    key = keep(clinic, "v1", VideoStatus.READY, version="another upload")
    assert clinic.office.submit("job-1", video="v1", key=key).created
    other = keep(clinic, "v2", VideoStatus.READY)
    # By its key, though no video's row names it.
    assert clinic.office.submit("job-3", video="v3", key=other).created
    clinic.office.videos.update("v3", lambda row: row.deleted(clinic.clock.now()))
    clinic.clock.advance(365 * DAY)
    assert actions(clinic.run(PURGE)) == []
    assert there(clinic, key)
    assert there(clinic, other)


def test_one_that_was_uploaded_anew_stays(clinic: Clinic) -> None:
    key = keep(clinic, "v1", VideoStatus.READY)
    put(clinic, key)
    clinic.clock.advance(4 * DAY)
    assert actions(clinic.run(PURGE)) == []


def test_one_that_lies_elsewhere_or_is_shared_with_an_unfinished_video_stays(clinic: Clinic) -> None:
    keep(clinic, "v1", VideoStatus.READY, key="library/film.mp4")
    shared = keep(clinic, "v2", VideoStatus.READY)
    clinic.office.videos.add(Video(id="v3", tenant="t1", source_key=shared, status=VideoStatus.UPLOADED))
    clinic.clock.advance(4 * DAY)
    assert actions(clinic.run(PURGE)) == []
    clinic.office.videos.update("v3", lambda row: row.deleted(clinic.clock.now()))
    assert actions(clinic.run(PURGE)) == [("v2", "purge")]


def test_a_storage_that_refuses_leaves_the_row_as_it_was(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    key = keep(clinic, "v1", VideoStatus.READY)
    clinic.clock.advance(4 * DAY)

    def refuse(_keys: object) -> None:
        raise StorageUnavailable("locked")

    with monkeypatch.context() as patch:
        patch.setattr(clinic.office.storage, "delete", refuse)
        assert ("v1", "error") in actions(clinic.run(PURGE))
    assert clinic.office.videos.get("v1").source_purged_at is None
    clinic.clock.advance(4 * DAY)
    assert actions(clinic.run(PURGE)) == [("v1", "purge")]
    assert not there(clinic, key)


def test_a_job_that_comes_between_look_and_removal_keeps_its_source(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = keep(clinic, "v1", VideoStatus.FAILED)
    clinic.clock.advance(40 * DAY)
    head = clinic.office.storage.head
    asked: list[str] = []

    def submit_then_head(wanted: str) -> object:
        if not asked:
            asked.append(wanted)
            assert clinic.office.submit("job-1", video="v1", key=key).created
        return head(wanted)

    monkeypatch.setattr(clinic.office.storage, "head", submit_then_head)
    assert actions(clinic.run(PURGE)) == []
    assert there(clinic, key)
    assert clinic.office.videos.get("v1").source_purged_at is None


# ---------------------------------------------------------------------- sweep-orphans
def folder(clinic: Clinic, video: str, fence: int = 1, job: str = "job-1") -> str:
    """Two objects of an attempt; their prefix."""
    prefix = attempt_prefix("t1", video, job_id=job, generation=1, fence=fence)
    put(clinic, f"{prefix}master.m3u8")
    put(clinic, f"{prefix}v1/seg_1.m4s")
    return prefix


def shown(clinic: Clinic, video: str, prefix: str) -> None:
    hls = f"{prefix}master.m3u8"
    clinic.office.videos.add(
        Video(id=video, tenant="t1", source_key=KEY, status=VideoStatus.READY, hls_path=hls, result={"hls_path": hls})
    )


def test_lesson_30_output_that_no_video_shows_goes_and_what_is_shown_stays(clinic: Clinic) -> None:
    kept, old, lost = folder(clinic, "v1", 2), folder(clinic, "v1", 1), folder(clinic, "v2")
    shown(clinic, "v1", kept)
    clinic.clock.advance(72 * HOUR)
    assert actions(clinic.run(SWEEP)) == []
    clinic.clock.advance(1)
    assert actions(clinic.run(SWEEP, dry_run=True)) == [(old, "remove"), (lost, "remove")]
    assert there(clinic, f"{lost}master.m3u8")
    assert actions(clinic.run(SWEEP)) == [(old, "remove"), (lost, "remove")]
    left = [key for key in clinic.office.storage.objects if "/hls/" in key]
    assert left == [f"{kept}master.m3u8", f"{kept}v1/seg_1.m4s"]


def test_the_newest_object_tells_the_folder_s_age(clinic: Clinic) -> None:
    prefix = folder(clinic, "v1")
    clinic.clock.advance(100 * HOUR)
    put(clinic, f"{prefix}v1/seg_2.m4s")
    assert actions(clinic.run(SWEEP)) == []
    clinic.clock.advance(73 * HOUR)
    assert actions(clinic.run(SWEEP)) == [(prefix, "remove")]


def test_a_video_with_an_active_job_keeps_everything(clinic: Clinic) -> None:
    folder(clinic, "v1")
    clinic.office.submit()
    clinic.clock.advance(100 * HOUR)
    assert actions(clinic.run(SWEEP)) == []


def test_a_deleted_video_shows_nothing(clinic: Clinic) -> None:
    prefix = folder(clinic, "v1")
    shown(clinic, "v1", prefix)
    clinic.office.videos.update("v1", lambda row: row.deleted(clinic.clock.now()))
    clinic.clock.advance(100 * HOUR)
    assert actions(clinic.run(SWEEP)) == [(prefix, "remove")]


def test_other_layouts_and_other_keys_are_not_ours(clinic: Clinic) -> None:
    for key in ("tenants/t1/video/hls/v9/v1/seg_1.ts", f"{video_prefix('t1', 'v9')}master.m3u8", "tenants/t1/ai/x.png"):
        put(clinic, key)
    clinic.clock.advance(100 * HOUR)
    before = set(clinic.office.storage.objects)
    assert actions(clinic.run(SWEEP)) == []
    assert set(clinic.office.storage.objects) == before


def test_a_database_that_does_not_answer_lets_nothing_go(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = folder(clinic, "v1"), folder(clinic, "v2")
    clinic.clock.advance(100 * HOUR)
    standing, asked = clinic.standings.standing, list[str]()

    def away(video_id: str, source_key: str | None) -> object:
        asked.append(video_id)
        # Both are looked at before; the second time the first one is read, it is away.
        if len(asked) > 4:
            raise DatabaseUnavailable("no route")
        return standing(video_id, source_key)

    monkeypatch.setattr(clinic.standings, "standing", away)
    with pytest.raises(DatabaseUnavailable):
        clinic.run(SWEEP)
    assert there(clinic, f"{first}master.m3u8")
    assert there(clinic, f"{second}master.m3u8")


def test_a_database_that_knows_none_of_the_videos_is_taken_for_the_wrong_one(clinic: Clinic) -> None:
    for number in range(21):
        folder(clinic, f"v{number}")
    clinic.clock.advance(100 * HOUR)
    before = set(clinic.office.storage.objects)
    with pytest.raises(ConfigError, match="never heard of"):
        clinic.run(SWEEP)
    assert set(clinic.office.storage.objects) == before
    for number in range(21):
        shown(clinic, f"v{number}", "elsewhere/")
    assert clinic.run(SWEEP).counts["remove"] == 21


def test_a_run_removes_no_more_than_its_bound_and_says_so(clinic: Clinic) -> None:
    for number in range(3):
        folder(clinic, f"v{number}")
    clinic.clock.advance(100 * HOUR)
    object.__setattr__(clinic.jobs[SWEEP], "most_objects", 3)
    run = clinic.run(SWEEP)
    assert (run.counts["remove"], run.more) == (2, True)
    assert "1 of 2 objects" in run.notes[-2].why
    assert len([key for key in clinic.office.storage.objects if "/hls/" in key]) == 3
    run = clinic.run(SWEEP, limit=1)
    assert (run.looked, run.more) == (1, True)


def test_lesson_30_a_folder_with_more_objects_than_a_run_may_remove_goes_in_several(clinic: Clinic) -> None:
    prefix = folder(clinic, "v1")
    for number in range(5):
        put(clinic, f"{prefix}v2/seg_{number}.m4s")
    clinic.clock.advance(100 * HOUR)
    object.__setattr__(clinic.jobs[SWEEP], "most_objects", 3)
    assert [clinic.run(SWEEP).more for _ in range(3)] == [True, True, False]
    assert not [key for key in clinic.office.storage.objects if "/hls/" in key]
