"""`WorkerContract` (seed 000, section 7): jobs for programs in Python, without a queue or a table in their code.

Settings are those of the workers, so both find the same ledger and queue. Nothing is connected before the first call; an adapter's
package is imported when the settings choose it.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from src.application.content.request import FILE_TYPES, check_root
from src.application.cron.schedule import zone_of
from src.application.decoders import Decoders
from src.application.enqueue import EnqueueJob, Rejected
from src.application.ports.ledger import JobQueries
from src.application.ports.progress import Progress
from src.application.ports.queue import QueueDepth, QueueInspector, QueueSides
from src.domain.errors import (
    ConfigError,
    Conflict,
    DatabaseUnavailable,
    InvalidMessage,
    InvalidPayload,
    NetworkError,
    NotFound,
    QueueUnavailable,
    TenantMismatch,
    UnknownJobType,
    WorkerError,
)
from src.domain.job import JobDraft, JobState
from src.domain.progress import ProgressReport
from src.interfaces.cli.documents import status_document
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.checks import check_data_dir, check_kept
from src.interfaces.wiring.decoding import decoder_settings
from src.interfaces.wiring.dispatches import check_road, make_limits
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.queues import queue_is_used, queue_misfit
from src.interfaces.wiring.settings import Settings, is_server

__all__ = [
    "AsyncWorkerContract",
    "ConfigError",
    "Conflict",
    "DatabaseUnavailable",
    "InvalidMessage",
    "InvalidPayload",
    "JobStatus",
    "NotFound",
    "QueueUnavailable",
    "Rejected",
    "Stats",
    "TenantMismatch",
    "UnknownJobType",
    "WorkerContract",
    "WorkerError",
]

STATUS: Mapping[JobState, str] = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "processing",
    JobState.RETRY_WAIT: "retrying",
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: "failed",
    JobState.DEAD: "failed",
    JobState.CANCELLED: "cancelled",
}
"""Words of contracts.md 4.2, which has none for a job that was cancelled."""

Answer = TypeVar("Answer")

Given = Settings | Mapping[str, str] | None
"""Settings, variables to read them from, or None for the environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A job at the moment of asking. `status` is a word of STATUS, `state` the ledger's own; `completed_at` is set once it has
    ended, however; `retry_count` counts executions after the first; `error` is the last attempt's {class, message, retryable}."""

    id: str
    type: str
    status: str
    state: str
    retry_count: int
    max_retries: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    error: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    document: Mapping[str, Any] = field(repr=False)
    """what `mediaworker status --json` prints"""

    @property
    def is_over(self) -> bool:
        """Nothing more happens unless an operator asks for it."""
        return self.completed_at is not None

    def to_json(self) -> dict[str, Any]:
        """As `status --json` prints it, with the words of contracts.md 4.2 beside them."""
        return {
            **self.document,
            "status": self.status,
            "retry_count": self.retry_count,
            "max_retries": self.max_retries,
            "completed_at": self.document["finished_at"],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Numbers of jobs. `pending` wait (QUEUED, RETRY_WAIT), `processing` run; today began at midnight in the zone of
    WORKER_CRON__ZONE. `queue_size` counts messages that wait, also those of producers that only publish, whose jobs are not in
    the ledger before a worker has received them."""

    pending: int
    processing: int
    completed_today: int
    failed_today: int
    queue_size: int

    def to_json(self) -> dict[str, int]:
        """By name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class _Parts:
    enqueue: EnqueueJob
    jobs: JobQueries
    progress: Progress
    inspector: QueueInspector | None
    """None where no queue is used"""
    adapters: Adapters


class WorkerContract:
    """Thread-safe; make one for each process, after a fork. Every method raises ConfigError for settings that can't work."""

    def __init__(self, settings: Given = None) -> None:
        self._given = settings
        self._parts: _Parts | None = None
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def enqueue(
        self,
        job_type: str,
        payload: Mapping[str, Any],
        *,
        job_id: str | None = None,
        delay_seconds: float = 0.0,
        tenant: str | None = None,
    ) -> str:
        """Ask for a job; its id. With `job_id` it is asked for once however often this is called, so make the id first and a call
        that failed can be repeated. The id that comes back is another one when a job about the same subject is active, for types
        that have subjects. Raises UnknownJobType, InvalidPayload, InvalidMessage, TenantMismatch; Conflict for an id that is
        another's job, Rejected for a limit; DatabaseUnavailable. A queue that is away raises nothing: the job is kept, and a
        worker's waker publishes it."""
        name = str(uuid.uuid4()) if job_id is None else job_id
        return self._open().enqueue.ask(job_type, payload, name, tenant=tenant, delay_seconds=delay_seconds).id

    def get_job_status(self, job_id: str) -> JobStatus:
        """Where the job stands. Raises NotFound (also of a message that no worker has received yet), DatabaseUnavailable."""
        parts = self._open()
        try:
            job = parts.jobs.find(job_id)
        except Conflict:
            # Several ids begin so, and none is it.
            job = None
        if job is None or job.id != job_id:
            raise NotFound(f"no job {job_id[:80]!r}", fix="use the id that enqueue returned")
        document = status_document(job, _reading(parts.progress, job_id))
        return JobStatus(
            id=job.id,
            type=job.type,
            status=STATUS[job.state],
            state=job.state.value,
            retry_count=max(0, job.attempts - 1),
            max_retries=job.max_attempts - 1,
            created_at=_moment(job.created_at),
            started_at=_moment(job.started_at) if job.started_at is not None else None,
            completed_at=_moment(job.finished_at) if job.finished_at is not None else None,
            error=document["error"],
            result=document["result"],
            document=document,
        )

    def stats(self) -> Stats:
        """How many jobs there are. Raises DatabaseUnavailable, QueueUnavailable."""
        parts = self._open()
        settings: Settings = parts.adapters.settings()
        here = datetime.fromtimestamp(parts.adapters.clock().now(), zone_of(settings.cron.zone))
        midnight = here.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        now, today, depth = parts.jobs.counts(), parts.jobs.counts(ended_from=midnight), _depth(parts.inspector)
        return Stats(
            pending=_sum(now, JobState.QUEUED, JobState.RETRY_WAIT),
            processing=_sum(now, JobState.RUNNING),
            completed_today=_sum(today, JobState.SUCCEEDED),
            failed_today=_sum(today, JobState.FAILED, JobState.DEAD),
            queue_size=depth.ready + depth.delayed,
        )

    def close(self) -> None:
        """Let connections go; calls after that raise RuntimeError. Closing again is fine."""
        with self._lock:
            self._closed, parts, self._parts = True, self._parts, None
        if parts is not None:
            _close(parts.adapters)

    # ------------------------------------------------------------------ inside
    def _open(self) -> _Parts:
        with self._lock:
            if self._closed:
                raise RuntimeError("this WorkerContract is closed: make another one")
            if self._parts is None:
                self._parts = _connected(self._given)
            return self._parts


class AsyncWorkerContract:
    """The same for programs that must not wait: each call runs in a thread, and the loop goes on. A call whose task is cancelled
    either never began or runs to its end, so nothing is left half done; with a `job_id` of the caller's own it can be repeated.
    `close` waits for calls that run."""

    def __init__(self, settings: Given = None, *, threads: int = 4) -> None:
        self._contract = WorkerContract(settings)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker-contract")

    async def __aenter__(self) -> Self:
        try:
            await self._aside(self._contract.__enter__)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def enqueue(
        self,
        job_type: str,
        payload: Mapping[str, Any],
        *,
        job_id: str | None = None,
        delay_seconds: float = 0.0,
        tenant: str | None = None,
    ) -> str:
        """As WorkerContract."""
        ask = partial(self._contract.enqueue, job_id=job_id, delay_seconds=delay_seconds, tenant=tenant)
        return await self._aside(partial(ask, job_type, payload))

    async def get_job_status(self, job_id: str) -> JobStatus:
        """As WorkerContract."""
        return await self._aside(partial(self._contract.get_job_status, job_id))

    async def stats(self) -> Stats:
        """As WorkerContract."""
        return await self._aside(self._contract.stats)

    async def close(self) -> None:
        """As WorkerContract, when the calls that run have ended."""
        await asyncio.to_thread(self._end)

    async def _aside(self, call: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def _end(self) -> None:
        self._pool.shutdown(wait=True)
        self._contract.close()


def _connected(given: Given) -> _Parts:
    settings = given if isinstance(given, Settings) else load(given)
    catalog = build_catalog(settings)
    adapters = build(settings, catalog)
    if settings.uses_database and not is_server(settings.database_url):
        check_data_dir(settings, adapters)
    check_kept(settings, adapters)
    enqueue = EnqueueJob(
        adapters.ledger(),
        adapters.dispatch(),
        Decoders(catalog, decoder_settings(settings)),
        make_limits(settings),
        partial(check_road, settings),
        partial(_check_place, settings.content.media_root),
    )
    inspector = adapters.queue_inspector() if queue_is_used(settings) else None
    return _Parts(enqueue, adapters.ledger(), adapters.progress(), inspector, adapters)


def _depth(inspector: QueueInspector | None) -> QueueDepth:
    return QueueDepth(ready=0, delayed=0, in_flight=0) if inspector is None else inspector.depth()


def _check_place(root: Path | None, draft: JobDraft) -> None:
    if root is not None and draft.type in FILE_TYPES and isinstance(path := draft.payload.get("file_path"), str):
        check_root(path, root)


def _close(adapters: Adapters) -> None:
    settings: Settings = adapters.settings()
    queue = adapters.queue() if queue_misfit(settings) is None else None
    sides = (queue.consumer, queue.publisher) if isinstance(queue, QueueSides) else (queue,)
    with ExitStack() as ends:
        if settings.uses_database:
            ends.callback(adapters.database().close)
        for each in (adapters.ledger(), adapters.progress(), *sides):
            if callable(close := getattr(each, "close", None)):
                ends.callback(close)


def _reading(progress: Progress, job_id: str) -> ProgressReport | NetworkError | None:
    """Less than the job's row says: without it the rest is as it stands."""
    try:
        return progress.latest(job_id)
    except DatabaseUnavailable:
        raise
    except NetworkError as error:
        return error


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _sum(counts: Mapping[tuple[str, JobState], int], *states: JobState) -> int:
    return sum(count for (_, state), count in counts.items() if state in states)
