"""What a suite is given: everything that lives in one place, or one port of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import EffectsLedger, WholeLedger, WholeQueue


@dataclass(frozen=True, slots=True)
class AddVideo(Effect):
    """An effect for the suites: a video row appears, or, with the id `refused`, the effect fails."""

    video_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAbilities:
    """What the port leaves to the technology ("on queues that can"). The suite asks for the clause where it can be kept,
    and for what the port says instead where it can't."""

    priorities: bool = True
    """lower numbers are received first"""
    merges: bool = True
    """a waiting message with the same key is moved, not doubled"""
    tells_age: bool = True
    """how long the oldest message has been waiting"""
    whole_seconds: bool = False
    """hides and delays for whole seconds, rounded up"""
    in_turn: bool = False
    """of one key's messages the next waits until the one before it is acknowledged, or visible again and taken first"""
    delays_at_sight: bool = False
    """a delay is kept from the first look on: until then the message counts as ready"""
    bounded: bool = True
    """a receive brings some megabytes at most; else only our own publishers can fill it"""
    marks: frozenset[str] = frozenset()
    """attributes that a delivery has besides those that it was published with"""


ALL = QueueAbilities()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerAbilities:
    """What the ledger leaves to the technology."""

    effects: bool = True
    """writes what a job type's effects name in the commit of the move; else such job types don't run on it"""


class QueuePlace(Protocol):
    """Where queues of one technology are. Each call gives a handle of its own, as another worker would have it. A place
    without `abilities` has them all."""

    clock: FrozenClock

    def queue(self, name: str = "video") -> WholeQueue: ...
    def close(self) -> None: ...


class LockPlace(Protocol):
    """Where locks of one technology are kept."""

    clock: FrozenClock

    def lock(self) -> Idempotency: ...
    def close(self) -> None: ...


class ProgressPlace(Protocol):
    """Where readings of one technology go."""

    clock: FrozenClock

    def progress(self) -> Progress: ...
    def close(self) -> None: ...


class LedgerPlace(Protocol):
    """Where jobs and dead letters of one technology are kept."""

    clock: FrozenClock

    def ledger(self, effects: Effects = no_effects) -> WholeLedger: ...
    def dead_letters(self) -> DeadLetters: ...
    def outbox(self) -> OutboxDesk: ...
    def cron_ticks(self) -> CronTicks: ...
    def close(self) -> None: ...


class State(QueuePlace, LockPlace, ProgressPlace, LedgerPlace, Protocol):
    """Everything that lives in a database or beside it. Each call gives a handle of its own on the same state, as
    another worker would have it."""

    def ledger(self, effects: Effects = no_effects) -> EffectsLedger: ...
    def videos(self) -> VideoRepository: ...
    def chunks(self) -> ChunkRepository: ...
    def submissions(self) -> Submissions: ...
    def ops_events(self) -> OpsEvents: ...
    def standings(self) -> VideoStandings: ...
    def ended_jobs(self) -> EndedJobs: ...
