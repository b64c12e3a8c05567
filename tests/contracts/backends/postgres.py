"""The SQL adapters on a PostgreSQL server whose clock is the tests'."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg

from src.infrastructure.db import schema
from src.infrastructure.db.postgres_queue import PostgresQueue
from tests.contracts.backends.sql import SqlState
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import WholeQueue
from tests.servers.shared import ServerClock, shared

TEMPLATE = "contract_template"


@dataclass
class PostgresState(SqlState):
    """A database of this test's own on the process's server."""

    def queue(self, name: str = "video") -> WholeQueue:
        """A handle; it polls, because the tests' time passes only while somebody sleeps by their clock."""
        return PostgresQueue(self.database(), name, self.clock)

    def close(self) -> None:
        """Every connection must be back in its pool, and the database goes."""
        super().close()
        run(f'DROP DATABASE "{self.url.rsplit("/", 1)[1]}" WITH (FORCE)')


def postgres_clock() -> FrozenClock:
    """Time that the server follows."""
    return ServerClock(shared("postgres", set_clock=True))


def postgres_state(clock: FrozenClock, _folder: Path) -> PostgresState:
    """A copy of a migrated database (about 30 ms)."""
    assert isinstance(clock, ServerClock), "the server's clock must be the tests'"
    return PostgresState(clock, fresh_database(clock.server.url))


def fresh_database(server: str) -> str:
    """The address of a new migrated database on the process's server."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    run(f'CREATE DATABASE "{name}" TEMPLATE "{_template(server)}"')
    return f"{server}/{name}"


@cache
def _template(server: str) -> str:
    run(f'CREATE DATABASE "{TEMPLATE}"')
    schema.upgrade(f"{server}/{TEMPLATE}")
    return TEMPLATE


def run(statement: str) -> None:
    """As the server's owner, outside any database of a test."""
    with psycopg.connect(f"{shared('postgres', set_clock=True).url}/postgres", autocommit=True) as connection:
        connection.execute(statement.encode())
