"""Connections to an embedded file: opened, never created by a worker, and refused when the file was removed or replaced."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from src.domain.errors import DatabaseUnavailable
from src.infrastructure.db.errors import unavailable
from src.infrastructure.sqlite_file import write_ahead


def open_file_engine(
    url: URL, *, now: Callable[[], float], busy_seconds: float, create: bool, pool: Mapping[str, Any]
) -> Engine:
    """A small pool of connections to one file. `create` lets SQLite make it: only migrations may."""
    path = Path(url.database or "").absolute()

    def connect() -> sqlite3.Connection:
        return _open_file(path, now=now, busy_seconds=busy_seconds, create=create)

    engine = create_engine(url, creator=connect, **pool)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "connect", _remember_file(path))
    event.listen(engine, "checkout", _check_checkout)
    return engine


def create_file(path: Path, *, busy_seconds: float) -> None:
    """Have a file that writes ahead; others may do the same now. Raises ConfigError, DatabaseUnavailable."""
    try:
        with closing(_open_file(path, now=time.time, busy_seconds=busy_seconds, create=True)) as connection:
            write_ahead(connection, seconds=busy_seconds)
    except sqlite3.Error as error:
        raise unavailable(error) from error


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
