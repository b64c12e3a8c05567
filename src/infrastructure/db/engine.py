"""Short transactions on one database, and the only place that knows which database it is.

A SQLite file is opened, never created, here: a file that went away during a job must not come back empty. Connections
are counted, recycled after a fork, and refused when the file under them was removed or replaced.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Double, Engine, Table, create_engine, event, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError, TimeoutError as PoolTimeout

from src.domain.errors import ConfigError, DatabaseUnavailable

Answer = TypeVar("Answer")
Work = Callable[[Connection], Answer]

BUSY_SECONDS = 2.0
"""How long SQLite itself waits for another writer before a transaction counts as refused; writers hold it for milliseconds."""

TRIES = 4
"""Times a refused transaction (locked, deadlock, serialization failure) is begun; then the caller hears of it (F09)."""

POOL_SIZE = 2
POOL_OVERFLOW = 6
POOL_SECONDS = 10.0
"""Two connections stay open, eight at most: a worker has a handful of threads, and lesson 21 is about budgets."""

REFUSED = frozenset({"40001", "40P01", "55P03"})
"""PostgreSQL: serialization failure, deadlock, lock not available. The transaction was rolled back, whole."""


@dataclass
class Database:
    """One database by its SQLAlchemy URL. `now` is SQLite's clock (tests pass their own; PostgreSQL has one itself).

    Work is handed over as a function, because a refused transaction is begun anew. Raises DatabaseUnavailable for
    everything that may pass; after a failed `write` it is unknown whether the commit happened."""

    url: str
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    busy_seconds: float = BUSY_SECONDS
    _engine: Engine | None = field(default=None, init=False, repr=False)
    _pid: int = field(default=0, init=False, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def read(self, work: Work[Answer]) -> Answer:
        """Run queries in one snapshot."""
        return self._run(work, write=False)

    def write(self, work: Work[Answer]) -> Answer:
        """Run statements in one transaction that no other writer overlaps (SQLite) or that locks its rows (PostgreSQL)."""
        return self._run(work, write=True)

    def close(self) -> None:
        """Let all connections go; the next use opens new ones. Call it where a job ends (lesson 21)."""
        with self._guard:
            if self._engine is not None:
                self._engine.dispose(close=self._pid == os.getpid())
                self._engine = None

    def bare(self, statement: str) -> None:
        """Run one statement outside a transaction, as some settings of a database need."""
        try:
            with closing(self._live().raw_connection()) as connection:
                connection.cursor().execute(statement)
        except (DBAPIError, sqlite3.Error) as error:
            # A raw connection's errors are the driver's own.
            raise unavailable(error) from error

    @property
    def file(self) -> Path | None:
        """The embedded file, or None."""
        url = parsed(self.url)
        return Path(url.database or "") if url.get_backend_name() == "sqlite" else None

    def connection_count(self) -> int:
        """Connections in use now."""
        pool = self._engine.pool if self._engine is not None else None
        return pool.checkedout() if pool is not None else 0  # type: ignore[attr-defined]

    def _run(self, work: Work[Answer], *, write: bool) -> Answer:
        for tried in range(1, TRIES + 1):
            try:
                return self._once(work, write=write)
            except (IntegrityError, PoolTimeout):
                raise
            except DBAPIError as error:
                if tried == TRIES or not _refused(error):
                    raise unavailable(error) from error
                # Spread out, or writers that collided once collide again.
                self.sleep(random.uniform(0.01, 0.05) * tried)  # noqa: S311 - pacing, not secrecy
            except SQLAlchemyError as error:
                raise unavailable(error) from error
        raise AssertionError("unreachable: the last try returns or raises")

    def _once(self, work: Work[Answer], *, write: bool) -> Answer:
        try:
            with self._live().connect() as opened:
                connection = opened.execution_options(worker_write=write)
                with connection.begin():
                    answer = work(connection)
                    if write:
                        check_file(connection)
                return answer
        except PoolTimeout as error:
            raise unavailable(error) from error

    def _live(self) -> Engine:
        with self._guard:
            if self._engine is not None and self._pid != os.getpid():
                # A child of fork: the sockets and file handles belong to the parent, so they are forgotten, not closed.
                self._engine.dispose(close=False)
                self._engine = None
            if self._engine is None:
                self._engine, self._pid = (
                    open_engine(self.url, now=self.now, busy_seconds=self.busy_seconds),
                    os.getpid(),
                )
            return self._engine


# ---------------------------------------------------------------------- opening
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
    url: str, *, now: Callable[[], float], busy_seconds: float = BUSY_SECONDS, create: bool = False
) -> Engine:
    """A small pool. `create` lets SQLite make the file: only migrations may."""
    made = parsed(url)
    pool = {"pool_size": POOL_SIZE, "max_overflow": POOL_OVERFLOW, "pool_timeout": POOL_SECONDS}
    if made.get_backend_name() != "sqlite":
        return create_engine(made, pool_pre_ping=True, **pool)
    path = Path(made.database or "").absolute()

    def connect() -> sqlite3.Connection:
        return _open_file(path, now=now, busy_seconds=busy_seconds, create=create)

    engine = create_engine(made, creator=connect, **pool)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "connect", _remember_file(path))
    event.listen(engine, "checkout", _check_checkout)
    return engine


def _open_file(path: Path, *, now: Callable[[], float], busy_seconds: float, create: bool) -> sqlite3.Connection:
    address = f"file:{quote(str(path))}?mode={'rwc' if create else 'rw'}"
    connection = sqlite3.connect(
        address, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.create_function("worker_now", 0, now)
    # FULL: a commit that was answered survives a power cut, which is what an acknowledged message relies on.
    for pragma in ("foreign_keys=ON", "synchronous=FULL", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _begin(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: a read that turns into a write later could only fail with "locked".
    write = connection.get_execution_options().get("worker_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _remember_file(path: Path) -> Callable[[Any, Any], None]:
    def remember(_connection: Any, record: Any) -> None:
        record.info["file"] = path, _identity(path)

    return remember


def _check_checkout(_connection: Any, record: Any, _proxy: Any) -> None:
    path, identity = record.info["file"]
    _check_identity(path, identity, record.invalidate)


def check_file(connection: Connection) -> None:
    """Refuse to commit into a file that is no longer at its path: SQLite would write to the removed one and say yes."""
    info = connection.info.get("file")
    if info is not None:
        path, identity = info
        _check_identity(path, identity, connection.invalidate)


def _check_identity(path: Path, identity: tuple[int, int] | None, invalidate: Callable[[], None]) -> None:
    if _identity(path) != identity:
        invalidate()
        raise DatabaseUnavailable(
            f"the database file {path.name} was removed or replaced while it was in use",
            fix="put the file back, or stop the workers before replacing it",
        )


# ---------------------------------------------------------------------- errors
def _refused(error: DBAPIError) -> bool:
    name = str(getattr(error.orig, "sqlite_errorname", ""))
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or getattr(error.orig, "sqlstate", None) in REFUSED


def unavailable(error: SQLAlchemyError | sqlite3.Error) -> DatabaseUnavailable:
    """Say what happened in words; parameters and statements stay out, they may hold payloads."""
    if isinstance(error, PoolTimeout):
        return DatabaseUnavailable(f"no free database connection within {POOL_SECONDS:g} s")
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    name = str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or type(cause).__name__)
    words = str(cause).strip().splitlines()[0][:300] if str(cause).strip() else type(cause).__name__
    return DatabaseUnavailable(f"the database did not answer as it should: {words} [{name}]", fix=_fix(name, words))


def _fix(name: str, words: str) -> str | None:
    if "no such table" in words or name == "42P01":
        return "run: mediaworker db upgrade"
    if name.startswith(("SQLITE_FULL", "53100")):
        return "free space on the database's disk"
    if name.startswith(("SQLITE_READONLY", "25006")):
        return "make the database writable for this user"
    if name.startswith("SQLITE_CANTOPEN"):
        return "check that the file and its folder exist and may be opened; mediaworker db upgrade creates it"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return "restore the file from a backup (`sqlite3 FILE .recover` may save rows), or point database.url elsewhere"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "find the process that holds the database's write lock"
    return None


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
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    statement = insert(table).values(**values)
    if update:
        new = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=list(keys),
            set_={column: new[column] for column in update},
            where=where(new) if where else None,
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(keys))
    # Counted by what comes back: drivers disagree about the row count of an upsert.
    return len(connection.execute(statement.returning(table.c[keys[0]])).all())
