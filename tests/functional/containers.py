"""Containers for one job, as AWS Batch starts them, and what they say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.domain.errors import ErrorReport, FileAccessError
from src.domain.job import Job, JobDraft
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.functional.films import store
from tests.functional.fleet import Fleet, Process

BATCH_ID = "0b5f2c1e-1111-4222-8333-444455556666"
ALWAYS = {"job_id", "tenant_id", "video_id", "aws_batch_job_id"}
"""What each line of the log carries (contracts.md 1.7)."""

QUICK = {
    "WORKER_VIDEO__LADDER": json.dumps([{"short_side": 90, "maxrate": 100_000}]),
    "WORKER_VIDEO__PRESET": "ultrafast",
    "WORKER_VIDEO__STORYBOARD": "no",
}
"""Settings for tests that are not about the encode."""


def admit(fleet: Fleet, clip: Path, job: str = "job-1", video: str = "v1", max_attempts: int = 5) -> str:
    """The row of a video's job, and its source; no message anywhere."""
    payload = {"video_id": video, "file_key": store(fleet, clip, video)}
    draft = JobDraft(
        id=job, type="video", tenant="acme", payload=payload, subject=f"video:{video}", max_attempts=max_attempts
    )
    assert fleet.adapters.ledger().admit(draft).created
    return job


def ended(process: Process, seconds: float = 60) -> int:
    return process.wait(seconds)


def run(fleet: Fleet, *arguments: str, **environment: str) -> int:
    return ended(fleet.container(*arguments, AWS_BATCH_JOB_ID=BATCH_ID, **environment))


def said(fleet: Fleet, number: int = -1) -> list[str]:
    """The events of contracts.md 1.7 that a container logged."""
    return [line["event"] for line in fleet.events(number) if line["event"].isupper()]


def last(fleet: Fleet) -> Mapping[str, Any]:
    return [line for line in fleet.events() if line["event"].isupper()][-1]


def change(fleet: Fleet, job: str, *moves: Any) -> Job:
    for move in moves:
        fleet.adapters.ledger().change(job, move)
    return fleet.job(job)


def claimed(job: Job, now: float) -> Job:
    return job.claim(now, owner="another", lease_seconds=600)[0]


def failed(job: Job, now: float) -> Job:
    return job.fail(now, fence=job.fence, error=ErrorReport.of(FileAccessError("busy")), dice=0)


class Ffmpeg:
    """The real one behind a script that counts its starts."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.notes, self.path = folder / "starts.txt", folder / "ffmpeg"
        self.path.write_text(f'#!/bin/sh\necho "start $*" >> "{self.notes}"\nexec "{find_ffmpeg()}" "$@"\n')
        self.path.chmod(0o755)

    @property
    def settings(self) -> dict[str, str]:
        return {"WORKER_FFMPEG__PATH": str(self.path), "WORKER_FFMPEG__SANDBOX": "off"}

    @property
    def starts(self) -> int:
        return len(self._lines())

    @property
    def works(self) -> int:
        """Starts with an input; the others ask what it can do."""
        return sum(" -i " in line for line in self._lines())

    def _lines(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []
