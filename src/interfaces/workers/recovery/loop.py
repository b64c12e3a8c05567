"""Runs the recovery jobs by their schedule. SIGTERM ends it at once: what a run has not done, the next one finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from src.interfaces.workers.turns import SLOW_SECONDS, Loop, Parts, Plan, at_its_pace, run_loops

if TYPE_CHECKING:
    from src.interfaces.wiring.settings import Settings

NOT_NEEDED = ("ffmpeg", "scratch", "storage", "queue")
"""Nothing is encoded here. The storage's check writes, which this role may not; the probe reads. A queue is asked where jobs go by it."""


def run_recovery(settings: Settings) -> int:
    """Until SIGTERM. Returns the exit code."""
    return run_loops("recovery", settings, _plan)


def _plan(parts: Parts) -> Plan:
    from src.application.video.recovery.schedule import DELETES
    from src.interfaces.wiring.checks import check_startup
    from src.interfaces.wiring.environment import variable
    from src.interfaces.wiring.events import make_relay
    from src.interfaces.wiring.recoveries import batch_probes, make_alarm, make_schedules, tell_left_alone
    from src.interfaces.wiring.worker import engine_options, make_probes

    settings, adapters, catalog, health = parts.settings, parts.adapters, parts.catalog, parts.health
    check_startup(settings, adapters, without=NOT_NEEDED if settings.dispatch.backend == "batch" else NOT_NEEDED[:3])

    def stopping(schedule: str) -> bool:
        # Asked at each thing that a run looks at: it is the sign of life of a sweep, which may take an hour.
        health.turned(schedule)
        return parts.stop.is_set()

    schedules = make_schedules(settings, adapters, catalog, clock=adapters.clock(), stopping=stopping)
    tell_left_alone(settings, adapters)
    alarm, relay = make_alarm(adapters), make_relay(settings, adapters, engine_options(settings).owner)
    tellers = [alarm.tick] if relay is None else [alarm.tick, relay.tick]
    turns = {name: [schedule.turn] for name, schedule in schedules.items()} | {"telling": tellers}
    return Plan(
        "recovery.starting",
        "recovery.stopped",
        [Loop(name, [at_its_pace(turn) for turn in each], SLOW_SECONDS) for name, each in turns.items()],
        [*make_probes(settings, adapters, catalog, health), *batch_probes(settings, adapters, health)],
        {
            "intervals": {name: s for each in schedules.values() for name, s in each.intervals.items() if s},
            # Whoever wants room in the bucket must not wait for it in vain.
            "dry_runs": [] if settings.recovery.delete else sorted(DELETES),
            "deletes_with": f"{variable('recovery.delete')}=true",
        },
    )
