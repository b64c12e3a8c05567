"""Hears events, each road in a thread of its own. SIGTERM ends it at once: a stream gives again what was not answered."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from src.domain.errors import WorkerError

if TYPE_CHECKING:
    from src.interfaces.wiring.settings import Settings

log = logging.getLogger(__name__)

LAST_EVENT_SECONDS = 3.0
"""What the event gets that is becoming jobs when the signal comes."""

NOT_NEEDED = ("ffmpeg", "scratch", "storage", "lock", "progress")
"""A listener touches no file and runs no job."""


def run_events(settings: Settings) -> int:
    """Until SIGTERM. Returns the exit code."""
    from src.application.engine.health import Health
    from src.application.engine.probes import Probe
    from src.infrastructure.observability import logs
    from src.interfaces.wiring.adapters import build
    from src.interfaces.wiring.assemble import build_catalog
    from src.interfaces.wiring.checks import check_startup
    from src.interfaces.wiring.events import make_listeners
    from src.interfaces.wiring.numbers import make_numbers, make_tally
    from src.interfaces.wiring.worker import engine_options
    from src.interfaces.workers.failpoints import arm_from
    from src.interfaces.workers.runner import EXIT_OK, leave, refused, serve_health
    from src.interfaces.workers.turns import keep_turning, stop_on_signals, watch

    lines = logs.configure(settings.log.level, settings.log.format, secrets=logs.secret_values(os.environ))
    before = set(threading.enumerate())
    stop = stop_on_signals()
    try:
        arm_from(os.environ, settings.environment, supervisor=os.getpid())
        catalog = build_catalog(settings)
        adapters = build(settings, catalog)
        check_startup(settings, adapters, without=NOT_NEEDED)
        health, tally = Health(adapters.clock()), make_tally(adapters)
        listeners = make_listeners(settings, adapters, catalog, engine_options(settings).owner, tally)
        ledger = adapters.ledger()
        probes = [Probe("database", lambda: ledger.to_wake(1, catalog.names()), health)]
        for name, listener in listeners.items():
            listener.source.check()
            probes.append(Probe(name, listener.source.check, health))
        answering = serve_health(settings, health, make_numbers("events", settings, adapters, health, tally))
    except WorkerError as error:
        return refused(lines, error)
    log.info("listener.starting", extra={"roads": sorted(listeners)})
    loops = [keep_turning(f"events-{name}", stop, [listener.turn], tally) for name, listener in listeners.items()]
    watch("events", stop, health, probes)
    if answering is not None:
        answering.close()
    for loop in loops:
        loop.join(LAST_EVENT_SECONDS)
    leave(EXIT_OK, before)
    log.info("listener.stopped")
    return EXIT_OK
