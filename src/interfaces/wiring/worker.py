"""Puts the engine together from adapters and settings."""

from __future__ import annotations

import logging
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from src.application.catalog import Catalog
from src.application.decoders import Decoders
from src.application.engine.alarm import Alarm
from src.application.engine.followups import Followups
from src.application.engine.health import Health
from src.application.engine.held import HeldRuns
from src.application.engine.intake import BACK_SECONDS, Intake
from src.application.engine.keeper import Keeper
from src.application.engine.options import EngineOptions, OnLockFailure
from src.application.engine.pace import Pace
from src.application.engine.probes import Outages, Probe
from src.application.engine.progress_writer import ProgressWriter
from src.application.engine.settler import Settler
from src.application.engine.short import ShortRoad
from src.application.engine.uncertain import UncertainClaims
from src.application.engine.waker import Waker, reference
from src.application.engine.worker import Worker
from src.application.ports.executor import Executor
from src.application.ports.meter import UNMETERED, Meter
from src.application.ports.ops_events import OpsEvents
from src.application.ports.scratch import Scratch
from src.application.video.abandoned import SweepAbandoned
from src.domain.errors import JobError, SourceMissing
from src.domain.job import Job
from src.infrastructure.process.executor import ProcessExecutor
from src.interfaces.wiring.adapters import Adapters
from src.interfaces.wiring.assemble import WITH_EFFECTS
from src.interfaces.wiring.decoding import decoder_settings
from src.interfaces.wiring.dispatches import make_enqueue_next, queue_types
from src.interfaces.wiring.events import make_relay
from src.interfaces.wiring.healths import make_health
from src.interfaces.wiring.queues import HOLD_LIMIT_SECONDS, SLICED, shown_queue
from src.interfaces.wiring.settings import Settings

log = logging.getLogger(__name__)

RECEIVE_WAIT_SECONDS = 1.0
"""One receive of a queue that is asked in slices (queues.py says which and why)."""

DRAIN_WAIT_SECONDS = 0.1
"""The same for a worker that ends when the queue is empty: it has nothing to wait for."""

NOBODYS = "mediaworker-readiness"
"""A key that nothing is locked under."""

NO_SOURCE = f"tenants/{NOBODYS}/video/raw/none"
"""A key that nothing is stored under, where every role may look (docs/batch.md): elsewhere S3 says "forbidden", also of nothing."""


def engine_options(settings: Settings, *, drain: bool = False) -> EngineOptions:
    """The engine's numbers from the settings."""
    slice_seconds = DRAIN_WAIT_SECONDS if drain else RECEIVE_WAIT_SECONDS
    return EngineOptions(
        owner=(settings.id or f"{socket.gethostname()}:{os.getpid()}")[:64],
        slots=settings.concurrency,
        lease_seconds=settings.lease.ttl_seconds,
        scan_seconds=settings.lease.scan_seconds,
        watch_seconds=min(1.0, settings.lease.ttl_seconds / 6),
        stall_seconds=settings.video.stall_seconds,
        grace_seconds=settings.shutdown.grace_seconds,
        receive_wait_seconds=min(settings.queue.wait_seconds, slice_seconds)
        if settings.queue.backend in SLICED
        else settings.queue.wait_seconds,
        on_lock_failure=OnLockFailure(settings.lock.on_failure),
        retry_scale=settings.retry.delay_scale,
        running_per_tenant=settings.limits.running_per_tenant,
        message_hold_limit_seconds=HOLD_LIMIT_SECONDS.get(settings.queue.backend),
    )


def executor_argv() -> list[str]:
    """How a handler process is started: our own interpreter, never a shell."""
    return [sys.executable, "-m", "src.interfaces.workers.executor"]


def make_executor(adapters: Adapters, catalog: Catalog, redact: Callable[[str], str] = str) -> ProcessExecutor:
    """Where handlers run. Where short jobs are known, a process for them starts now, beside whatever the worker does before it
    receives: both take about as long."""
    made = ProcessExecutor(executor_argv(), discard_scratch=adapters.scratch().discard, redact=redact)
    if any(map(catalog.is_short, catalog.names())):
        made.warm()
    return made


