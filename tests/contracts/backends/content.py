"""Where content records, sessions, the SSD tier's index and daily figures are, each place with its own way to fill it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import text

from src.application.ports.content import Contents
from src.infrastructure.db.content_tables import media_contents
from src.infrastructure.db.contents import SqlContents
from src.infrastructure.http.api import Api
from src.infrastructure.http.contents import HttpContents
from src.infrastructure.memory.contents import MemoryContents
from tests.contracts.backends.postgres import postgres_state
from tests.contracts.backends.sql import SqlState, sqlite_state
from tests.fakes.clock import FrozenClock
from tests.servers.platform_api import TOKEN, PlatformApi


class ContentPlace(Protocol):
    """One platform."""

    def contents(self) -> Contents: ...
    def add(self, content_id: str, **record: Any) -> None: ...
    def close(self) -> None: ...


@dataclass
class MemoryPlatform:
    """In memory."""

    clock: FrozenClock
    kept: MemoryContents = field(default_factory=MemoryContents)

    def contents(self) -> Contents:
        """A handle."""
        return self.kept

    def add(self, content_id: str, **record: Any) -> None:
        """A record."""
        self.kept.rows[content_id] = dict(record)

    def close(self) -> None:
        """Nothing to do."""


@dataclass
class SqlPlatform:
    """Our own tables."""

    state: SqlState

    def contents(self) -> Contents:
        """A handle."""
        return SqlContents(database=self.state.database())

    def add(self, content_id: str, **record: Any) -> None:
        """A row."""
        self.state.database().write(
            lambda connection: connection.execute(media_contents.insert().values(id=content_id, **record))
        )

    def close(self) -> None:
        """The database goes."""
        self.state.close()


@dataclass
class ForeignPlatform(SqlPlatform):
    """Tables of the platform's own, with its own names and kinds of columns."""

    id_type: str = "bigint"

    def __post_init__(self) -> None:
        statement = (
            f'CREATE TABLE "Films" (no {self.id_type} PRIMARY KEY, path text, len numeric(12, 3), video_codec text,'
        )
        statement += " audio_codec text, res text, file_size bigint, title text)"
        self.state.database().write(lambda connection: connection.execute(text(statement)))

    def contents(self) -> Contents:
        """A handle."""
        columns = {"id": "no", "file_path": "path", "resolution": "res", "duration_seconds": "len"}
        return SqlContents(database=self.state.database(), table="Films", columns=columns)

    def add(self, content_id: str, **record: Any) -> None:
        """A row."""
        statement = text('INSERT INTO "Films" (no, path, title) VALUES (:no, :path, :title)')
        values = {"no": content_id, "path": record.get("file_path"), "title": record.get("title")}
        self.state.database().write(lambda connection: connection.execute(statement, values))


@dataclass
class HttpPlatform:
    """Behind an API."""

    api: PlatformApi

    def contents(self) -> Contents:
        """A handle."""
        return HttpContents(Api(url=self.api.url, token=TOKEN, timeout_seconds=5))

    def add(self, content_id: str, **record: Any) -> None:
        """A record."""
        self.api.contents[content_id] = dict(record)

    def close(self) -> None:
        """The server stops."""
        self.api.close()


def sqlite_platform(clock: FrozenClock, folder: Path) -> SqlPlatform:
    """Embedded."""
    return SqlPlatform(sqlite_state(clock, folder))


def postgres_platform(clock: FrozenClock, folder: Path) -> SqlPlatform:
    """On the server."""
    return SqlPlatform(postgres_state(clock, folder))


def foreign_platform(clock: FrozenClock, folder: Path) -> SqlPlatform:
    """On the server, with names and types that are not ours."""
    return ForeignPlatform(postgres_state(clock, folder))


def http_platform(_clock: FrozenClock, _folder: Path) -> HttpPlatform:
    """A server of this test's own."""
    return HttpPlatform(PlatformApi().start())


PLATFORMS: Mapping[str, Any] = {
    "memory": lambda clock, _folder: MemoryPlatform(clock),
    "sqlite": sqlite_platform,
    "postgres": postgres_platform,
    "foreign": foreign_platform,
    "http": http_platform,
}
"""{name: (clock, folder) -> ContentPlace}. `foreign` is `postgres` with a table that we did not make."""
