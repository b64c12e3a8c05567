"""Short transactions on one database, whichever it is: an embedded file (sqlite.py) or a server (server.py).

Connections are counted, and recycled after a fork.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Double, Engine, Table, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    SQLAlchemyError,
)

from src.domain.errors import ConfigError, InvalidPayload
from src.infrastructure.db.errors import refused, unavailable
from src.infrastructure.db.server import ServerOptions, open_server_engine
from src.infrastructure.db.sqlite import check_file, open_file_engine

Answer = TypeVar("Answer")
Work = Callable[[Connection], Answer]

BUSY_SECONDS = 2.0
"""How long SQLite itself waits for another writer before a transaction counts as refused; writers hold it for milliseconds."""

WRITE: Mapping[str, Any] = {"worker_write": True}
SINGLE: Mapping[str, Any] = {"worker_write": True, "worker_single": True, "isolation_level": "AUTOCOMMIT"}
"""Execution options: SQLite takes its write lock at once; PostgreSQL needs no BEGIN for one statement."""

TRIES = 4
"""Times a refused transaction (locked, deadlock, serialization failure) is begun; then the caller hears of it (F09)."""


@dataclass
class Database:
    """One database by its SQLAlchemy URL. `now` is SQLite's clock (tests pass their own; PostgreSQL has one itself).

    Work is handed over as a function, because a refused transaction is begun anew. Raises DatabaseUnavailable for
    everything that may pass; after a failed `write` it is unknown whether the commit happened."""

    url: str
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    busy_seconds: float = BUSY_SECONDS
    server: ServerOptions = field(default_factory=ServerOptions)
    _engine: Engine | None = field(default=None, init=False, repr=False)
    _pid: int = field(default=0, init=False, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def read(self, work: Work[Answer]) -> Answer:
        """Run queries in one snapshot."""
        return self._run(work, {})

    def write(self, work: Work[Answer]) -> Answer:
        """Run statements in one transaction that no other writer overlaps (SQLite) or that locks its rows (PostgreSQL)."""
        return self._run(work, WRITE)

    def single(self, work: Work[Answer]) -> Answer:
        """Run exactly one statement that writes. On PostgreSQL it is its own transaction: one round trip, not three."""
        return self._run(work, WRITE if self.file is not None or self.server.transaction_pooler else SINGLE)

    def close(self) -> None:
        """Let all connections go; the next use opens new ones. Call it where a job ends (lesson 21)."""
        with self._guard:
            if self._engine is not None:
                self._engine.dispose(close=self._pid == os.getpid())
                self._engine = None

    def dedicated(self) -> Any:
        """A driver's connection of the caller's own, beside the pool, each statement its own transaction; close it."""
        try:
            proxy = self._live().raw_connection()
            connection: Any = proxy.driver_connection
            proxy.detach()
            connection.autocommit = True
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise unavailable(error) from error
        return connection

    @property
    def file(self) -> Path | None:
        """The embedded file, or None."""
        url = parsed(self.url)
        return Path(url.database or "") if url.get_backend_name() == "sqlite" else None

    def connection_count(self) -> int:
        """Connections in use now."""
        pool = self._engine.pool if self._engine is not None else None
        return pool.checkedout() if pool is not None else 0  # type: ignore[attr-defined]

    def _run(self, work: Work[Answer], options: Mapping[str, Any]) -> Answer:
        for tried in range(1, TRIES + 1):
            began = time.monotonic()
            try:
                return self._once(work, options)
            except IntegrityError:
                raise
            except DataError as error:
                # The value is at fault, not the database: asking again for ever would not help.
                words = " ".join(str(error.orig).split())[:300]
                raise InvalidPayload(f"the database can't keep a value: {words}") from error
            except DBAPIError as error:
                went_at_once = error.connection_invalidated and time.monotonic() - began < self.server.connect_seconds
                if went_at_once and not options and tried == 1:
                    # The connection went away. A read changes nothing, so it can begin anew on another one; not where a server
                    # hangs, which would keep it as long once more (`ServerOptions.longest_seconds`).
                    continue
                if tried == TRIES or not refused(error):
                    raise unavailable(error) from error
                # Spread out, or writers that collided once collide again.
                self.sleep(random.uniform(0.01, 0.05) * tried)  # noqa: S311 - pacing, not secrecy
            except SQLAlchemyError as error:
                raise unavailable(error) from error
        raise AssertionError("unreachable: the last try returns or raises")

    def _once(self, work: Work[Answer], options: Mapping[str, Any]) -> Answer:
        with self._live().connect() as opened:
            connection = opened.execution_options(**options)
            with connection.begin():
                answer = work(connection)
                if options:
                    check_file(connection)
            return answer

    def _live(self) -> Engine:
        with self._guard:
            if self._engine is not None and self._pid != os.getpid():
                # A child of fork: the sockets and file handles belong to the parent, so they are forgotten, not closed.
                self._engine.dispose(close=False)
                self._engine = None
            if self._engine is None:
                self._engine = open_engine(self.url, now=self.now, busy_seconds=self.busy_seconds, server=self.server)
                self._pid = os.getpid()
            return self._engine


# ---------------------------------------------------------------------- opening
@lru_cache(maxsize=16)
def parsed(url: str) -> URL:
    """The URL, with psycopg 3 as PostgreSQL's driver. Raises ConfigError."""
    try:
        made = make_url(url)
    except ArgumentError as error:
        raise ConfigError(
            "the database URL can't be read", fix="e.g. sqlite:////var/lib/x.db or postgresql://user@host/db"
        ) from error
    if made.drivername in ("postgres", "postgresql"):
        return made.set(drivername="postgresql+psycopg")
    if made.get_backend_name() == "sqlite" and made.database in (None, "", ":memory:"):
        raise ConfigError("the embedded database must be a file", fix="use sqlite:////path/to/file.db")
    if made.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(f"no adapter for {made.get_backend_name()} databases", fix="use sqlite or postgresql")
    return made


