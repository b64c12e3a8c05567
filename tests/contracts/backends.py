"""One harness per technology. Every harness has every port it can serve, and every suite runs on every harness: an
adapter that is added here is tested, and one that the wiring offers but that is missing here fails test_registry.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from sqlalchemy import Connection

from src.application.catalog import no_effects
from src.application.ports.clock import Clock
from src.application.ports.ledger import DeadLetters, Effect, Effects
from src.application.ports.lock import Idempotency
from src.application.ports.progress import Progress
from src.application.ports.scratch import Scratch
from src.application.ports.storage import Storage
from src.application.ports.videos import ChunkRepository, VideoRepository
from src.domain.errors import Conflict
from src.domain.video.video import Video
from src.infrastructure.db import schema, videos as sql_videos
from src.infrastructure.db.dead_letters import SqlDeadLetters
from src.infrastructure.db.engine import Database
from src.infrastructure.db.ledger import SqlLedger
from src.infrastructure.db.lock import SqlIdempotency
from src.infrastructure.db.progress import SqlProgress
from src.infrastructure.db.queue import SqlQueue
from src.infrastructure.db.rows import video_row
from src.infrastructure.db.tables import videos as video_table
from src.infrastructure.db.videos import SqlChunks, SqlVideos
from src.infrastructure.memory import videos as memory_videos
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger, Undo
from src.infrastructure.memory.lock import MemoryIdempotency
from src.infrastructure.memory.progress import MemoryProgress
from src.infrastructure.memory.queue import MemoryQueue
from src.infrastructure.memory.scratch import MemoryScratch
from src.infrastructure.memory.storage import MemoryStorage
from src.infrastructure.memory.videos import MemoryChunks, MemoryVideos
from src.infrastructure.storage.filesystem import FilesystemStorage
from src.infrastructure.storage.scratch import FilesystemScratch
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import (
    FlakyLock,
    FlakyProgress,
    FlakyQueue,
    FlakyStorage,
    FlakyWholeLedger,
    WholeLedger,
    WholeQueue,
)

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class AddVideo(Effect):
    """An effect for the suites: a video row appears, or, with the id `refused`, the effect fails."""

    video_id: str


class State(Protocol):
    """Everything that lives in a database or beside it. Each call gives a handle of its own on the same state, as
    another worker would have it."""

    clock: FrozenClock

    def queue(self, name: str = "video") -> WholeQueue: ...
    def ledger(self, effects: Effects = no_effects) -> WholeLedger: ...
    def dead_letters(self) -> DeadLetters: ...
    def lock(self) -> Idempotency: ...
    def progress(self) -> Progress: ...
    def videos(self) -> VideoRepository: ...
    def chunks(self) -> ChunkRepository: ...
    def close(self) -> None: ...


@dataclass
class MemoryState:
    """The memory adapters; a second handle is the same object."""

    clock: FrozenClock
    folder: Path
    _made: dict[str, Any] = field(default_factory=dict)

    def queue(self, name: str = "video") -> WholeQueue:
        """One object per name."""
        return self._once(f"queue {name}", MemoryQueue(self.clock))

    def ledger(self, effects: Effects = no_effects) -> WholeLedger:
        """One object; the effects of the first call stay."""
        appliers = {
            **memory_videos.appliers(self._videos(), self._once("chunks", MemoryChunks())),
            AddVideo: self._add_video,
        }
        return self._once("ledger", MemoryLedger(self.clock, self.dead_letters(), effects, appliers))

    def dead_letters(self) -> DeadLetters:
        """One object."""
        return self._once("letters", MemoryDeadLetters(self.clock))

    def lock(self) -> Idempotency:
        """One object."""
        return self._once("lock", MemoryIdempotency(self.clock))

    def progress(self) -> Progress:
        """One object."""
        return self._once("progress", MemoryProgress(self.clock))

    def videos(self) -> VideoRepository:
        """One object."""
        return self._videos()

    def chunks(self) -> ChunkRepository:
        """One object."""
        return self._once("chunks", MemoryChunks())

    def close(self) -> None:
        """Nothing to close."""

    def _add_video(self, effect: Effect, _now: float) -> Undo:
        assert isinstance(effect, AddVideo)
        if effect.video_id == "refused":
            raise Conflict("scripted: the effect failed")
        videos = self._videos()
        videos.add(Video(id=effect.video_id, tenant="t1", source_key="k"))
        return lambda: videos.put_back(effect.video_id, None)

    def _videos(self) -> MemoryVideos:
        return self._once("videos", MemoryVideos(self.clock))

    def _once(self, name: str, made: Made) -> Made:
        return cast("Made", self._made.setdefault(name, made))


@dataclass
class FlakyState(MemoryState):
    """The hostile wrappers with nothing in their scripts: then they must keep every promise."""

    def queue(self, name: str = "video") -> WholeQueue:
        """Wrapped."""
        return FlakyQueue(super().queue(name))

    def ledger(self, effects: Effects = no_effects) -> WholeLedger:
        """Wrapped."""
        return FlakyWholeLedger(super().ledger(effects))

    def lock(self) -> Idempotency:
        """Wrapped."""
        return FlakyLock(self._once("lock", MemoryIdempotency(self.clock)))

    def progress(self) -> Progress:
        """Wrapped."""
        return FlakyProgress(super().progress())


def add_video_row(connection: Connection, effect: Effect, now: float) -> None:
    """The SQL applier of AddVideo."""
    assert isinstance(effect, AddVideo)
    video = Video(id=effect.video_id, tenant="t1", source_key="k", created_at=now, updated_at=now)
    connection.execute(video_table.insert().values(**video_row(video)))
    if effect.video_id == "refused":
        raise Conflict("scripted: the effect failed")


@dataclass
class SqlState:
    """The SQL adapters on a database of this test's own; every handle has connections of its own."""

    clock: FrozenClock
    url: str
    opened: list[Database] = field(default_factory=list)

    def queue(self, name: str = "video") -> WholeQueue:
        """A handle."""
        return SqlQueue(self.database(), name, self.clock)

    def ledger(self, effects: Effects = no_effects) -> WholeLedger:
        """A handle."""
        return SqlLedger(self.database(), effects, {**sql_videos.appliers(), AddVideo: add_video_row})

    def dead_letters(self) -> DeadLetters:
        """A handle."""
        return SqlDeadLetters(self.database())

    def lock(self) -> Idempotency:
        """A handle."""
        return SqlIdempotency(self.database())

    def progress(self) -> Progress:
        """A handle."""
        return SqlProgress(self.database())

    def videos(self) -> VideoRepository:
        """A handle."""
        return SqlVideos(self.database())

    def chunks(self) -> ChunkRepository:
        """A handle."""
        return SqlChunks(self.database())

    def database(self) -> Database:
        """Another process's view of the same database."""
        self.opened.append(Database(self.url, now=self.clock.now))
        return self.opened[-1]

    def close(self) -> None:
        """Every connection must be back in its pool."""
        leaked = sum(database.connection_count() for database in self.opened)
        for database in self.opened:
            database.close()
        assert leaked == 0, f"{leaked} connections were not given back"


