"""Processes that take nothing from a queue end when told to, and are live as long as their loops turn, whatever their backends do."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import pytest

from src.application.cron.scheduler import LOOK_SECONDS
from src.application.engine.health import WEDGED_SECONDS, Health
from src.application.engine.probes import Probe
from src.application.ports.meter import UNMETERED
from src.domain.errors import DatabaseUnavailable
from src.infrastructure.clock import SystemClock
from src.interfaces.workers.turns import SLOW_SECONDS, Loop, _work, heed_signals, work
from tests.fakes.clock import FrozenClock


@contextmanager
def working(loops: Sequence[Loop], health: Health, probes: Sequence[Probe] = ()) -> Iterator[Callable[[], bool]]:
    """Gives what ends it; whether it has ended."""
    told, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=work, args=(loops, probes, told.is_set, stop, health), daemon=True)
    thread.start()

    def end() -> bool:
        told.set()
        thread.join(10)
        return not thread.is_alive()

    try:
        yield end
    finally:
        told.set()
        stop.set()


def soon(what: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not what() and time.monotonic() < until:
        time.sleep(0.01)
    return what()


def test_f45_a_loop_that_hangs_is_told_and_one_that_goes_on_is_live_again() -> None:
    clock, begun, hung, other = FrozenClock(), threading.Event(), threading.Event(), threading.Event()
    health = Health(clock)

    def turn() -> None:
        begun.set()
        hung.wait(60)

    with working([Loop("hangs", [turn]), Loop("turns", [other.set])], health) as end:
        assert begun.wait(10)
        assert health.live()
        clock.advance(WEDGED_SECONDS + 1)
        other.clear()
        assert other.wait(10), "the other one goes on"
        assert not health.live(), "which makes up for nothing"
        hung.set()
        assert soon(health.live)
        assert end()


def test_f45_a_loop_that_never_comes_to_its_first_turn_is_wedged() -> None:
    clock = FrozenClock()
    health = Health(clock)
    health.watch("recovery", SLOW_SECONDS)
    clock.advance(SLOW_SECONDS - 1)
    assert health.live()
    clock.advance(2)
    assert not health.live()


def test_f45_a_long_turn_that_says_that_it_goes_on_is_live() -> None:
    clock = FrozenClock()
    health = Health(clock)
    seen: list[bool] = []
    done = threading.Event()

    def sweep() -> None:
        for _thing in range(10):
            clock.advance(SLOW_SECONDS - 1)
            seen.append(health.live())
            health.turned("sweeps")
        done.set()

    with working([Loop("sweeps", [sweep], SLOW_SECONDS)], health) as end:
        assert done.wait(10)
        assert end()
    assert seen[:10] == [True] * 10


def test_a_turn_that_fails_is_a_turn(caplog: pytest.LogCaptureFixture) -> None:
    clock = FrozenClock()
    health = Health(clock)
    turns: list[int] = []

    def turn() -> None:
        turns.append(1)
        clock.advance(WEDGED_SECONDS - 1)
        if len(turns) == 1:
            raise DatabaseUnavailable("no answer")
        raise ValueError("nobody foresaw this")

    with working([Loop("scheduler", [turn])], health) as end:
        assert soon(lambda: len(turns) > 2)
        assert health.live()
        assert end()
    said = {record.message for record in caplog.records}
    assert {"loop.failed", "loop.broken"} <= said


def test_a_backend_that_hangs_keeps_nobody_from_ending_and_is_no_wedge() -> None:
    hung = threading.Event()
    health = Health(SystemClock(), answer_seconds=0.2)
    health.backend("queue", reachable=True)
    probe = Probe("database", lambda: hung.wait(30), health)
    try:
        with working([Loop("scheduler", [lambda: None])], health, [probe]) as end:
            assert soon(lambda: not health.ready())
            assert health.live()
            assert end()
    finally:
        hung.set()


def test_a_turn_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.interfaces.workers.turns.LAST_SECONDS", 0.1)
    hung, begun = threading.Event(), threading.Event()

    def turn() -> None:
        begun.set()
        hung.wait(30)

    try:
        with working([Loop("recovery", [turn])], Health(SystemClock())) as end:
            assert begun.wait(10)
            assert end()
    finally:
        hung.set()


def test_a_probe_that_trips_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    health = Health(SystemClock(), answer_seconds=0.5)
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        if len(asked) == 1:
            raise ValueError("nobody foresaw this")

    with working([Loop("events", [lambda: None])], health, [Probe("database", ask, health)]) as end:
        assert soon(health.ready)
        assert end()
    assert len(asked) > 1
    assert "loop.broken" in [record.message for record in caplog.records]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_heeded(number: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        asked = heed_signals()
        assert not asked()
        os.kill(os.getpid(), number)
        assert soon(asked)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class Pausing:
    """Stands for the event that ends a process: waiting on it only takes the clock's time. It is set after so many waits."""

    def __init__(self, clock: FrozenClock, waits: int) -> None:
        self.clock, self.waits = clock, waits

    def is_set(self) -> bool:
        return self.waits <= 0

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.waits -= 1


def test_f45_a_loop_s_own_pause_comes_on_top_of_what_a_backend_keeps_its_turn() -> None:
    """A scheduler looks every ten seconds."""
    clock, lived = FrozenClock(), list[bool]()
    health = Health(clock)

    def turn() -> float:
        clock.advance(WEDGED_SECONDS - 5)
        lived.append(health.live())
        return LOOK_SECONDS

    loop = Loop("scheduler", [turn])
    health.watch(loop.name, loop.seconds)
    _work(loop, cast("threading.Event", Pausing(clock, 2)), health, UNMETERED)
    assert lived == [True, True]


def test_f45_the_first_turn_of_a_loop_can_tell_that_it_goes_on() -> None:
    clock, lived = FrozenClock(), list[bool]()
    health = Health(clock)

    def turn() -> None:
        for _ in range(2):
            clock.advance(WEDGED_SECONDS - 5)
            lived.append(health.live())
            health.goes_on()

    health.watch("listener")
    _work(Loop("listener", [turn]), cast("threading.Event", Pausing(clock, 1)), health, UNMETERED)
    assert lived == [True, True]
