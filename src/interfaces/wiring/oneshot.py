"""Puts the engine together for one job and no queue: the container of AWS Batch (contracts.md 1.7)."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from src.application.catalog import Catalog
from src.application.engine.alarm import Alarm
from src.application.engine.health import Health
from src.application.engine.held import HeldRuns
from src.application.engine.keeper import Keeper
from src.application.engine.noqueue import NoQueue
from src.application.engine.oneshot import OneShot
from src.application.engine.probes import Outages
from src.application.engine.progress_writer import ProgressWriter
from src.application.engine.settler import Settler
from src.application.engine.stop import StopSwitch, to_the_owner_of_retries
from src.application.guard import Guard, nothing_to_look_at
from src.application.video.guard import VideoGuard
from src.domain.errors import ConfigError
from src.domain.job import Job
from src.infrastructure.observability.logs import KEPT
from src.infrastructure.process.executor import ProcessExecutor
from src.interfaces.wiring.adapters import Adapters
from src.interfaces.wiring.checks import check_database, check_startup
from src.interfaces.wiring.databases import absent_file
from src.interfaces.wiring.dispatches import make_enqueue_next
from src.interfaces.wiring.environment import variable
from src.interfaces.wiring.events import make_relay
from src.interfaces.wiring.settings import Settings
from src.interfaces.wiring.worker import engine_options, executor_argv, make_probes

BATCH_ID = "AWS_BATCH_JOB_ID"
"""Batch puts it into every container."""

OWNER_LIMIT = 64

NOT_ASKED = ("queue", "batch")
"""Start-up checks of what a container has no use for; its role may not even look at Batch (mission.md B6)."""


def check_ledger_there(settings: Settings, adapters: Adapters) -> None:
    """The place where the job's row must be. Nothing is made here: in a new and empty database every job would be unknown, and
    the container would end well without having done anything (lesson 27). Raises ConfigError, DatabaseUnavailable."""
    if (path := absent_file(settings)) is not None:
        raise ConfigError(
            f"there is no database at {path}, so no job's row either",
            fix=f"set {variable('database.url')} to the database of those who submit jobs (or {variable('data_dir')})",
        )
    if settings.storage.backend == "filesystem" and not settings.storage_root.is_dir():
        raise ConfigError(
            f"there is no storage at {settings.storage_root}, so no source either",
            fix=f"set {variable('storage.backend')} and what belongs to it, as those who submit jobs do",
        )
    check_database(settings, adapters)


def log_fields(job_id: str | None, job: Job | None = None) -> dict[str, object]:
    """What each line of every process of the container carries; null where it is not known (yet)."""
    return {
        "job_id": job_id,
        "tenant_id": job.tenant if job else None,
        "video_id": job.payload.get("video_id") if job else None,
        "aws_batch_job_id": os.environ.get(BATCH_ID),
    }


def build_one_shot(
    settings: Settings,
    adapters: Adapters,
    catalog: Catalog,
    stop: StopSwitch,
    *,
    keep: Callable[[Mapping[str, object]], object],
    redact: Callable[[str], str] = str,
) -> OneShot:
    """Everything wired, nothing asked yet. `keep` is told what each log line shall carry; `redact` takes secrets out of errors
    before they are stored."""
    owner = f"batch:{os.environ[BATCH_ID]}"[:OWNER_LIMIT] if os.environ.get(BATCH_ID) else None
    options = engine_options(settings)
    options = replace(options, owner=settings.id or owner or options.owner)
    clock, ledger, lock, held = adapters.clock(), adapters.ledger(), adapters.lock(), HeldRuns()
    health, environment, queue = Health(clock), dict(os.environ), NoQueue()
    executor = ProcessExecutor(
        executor_argv(), discard_scratch=adapters.scratch().discard, redact=redact, environment=environment
    )
    probes = make_probes(settings, adapters, catalog, health)
    settler = Settler(
        ledger=ledger,
        lock=lock,
        queue=queue,
        held=held,
        clock=clock,
        options=options,
        dice=random.SystemRandom().random,
        must_go=stop.must_go,
        outage=Outages(health, {probe.name: probe for probe in probes}).explains,
        give_back=to_the_owner_of_retries(stop),
    )

    def bind(job: Job) -> None:
        fields = log_fields(job.id, job)
        keep(fields)
        # The executor is started after this, with what then stands in here.
        environment[KEPT] = json.dumps(fields)

    def prepare() -> None:
        check_startup(settings, adapters, without=NOT_ASKED)
        adapters.scratch().sweep()

    def guard_of(job_type: str) -> Guard:
        if catalog.get(job_type).name != "video":
            return nothing_to_look_at
        return VideoGuard(adapters.videos(), adapters.storage())

    return OneShot(
        ledger=ledger,
        lock=lock,
        executor=executor,
        settler=settler,
        keeper=Keeper(ledger, lock, queue, executor, held, clock, options, on_backend=health.backend),
        progress=ProgressWriter(adapters.progress(), clock),
        held=held,
        clock=clock,
        options=options,
        stop=stop,
        guard_of=guard_of,
        bind=bind,
        prepare=prepare,
        ended=what_follows(settings, adapters, catalog),
    )


def what_follows(settings: Settings, adapters: Adapters, catalog: Catalog) -> Callable[[Job], object]:
    """After a job has ended: operators hear of what they must know, and the tenant's next waiting video is submitted. That only
    where this container says that videos go by Batch (then its role may submit); elsewhere `recover enqueue-uploaded` does it."""
    alarm = Alarm(adapters.dead_letters(), adapters.notifier(), adapters.ops_events())
    following = make_enqueue_next(settings, adapters, catalog) if settings.dispatch.backend == "batch" else None
    relay = make_relay(settings, adapters, f"container:{os.getpid()}")

    def ended(job: Job) -> None:
        alarm.tick()
        if relay is not None:
            relay.last()
        if following is not None:
            following.after(job)

    return ended
