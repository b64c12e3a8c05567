"""Readiness of backends that only jobs use, and whose fault a failed attempt was."""

from __future__ import annotations

import pytest

from src.application.engine.health import Health
from src.application.engine.probes import PERIOD_SECONDS, Outages, Probe
from src.domain.errors import StorageUnavailable
from tests.fakes.clock import FrozenClock


class Backend:
    def __init__(self) -> None:
        self.up, self.asked = True, 0

    def ask(self) -> None:
        self.asked += 1
        if not self.up:
            raise StorageUnavailable("away")


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def health(clock: FrozenClock) -> Health:
    return Health(clock)


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def probe(backend: Backend, health: Health) -> Probe:
    return Probe("storage", backend.ask, health)


def turns(probe: Probe, clock: FrozenClock, seconds: int) -> None:
    for _ in range(seconds):
        probe.tick()
        clock.advance(1)


def test_a_backend_that_answers_is_asked_now_and_then_and_one_that_does_not_at_every_turn(
    probe: Probe, backend: Backend, clock: FrozenClock, health: Health
) -> None:
    turns(probe, clock, 20)
    assert backend.asked == 20 / PERIOD_SECONDS
    assert health.ready()
    backend.up = False
    turns(probe, clock, 5)
    assert not health.ready()
    backend.asked = 0
    turns(probe, clock, 10)
    assert backend.asked == 10
    backend.up = True
    turns(probe, clock, 1)
    assert health.ready()


def test_a_question_that_hangs_makes_the_worker_unready(health: Health, clock: FrozenClock) -> None:
    health.backend("storage", reachable=True)
    health.asking("storage")
    clock.advance(1)
    assert health.ready()
    health.asking("storage")
    clock.advance(4)
    assert not health.ready()
    assert health.away(["storage", "never used"]) == ["storage"]
    assert health.backends() == {"storage": False}
    health.backend("storage", reachable=True)
    assert health.ready()


def test_an_outage_explains_errors_of_its_own_time_and_kind_only(
    probe: Probe, backend: Backend, health: Health, clock: FrozenClock
) -> None:
    outages = Outages(health, {"storage": probe})
    began = clock.monotonic()
    # Nobody has looked yet: it looks now.
    assert not outages.explains("storage_unavailable", began)
    assert backend.asked == 1
    backend.up = False
    clock.advance(1)
    assert outages.explains("storage_unavailable", began)
    backend.up = True
    clock.advance(1)
    assert probe.now()
    assert outages.explains("storage_unavailable", began)
    assert not outages.explains("storage_unavailable", clock.monotonic())
    assert not outages.explains("ffmpeg", began)
    assert not outages.explains("database_unavailable", began)


def test_one_whose_calls_are_counted_is_not_asked_at_every_turn(
    backend: Backend, clock: FrozenClock, health: Health
) -> None:
    probe = Probe("batch", backend.ask, health, again_seconds=PERIOD_SECONDS)
    backend.up = False
    turns(probe, clock, 20)
    assert (backend.asked, health.ready()) == (20 / PERIOD_SECONDS, False)
    backend.up = True
    turns(probe, clock, int(PERIOD_SECONDS) + 1)
    assert health.ready()
