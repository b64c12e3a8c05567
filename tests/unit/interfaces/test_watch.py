"""What a person sees who follows a job on a terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from src.domain.job import Job, JobState
from src.domain.progress import ProgressReport
from src.interfaces.cli import watch

RUNNING = Job(id="j1", type="video", tenant="t", payload={}, state=JobState.RUNNING)


def reading(percent: float, step: str, **parts: float) -> ProgressReport:
    return ProgressReport(percent=percent, step=step, step_index=4, step_total=7, parts=parts)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(
        watch, "console", lambda *, stderr: Console(file=text, width=90, force_terminal=True, color_system=None)
    )
    return text


def last_picture(screen: io.StringIO) -> list[str]:
    """The lines after the last jump back to the first line."""
    return [
        line.strip() for line in screen.getvalue().rsplit("\x1b[2K", 1)[1].splitlines() if line.strip("\x1b[?25lh ")
    ]


def test_the_last_picture_of_a_success_is_full(screen: io.StringIO) -> None:
    """The last reading of a rendition comes before its last frames, and later steps report none."""
    bars = watch.Bars()
    bars.show(RUNNING, reading(83.0, "transcoding", **{"240p": 94.0, "1080p": 94.0, "audio_0": 99.0}))
    bars.show(replace(RUNNING, state=JobState.SUCCEEDED), reading(97.0, "uploading"))
    bars.close()
    lines = last_picture(screen)
    assert len(lines) == 4
    assert all("100.0 %" in line for line in lines)
    assert "SUCCEEDED" in lines[0]


def test_a_failure_stays_where_it_was(screen: io.StringIO) -> None:
    bars = watch.Bars()
    bars.show(RUNNING, reading(60.0, "transcoding", **{"240p": 28.0}))
    bars.show(replace(RUNNING, state=JobState.FAILED), reading(60.0, "transcoding", **{"240p": 28.0}))
    bars.close()
    job, rendition = last_picture(screen)
    assert ("60.0 %" in job, "FAILED" in job, "28.0 %" in rendition) == (True, True, True)


def test_the_job_stands_above_its_renditions_from_wherever_it_is_watched(screen: io.StringIO) -> None:
    bars = watch.Bars()
    bars.show(RUNNING, reading(60.0, "transcoding", **{"1080p": 28.0, "240p": 28.0}))
    bars.close()
    assert [line.split()[0] for line in last_picture(screen)] == ["job", "240p", "1080p"]


def test_no_bar_is_drawn_empty_before_it_is_drawn_right(screen: io.StringIO) -> None:
    bars = watch.Bars()
    bars.show(RUNNING, reading(60.0, "transcoding", **{"240p": 28.0}))
    bars.close()
    assert " 0.0 %" not in screen.getvalue()
