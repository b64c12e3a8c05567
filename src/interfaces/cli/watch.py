"""Follows one job: live bars on a terminal, lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import click

from src.domain.errors import DatabaseUnavailable
from src.domain.job import Job, JobState
from src.domain.progress import ProgressReport
from src.interfaces.cli.documents import progress_document, status_document
from src.interfaces.cli.output import console, print_json_line
from src.interfaces.cli.readings import Readings
from src.interfaces.cli.session import Session

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOOK_SECONDS = 0.2
"""Between two looks; progress is written once a second."""

HINT_SECONDS = 4.0
"""A job that is due and was not taken for so long gets a hint: a worker that lives looks every second."""

NEVER = float("inf")
"""`hint_seconds` of who runs a worker for the job."""

HINT = "no worker has taken it yet: start one with `mediaworker run video`, if none runs"

PATIENCE = 25
"""Looks in a row that may fail before the database counts as gone."""


class TimedOut(Exception):
    """The job had not ended in time."""


class View(Protocol):
    """Shows each look at a job."""

    def show(self, job: Job, reading: ProgressReport | None) -> None:
        """One look."""

    def hint(self, text: str) -> None:
        """Say something beside the looks, to people only."""

    def close(self) -> None:
        """No more looks follow."""


def follow(
    session: Session,
    job_id: str,
    *,
    as_json: bool = False,
    quiet: bool = False,
    timeout_seconds: float | None = None,
    alive: Callable[[], bool] = lambda: True,
    hint_seconds: float = HINT_SECONDS,
) -> Job:
    """The job when it has ended, or when `alive` says that nobody works on it. Raises TimedOut, DatabaseUnavailable."""
    view = _view(as_json=as_json, quiet=quiet)
    readings = Readings(session)
    waiting_since = time.monotonic()
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    try:
        while True:
            going = alive()
            job, reading = _look(session, job_id, readings)
            view.show(job, reading)
            if job.state.is_terminal or not going:
                return job
            if job.state is not JobState.QUEUED or job.due_at > session.adapters.clock().now():
                waiting_since = time.monotonic()
            elif time.monotonic() - waiting_since >= hint_seconds:
                view.hint(HINT)
                hint_seconds = NEVER
            if deadline is not None and time.monotonic() >= deadline:
                raise TimedOut
            time.sleep(LOOK_SECONDS)
    finally:
        view.close()


def _look(session: Session, job_id: str, readings: Readings) -> tuple[Job, ProgressReport | None]:
    """A busy database is no reason to stop looking."""
    for tried in range(PATIENCE):
        try:
            job, reading = session.job(job_id), readings.of(job_id)
        except DatabaseUnavailable:
            if tried == PATIENCE - 1:
                raise
            time.sleep(LOOK_SECONDS)
        else:
            return job, reading if isinstance(reading, ProgressReport) else None
    raise AssertionError("unreachable: the last try returns or raises")


def _view(*, as_json: bool, quiet: bool) -> View:
    if quiet:
        return Silent()
    if as_json:
        return JsonLines()
    return Bars() if sys.stderr.isatty() else Lines()


class Silent:
    """For callers who print the end themselves."""

    def show(self, job: Job, reading: ProgressReport | None) -> None:
        """Nothing."""

    def hint(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class JsonLines:
    """The status document, one line whenever it changed."""

    def __init__(self) -> None:
        self._last: object = None

    def show(self, job: Job, reading: ProgressReport | None) -> None:
        """A line if there is news."""
        document = status_document(job, reading)
        if document != self._last:
            self._last = document
            print_json_line(document)

    def hint(self, text: str) -> None:
        """Nothing: programs know what QUEUED means."""

    def close(self) -> None:
        """Nothing."""


class Lines:
    """For logs: a line when state or step change, or another tenth is done."""

    def __init__(self) -> None:
        self._last: object = None

    def show(self, job: Job, reading: ProgressReport | None) -> None:
        """A line if there is news."""
        progress = progress_document(job, reading)
        news = (job.state, progress["step"], int(progress["percent"] // 10))
        if news != self._last:
            self._last = news
            step = f"  {progress['step']}" if progress["step"] and job.state is JobState.RUNNING else ""
            click.echo(f"{job.state:<10} {progress['percent']:5.1f} %{step}", err=True)

    def hint(self, text: str) -> None:
        """A line."""
        click.echo(f"mediaworker: {text}", err=True)

    def close(self) -> None:
        """Nothing."""


class Bars:
    """A bar for the job and one for each rendition, redrawn in place on stderr."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress: Progress = Progress(
            TextColumn("{task.description:<14}", markup=False),
            # Colours that a terminal of sixteen has: the defaults of rich all become the same grey there.
            BarColumn(bar_width=36, style="bright_black", complete_style="cyan", finished_style="green"),
            TextColumn("{task.percentage:5.1f} %"),
            TextColumn("{task.fields[note]}", markup=False),
            console=console(stderr=True),
            refresh_per_second=8,
        )
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def show(self, job: Job, reading: ProgressReport | None) -> None:
        """Move the bars."""
        progress = progress_document(job, reading)
        # First, so that it stands above its renditions whenever the watching began.
        self._move("job", progress["percent"], _note(job, progress["step"], progress["eta_seconds"]))
        for name, percent in sorted((reading.parts if reading else {}).items(), key=lambda part: _height(part[0])):
            self._move(f"  {name}", percent, "")
        if job.state is JobState.SUCCEEDED:
            # The last reading of a rendition was written before its last frames.
            for name in [name for name in self._tasks if name != "job"]:
                self._move(name, 100.0, "")

    def hint(self, text: str) -> None:
        """Above the bars."""
        self._progress.console.print(text)

    def close(self) -> None:
        """Leave the last picture on the screen."""
        self._progress.stop()

    def _move(self, name: str, percent: float, note: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=100.0, visible=False, note="")
        self._progress.update(self._tasks[name], completed=percent, note=note, visible=True)


def _note(job: Job, step: str | None, eta: float | None) -> str:
    if job.state is not JobState.RUNNING:
        return job.state.value
    left = f", {eta:.0f} s left" if eta else ""
    return f"{step or 'starting'}{left}"


def _height(name: str) -> tuple[int, str]:
    digits = "".join(character for character in name if character.isdigit())
    return int(digits or 0), name
