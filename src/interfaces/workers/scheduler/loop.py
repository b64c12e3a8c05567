"""Fires cron's entries. SIGTERM ends it at once: what it has not written down, another scheduler does, or the next start."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from src.domain.errors import WorkerError

if TYPE_CHECKING:
    from src.interfaces.wiring.settings import Settings

log = logging.getLogger(__name__)

LAST_TICK_SECONDS = 3.0
"""What the moment gets that is being written down when the signal comes."""

NOT_NEEDED = ("ffmpeg", "scratch", "storage", "lock", "progress")
"""A scheduler touches no file and runs no job."""


def run_scheduler(settings: Settings) -> int:
    """Until SIGTERM. Returns the exit code."""
    from src.application.engine.health import Health
    from src.application.engine.probes import Probe
    from src.infrastructure.observability import logs
    from src.interfaces.wiring.adapters import build
    from src.interfaces.wiring.assemble import build_catalog
    from src.interfaces.wiring.checks import check_startup
    from src.interfaces.wiring.crons import make_crontab, make_scheduler
    from src.interfaces.wiring.numbers import make_numbers, make_tally
    from src.interfaces.workers.failpoints import arm_from
    from src.interfaces.workers.runner import EXIT_OK, leave, refused, serve_health
    from src.interfaces.workers.turns import keep_turning, stop_on_signals, watch

    lines = logs.configure(settings.log.level, settings.log.format, secrets=logs.secret_values(os.environ))
    before = set(threading.enumerate())
    stop = stop_on_signals()
    try:
        arm_from(os.environ, settings.environment, supervisor=os.getpid())
        catalog = build_catalog(settings)
        crontab = make_crontab(settings, catalog)
        adapters = build(settings, catalog)
        check_startup(settings, adapters, without=NOT_NEEDED)
        health, tally = Health(adapters.clock()), make_tally(adapters)
        scheduler = make_scheduler(crontab.entries, adapters, catalog, tally)
        ledger = adapters.ledger()
        probes = [Probe("database", lambda: ledger.to_wake(1, catalog.names()), health)]
        answering = serve_health(settings, health, make_numbers("scheduler", settings, adapters, health, tally))
    except WorkerError as error:
        return refused(lines, error)
    log.info(
        "scheduler.starting",
        extra={
            "entries": {entry.name: str(entry.schedule) for entry in crontab.entries},
            "without": {each.name: each.why for each in crontab.unscheduled},
        },
    )
    if not crontab.entries:
        log.warning("scheduler.idle", extra={"because": "no entry is scheduled: `mediaworker cron list`"})
    loop = keep_turning("scheduler", stop, [scheduler.turn], tally)
    watch("scheduler", stop, health, probes)
    if answering is not None:
        answering.close()
    loop.join(LAST_TICK_SECONDS)
    leave(EXIT_OK, before)
    log.info("scheduler.stopped")
    return EXIT_OK
