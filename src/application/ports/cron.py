"""What cron remembers: since when an entry is known, and which of its moments have fired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from src.application.ports.ledger import Admission
from src.domain.job import JobDraft


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A moment of an entry that has fired. Times are epoch seconds: when it was due, and when it fired by the clock of whoever
    keeps it."""

    scheduled_at: float
    fired_at: float
    job_id: str


@dataclass(frozen=True, slots=True)
class Standing:
    """An entry as it was left. Nothing up to `after` may fire any more; None: this schedule of the entry was never seen."""

    after: float | None = None
    last: Tick | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """`now` is the time by the one clock that all schedulers go by."""

    now: float
    entries: Mapping[str, Standing]


class CronTicks(Protocol):
    """Shared by any number of schedulers. Raises DatabaseUnavailable; repeating any call is safe."""

    def board(self, schedules: Mapping[str, str]) -> Board:
        """Where the entries stand: {name: the schedule and zone that it has now}. `after` is the latest of: when any schedule of
        this name was first seen, the last moment that fired. So a schedule that is changed fires nothing that lies before the
        change, and two versions side by side take nothing from each other."""

    def know(self, schedules: Mapping[str, str]) -> None:
        """First sight of these schedules: now. Those that were seen before stay as they are."""

    def fire(self, name: str, scheduled_at: float, draft: JobDraft) -> Admission | None:
        """Use this moment up and admit its job, both in one commit. None, and nothing is changed, when this moment or a later one
        of the entry was used up before. As with any admission, a job may be there already (`created` is False): the active
        one about the same subject; then the moment is used up by it."""
