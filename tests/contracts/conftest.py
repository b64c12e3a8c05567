"""Fixtures of the contract suites: each test runs once per adapter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from src.application.ports.scratch import Scratch
from src.application.ports.storage import Storage
from tests.contracts.backends import (
    CLOCKS,
    HOSTILE,
    HOSTILE_STORAGES,
    LEDGERS,
    LOCKS,
    PROGRESSES,
    QUEUES,
    SCRATCHES,
    STATES,
    STORAGES,
    WRAPPED_QUEUES,
)
from tests.contracts.backends.content import (
    INDEXES,
    PLATFORMS,
    SESSIONS,
    STATISTICS,
    ContentPlace,
    IndexPlace,
    SessionPlace,
    StatisticsPlace,
)
from tests.contracts.backends.state import ALL, LedgerPlace, LockPlace, ProgressPlace, QueueAbilities, QueuePlace, State
from tests.fakes.clock import FrozenClock

FOLLOWING = {"foreign": "postgres"}
"""Places whose server's clock is another's."""


@pytest.fixture
def clock(request: pytest.FixtureRequest) -> FrozenClock:
    """Frozen; of a kind that the test's server follows, where it has one."""
    chosen = request.node.callspec.params.values() if hasattr(request.node, "callspec") else ()
    made: FrozenClock = next(
        (
            CLOCKS[FOLLOWING.get(name, name)]
            for name in chosen
            if isinstance(name, str) and FOLLOWING.get(name, name) in CLOCKS
        ),
        FrozenClock,
    )()
    return made


@pytest.fixture(params=sorted({**STATES, **HOSTILE}))
def state(request: pytest.FixtureRequest, clock: FrozenClock, tmp_path: Path) -> Iterator[State]:
    made = {**STATES, **HOSTILE}[request.param](clock, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=sorted({**LEDGERS, **HOSTILE}))
def ledgers(request: pytest.FixtureRequest, clock: FrozenClock, tmp_path: Path) -> Iterator[LedgerPlace]:
    made = {**LEDGERS, **HOSTILE}[request.param](clock, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=sorted({**QUEUES, **WRAPPED_QUEUES, **HOSTILE}))
def queues(request: pytest.FixtureRequest, clock: FrozenClock, tmp_path: Path) -> Iterator[QueuePlace]:
    made = {**QUEUES, **WRAPPED_QUEUES, **HOSTILE}[request.param](clock, tmp_path)
    yield made
    made.close()


@pytest.fixture
def abilities(queues: QueuePlace) -> QueueAbilities:
    """What this queue can do beyond what every queue must."""
    declared: QueueAbilities = getattr(queues, "abilities", ALL)
    return declared


@pytest.fixture(params=sorted({**LOCKS, **HOSTILE}))
def locks(request: pytest.FixtureRequest, clock: FrozenClock, tmp_path: Path) -> Iterator[LockPlace]:
    made = {**LOCKS, **HOSTILE}[request.param](clock, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=sorted({**PROGRESSES, **HOSTILE}))
def readings(request: pytest.FixtureRequest, clock: FrozenClock, tmp_path: Path) -> Iterator[ProgressPlace]:
    made = {**PROGRESSES, **HOSTILE}[request.param](clock, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=sorted({**STORAGES, **HOSTILE_STORAGES}))
def storage(request: pytest.FixtureRequest, clock: FrozenClock, tmp_path: Path) -> Storage:
    made: Storage = {**STORAGES, **HOSTILE_STORAGES}[request.param](clock, tmp_path)
    return made


@pytest.fixture(params=sorted(SCRATCHES))
def scratch(request: pytest.FixtureRequest, tmp_path: Path) -> Scratch:
    made: Scratch = SCRATCHES[request.param](tmp_path)
    return made


@pytest.fixture(params=sorted(PLATFORMS))
def platform(request: pytest.FixtureRequest, clock: FrozenClock, tmp_path: Path) -> Iterator[ContentPlace]:
    made: ContentPlace = PLATFORMS[request.param](clock, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=sorted(INDEXES))
def indexes(request: pytest.FixtureRequest, clock: FrozenClock, tmp_path: Path) -> Iterator[IndexPlace]:
    made: IndexPlace = INDEXES[request.param](clock, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=sorted(SESSIONS))
def sessions_at(request: pytest.FixtureRequest, clock: FrozenClock, tmp_path: Path) -> Iterator[SessionPlace]:
    made: SessionPlace = SESSIONS[request.param](clock, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=sorted(STATISTICS))
def views_at(request: pytest.FixtureRequest, clock: FrozenClock, tmp_path: Path) -> Iterator[StatisticsPlace]:
    made: StatisticsPlace = STATISTICS[request.param](clock, tmp_path)
    yield made
    made.close()
