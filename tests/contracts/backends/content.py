"""Where content records, sessions, the SSD tier's index and daily figures are, each place with its own way to fill it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import text

from src.application.ports.auth import Sessions
from src.application.ports.cache import CacheIndex
from src.application.ports.content import Contents
from src.application.ports.statistics import Statistics
from src.infrastructure.db.cached_content import SqlCacheIndex
from src.infrastructure.db.content_tables import media_contents, media_sessions, media_views
from src.infrastructure.db.contents import SqlContents
from src.infrastructure.db.sessions import SqlSessions
from src.infrastructure.db.statistics import SqlStatistics
from src.infrastructure.http.api import Api
from src.infrastructure.http.contents import HttpContents
from src.infrastructure.http.sessions import HttpSessions
from src.infrastructure.memory.cached_content import MemoryCacheIndex
from src.infrastructure.memory.contents import MemoryContents
from src.infrastructure.memory.platform import MemorySessions, MemoryStatistics, View
from tests.contracts.backends.postgres import postgres_state
from tests.contracts.backends.sql import SqlState, sqlite_state
from tests.fakes.clock import FrozenClock
from tests.servers.platform_api import TOKEN, PlatformApi


class ContentPlace(Protocol):
    """One platform. `makes_records`: those of films that nobody entered."""

    makes_records: bool

    def contents(self) -> Contents: ...
    def add(self, content_id: str, **record: Any) -> None: ...
    def close(self) -> None: ...


@dataclass
class MemoryPlatform:
    """In memory."""

    clock: FrozenClock
    kept: MemoryContents = field(default_factory=MemoryContents)
    makes_records = False

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
    makes_records = True

    def contents(self) -> Contents:
        """A handle."""
        return SqlContents(database=self.state.database(), makes_records=True)

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
    makes_records = False

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
    makes_records = False

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


class SessionPlace(Protocol):
    """Where sign-in sessions are, all with one clock."""

    def sessions(self) -> Sessions: ...
    def sign_in(self, name: str, expires: float) -> None: ...
    def names(self) -> list[str]: ...
    def close(self) -> None: ...


@dataclass
class MemorySessionPlace:
    """In memory."""

    clock: FrozenClock
    kept: MemorySessions = field(init=False)

    def __post_init__(self) -> None:
        self.kept = MemorySessions(self.clock)

    def sessions(self) -> Sessions:
        """A handle."""
        return self.kept

    def sign_in(self, name: str, expires: float) -> None:
        """A session."""
        self.kept.expires[name] = expires

    def names(self) -> list[str]:
        """Who is left."""
        return sorted(self.kept.expires)

    def close(self) -> None:
        """Nothing to do."""


@dataclass
class SqlSessionPlace:
    """Our own table."""

    state: SqlState
    table: str = "media_sessions"
    key: str = "id"

    def sessions(self) -> Sessions:
        """A handle."""
        return SqlSessions(database=self.state.database())

    def sign_in(self, name: str, expires: float) -> None:
        """A row."""
        values = {"id": name, "user_id": "u1", "expires_at": expires}
        self.state.database().write(lambda connection: connection.execute(media_sessions.insert().values(**values)))

    def names(self) -> list[str]:
        """Who is left."""
        query = text(f'SELECT "{self.key}" FROM "{self.table}" ORDER BY 1')  # noqa: S608 - the test's own names
        return list(self.state.database().read(lambda connection: connection.execute(query).scalars().all()))

    def close(self) -> None:
        """The database goes."""
        self.state.close()


@dataclass
class ForeignSessionPlace(SqlSessionPlace):
    """A table of the platform's own, with time stamps."""

    table: str = "Logins"
    key: str = "token"

    def __post_init__(self) -> None:
        kind = "timestamptz" if self.state.url.startswith("postgresql") else "text"
        statement = text(f'CREATE TABLE "Logins" (token text PRIMARY KEY, until {kind} NOT NULL)')
        self.state.database().write(lambda connection: connection.execute(statement))

    def sessions(self) -> Sessions:
        """A handle."""
        return SqlSessions(
            database=self.state.database(), table="Logins", key="token", expires="until", times="timestamp"
        )

    def sign_in(self, name: str, expires: float) -> None:
        """A row."""
        at = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%d %H:%M:%S")
        at += "+00" if self.state.url.startswith("postgresql") else ""
        statement = text('INSERT INTO "Logins" (token, until) VALUES (:token, :until)')
        self.state.database().write(lambda connection: connection.execute(statement, {"token": name, "until": at}))


@dataclass
class HttpSessionPlace:
    """Behind an API."""

    api: PlatformApi
    clock: FrozenClock

    def sessions(self) -> Sessions:
        """A handle."""
        self.api.now = self.clock.now()
        return HttpSessions(Api(url=self.api.url, token=TOKEN, timeout_seconds=5))

    def sign_in(self, name: str, expires: float) -> None:
        """A session."""
        self.api.sessions[name] = expires

    def names(self) -> list[str]:
        """Who is left."""
        return sorted(self.api.sessions)

    def close(self) -> None:
        """The server stops."""
        self.api.close()


