"""What the processes that take nothing from a queue are made of: loops that do the work, and a thread that waits for the end."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

from src.application.metrics import LOOP_FAILURES
from src.application.ports.meter import UNMETERED, Meter
from src.domain.errors import WorkerError

if TYPE_CHECKING:
    from src.application.catalog import Catalog
    from src.application.engine.health import Health
    from src.application.engine.probes import Probe
    from src.application.tally import Tally
    from src.interfaces.wiring.adapters import Adapters
    from src.interfaces.wiring.settings import Settings

log = logging.getLogger(__name__)

TURN_SECONDS = 0.5
"""Between two looks at the clock, and after a turn that failed."""

LOOK_SECONDS = 0.1
"""Between two looks whether a signal came."""

LAST_SECONDS = 3.0
"""What a turn gets that is under way when the signal comes; what hangs is not waited for."""

SLOW_SECONDS = 600.0
"""The longest without a sign of life (`Health.wedged_after_seconds` for all others) for a loop whose turns take long, and tell of each
thing that they have done: the removal of a film's objects, or a round of
slow receivers (10 s for each of 50 notices)."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A thread in which each turn comes round until the end: after as many seconds as the most impatient one says."""

    name: str
    turns: Sequence[Callable[[], float | None]]
    seconds: float | None = None
    """without a turn, or a `Health.turned` in a long one: then the process is not live. None: as long as any short turn may take"""


@dataclass(frozen=True, slots=True)
class Parts:
    """What each of these processes has."""

    settings: Settings
    catalog: Catalog
    adapters: Adapters
    health: Health
    tally: Tally
    stop: threading.Event


@dataclass(frozen=True, slots=True)
class Plan:
    """What one of them does."""

    starting: str
    stopped: str
    """what the log calls its beginning and its end"""
    loops: Sequence[Loop]
    probes: Sequence[Probe]
    about: Mapping[str, Any] = field(default_factory=dict)
    """told at the start"""


def run_loops(name: str, settings: Settings, plan: Callable[[Parts], Plan]) -> int:
    """The process `name` until SIGTERM or SIGINT. Returns the exit code."""
    from src.infrastructure.observability import logs
    from src.interfaces.wiring.adapters import build
    from src.interfaces.wiring.assemble import build_catalog
    from src.interfaces.wiring.healths import make_health
    from src.interfaces.wiring.numbers import make_numbers, make_tally
    from src.interfaces.workers.failpoints import arm_from
    from src.interfaces.workers.runner import EXIT_OK, leave, refused, serve_health

    lines = logs.configure(settings.log.level, settings.log.format, secrets=logs.secret_values(os.environ))
    before = set(threading.enumerate())
    asked, stop = heed_signals(), threading.Event()
    try:
        arm_from(os.environ, settings.environment, supervisor=os.getpid())
        catalog = build_catalog(settings)
        adapters = build(settings, catalog)
        health, tally = make_health(settings, adapters), make_tally(adapters)
        made = plan(Parts(settings, catalog, adapters, health, tally, stop))
        answering = serve_health(settings, health, make_numbers(name, settings, adapters, health, tally))
    except WorkerError as error:
        return refused(lines, error)
    log.info(made.starting, extra=dict(made.about))
    work(made.loops, made.probes, asked, stop, health, tally)
    if answering is not None:
        answering.close()
    log.info(made.stopped)
    leave(EXIT_OK, before)
    return EXIT_OK


def heed_signals() -> Callable[[], bool]:
    """Asks whether SIGTERM or SIGINT came."""
    came: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        # Nothing that has a lock: the very thread that the signal interrupts may hold it.
        came.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return lambda: bool(came)


def work(
    loops: Sequence[Loop],
    probes: Sequence[Probe],
    asked: Callable[[], bool],
    stop: threading.Event,
    health: Health,
    meter: Meter = UNMETERED,
) -> None:
    """Each loop in a thread of its own, none of which waits for another, until it is `asked` to end; sets `stop` then. Liveness is what
    the loops tell. A probe has a thread too: a backend that hangs is not ready, but it neither wedges a loop nor keeps the process
    from ending."""
    for probe in probes:
        threading.Thread(target=_probe, args=(probe, stop), name=f"probe-{probe.name}", daemon=True).start()
    threads = [keep_turning(loop, stop, health, meter) for loop in loops]
    while not asked():
        time.sleep(LOOK_SECONDS)
    stop.set()
    health.draining()
    until = time.monotonic() + LAST_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def keep_turning(loop: Loop, stop: threading.Event, health: Health, meter: Meter = UNMETERED) -> threading.Thread:
    """The loop's thread, started. Its liveness counts from here: one that never comes to its first turn is wedged too."""
    health.watch(loop.name, loop.seconds)
    thread = threading.Thread(target=_work, args=(loop, stop, health, meter), name=loop.name)
    thread.start()
    return thread


def at_its_pace(turn: Callable[[], object]) -> Callable[[], None]:
    """A turn that knows by itself when its time has come, and is asked often; what it answers is no time."""

    def turned() -> None:
        turn()

    return turned


def _probe(probe: Probe, stop: threading.Event) -> None:
    while not stop.is_set():
        _turned(f"probe-{probe.name}", probe.tick, UNMETERED)
        stop.wait(TURN_SECONDS)


def _work(loop: Loop, stop: threading.Event, health: Health, meter: Meter) -> None:
    while not stop.is_set():
        # Its pause is over: it comes on top of what a backend that hangs keeps the turn.
        health.turned(loop.name)
        waits = []
        for turn in loop.turns:
            waits.append(_turned(loop.name, turn, meter))
            health.turned(loop.name)
        stop.wait(min(waits))


def _turned(name: str, turn: Callable[[], float | None], meter: Meter) -> float:
    try:
        seconds = turn()
    except WorkerError as error:
        log.warning("loop.failed", extra={"loop": name, "error_class": error.code, "error": str(error)})
    except Exception:
        # Others have their turn: a bug in one must not leave everything unowned. It is logged with its traceback.
        log.exception("loop.broken", extra={"loop": name})
    else:
        return TURN_SECONDS if seconds is None else seconds
    meter.add(LOOP_FAILURES, name)
    return TURN_SECONDS
