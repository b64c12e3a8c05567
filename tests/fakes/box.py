"""A container for one job, all in memory: what it runs does what the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.application.engine.held import HeldRuns
from src.application.engine.keeper import Keeper
from src.application.engine.noqueue import NoQueue
from src.application.engine.oneshot import OneShot
from src.application.engine.options import EngineOptions, OnLockFailure
from src.application.engine.progress_writer import ProgressWriter
from src.application.engine.settler import Settler
from src.application.engine.stop import StopSwitch, to_the_owner_of_retries
from src.application.engine.verdict import Verdict
from src.application.guard import Guard, nothing_to_look_at
from src.application.ports.executor import ExecutorEvent, Failed, Stopped, Succeeded, WorkOrder
from src.application.video.effects import video_effects
from src.application.video.guard import VideoGuard
from src.domain.errors import ErrorReport, UnknownJobType
from src.domain.job import Job, JobDraft
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.lock import MemoryIdempotency
from src.infrastructure.memory.progress import MemoryProgress
from src.infrastructure.memory.storage import MemoryStorage
from src.infrastructure.memory.videos import MemoryVideos, appliers
from tests.fakes.clock import FrozenClock
from tests.fakes.world import WatchedLedger, WatchedLock

LEASE = 30.0
STALL = 200.0
KEY = "tenants/acme/video/raw/v1/film.mp4"

Step = Callable[[WorkOrder], ExecutorEvent | None]


@dataclass
class ScriptedExecutor:
    """Runs the steps one by one; after the last it runs on until it is stopped."""

    steps: list[Step] = field(default_factory=list)
    started: list[WorkOrder] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    closed: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self, order: WorkOrder) -> None:
        self.started.append(order)

    def start_short(self, orders: Sequence[WorkOrder], *, processes: int) -> None:
        raise AssertionError("one job, and that is not short")

    def warm(self) -> None:
        """Nothing to warm."""

    def ready(self) -> bool:
        """Nothing to wait for."""
        return True

    def stop(self, run_id: str, reason: str) -> None:
        assert run_id == self.started[-1].run_id
        self.reasons.append(reason)
        self._stop.set()

    def events(self, _timeout_seconds: float) -> Sequence[ExecutorEvent]:
        if self.steps:
            event = self.steps.pop(0)(self.started[-1])
            return () if event is None else [event]
        # Whoever wants it to end says so between two calls.
        return [Stopped(self.started[-1].run_id)] if self._stop.wait(0.05) else ()

    def close(self) -> None:
        self.closed = True


def ends_well(result: dict[str, Any] | None = None) -> Step:
    made = {"hls_path": "new/master.m3u8", "duration_seconds": 4.0} if result is None else result
    return lambda order: Succeeded(order.run_id, made)


def fails(error: Exception) -> Step:
    return lambda order: Failed(order.run_id, ErrorReport.of(error))


def meanwhile(act: Callable[[], object]) -> Step:
    def step(_order: WorkOrder) -> None:
        act()

    return step


class Box:
    """One ledger, and containers on it."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.breaches: list[str] = []
        self.dead_letters = MemoryDeadLetters(self.clock)
        self.videos, self.storage = MemoryVideos(self.clock), MemoryStorage(self.clock)
        self.memory = MemoryLedger(self.clock, self.dead_letters, video_effects, appliers(self.videos))
        self.ledger = WatchedLedger(self.memory, self.breaches)
        self.lock = WatchedLock(MemoryIdempotency(self.clock), self.breaches)
        self.progress = MemoryProgress(self.clock)
        self.executor = ScriptedExecutor()
        self.stop = StopSwitch(self.clock, 10.0)
        self.on_lock_failure = OnLockFailure.DEGRADE
        self.outage = False
        self.watch_seconds = 0.01
        self.prepared: list[str] = []
        self.prepare: Callable[[], object] = lambda: None
        self.bound: list[str] = []
        self.told: list[Job] = []
        self.ended: Callable[[Job], object] = self.told.append
        self.upload(b"a film")

    def upload(self, content: bytes) -> str:
        self.storage.put_bytes(KEY, content, content_type="video/mp4", cache_control="")
        return self.storage.head(KEY).version

    def admit(self, name: str = "j1", *, max_attempts: int = 5, kind: str = "video") -> str:
        payload = {"video_id": "v1", "file_key": KEY}
        draft = JobDraft(id=name, type=kind, tenant="acme", payload=payload, subject="v1", max_attempts=max_attempts)
        assert self.memory.admit(draft).created
        return name

    def job(self, name: str = "j1") -> Job:
        row = self.memory.find(name)
        assert row is not None
        return row

    def claimed_elsewhere(self, name: str = "j1", seconds: float = LEASE) -> Job:
        return self.ledger.change(name, lambda job, now: job.claim(now, owner="other", lease_seconds=seconds)[0])

    def run(self, *steps: Step, name: str = "j1") -> Verdict:
        """A new container."""
        self.executor = ScriptedExecutor(list(steps))
        options = EngineOptions(
            owner="box",
            lease_seconds=LEASE,
            stall_seconds=STALL,
            watch_seconds=self.watch_seconds,
            on_lock_failure=self.on_lock_failure,
        )
        held, queue = HeldRuns(), NoQueue()
        settler = Settler(
            ledger=self.ledger,
            lock=self.lock,
            queue=queue,
            held=held,
            clock=self.clock,
            options=options,
            dice=lambda: 0.5,
            must_go=self.stop.must_go,
            outage=lambda _code, _since: self.outage,
            give_back=to_the_owner_of_retries(self.stop),
        )
        self.keeper = Keeper(self.ledger, self.lock, queue, self.executor, held, self.clock, options)
        shot = OneShot(
            ledger=self.ledger,
            lock=self.lock,
            executor=self.executor,
            settler=settler,
            keeper=self.keeper,
            progress=ProgressWriter(self.progress, self.clock),
            held=held,
            clock=self.clock,
            options=options,
            stop=self.stop,
            guard_of=self._guard,
            bind=lambda job: self.bound.append(job.id),
            prepare=self._prepare,
            ended=self.ended,
        )
        verdict = shot.run(name)
        assert self.breaches == []
        assert self.executor.closed == bool(self.executor.started)
        return verdict

    def _guard(self, kind: str) -> Guard:
        if kind == "video":
            return VideoGuard(self.videos, self.storage)
        if kind == "plain":
            return nothing_to_look_at
        raise UnknownJobType(f"no job type {kind!r}")

    def _prepare(self) -> None:
        self.prepared.append("looked")
        self.prepare()
