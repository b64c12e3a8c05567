"""Progress."""

from __future__ import annotations

import pytest

from src.application.ports.progress import Progress
from src.domain.progress import ProgressReport
from tests.contracts.backends.state import ProgressPlace
from tests.fakes.clock import FrozenClock


@pytest.fixture
def progress(readings: ProgressPlace) -> Progress:
    return readings.progress()


def reading(percent: float) -> ProgressReport:
    return ProgressReport(
        percent=percent,
        step="transcode",
        step_index=4,
        step_total=7,
        eta_seconds=12.5,
        parts={"720p": percent},
        detail="é",
    )


def test_the_last_reading_is_kept(progress: Progress, readings: ProgressPlace) -> None:
    progress.record("job-1", 1, reading(10))
    progress.record("job-1", 1, reading(40))
    assert readings.progress().latest("job-1") == reading(40)


def test_a_job_without_readings_has_none(progress: Progress) -> None:
    assert progress.latest("job-1") is None


def test_a_reading_is_not_kept_for_ever(progress: Progress, readings: ProgressPlace, clock: FrozenClock) -> None:
    progress.record("job-1", 1, reading(10))
    clock.advance(86_399)
    assert progress.latest("job-1") == reading(10)
    clock.advance(2)
    assert progress.latest("job-1") is None
    readings.progress().record("job-2", 1, reading(20))
    progress.clear("job-3")
    assert progress.latest("job-2") == reading(20)


def test_a_reading_of_an_earlier_attempt_is_ignored(progress: Progress) -> None:
    progress.record("job-1", 2, reading(5))
    progress.record("job-1", 1, reading(99))
    assert progress.latest("job-1") == reading(5)


def test_k07_progress_starts_again_under_the_new_fence(progress: Progress) -> None:
    progress.record("job-1", 1, reading(80))
    progress.record("job-1", 2, reading(3))
    assert progress.latest("job-1") == reading(3)


def test_i8_progress_never_goes_back_within_an_attempt(progress: Progress) -> None:
    progress.record("job-1", 1, reading(50))
    progress.record("job-1", 1, reading(20))
    latest = progress.latest("job-1")
    assert latest is not None
    assert latest.percent == 50


def test_clearing_forgets_one_job(progress: Progress) -> None:
    progress.record("job-1", 1, reading(50))
    progress.record("job-2", 1, reading(60))
    progress.clear("job-1")
    progress.clear("job-1")
    assert progress.latest("job-1") is None
    assert progress.latest("job-2") == reading(60)