SESSIONS: Mapping[str, Any] = {
    "memory": lambda clock, _folder: MemorySessionPlace(clock),
    "sqlite": lambda clock, folder: SqlSessionPlace(sqlite_state(clock, folder)),
    "postgres": lambda clock, folder: SqlSessionPlace(postgres_state(clock, folder)),
    "foreign": lambda clock, folder: ForeignSessionPlace(postgres_state(clock, folder)),
    "foreign_file": lambda clock, folder: ForeignSessionPlace(sqlite_state(clock, folder)),
    "http": lambda clock, _folder: HttpSessionPlace(PlatformApi().start(), clock),
}
"""{name: (clock, folder) -> SessionPlace}"""


class StatisticsPlace(Protocol):
    """Where views are, and the figures go."""

    def statistics(self) -> Statistics: ...
    def watch(self, content_id: str, user_id: str | None, seconds: float, at: float) -> None: ...
    def close(self) -> None: ...


@dataclass
class MemoryStatisticsPlace:
    """In memory."""

    kept: MemoryStatistics = field(default_factory=MemoryStatistics)

    def statistics(self) -> Statistics:
        """A handle."""
        return self.kept

    def watch(self, content_id: str, user_id: str | None, seconds: float, at: float) -> None:
        """A view."""
        self.kept.views.append(View(content_id, user_id, seconds, at))

    def close(self) -> None:
        """Nothing to do."""


@dataclass
class SqlStatisticsPlace:
    """Our own tables."""

    state: SqlState

    def statistics(self) -> Statistics:
        """A handle."""
        return SqlStatistics(database=self.state.database(), platform=self.state.database())

    def watch(self, content_id: str, user_id: str | None, seconds: float, at: float) -> None:
        """A row."""
        values = {"content_id": content_id, "user_id": user_id, "watched_seconds": seconds, "viewed_at": at}
        self.state.database().write(lambda connection: connection.execute(media_views.insert().values(**values)))

    def close(self) -> None:
        """The database goes."""
        self.state.close()


@dataclass
class ForeignStatisticsPlace(SqlStatisticsPlace):
    """Views of the platform's own, with time stamps and numbers for ids."""

    def __post_init__(self) -> None:
        statement = text("CREATE TABLE plays (film text, viewer text, secs numeric, at timestamptz)")
        self.state.database().write(lambda connection: connection.execute(statement))

    def statistics(self) -> Statistics:
        """A handle."""
        columns = {"content_id": "film", "user_id": "viewer", "watched_seconds": "secs", "viewed_at": "at"}
        database = self.state.database()
        return SqlStatistics(database=database, platform=database, table="plays", columns=columns, times="timestamp")

    def watch(self, content_id: str, user_id: str | None, seconds: float, at: float) -> None:
        """A row."""
        statement = text("INSERT INTO plays VALUES (:film, :viewer, :secs, to_timestamp(:at))")
        values = {"film": content_id, "viewer": user_id, "secs": seconds, "at": at}
        self.state.database().write(lambda connection: connection.execute(statement, values))


STATISTICS: Mapping[str, Any] = {
    "memory": lambda _clock, _folder: MemoryStatisticsPlace(),
    "sqlite": lambda clock, folder: SqlStatisticsPlace(sqlite_state(clock, folder)),
    "postgres": lambda clock, folder: SqlStatisticsPlace(postgres_state(clock, folder)),
    "foreign": lambda clock, folder: ForeignStatisticsPlace(postgres_state(clock, folder)),
}
"""{name: (clock, folder) -> StatisticsPlace}"""


class IndexPlace(Protocol):
    """Where the SSD tier's index is."""

    def cache_index(self) -> CacheIndex: ...
    def close(self) -> None: ...


@dataclass
class MemoryIndex:
    """In memory."""

    kept: MemoryCacheIndex = field(default_factory=MemoryCacheIndex)

    def cache_index(self) -> CacheIndex:
        """A handle."""
        return self.kept

    def close(self) -> None:
        """Nothing to do."""


@dataclass
class SqlIndex:
    """A table."""

    state: SqlState

    def cache_index(self) -> CacheIndex:
        """A handle."""
        return SqlCacheIndex(self.state.database())

    def close(self) -> None:
        """The database goes."""
        self.state.close()


INDEXES: Mapping[str, Any] = {
    "memory": lambda _clock, _folder: MemoryIndex(),
    "sqlite": lambda clock, folder: SqlIndex(sqlite_state(clock, folder)),
    "postgres": lambda clock, folder: SqlIndex(postgres_state(clock, folder)),
}
"""{name: (clock, folder) -> IndexPlace}"""

PLATFORMS: Mapping[str, Any] = {
    "memory": lambda clock, _folder: MemoryPlatform(clock),
    "sqlite": sqlite_platform,
    "postgres": postgres_platform,
    "foreign": foreign_platform,
    "http": http_platform,
}
"""{name: (clock, folder) -> ContentPlace}. `foreign` is `postgres` with a table that we did not make."""
