"""Fires cron's entries. SIGTERM ends it at once: what it has not written down, another scheduler does, or the next start."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from src.interfaces.workers.turns import Loop, Parts, Plan, run_loops

if TYPE_CHECKING:
    from src.interfaces.wiring.settings import Settings

log = logging.getLogger(__name__)

NOT_NEEDED = ("ffmpeg", "scratch", "storage", "lock", "progress")
"""A scheduler touches no file and runs no job."""


def run_scheduler(settings: Settings) -> int:
    """Until SIGTERM. Returns the exit code."""
    return run_loops("scheduler", settings, _plan)


def _plan(parts: Parts) -> Plan:
    from src.application.engine.probes import Probe
    from src.interfaces.wiring.checks import check_startup
    from src.interfaces.wiring.crons import make_crontab, make_scheduler

    catalog, adapters = parts.catalog, parts.adapters
    crontab = make_crontab(parts.settings, catalog)
    check_startup(parts.settings, adapters, without=NOT_NEEDED)
    scheduler = make_scheduler(crontab.entries, adapters, catalog, parts.tally, parts.health.goes_on)
    ledger = adapters.ledger()
    if not crontab.entries:
        log.warning("scheduler.idle", extra={"because": "no entry is scheduled: `mediaworker cron list`"})
    return Plan(
        "scheduler.starting",
        "scheduler.stopped",
        [Loop("scheduler", [scheduler.turn])],
        [Probe("database", lambda: ledger.to_wake(1, catalog.names()), parts.health)],
        {
            "entries": {entry.name: str(entry.schedule) for entry in crontab.entries},
            "without": {each.name: each.why for each in crontab.unscheduled},
        },
    )
