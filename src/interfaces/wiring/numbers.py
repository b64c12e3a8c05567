"""What a process tells of itself in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from src import __version__
from src.application.catalog import Catalog
from src.application.engine.health import Health
from src.application.engine.held import HeldRuns
from src.application.metrics import (
    BACKEND_UP,
    DURATION,
    ENDS,
    EVENTS_OLDEST,
    EVENTS_PARKED,
    EVENTS_UNSENT,
    EVENTS_UP,
    INFO,
    JOBS,
    LEASES_LOST,
    QUEUE_MESSAGES,
    QUEUE_OLDEST,
    QUEUE_UP,
    READY,
    RUNNING,
    SLOTS,
)
from src.application.ports.meter import Reading
from src.application.ports.outbox import Outbox
from src.application.ports.queue import InspectsLanes, QueueDepth, QueueInspector
from src.application.soundings import Sounding, sound
from src.application.tally import Tally
from src.interfaces.wiring.adapters import Adapters
from src.interfaces.wiring.queues import shown_queue
from src.interfaces.wiring.settings import Settings


@dataclass(frozen=True, slots=True)
class Numbers:
    """`held` where jobs are run."""

    name: str
    tally: Tally
    health: Health
    held: HeldRuns | None = None
    slots: int = 0
    types: Sequence[str] = ()
    """registered job types: nobody's message makes up a label"""
    soundings: Sequence[Sounding] = field(default=())

    def own(self) -> Sequence[Reading]:
        """What this process knows without asking anybody."""
        readings = [
            Reading(INFO, (self.name, __version__), 1.0),
            Reading(READY, (), float(self.health.ready())),
            *(Reading(BACKEND_UP, (name,), float(up)) for name, up in sorted(self.health.backends().items())),
        ]
        if self.held is not None:
            running = self.held.by_type()
            readings += [Reading(RUNNING, (name,), float(running.get(name, 0))) for name in self.types]
            readings.append(Reading(SLOTS, (), float(self.slots)))
        return readings

    def sounded(self) -> Sequence[Reading]:
        """What backends say, within seconds."""
        return sound(self.soundings)


def make_tally(adapters: Adapters, catalog: Catalog | None = None) -> Tally:
    """With a 0 for what may be counted of the jobs of `catalog`: a rate needs a first value."""
    tally = Tally(adapters.clock())
    if catalog is not None:
        for name in catalog.names():
            for outcome in ENDS:
                tally.add(JOBS, name, outcome, amount=0)
            tally.observe(DURATION, name, value=0.0, times=0)
        tally.add(LEASES_LOST, amount=0)
    return tally


def make_numbers(
    name: str,
    settings: Settings,
    adapters: Adapters,
    health: Health,
    tally: Tally,
    *,
    held: HeldRuns | None = None,
) -> Numbers:
    """Connects to nothing yet. The queue is told of by those who take from it, the outbox by all."""
    soundings = []
    if held is not None:
        inspector = adapters.queue_inspector()
        soundings.append(Sounding(QUEUE_UP, lambda: _queue(settings, inspector), adapters.clock()))
    if settings.events.sinks:
        outbox = adapters.outbox()
        soundings.append(Sounding(EVENTS_UP, lambda: _unsent(settings, adapters, outbox), adapters.clock()))
    types = adapters.catalog().names()
    return Numbers(name, tally, health, held, settings.concurrency, types, soundings)


def _queue(settings: Settings, inspector: QueueInspector) -> Sequence[Reading]:
    depths: Mapping[str, QueueDepth] = (
        inspector.depths() if isinstance(inspector, InspectsLanes) else {shown_queue(settings): inspector.depth()}
    )
    readings = []
    for queue, depth in depths.items():
        for state, count in (("ready", depth.ready), ("delayed", depth.delayed), ("in_flight", depth.in_flight)):
            readings.append(Reading(QUEUE_MESSAGES, (queue, state), float(count)))
        if depth.oldest_ready_seconds is not None:
            readings.append(Reading(QUEUE_OLDEST, (queue,), depth.oldest_ready_seconds))
    return readings


def _unsent(settings: Settings, adapters: Adapters, outbox: Outbox) -> Sequence[Reading]:
    waiting, now = outbox.waiting(), adapters.clock().now()
    readings = []
    for sink in sorted({*settings.events.sinks, *waiting}):
        there = waiting.get(sink)
        readings.append(Reading(EVENTS_UNSENT, (sink,), float(there.count if there else 0)))
        readings.append(Reading(EVENTS_PARKED, (sink,), float(there.parked if there else 0)))
        if there:
            readings.append(Reading(EVENTS_OLDEST, (sink,), max(0.0, now - there.oldest_at)))
    return readings
