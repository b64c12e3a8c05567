"""The SQL adapters."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from src.application.catalog import no_effects
from src.application.ports.cron import CronTicks
from src.application.ports.deletion import VideoStandings
from src.application.ports.ended_jobs import EndedJobs
from src.application.ports.ledger import DeadLetters, Effect, Effects
from src.application.ports.lock import Idempotency
from src.application.ports.ops_events import OpsEvents
from src.application.ports.outbox import OutboxDesk
from src.application.ports.progress import Progress
from src.application.ports.submissions import Submissions
from src.application.ports.videos import ChunkRepository, VideoRepository
from src.domain.errors import Conflict
from src.domain.video.video import Video
from src.infrastructure.db import schema, videos as sql_videos
from src.infrastructure.db.cron import SqlCronTicks
from src.infrastructure.db.dead_letters import SqlDeadLetters
from src.infrastructure.db.ended_jobs import SqlEndedJobs
from src.infrastructure.db.engine import Database
from src.infrastructure.db.ledger import SqlLedger
from src.infrastructure.db.lock import SqlIdempotency
from src.infrastructure.db.ops_events import SqlOpsEvents
from src.infrastructure.db.outbox import SqlOutbox
from src.infrastructure.db.progress import SqlProgress
from src.infrastructure.db.queue import SqlQueue
from src.infrastructure.db.rows import video_row
from src.infrastructure.db.standings import SqlVideoStandings
from src.infrastructure.db.submissions import SqlSubmissions
from src.infrastructure.db.tables import videos as video_table
from src.infrastructure.db.videos import SqlChunks, SqlVideos
from tests.contracts.backends.state import AddVideo
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import (
    EffectsLedger,
    WholeQueue,
)


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

    def ledger(self, effects: Effects = no_effects) -> EffectsLedger:
        """A handle."""
        return SqlLedger(self.database(), effects, {**sql_videos.appliers(), AddVideo: add_video_row})

    def dead_letters(self) -> DeadLetters:
        """A handle."""
        return SqlDeadLetters(self.database())

    def cron_ticks(self) -> CronTicks:
        """A handle."""
        return SqlCronTicks(SqlLedger(self.database()))

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

    def submissions(self) -> Submissions:
        """A handle."""
        return SqlSubmissions(self.database())

    def outbox(self) -> OutboxDesk:
        """A handle."""
        return SqlOutbox(self.database())

    def ops_events(self) -> OpsEvents:
        """A handle."""
        return SqlOpsEvents(self.database())

    def standings(self) -> VideoStandings:
        """A handle."""
        return SqlVideoStandings(self.database())

    def ended_jobs(self) -> EndedJobs:
        """A handle."""
        return SqlEndedJobs(self.database())

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