def build_worker(
    settings: Settings,
    adapters: Adapters,
    catalog: Catalog,
    executor: Executor,
    *,
    redact: Callable[[str], str] = str,
    drain: bool = False,
    meter: Meter = UNMETERED,
) -> Worker:
    """Everything wired; nothing received yet. `redact` takes secrets out of errors before they are stored; with `drain` the
    worker is one that ends when the queue is empty."""
    options = engine_options(settings, drain=drain)
    clock, queue, ledger = adapters.clock(), adapters.queue_consumer(), adapters.ledger()
    lock, held, health = adapters.lock(), HeldRuns(), make_health(settings, adapters)
    publisher = adapters.queue_publisher()
    probes = make_probes(settings, adapters, catalog, health)
    outages = Outages(health, {probe.name: probe for probe in probes})
    uncertain = UncertainClaims(ledger, held)
    followups = _followups(settings, adapters, catalog)
    # The settler asks the worker whether there is time left; the worker exists only after it.
    going: list[Callable[[], bool]] = []
    settler = Settler(
        ledger=ledger,
        lock=lock,
        queue=queue,
        held=held,
        clock=clock,
        options=options,
        dice=random.SystemRandom().random,
        must_go=lambda: any(must() for must in going),
        outage=outages.explains,
        put_back=lambda jobs: publisher.publish([replace(reference(job), delay_seconds=delay) for job, delay in jobs]),
        meter=meter,
    )
    intake = Intake(
        decoders=Decoders(catalog, decoder_settings(settings)),
        ledger=ledger,
        dead_letters=adapters.dead_letters(),
        lock=lock,
        queue=queue,
        held=held,
        clock=clock,
        options=options,
        queue_name=shown_queue(settings),
        knows=lambda name: name in catalog.names(),
        is_short=catalog.is_short,
        has_short=any(map(catalog.is_short, catalog.names())),
        redact=redact,
        uncertain=uncertain,
        goes_on=health.goes_on,
        ended=followups.ended if followups is not None else _nothing_follows,
        database_was_away=lambda: health.away_since("database", clock.monotonic() - BACK_SECONDS),
        meter=meter,
    )
    worker = Worker(
        queue=queue,
        inspector=adapters.queue_inspector(),
        ledger=ledger,
        intake=intake,
        settler=settler,
        short=ShortRoad(
            intake, settler, executor, held, Pace(clock), clock, slots=options.slots, exchange=adapters.exchange()
        ),
        keeper=Keeper(
            ledger,
            lock,
            queue,
            executor,
            held,
            clock,
            options,
            on_backend=health.backend,
            meter=meter,
            goes_on=health.goes_on,
        ),
        waker=Waker(
            ledger,
            publisher,
            hold_seconds=3 * settings.lease.scan_seconds,
            types=queue_types(settings, catalog),
            goes_on=health.goes_on,
        ),
        alarm=Alarm(adapters.dead_letters(), adapters.notifier(), _events(settings, adapters)),
        progress=ProgressWriter(adapters.progress(), clock),
        executor=executor,
        held=held,
        health=health,
        clock=clock,
        options=options,
        on_first_receive=_said_once(settings),
        can_take=space_left(adapters.scratch(), settings.scratch_reserve_bytes),
        probes=probes,
        uncertain=uncertain,
        sweep=_sweep(adapters, catalog),
        followups=followups,
        relay=make_relay(settings, adapters, options.owner),
        meter=meter,
    )
    going.append(worker.must_go)
    return worker


def make_probes(settings: Settings, adapters: Adapters, catalog: Catalog, health: Health) -> list[Probe]:
    """What a job needs besides the queue, whose receives tell enough. The lock only where jobs are not taken without it."""
    ledger, storage, lock = adapters.ledger(), adapters.storage(), adapters.lock()

    def ask_storage() -> None:
        with suppress(SourceMissing):
            storage.head(NO_SOURCE)

    asked: dict[str, Callable[[], object]] = {
        "database": lambda: ledger.to_wake(1, catalog.names()),
        "storage": ask_storage,
    }
    if settings.lock.on_failure == OnLockFailure.PAUSE.value:
        asked["lock"] = lambda: lock.renew(NOBODYS, NOBODYS, ttl_seconds=1)
    return [Probe(name, ask, health) for name, ask in asked.items()]


def _events(settings: Settings, adapters: Adapters) -> OpsEvents | None:
    """Events stand beside jobs that have effects, in the same database."""
    events: OpsEvents | None = adapters.ops_events() if settings.ledger.backend in WITH_EFFECTS else None
    return events


def _followups(settings: Settings, adapters: Adapters, catalog: Catalog) -> Followups | None:
    """A video's job that ends makes room for the next one."""
    following = make_enqueue_next(settings, adapters, catalog)
    return Followups(following.after) if following is not None else None


def _nothing_follows(_job: Job) -> None:
    """Where there are no video jobs."""


def _sweep(adapters: Adapters, catalog: Catalog) -> Callable[[], int] | None:
    """Takes away what abandoned attempts at videos left, where videos are encoded."""
    if "video" not in catalog.names():
        return None
    return SweepAbandoned(
        jobs=adapters.ledger(),
        storage=adapters.storage(),
        videos=adapters.videos(),
        chunks=adapters.chunks(),
        clock=adapters.clock(),
    ).tick


def space_left(scratch: Scratch, reserve_bytes: int) -> Callable[[], bool]:
    """Asks whether scratch has the reserve that a new job may count on. A disk that can't be asked has no room."""

    def enough() -> bool:
        try:
            return scratch.free_bytes() >= reserve_bytes
        except JobError as error:
            log.warning("scratch.unknown", extra={"error_class": error.code, "error": str(error)})
            return False

    return enough


def _said_once(settings: Settings) -> Callable[[], None]:
    said: list[bool] = []

    def first() -> None:
        if not said:
            said.append(True)
            started = _process_age_seconds()
            log.info("worker.receiving", extra={"queue": shown_queue(settings), "seconds_since_start": started})

    return first


def _process_age_seconds() -> float | None:
    """Seconds since this process was started, by the kernel's account (Linux)."""
    try:
        ticks = int(Path("/proc/self/stat").read_bytes().rsplit(b")", 1)[1].split()[19])
    except (OSError, ValueError, IndexError):
        return None
    return round(time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"), 3)
