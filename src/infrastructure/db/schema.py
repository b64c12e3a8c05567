"""Bring a database to the tables this version needs. Alembic is imported only when there is something to do."""

from __future__ import annotations

import io
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from src.domain.errors import ConfigError, DatabaseUnavailable
from src.infrastructure.db.engine import Database, open_engine, parsed, serialize
from src.infrastructure.db.errors import setup_error, unavailable
from src.infrastructure.db.server import ServerOptions
from src.infrastructure.db.sqlite import create_file

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0014"
"""The newest revision under migrations/versions (a test compares)."""

MIGRATE_SECONDS = 3600.0

CREATE_BUSY_SECONDS = 30.0
"""Workers that start together wait for the one that migrates."""


def schema_version(url: str, server: ServerOptions = ServerOptions()) -> str | None:  # noqa: B008 - frozen
    """The revision a database is at; None when it has no tables yet, or is an embedded file that does not exist.
    Raises ConfigError for a wrong address, password or name; DatabaseUnavailable."""
    database = Database(url, server=server)
    if database.file is not None and not database.file.exists():
        return None
    try:
        return database.read(schema_at)
    except DatabaseUnavailable as error:
        if (mistake := setup_error(error)) is None:
            raise
        raise mistake from error
    finally:
        database.close()


def newer(version: str | None) -> bool:
    """Whether a revision is later than this version's."""
    return version is not None and version > HEAD


def upgrade(url: str, server: ServerOptions = ServerOptions()) -> str:  # noqa: B008 - frozen
    """Create or migrate, once, with any number of processes trying; the revision it is at now. Raises ConfigError for
    a database of a newer version, DatabaseUnavailable."""
    made = parsed(url)
    if made.get_backend_name() == "sqlite":
        _create_file(Path(made.database or ""))
    if (version := schema_version(url, server)) == HEAD:
        return HEAD
    if newer(version):
        raise ConfigError(
            f"the database is at revision {version}, this version knows {HEAD}", fix="upgrade mediaworker"
        )
    # A big table's index takes longer than any statement of a worker may.
    patient = replace(server, statement_seconds=MIGRATE_SECONDS, lock_seconds=CREATE_BUSY_SECONDS)
    engine = open_engine(url, now=time.time, busy_seconds=CREATE_BUSY_SECONDS, create=True, server=patient)
    try:
        with engine.connect() as opened:
            connection = opened.execution_options(worker_write=True)
            with connection.begin():
                serialize(connection, "mediaworker.schema")
                _migrate(connection)
    except DBAPIError as error:
        raise setup_error(error) or unavailable(error) from error
    finally:
        engine.dispose()
    return HEAD


def sql(url: str) -> str:
    """The statements that `upgrade` would run on an empty database, for those who let nobody else run them."""
    from alembic import command

    written = io.StringIO()
    config = _config()
    config.output_buffer = written
    config.attributes["url"] = parsed(url).render_as_string(hide_password=False)
    command.upgrade(config, HEAD, sql=True)
    return written.getvalue()


def schema_at(connection: Connection) -> str | None:
    """The revision of the database that a connection leads to; None without tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _create_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Empty and private first: the rows hold payloads, and SQLite would follow the umask. Never when it exists: closing
        # any descriptor of the file drops this process's POSIX locks on it, another process then deletes the WAL under
        # our open connections, and they read the past for ever (sqlite.org/howtocorrupt.html 2.2).
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigError(
            f"can't create the database file {path}: {error.strerror}", fix="set WORKER_DATA_DIR to a writable folder"
        ) from error
    create_file(path.absolute(), busy_seconds=CREATE_BUSY_SECONDS)


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _migrate(connection: Connection) -> None:
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, HEAD)
    except OSError as error:
        raise DatabaseUnavailable(f"the migrations can't be read: {error}") from error