def open_engine(
    url: str,
    *,
    now: Callable[[], float],
    busy_seconds: float = BUSY_SECONDS,
    server: ServerOptions = ServerOptions(),  # noqa: B008 - frozen
    create: bool = False,
) -> Engine:
    """A small pool. `create` lets SQLite make the file: only migrations may."""
    made = parsed(url)
    if made.get_backend_name() == "sqlite":
        return open_file_engine(made, now=now, busy_seconds=busy_seconds, create=create, pool=server.pool)
    try:
        return open_server_engine(made, server)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"PostgreSQL needs the Python package {error.name!r}, which is not installed",
            fix="pip install 'mediaworker[postgres]'",
        ) from error


# ---------------------------------------------------------------------- words that differ between databases
def database_now(connection: Connection) -> float:
    """The database's clock. Asked after a row is locked, so that waiting for the lock is not forgotten."""
    return float(connection.execute(select(func.worker_now(type_=Double))).scalar_one())


def serialize(connection: Connection, name: str) -> None:
    """Let only one transaction at a time go on past this point. SQLite's writers are alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def upsert(
    connection: Connection,
    table: Table,
    values: Mapping[str, Any],
    *,
    keys: Sequence[str],
    update: Collection[str] = (),
    where: Callable[[Any], Any] | None = None,
) -> int:
    """Insert, or update the columns named when the key exists (none: leave it). `where` gets the new row and says
    whether the update may happen. Returns how many rows were written."""
    statement = _upsert(connection, table, keys, update, where).values(**values)
    # Counted by what comes back: drivers disagree about the row count of an upsert.
    return len(connection.execute(statement.returning(table.c[keys[0]])).all())


def upsert_all(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    keys: Sequence[str],
    update: Collection[str] = (),
) -> None:
    """As `upsert`, of many rows that have the same columns, with one command of the driver."""
    if rows:
        connection.execute(_upsert(connection, table, keys, update), [dict(row) for row in rows])


def insert_new(connection: Connection, table: Table, values: Mapping[str, Any], *, returning: str) -> bool:
    """Insert unless any unique index has something against it. Whether it was inserted."""
    statement = _insert(connection, table).values(**values).on_conflict_do_nothing()
    return bool(connection.execute(statement.returning(table.c[returning])).all())


def _upsert(
    connection: Connection,
    table: Table,
    keys: Sequence[str],
    update: Collection[str],
    where: Callable[[Any], Any] | None = None,
) -> Any:
    statement = _insert(connection, table)
    if not update:
        return statement.on_conflict_do_nothing(index_elements=list(keys))
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=list(keys),
        set_={column: new[column] for column in update},
        where=where(new) if where else None,
    )


def _insert(connection: Connection, table: Table) -> Any:
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert

        return insert(table)
    from sqlalchemy.dialects.sqlite import insert as insert_here

    return insert_here(table)
