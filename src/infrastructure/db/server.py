"""Connections to a PostgreSQL server: few, watched, with an end to every wait, and fit for a pooler in between."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import InvalidatePoolError

APPLICATION = "mediaworker"

KEEPALIVE: Mapping[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""A cut that nobody told us of is noticed within a minute when idle, 30 s (milliseconds here) after something was sent
(lesson 17)."""

SLACK_SECONDS = 10.0
"""By which we wait longer for an answer than the server may take for it."""

IDLE_SECONDS = 2.0
"""A connection that was used longer ago is tried before it is used again."""

IDLE_TRANSACTION_SECONDS = 60.0
"""A worker that is stopped inside a transaction loses it, so that its row locks do not outlive its lease by much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How a server is spoken to. What the URL says itself wins over all of these."""

    pool_size: int = 4
    """connections kept open by one process"""
    max_connections: int = 8
    """most connections of one process (lesson 21); the queue's wake-up takes one more"""
    pool_seconds: float = 10.0
    """longest wait for one of them"""
    connect_seconds: float = 5.0
    statement_seconds: float = 30.0
    lock_seconds: float = 5.0
    """longest wait for a row that another transaction holds"""
    transaction_pooler: bool = False
    """PgBouncer in transaction mode is in between: no prepared statements, no session settings, no LISTEN"""

    @property
    def longest_seconds(self) -> float:
        """For so long a server that hangs keeps whoever asks it for something."""
        return self.pool_seconds + self.connect_seconds + self.statement_seconds + SLACK_SECONDS

    @property
    def pool(self) -> Mapping[str, Any]:
        """For SQLAlchemy's pool."""
        kept = min(self.pool_size, self.max_connections)
        # The one that was used last comes first: it is warm, and its statements are prepared.
        more = self.max_connections - kept
        return {"pool_size": kept, "max_overflow": more, "pool_timeout": self.pool_seconds, "pool_use_lifo": True}


def open_server_engine(url: URL, options: ServerOptions) -> Engine:
    """A small pool of connections to one server. One that lay idle is tried before it is used, so that a restart or an
    idle cut costs nobody a transaction (lesson 17)."""
    engine = create_engine(url, connect_args=connect_arguments(url, options), **options.pool)
    event.listen(engine, "do_connect", _connect(options.statement_seconds + SLACK_SECONDS))
    event.listen(engine, "checkin", _remember)
    event.listen(engine, "checkout", _try_if_idle(engine))
    if options.transaction_pooler:
        event.listen(engine, "begin", _limit_transaction(_limits(options)))
    return engine


def _connect(answer_seconds: float) -> Callable[..., Any]:
    from src.infrastructure.db.bounded import BoundedConnection
    from src.infrastructure.db.loaders import read_any_time

    def connect(_dialect: Any, _record: Any, positional: list[Any], named: dict[str, Any]) -> Any:
        connection = BoundedConnection.connect(*positional, **named)
        connection.answer_seconds = answer_seconds
        read_any_time(connection)
        return connection

    return connect


def _remember(_connection: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _try_if_idle(engine: Engine) -> Callable[[Any, Any, Any], None]:
    def attempt(connection: Any, record: Any, _proxy: Any) -> None:
        # Not every time, as SQLAlchemy's own pre-ping does: a busy queue would spend a third of its time on it.
        if time.monotonic() - record.info.get("used", math.inf) < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            # The others went the same way.
            raise InvalidatePoolError from error

    return attempt


def connect_arguments(url: URL, options: ServerOptions) -> dict[str, Any]:
    """For psycopg's connect, beside what the URL says."""
    wanted = {"connect_timeout": max(2, round(options.connect_seconds)), "application_name": APPLICATION, **KEEPALIVE}
    made = {name: value for name, value in wanted.items() if name not in url.query}
    if options.transaction_pooler:
        # The next transaction may be on another server connection, which knows nothing of what this one prepared or set.
        made["prepare_threshold"] = None
        return made
    own = [f"-c {name}={milliseconds}" for name, milliseconds in _limits(options).items()]
    theirs = url.query.get("options", "")
    # The last word counts: theirs.
    made["options"] = " ".join([*own, *([theirs] if isinstance(theirs, str) else theirs)]).strip()
    return made


def _limits(options: ServerOptions) -> dict[str, int]:
    return {
        "statement_timeout": round(options.statement_seconds * 1000),
        "lock_timeout": round(options.lock_seconds * 1000),
        "idle_in_transaction_session_timeout": round(IDLE_TRANSACTION_SECONDS * 1000),
    }


def _limit_transaction(limits: Mapping[str, int]) -> Any:
    statement = "; ".join(f"SET LOCAL {name} = {milliseconds}" for name, milliseconds in limits.items())

    def limit(connection: Connection) -> None:
        if not connection.get_execution_options().get("worker_single", False):
            connection.exec_driver_sql(statement)

    return limit
