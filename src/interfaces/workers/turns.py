"""What the processes that take nothing from a queue are made of: a loop that does the work, another one that watches."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from src.application.metrics import LOOP_FAILURES
from src.application.ports.meter import UNMETERED, Meter
from src.domain.errors import WorkerError

if TYPE_CHECKING:
    from src.application.engine.health import Health
    from src.application.engine.probes import Probe

log = logging.getLogger(__name__)

TURN_SECONDS = 0.5
"""Between two looks at the clock, and after a turn that failed."""


def stop_on_signals() -> threading.Event:
    """Set by SIGTERM or SIGINT."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return stop


def keep_turning(
    name: str, stop: threading.Event, turns: Sequence[Callable[[], float | None]], meter: Meter = UNMETERED
) -> threading.Thread:
    """A thread in which each turn comes round until `stop`: after as many seconds as the most impatient one says."""
    thread = threading.Thread(target=_work, args=(name, stop, turns, meter), name=name)
    thread.start()
    return thread


def watch(name: str, stop: threading.Event, health: Health, probes: Sequence[Probe]) -> None:
    """Liveness and readiness until `stop`, beside turns that may take long. Each probe has a thread of its own: a backend that
    hangs is not ready, but it neither wedges this process nor keeps it from ending."""
    for probe in probes:
        threading.Thread(target=_probe, args=(probe, stop), name=f"probe-{probe.name}", daemon=True).start()
    while not stop.is_set():
        health.turned(name)
        stop.wait(TURN_SECONDS)
    health.draining()


def _probe(probe: Probe, stop: threading.Event) -> None:
    while not stop.is_set():
        _turned(f"probe-{probe.name}", probe.tick, UNMETERED)
        stop.wait(TURN_SECONDS)


def _work(name: str, stop: threading.Event, turns: Sequence[Callable[[], float | None]], meter: Meter) -> None:
    while not stop.is_set():
        stop.wait(min(_turned(name, turn, meter) for turn in turns))


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
