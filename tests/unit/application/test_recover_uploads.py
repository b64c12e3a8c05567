"""abort-uploads: which unfinished uploads go, and which don't."""

from __future__ import annotations

import pytest

from src.application.video.recovery.run import Run
from src.domain.errors import StorageUnavailable
from tests.fakes.clinic import DAY, HOUR, Clinic
from tests.fakes.office import KEY

NAME = "abort-uploads"
STREAM = "tenants/t1/video/hls/v1/1-1-0123abcd/a.m4s"


@pytest.fixture
def clinic() -> Clinic:
    return Clinic()


def left(clinic: Clinic) -> list[str]:
    return [upload.key for upload in clinic.uploads.unfinished("")]


def actions(run: Run) -> list[tuple[str, str]]:
    return [(note.id, note.action) for note in run.notes]


def test_what_was_begun_more_than_a_day_ago_is_aborted_and_what_is_younger_is_not(clinic: Clinic) -> None:
    clinic.uploads.begin(KEY)
    clinic.uploads.begin(STREAM)
    clinic.clock.advance(HOUR)
    clinic.uploads.begin(KEY)
    clinic.clock.advance(DAY - HOUR)
    assert actions(clinic.run(NAME)) == [], "a day is not more than a day"
    clinic.clock.advance(1)
    assert actions(clinic.run(NAME, dry_run=True)) == [(STREAM, "abort"), (KEY, "abort")]
    assert len(left(clinic)) == 3
    assert actions(clinic.run(NAME)) == [(STREAM, "abort"), (KEY, "abort")]
    assert left(clinic) == [KEY]


def test_what_is_no_video_s_is_somebody_else_s(clinic: Clinic) -> None:
    others = ["tenants/t1/ai/1.png", "tenants/t1/video/1.mp4", "tenants/t1/x/video/raw/1", "backup/a"]
    for key in others:
        clinic.uploads.begin(key)
    clinic.clock.advance(30 * DAY)
    assert actions(clinic.run(NAME)) == []
    assert sorted(left(clinic)) == sorted(others)


def test_a_run_is_bounded_by_what_it_aborts(clinic: Clinic) -> None:
    for number in range(3):
        clinic.uploads.begin(f"tenants/t1/video/raw/{number}/a")
    clinic.clock.advance(2 * DAY)
    run = clinic.run(NAME, limit=2)
    assert (run.looked, run.more, len(left(clinic))) == (2, True, 1)
    run = clinic.run(NAME, limit=2)
    assert (run.looked, run.more, left(clinic)) == (1, False, [])


def test_one_that_is_refused_stops_no_other(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.uploads.begin(KEY)
    clinic.uploads.begin(STREAM)
    clinic.clock.advance(2 * DAY)
    abort = clinic.uploads.abort

    def refuses(upload: object) -> None:
        if getattr(upload, "key", "") == STREAM:
            raise StorageUnavailable("AccessDenied")
        abort(upload)  # type: ignore[arg-type]

    monkeypatch.setattr(clinic.uploads, "abort", refuses)
    assert actions(clinic.run(NAME)) == [(STREAM, "error"), (KEY, "abort")]
    assert left(clinic) == [STREAM]
