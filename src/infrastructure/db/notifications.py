"""Hearing of PostgreSQL's NOTIFY: a hint that ends a wait early, never a promise."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from src.domain.errors import ConfigError, DatabaseUnavailable
from src.infrastructure.db.engine import Database

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger(__name__)

TRIAL_SECONDS = 2.0
"""A notification of our own must arrive within this, or none will (PgBouncer in transaction mode says yes to LISTEN, and
then nobody listens)."""

PAUSE_SECONDS = 60.0
"""Between two attempts where notifications do not get through; after a lost connection the first is made at once."""


@dataclass
class Listener:
    """One connection beside the pool that hears of one channel. Used by one thread; `close` may come from another."""

    database: Database
    channel: str
    _connection: psycopg.Connection | None = field(default=None, init=False, repr=False)
    _pid: int = field(default=0, init=False, repr=False)
    _not_before: float = field(default=0.0, init=False, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def open(self) -> bool:
        """Whether publishes are heard from now on. Never raises: without ears one polls."""
        with self._guard:
            return self._open()

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until somebody published. False when nothing can be heard: then nothing was waited for. True at
        once when it could not hear until now: what was published meanwhile has to be looked for."""
        with self._guard:
            connection = self._connection if self._pid == os.getpid() else None
            if connection is None:
                return self._open()
            try:
                self._hear(connection, seconds)
                # What was published together is answered by one look.
                self._hear(connection, 0.0)
            except connection.Error as error:
                log.info("queue.wakeups_lost", extra={"error": str(error), "then": "it polls until they are back"})
                self._drop()
                return False
            return True

    def close(self) -> None:
        """Hear no more."""
        with self._guard:
            self._drop()
            self._not_before = 0.0

    def _open(self) -> bool:
        if self._connection is not None and self._pid == os.getpid():
            return True
        # A connection of the parent of a fork is forgotten, not closed: it is not ours.
        self._connection = None
        if self.database.server.transaction_pooler or time.monotonic() < self._not_before:
            return False
        self._not_before = time.monotonic() + PAUSE_SECONDS
        try:
            self._connect()
        except (DatabaseUnavailable, ConfigError) as error:
            log.info("queue.no_wakeups", extra={"error": str(error), "then": "it polls"})
            self._drop()
        return self._connection is not None

    def _connect(self) -> None:
        connection = self.database.dedicated()
        self._connection, self._pid = connection, os.getpid()
        trial = f"mediaworker_trial_{uuid.uuid4().hex[:16]}"
        try:
            connection.execute(f'LISTEN "{trial}"')
            self.database.single(lambda other: other.exec_driver_sql("SELECT pg_notify(%s, '')", (trial,)))
            heard = self._hear(connection, TRIAL_SECONDS)
            connection.execute(f'UNLISTEN "{trial}"')
            connection.execute(f'LISTEN "{self.channel}"')
        except connection.Error as error:
            raise DatabaseUnavailable(f"LISTEN failed: {error}") from error
        if not heard:
            raise DatabaseUnavailable("LISTEN was accepted, but no notification arrives")
        self._not_before = 0.0

    @staticmethod
    def _hear(connection: psycopg.Connection, seconds: float) -> bool:
        return any(True for _heard in connection.notifies(timeout=seconds, stop_after=1))

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            with suppress(connection.Error):
                connection.close()
