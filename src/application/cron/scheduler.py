"""Fires what is due. Any number may run: a moment belongs to whoever writes it down first, together with its job.

What was written down and not published (a crash in between, a queue that is away) is a QUEUED job like any other: its recovery
owner brings it on (docs/recovery.md).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from src.application.catalog import Catalog
from src.application.cron.entry import Entry
from src.application.dispatch import set_going
from src.application.failpoints import failpoint
from src.application.metrics import CRON_TICKS
from src.application.ports.cron import CronTicks, Standing
from src.application.ports.dispatch import Dispatch
from src.application.ports.ledger import JobLedger
from src.application.ports.meter import UNMETERED, Meter
from src.domain.cron import due, tick_id
from src.domain.errors import DatabaseUnavailable, WorkerError

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""The longest time between two looks: the clock that decides is not ours, and may be set."""

LEAST_SECONDS = 0.01

BEHIND_SECONDS = 3600.0
"""A clock that is so far behind the last moment that fired was set back, or had been ahead."""


@dataclass(slots=True)
class Scheduler:
    """One process's loop over the entries."""

    entries: Sequence[Entry]
    catalog: Catalog
    ticks: CronTicks
    ledger: JobLedger
    dispatch: Dispatch
    meter: Meter = UNMETERED
    goes_on: Callable[[], object] = lambda: None
    """is told between two questions to backends: a turn has several for each moment that is due"""
    _next: dict[str, tuple[float, float | None]] = field(default_factory=dict, init=False)
    """{name: (a time, the first moment after it)}: a schedule is reckoned once per moment, not at each look"""
    _behind: set[str] = field(default_factory=set, init=False)
    """entries whose last moment lies in the future, and of which that was said"""

    def turn(self) -> float:
        """Fire what is due; seconds until the next look. Raises DatabaseUnavailable: the next turn tries again."""
        if not self.entries:
            return LOOK_SECONDS
        schedules = {entry.name: str(entry.schedule) for entry in self.entries}
        board = self.ticks.board(schedules)
        if new := {name: schedules[name] for name, standing in board.entries.items() if standing.after is None}:
            self.ticks.know(new)
            log.info("cron.known", extra={"entries": new})
            board = self.ticks.board(schedules)
        return min((self._entry(entry, board.entries, board.now) for entry in self.entries), default=LOOK_SECONDS)

    def _entry(self, entry: Entry, standings: Mapping[str, Standing], now: float) -> float:
        """Fire what is due of one; seconds until it wants the next look. What goes wrong with it stops no other."""
        after = standings[entry.name].after
        if after is None:
            return LEAST_SECONDS
        self._tell_behind(entry.name, after - now)
        upcoming = self._upcoming(entry, after)
        if upcoming is None or upcoming > now:
            return _wait(now, upcoming)
        moments = due(entry.schedule.moments, after=after, now=now, policy=entry.policy)
        for at in moments:
            try:
                # What is given up lies before the first of them: between them nothing does.
                passed_over = upcoming if upcoming < at == moments[0] else None
                if not self._fire(entry, at, now, passed_over=passed_over):
                    return LEAST_SECONDS
            except DatabaseUnavailable:
                raise
            except WorkerError as error:
                log.warning(
                    "cron.failed",
                    extra={"entry": entry.name, "at": at, "error_class": error.code, "error": str(error)},
                )
                return LOOK_SECONDS
            except Exception:
                log.exception("cron.broken", extra={"entry": entry.name, "at": at})
                return LOOK_SECONDS
        if moments:
            # There may be more than one look fires; and the next moment follows from the last one.
            return _wait(now, self._upcoming(entry, moments[-1]))
        # All that passed is given up: what comes is after now.
        return _wait(now, entry.schedule.next(now))

    def _fire(self, entry: Entry, at: float, now: float, *, passed_over: float | None) -> bool:
        """False when another scheduler was first."""
        late = entry.policy.is_late(at, now)
        draft = entry.draft(self.catalog, tick_id(entry.name, at), at, late=late)
        admission = self.ticks.fire(entry.name, at, draft)
        self.goes_on()
        if admission is None or admission.job is None:
            return False
        failpoint("cron.admitted")
        self.meter.add(CRON_TICKS, entry.name, "yes" if late else "no")
        job = admission.job
        about = {"entry": entry.name, "due": entry.schedule.local(at).isoformat(), "late": late, "job": job.id}
        if passed_over is not None:
            about["passed_over_since"] = entry.schedule.local(passed_over).isoformat()
        log.info("cron.fired" if admission.created else "cron.joined", extra=about)
        if admission.created:
            set_going(job, self.ledger, self.dispatch)
            self.goes_on()
        return True

    def _tell_behind(self, name: str, seconds: float) -> None:
        """Once, until it is over."""
        if seconds <= BEHIND_SECONDS:
            self._behind.discard(name)
        elif name not in self._behind:
            self._behind.add(name)
            log.error("cron.clock_behind", extra={"entry": name, "seconds": round(seconds), "then": "nothing fires"})

    def _upcoming(self, entry: Entry, after: float) -> float | None:
        known = self._next.get(entry.name)
        if known is None or known[0] != after:
            known = after, entry.schedule.next(after)
            self._next[entry.name] = known
        return known[1]


def _wait(now: float, upcoming: float | None) -> float:
    return LOOK_SECONDS if upcoming is None else max(LEAST_SECONDS, min(LOOK_SECONDS, upcoming - now))