def sqlite_state(clock: FrozenClock, folder: Path) -> SqlState:
    """A fresh embedded database, migrated once per test process and copied."""
    # Beside the folders of this run's tests, so that it is made once and goes with them.
    template = folder.parent / "template.db"
    if not template.exists():
        schema.upgrade(f"sqlite:///{template}")
    shutil.copy(template, folder / "worker.db")
    return SqlState(clock, f"sqlite:///{folder / 'worker.db'}")


STATES: Mapping[str, Any] = {"memory": MemoryState, "sqlite": sqlite_state}
"""{name: (clock, folder) -> State}. The wiring calls the SQL adapters of lock and progress `database`."""


def memory_storage(clock: Clock, _folder: Path) -> Storage:
    """Objects in memory."""
    return MemoryStorage(clock)


def filesystem_storage(_clock: Clock, folder: Path) -> Storage:
    """Files."""
    return FilesystemStorage(folder / "storage")


def flaky_storage(clock: Clock, _folder: Path) -> Storage:
    """A hostile wrapper that has nothing to do."""
    return FlakyStorage(MemoryStorage(clock))


STORAGES: Mapping[str, Any] = {"memory": memory_storage, "filesystem": filesystem_storage}
"""{name: (clock, folder) -> Storage}"""

HOSTILE: Mapping[str, Any] = {"flaky": FlakyState}
HOSTILE_STORAGES: Mapping[str, Any] = {"flaky": flaky_storage}
"""Not adapters, so the wiring does not offer them; they run the same suites."""


def memory_scratch(folder: Path) -> Scratch:
    """Folders of this process."""
    return MemoryScratch(folder / "scratch")


def filesystem_scratch(folder: Path) -> Scratch:
    """Folders with notes of their owners."""
    return FilesystemScratch(folder / "scratch")


SCRATCHES: Mapping[str, Any] = {"memory": memory_scratch, "filesystem": filesystem_scratch}
"""{name: folder -> Scratch}"""
