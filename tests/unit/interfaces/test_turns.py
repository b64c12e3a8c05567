"""Processes that take nothing from a queue end when told to and stay live, whatever their backends do."""

from __future__ import annotations

import threading
import time

import pytest

from src.application.engine.health import Health
from src.application.engine.probes import Probe
from src.infrastructure.clock import SystemClock
from src.interfaces.workers.turns import watch


def test_a_backend_that_hangs_keeps_nobody_from_ending_and_is_no_wedge() -> None:
    stop, hung = threading.Event(), threading.Event()
    health = Health(SystemClock(), wedged_after_seconds=2.0, answer_seconds=0.5)
    probe = Probe("database", lambda: hung.wait(30), health)
    watching = threading.Thread(target=watch, args=("scheduler", stop, health, [probe]), daemon=True)
    watching.start()
    try:
        time.sleep(3)
        assert health.live()
        assert not health.ready()
        stop.set()
        watching.join(2)
        assert not watching.is_alive()
    finally:
        hung.set()


def test_a_probe_that_trips_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    stop = threading.Event()
    health = Health(SystemClock(), answer_seconds=0.5)
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        if len(asked) == 1:
            raise ValueError("nobody foresaw this")

    watching = threading.Thread(
        target=watch, args=("events", stop, health, [Probe("database", ask, health)]), daemon=True
    )
    watching.start()
    until = time.monotonic() + 20
    while not health.ready() and time.monotonic() < until:
        time.sleep(0.05)
    stop.set()
    watching.join(2)
    assert len(asked) > 1
    assert "loop.broken" in [record.message for record in caplog.records]
