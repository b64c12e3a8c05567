"""The databases that the settings name."""

from __future__ import annotations

from pathlib import Path

from src.infrastructure.db.engine import Database
from src.infrastructure.db.schema import schema_version
from src.infrastructure.db.server import ServerOptions
from src.interfaces.wiring.queues import queue_misfit
from src.interfaces.wiring.settings import Settings


def server_options(settings: Settings) -> ServerOptions:
    """How a server is spoken to."""
    return ServerOptions(
        pool_size=settings.database.pool_size,
        max_connections=settings.database.max_connections,
        connect_seconds=settings.database.connect_seconds,
        statement_seconds=settings.database.statement_seconds,
        lock_seconds=settings.database.lock_seconds,
        transaction_pooler=settings.database.pooler == "transaction",
    )


def queue_database(settings: Settings, ledger: Database) -> Database:
    """Where the queue's table is: the ledger's database, or one of its own. Raises ConfigError where it can't be there."""
    if (misfit := queue_misfit(settings)) is not None:
        raise misfit
    if settings.queue_database_url == settings.database_url:
        return ledger
    return Database(
        settings.queue_database_url, busy_seconds=settings.database.busy_seconds, server=server_options(settings)
    )


def absent_file(settings: Settings) -> Path | None:
    """Where the embedded database should be, if it is not there or nobody has made its tables yet."""
    if settings.ledger.backend != "database" or not settings.database_url.startswith("sqlite:"):
        return None
    return Database(settings.database_url).file if schema_version(settings.database_url) is None else None
