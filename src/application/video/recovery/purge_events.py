"""`purge-events`: operators' events are kept for a time, not for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from src.application.ports.clock import Clock
from src.application.ports.ops_events import OpsEvent, OpsEvents
from src.application.video.recovery.run import Run

PAGE = 1000
"""Removed in one commit, and one thing of a run: short enough to be in nobody's way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeEvents:
    """One that an administrator has yet to be told of stays, however old."""

    events: OpsEvents
    clock: Clock
    keep_seconds: float = 90 * 86_400.0
    """mission.md W5 keeps what it audits for 90 days; contracts.md has no number for events"""
    name: str = "purge-events"

    def run(self, run: Run) -> None:
        """The oldest first."""
        before = self.clock.now() - self.keep_seconds
        page: Sequence[OpsEvent] = self.events.outdated(before, PAGE)
        while page:
            if run.full:
                run.more = True
                return
            with run.item("events"):
                if not run.dry_run:
                    self.events.remove([event.id for event in page])
                run.did(f"{len(page)} events", "remove", f"of {_day(page[0])} to {_day(page[-1])}")
            if run.dry_run:
                # The same ones would come again.
                run.more = len(page) == PAGE
                return
            page = self.events.outdated(before, PAGE)


def _day(event: OpsEvent) -> str:
    return datetime.fromtimestamp(event.created_at, UTC).date().isoformat()
