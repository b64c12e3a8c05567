"""What a person sees who follows a job on a terminal."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import cast

import pytest
from rich.console import Console

from src.domain.job import Job, JobState
from src.domain.progress import ProgressReport
from src.interfaces.cli import watch
from src.interfaces.cli.session import Session
from tests.fakes.clock import FrozenClock

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


def test_full_and_empty_bars_differ_on_a_terminal_of_sixteen_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    sixteen = Console(file=text, width=90, force_terminal=True, color_system="standard")
    monkeypatch.setattr(watch, "console", lambda *, stderr: sixteen)
    bars = watch.Bars()
    bars.show(RUNNING, reading(1.0, "transcoding", **{"240p": 50.0, "audio_0": 100.0}))
    bars.close()
    colours = set(re.findall(r"\x1b\[(\d+)m[━╸╺]", text.getvalue()))
    assert {"32", "36", "90"} <= colours


class Adapters:
    def clock(self) -> FrozenClock:
        return FrozenClock(100.0)


class Waiting:
    """A session whose job is never taken, and is cancelled after so many looks."""

    def __init__(self, looks: int, **job: float) -> None:
        self.adapters = Adapters()
        self.progress = self
        self._looks = looks
        self._job = replace(RUNNING, state=JobState.QUEUED, **job)  # type: ignore[arg-type]

    def job(self, _job_id: str) -> Job:
        self._looks -= 1
        return self._job if self._looks >= 0 else replace(self._job, state=JobState.CANCELLED)

    def latest(self, _job_id: str) -> None:
        return None


@pytest.mark.parametrize(
    ("job", "hint_seconds", "hints"), [({}, 0.0, 1), ({"due_at": 900.0}, 0.0, 0), ({}, watch.NEVER, 0)]
)
def test_a_job_that_nobody_takes_gets_one_hint(
    job: dict[str, float],
    hint_seconds: float,
    hints: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.0)
    watch.follow(cast("Session", Waiting(3, **job)), "j1", hint_seconds=hint_seconds)
    assert capsys.readouterr().err.count("mediaworker run video") == hints


def test_programs_get_no_hint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.0)
    watch.follow(cast("Session", Waiting(3)), "j1", as_json=True, hint_seconds=0.0)
    watch.follow(cast("Session", Waiting(3)), "j1", quiet=True, hint_seconds=0.0)
    assert "run video" not in "".join(capsys.readouterr())


def test_the_hint_stands_beside_the_bars(screen: io.StringIO) -> None:
    bars = watch.Bars()
    bars.show(replace(RUNNING, state=JobState.QUEUED), None)
    bars.hint(watch.HINT)
    bars.close()
    assert "mediaworker run video" in screen.getvalue()
