"""The memory adapters."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from src.application.catalog import no_effects
from src.application.ports.cron import CronTicks
from src.application.ports.deletion import VideoStandings
from src.application.ports.ended_jobs import EndedJobs
from src.application.ports.ledger import DeadLetters, Effect, Effects
from src.application.ports.lock import Idempotency
from src.application.ports.ops_events import OpsEvents
from src.application.ports.outbox import Announced, OutboxDesk
from src.application.ports.progress import Progress
from src.application.ports.submissions import Submissions
from src.application.ports.videos import ChunkRepository, VideoRepository
from src.domain.errors import Conflict
from src.domain.video.video import Video
from src.infrastructure.memory import videos as memory_videos
from src.infrastructure.memory.cron import MemoryCronTicks
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ended_jobs import MemoryEndedJobs
from src.infrastructure.memory.ledger import MemoryLedger, Undo
from src.infrastructure.memory.lock import MemoryIdempotency
from src.infrastructure.memory.ops_events import MemoryOpsEvents
from src.infrastructure.memory.outbox import MemoryOutbox
from src.infrastructure.memory.progress import MemoryProgress
from src.infrastructure.memory.queue import MemoryQueue
from src.infrastructure.memory.standings import MemoryVideoStandings
from src.infrastructure.memory.submissions import MemorySubmissions
from src.infrastructure.memory.videos import MemoryChunks, MemoryVideos
from tests.contracts.backends.state import AddVideo
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import (
    EffectsLedger,
    WholeQueue,
)

Made = TypeVar("Made")


@dataclass
class MemoryState:
    """The memory adapters; a second handle is the same object."""

    clock: FrozenClock
    folder: Path
    _made: dict[str, Any] = field(default_factory=dict)

    def queue(self, name: str = "video") -> WholeQueue:
        """One object per name."""
        return self._once(f"queue {name}", MemoryQueue(self.clock))

    def ledger(self, effects: Effects = no_effects) -> EffectsLedger:
        """One object; the effects of the first call stay."""
        appliers = {
            **memory_videos.appliers(self._videos(), self._once("chunks", MemoryChunks()), self._events()),
            AddVideo: self._add_video,
            Announced: self._outbox().announce,
        }
        made = self._once("ledger", MemoryLedger(self.clock, self.dead_letters(), effects, appliers))
        self._videos().jobs = made.rows
        return made

    def dead_letters(self) -> DeadLetters:
        """One object."""
        return self._once("letters", MemoryDeadLetters(self.clock))

    def cron_ticks(self) -> CronTicks:
        """One object."""
        return self._once("cron", MemoryCronTicks(self.clock, self.ledger()))

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

    def submissions(self) -> Submissions:
        """One object."""
        return self._once("submissions", MemorySubmissions(self.clock))

    def outbox(self) -> OutboxDesk:
        """One object."""
        return self._outbox()

    def ops_events(self) -> OpsEvents:
        """One object."""
        return self._events()

    def standings(self) -> VideoStandings:
        """A view of the ledger and the videos."""
        return MemoryVideoStandings(cast("MemoryLedger", self.ledger()), self._videos())

    def ended_jobs(self) -> EndedJobs:
        """Over all the others, none of them wrapped."""
        ledger = cast("MemoryLedger", MemoryState.ledger(self))
        submissions = self._once("submissions", MemorySubmissions(self.clock))
        return MemoryEndedJobs(ledger, self._videos(), self._outbox(), submissions, MemoryState.progress(self))

    def close(self) -> None:
        """Nothing to close."""

    def _add_video(self, effect: Effect, _now: float) -> Undo:
        assert isinstance(effect, AddVideo)
        if effect.video_id == "refused":
            raise Conflict("scripted: the effect failed")
        videos = self._videos()
        videos.add(Video(id=effect.video_id, tenant="t1", source_key="k"))
        return lambda: videos.put_back(effect.video_id, None)

    def _outbox(self) -> MemoryOutbox:
        return self._once("outbox", MemoryOutbox(self.clock))

    def _events(self) -> MemoryOpsEvents:
        return self._once("events", MemoryOpsEvents(self.clock))

    def _videos(self) -> MemoryVideos:
        return self._once("videos", MemoryVideos(self.clock))

    def _once(self, name: str, made: Made) -> Made:
        return cast("Made", self._made.setdefault(name, made))
