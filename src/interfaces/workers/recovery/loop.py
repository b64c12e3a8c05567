"""Runs the recovery jobs by their schedule. SIGTERM ends it at once: what a run has not done, the next one finds."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from src.domain.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from src.interfaces.wiring.settings import Settings

log = logging.getLogger(__name__)

LAST_ITEM_SECONDS = 3.0
"""What the item gets that a run is at when the signal comes."""

NOT_NEEDED = ("ffmpeg", "scratch", "storage", "queue")
"""Nothing is encoded here. The storage's check writes, which this role may not; the probe reads. A queue is asked where jobs go by it."""


def run_recovery(settings: Settings) -> int:
    """Until SIGTERM. Returns the exit code."""
    from src.application.engine.health import Health
    from src.infrastructure.observability import logs
    from src.interfaces.wiring.adapters import build
    from src.interfaces.wiring.assemble import build_catalog
    from src.interfaces.wiring.checks import check_startup
    from src.interfaces.wiring.events import make_relay
    from src.interfaces.wiring.numbers import make_numbers, make_tally
    from src.interfaces.wiring.recoveries import make_alarm, make_schedules
    from src.interfaces.wiring.worker import engine_options, make_probes
    from src.interfaces.workers.runner import EXIT_OK, leave, refused, serve_health
    from src.interfaces.workers.turns import keep_turning, stop_on_signals, watch

    lines = logs.configure(settings.log.level, settings.log.format, secrets=logs.secret_values(os.environ))
    before = set(threading.enumerate())
    stop = stop_on_signals()
    try:
        catalog = build_catalog(settings)
        adapters = build(settings, catalog)
        without = NOT_NEEDED if settings.dispatch.backend == "batch" else NOT_NEEDED[:3]
        check_startup(settings, adapters, without=without)
        health, tally = Health(adapters.clock()), make_tally(adapters)
        schedules = make_schedules(settings, adapters, catalog, clock=adapters.clock(), stopping=stop.is_set)
        alarm, probes = make_alarm(adapters), make_probes(settings, adapters, catalog, health)
        relay = make_relay(settings, adapters, engine_options(settings).owner)
        answering = serve_health(settings, health, make_numbers("recovery", settings, adapters, health, tally))
    except WorkerError as error:
        return refused(lines, error)
    intervals = {name: s for each in schedules.values() for name, s in each.intervals.items() if s}
    log.info("recovery.starting", extra={"intervals": intervals})
    tellers = [alarm.tick] if relay is None else [alarm.tick, relay.tick]
    turns = {name: [schedule.turn] for name, schedule in schedules.items()} | {"telling": tellers}
    # None waits for another: a sweep may take an hour, and whoever is told of something may be slow to answer.
    loops = [keep_turning(name, stop, [_at_its_pace(turn) for turn in each], tally) for name, each in turns.items()]
    watch("recovery", stop, health, probes)
    if answering is not None:
        answering.close()
    # The run that is under way sees it at its next item, and frees its lock; a call that hangs is not waited for.
    until = time.monotonic() + LAST_ITEM_SECONDS
    for loop in loops:
        loop.join(max(0.0, until - time.monotonic()))
    leave(EXIT_OK, before)
    log.info("recovery.stopped")
    return EXIT_OK


def _at_its_pace(turn: Callable[[], object]) -> Callable[[], None]:
    """These know by themselves when their time has come."""

    def turned() -> None:
        turn()

    return turned
