"""What adapters that keep a file of SQLite share."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable

from src.domain.errors import ConfigError

PRIMARY = 0xFF
"""Of an extended error code."""


def write_ahead(connection: sqlite3.Connection, *, seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Have the file write ahead, so that readers and one writer do not wait for each other; the file remembers it.

    Several may begin at once, and waiting is our own: of two connections that both want to go from reading to writing,
    SQLite turns one away at once, whatever its busy timeout (sqlite.org/c3ref/busy_handler.html). Raises sqlite3.Error,
    after `seconds` of others standing in the way too; ConfigError where the file system can't."""
    ends = time.monotonic() + seconds
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY != sqlite3.SQLITE_BUSY or time.monotonic() >= ends:
                raise
            # Spread out, or those that collided once collide again.
            sleep(random.uniform(0.005, 0.05))  # noqa: S311 - pacing, not secrecy
    if mode != "wal":
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        raise ConfigError(
            f"SQLite can't write ahead in {path}: the file system gives no memory that processes share",
            fix="set WORKER_DATA_DIR to a folder on a local disk",
        )
