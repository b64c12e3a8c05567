"""One harness per technology. Every harness has every port it can serve, and every suite runs on every harness: an
adapter that is added here is tested, and one that the wiring offers but that is missing here fails test_registry.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.application.ports.clock import Clock
from src.application.ports.scratch import Scratch
from src.application.ports.storage import Storage
from src.infrastructure.memory.scratch import MemoryScratch
from src.infrastructure.memory.storage import MemoryStorage
from src.infrastructure.storage.filesystem import FilesystemStorage
from src.infrastructure.storage.scratch import FilesystemScratch
from tests.contracts.backends.claimed import claimed_place
from tests.contracts.backends.hostile import FlakyState
from tests.contracts.backends.memory import MemoryState
from tests.contracts.backends.postgres import postgres_clock, postgres_state
from tests.contracts.backends.redis import redis_lanes_place, redis_place
from tests.contracts.backends.s3 import s3_storage
from tests.contracts.backends.sql import sqlite_state
from tests.contracts.backends.sqs import sqs_fifo_place, sqs_place
from tests.contracts.backends.state import LedgerAbilities
from tests.fakes.flaky import FlakyStorage


def memory_storage(clock: Clock, _folder: Path) -> Storage:
    """Objects in memory."""
    return MemoryStorage(clock)


def filesystem_storage(_clock: Clock, folder: Path) -> Storage:
    """Files."""
    return FilesystemStorage(folder / "storage")


def flaky_storage(clock: Clock, _folder: Path) -> Storage:
    """A hostile wrapper that has nothing to do."""
    return FlakyStorage(MemoryStorage(clock))


def memory_scratch(folder: Path) -> Scratch:
    """Folders of this process."""
    return MemoryScratch(folder / "scratch")


def filesystem_scratch(folder: Path) -> Scratch:
    """Folders with notes of their owners."""
    return FilesystemScratch(folder / "scratch")


STATES: Mapping[str, Any] = {"memory": MemoryState, "sqlite": sqlite_state, "postgres": postgres_state}
"""{name: (clock, folder) -> State}: databases with everything that can be in them. The wiring calls the SQL adapters of
lock and progress `database`."""

CLOCKS: Mapping[str, Any] = {"postgres": postgres_clock}
"""{name: () -> clock} of the harnesses whose server has to follow the tests' time."""

QUEUES: Mapping[str, Any] = {**STATES, "redis": redis_place, "sqs": sqs_place}
LEDGERS: Mapping[str, Any] = {**STATES, "redis": redis_place}
LOCKS: Mapping[str, Any] = {**STATES, "redis": redis_place}
PROGRESSES: Mapping[str, Any] = {**STATES, "redis": redis_place}
"""{name: (clock, folder) -> place}: the states, and the servers that serve one port or two."""

LEDGER_ABILITIES: Mapping[str, LedgerAbilities] = {"redis": LedgerAbilities(effects=False)}
"""Of the ledgers that don't have them all."""

WRAPPED_QUEUES: Mapping[str, Any] = {
    "claimed": claimed_place,
    "redis_lanes": redis_lanes_place,
    "sqs_fifo": sqs_fifo_place,
}
"""Queues seen through something of ours, and other kinds of queue of one adapter; no choice of the wiring's own, so not
counted as one."""

STORAGES: Mapping[str, Any] = {"memory": memory_storage, "filesystem": filesystem_storage, "s3": s3_storage}
"""{name: (clock, folder) -> Storage}"""

SCRATCHES: Mapping[str, Any] = {"memory": memory_scratch, "filesystem": filesystem_scratch}
"""{name: folder -> Scratch}"""

HOSTILE: Mapping[str, Any] = {"flaky": FlakyState}
HOSTILE_STORAGES: Mapping[str, Any] = {"flaky": flaky_storage}
"""Not adapters, so the wiring does not offer them; they run the same suites."""
