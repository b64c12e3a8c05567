"""Hears events, each road in a thread of its own. SIGTERM ends it at once: a stream gives again what was not answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from src.interfaces.workers.turns import Loop, Parts, Plan, run_loops

if TYPE_CHECKING:
    from src.interfaces.wiring.settings import Settings

NOT_NEEDED = ("ffmpeg", "scratch", "storage", "lock", "progress")
"""A listener touches no file and runs no job."""


def run_events(settings: Settings) -> int:
    """Until SIGTERM. Returns the exit code."""
    return run_loops("events", settings, _plan)


def _plan(parts: Parts) -> Plan:
    from src.application.engine.probes import Probe
    from src.interfaces.wiring.checks import check_startup
    from src.interfaces.wiring.events import make_listeners
    from src.interfaces.wiring.worker import engine_options

    settings, catalog, health = parts.settings, parts.catalog, parts.health
    check_startup(settings, parts.adapters, without=NOT_NEEDED)
    listeners = make_listeners(
        settings,
        parts.adapters,
        catalog,
        engine_options(settings).owner,
        parts.tally,
        # What waited for a database is heard in one turn, which may be thousands.
        goes_on=lambda road: health.turned(_name(road)),
        between=health.goes_on,
    )
    ledger = parts.adapters.ledger()
    probes = [Probe("database", lambda: ledger.to_wake(1, catalog.names()), health)]
    for road, listener in listeners.items():
        listener.source.check()
        probes.append(Probe(road, listener.source.check, health))
    loops = [Loop(_name(road), [listener.turn]) for road, listener in listeners.items()]
    return Plan("listener.starting", "listener.stopped", loops, probes, {"roads": sorted(listeners)})


def _name(road: str) -> str:
    return f"events-{road}"
