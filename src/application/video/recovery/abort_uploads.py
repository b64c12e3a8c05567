"""`abort-uploads`: ends uploads in parts that nobody will finish: a killed process can't abort its own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from src.application.ports.clock import Clock
from src.application.ports.uploads import UnfinishedUploads
from src.application.video.recovery.run import Run

ROOT = "tenants/"
OURS = re.compile(r"tenants/[^/]+/video/(raw|hls)/.+")
"""Where sources are uploaded and streams are written. Whatever else lies in the bucket is somebody else's."""

BATCH = 1000
"""Looked through between two renewals of the lock: a page of S3's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortUploads:
    """By the time at which the storage says that it was begun: no upload of a worker lasts longer than its attempt, and one of a
    browser longer than its signed addresses."""

    uploads: UnfinishedUploads
    clock: Clock
    age_seconds: float = 86_400.0
    name: str = "abort-uploads"

    def run(self, run: Run) -> None:
        """In the storage's order; those that are young don't count against the limit."""
        for number, upload in enumerate(self.uploads.unfinished(ROOT)):
            if number % BATCH == 0:
                run.going_on()
            age = self.clock.now() - upload.begun_at
            if not OURS.fullmatch(upload.key) or age <= self.age_seconds:
                continue
            if run.full:
                run.more = True
                return
            with run.item(upload.key):
                if not run.dry_run:
                    self.uploads.abort(upload)
                run.did(upload.key, "abort", f"begun {age / 3600:.0f} h ago, and never finished")
