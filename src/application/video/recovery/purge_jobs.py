"""`purge-jobs`: rows of ended jobs are kept for a time, not for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from src.application.ports.ended_jobs import EndedJobs, Outdated, Place
from src.application.video.recovery.run import Run

PAGE = 1000
"""Removed in one commit, and one thing of a run: short enough to be in nobody's way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeJobs:
    """Until its row goes, a job's message that comes again is known to be done: so rows are kept for longer than messages live."""

    jobs: EndedJobs
    keep_seconds: float = 90 * 86_400.0
    """since the end. mission.md W5 keeps what it audits for 90 days, and so do we the events of these jobs (purge-events)"""
    name: str = "purge-jobs"

    def run(self, run: Run) -> None:
        """Those first that were asked for first. What somebody still goes by is passed over, and counts as nothing."""
        before = self.jobs.now() - self.keep_seconds
        after: Place | None = None
        while True:
            run.going_on()
            page = self.jobs.outdated(before, PAGE, after)
            if page.jobs:
                if run.full:
                    run.more = True
                    return
                with run.item("jobs"):
                    self._page(page.jobs, before, run)
            if page.after is None:
                return
            after = page.after

    def _page(self, found: Sequence[Outdated], before: float, run: Run) -> None:
        going = found
        if not run.dry_run:
            gone = set(self.jobs.remove([job.id for job in found], before))
            going = [job for job in found if job.id in gone]
        if going:
            run.did(f"{len(going)} jobs", "remove", f"asked for from {_day(going[0])} to {_day(going[-1])}")
        if len(going) < len(found):
            run.skip(f"{len(found) - len(going)} jobs", "they went on meanwhile")


def _day(job: Outdated) -> str:
    return datetime.fromtimestamp(job.created_at, UTC).date().isoformat()
