"""Runs a worker: settings, checks, signals, engine. `mediaworker run NAME` and every `python -m ...main` come here."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from src.domain.errors import ConfigError, WorkerError
from src.domain.job import JobState

if TYPE_CHECKING:
    from src.application.engine.health import Health
    from src.application.ports.ledger import JobQueries
    from src.application.ports.queue import QueueInspector
    from src.infrastructure.observability.logs import Lines
    from src.interfaces.http.health import HealthServer
    from src.interfaces.wiring.numbers import Numbers
    from src.interfaces.wiring.settings import Settings

log = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_CONFIG = 4

GARBAGE = 10_000
"""Objects made and not yet let go of before the collector looks; Python's own number, 700, is less than a batch of messages."""

LINGER_SECONDS = 0.5
"""What a thread that is ending anyway gets to do so."""

CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Loop:
    """A worker that takes nothing from a queue: what it runs ("module:function", imported when it is asked for), and the
    command that does what a drain would."""

    loop: str
    instead: str


WITHOUT_QUEUE = {
    "recovery": Loop("src.interfaces.workers.recovery.loop:run_recovery", "`mediaworker recover NAME`"),
    "scheduler": Loop("src.interfaces.workers.scheduler.loop:run_scheduler", "`mediaworker cron run NAME`"),
    "events": Loop("src.interfaces.workers.events.loop:run_events", "`mediaworker run events`"),
}
WORKERS = ("video", CONTENT, *WITHOUT_QUEUE)
"""Workers of this build, named after what they do. A worker with a queue runs every registered job type that it brings."""

WAITING = (JobState.QUEUED, JobState.RETRY_WAIT)
LEFT = "the queue has no message of this worker's for them: the waker of a worker that keeps running publishes one"
STILL_THERE = "{} messages are in the queue: the next worker receives them when they are due"
UNSEEN = "the queue could not be asked what is left in it"


def main(name: str, arguments: Sequence[str]) -> int:
    """Entry point of the worker modules: settings from the environment, exit code as in mission.md O1. An argument that
    is not known starts nothing: a mistyped --drain would run for ever."""
    import click

    @click.command(context_settings={"help_option_names": ["-h", "--help"]})
    @click.option(
        "--drain", is_flag=True, help="Exit when the queue is empty, delayed retries included, and nothing runs."
    )
    def worker(drain: bool) -> int:
        from src.interfaces.wiring.environment import load

        try:
            settings = load()
        except ConfigError as error:
            print(f"mediaworker: {error}", file=sys.stderr)
            return EXIT_CONFIG
        return run_worker(settings, name, drain=drain)

    worker.help = f"Run the worker {name} until SIGTERM. Settings are WORKER_* environment variables."
    try:
        answer = worker.main(
            list(arguments), prog_name=f"python -m src.interfaces.workers.{name}.main", standalone_mode=False
        )
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    return answer if isinstance(answer, int) else EXIT_OK


def run_worker(settings: Settings, name: str, *, drain: bool = False) -> int:
    """Work until SIGTERM (or, with `drain`, until the queue is empty). Returns the exit code."""
    from src.infrastructure.observability import logs
    from src.interfaces.wiring.adapters import build
    from src.interfaces.wiring.assemble import build_catalog, check_handlers, left_out
    from src.interfaces.wiring.checks import check_startup
    from src.interfaces.wiring.numbers import make_numbers, make_tally
    from src.interfaces.wiring.worker import build_worker, make_executor
    from src.interfaces.workers.failpoints import arm_from

    if name not in WORKERS:
        raise ConfigError(f"no worker {name!r}", fix=f"this build has: {', '.join(WORKERS)}")
    if (other := WITHOUT_QUEUE.get(name)) is not None:
        if drain:
            raise ConfigError(f"{name} takes nothing from a queue, so there is nothing to drain", fix=other.instead)
        module, _, function = other.loop.partition(":")
        code: int = getattr(importlib.import_module(module), function)(settings)
        return code
    lines = logs.configure(settings.log.level, settings.log.format, secrets=logs.secret_values(os.environ))
    try:
        arm_from(os.environ, settings.environment, supervisor=os.getpid())
        catalog = build_catalog(settings)
        check_handlers(settings, catalog)
        adapters = build(settings, catalog)
        executor = make_executor(adapters, catalog, lines.censor.hidden)
    except WorkerError as error:
        return refused(lines, error)
    try:
        check_startup(settings, adapters, content=name == CONTENT)
        swept = adapters.scratch().sweep()
        tally = make_tally(adapters, catalog)
        worker = build_worker(
            settings, adapters, catalog, executor, redact=lines.censor.hidden, drain=drain, meter=tally
        )
        numbers = make_numbers(name, settings, adapters, worker.health, tally, held=worker.held)
        answering = serve_health(settings, worker.health, numbers)
    except WorkerError as error:
        executor.close()
        return refused(lines, error)
    if without := left_out(settings):
        log.warning("jobs.left_out", extra={"types": without, "because": f"{settings.ledger.backend} ledger"})
    log.info(
        "worker.starting",
        extra={
            "worker": name,
            "owner": worker.options.owner,
            "scratch_swept": swept,
            "settings_from": settings.ssm_parameter,
        },
    )

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        worker.request_stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    before = set(threading.enumerate())
    settle_memory()
    worker.run(drain=drain)
    if drain:
        tell_left(adapters.ledger(), adapters.queue_inspector())
    if answering is not None:
        answering.close()
    log.info("worker.stopped", extra={"worker": name})
    leave(EXIT_OK, before)
    return EXIT_OK


def refused(lines: Lines, error: WorkerError) -> int:
    """Whatever is wrong before the first receive is wrong with the set-up: nothing was lost, nothing was taken. Said once: as a
    line of the log where programs read it, in plain words where people do, a line for each thing that is wrong. Returns the exit code."""
    if lines.as_json and log.isEnabledFor(logging.ERROR):
        log.error("worker.refused", extra={"error_class": error.code, "error": str(error)})
    else:
        for said in getattr(error, "each", None) or [str(error)]:
            print(f"mediaworker: {lines.censor.text(said)}", file=sys.stderr)
    return EXIT_CONFIG


def tell_left(jobs: JobQueries, queue: QueueInspector) -> None:
    """Say at the end of a drain which jobs wait: it was told to end before their messages were due, or the queue is empty
    and their messages never got there, or are another road's."""
    try:
        counts = jobs.counts()
    except WorkerError as error:
        log.warning("drain.unknown", extra={"error": str(error)})
        return
    waiting = Counter[str]()
    for (name, state), count in counts.items():
        waiting[name] += count if state in WAITING else 0
    waiting = +waiting
    if waiting:
        log.warning("drain.jobs_left", extra={"waiting": dict(waiting), "then": _then(queue)})


def _then(queue: QueueInspector) -> str:
    try:
        depth = queue.depth()
    except WorkerError as error:
        return f"{UNSEEN}: {error.message}"
    messages = depth.ready + depth.delayed + depth.in_flight
    return STILL_THERE.format(messages) if messages else LEFT


def settle_memory(*, look: bool = True) -> None:
    """What was loaded so far stays: the collector need not look at it again and again while thousands of messages come and
    go in a second. It works from here on, whether it did before or not; `look` lets it take what is garbage by now."""
    if look:
        gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    gc.enable()


def serve_health(settings: Settings, health: Health, numbers: Numbers) -> HealthServer | None:
    """Opens the port when one is set. Raises ConfigError."""
    if not settings.health.port:
        return None
    from src.interfaces.http.health import HealthServer
    from src.interfaces.http.metrics import pages

    made = HealthServer(health, settings.health.host, settings.health.port, pages(numbers))
    log.info("health.answering", extra={"host": settings.health.host, "port": made.start()})
    return made


def leave(code: int, before: set[threading.Thread]) -> None:
    """End the process here if a thread that was not there `before` still runs. The interpreter waits for every thread that is
    no daemon, so one that hangs in a backend's call would outlive the grace time; and it stops daemons wherever they are, so
    that what it takes apart last (connections, say) may wait for ever for a lock that one of them holds. Nothing is lost
    with them: what they have not committed is protected by a lease. Returns when there is no such thread."""
    started = [thread for thread in threading.enumerate() if thread not in before]
    deadline = time.monotonic() + LINGER_SECONDS
    for thread in started:
        thread.join(timeout=max(0.0, deadline - time.monotonic()))
    left = [thread for thread in started if thread.is_alive()]
    if stuck := [thread.name for thread in left if not thread.daemon]:
        log.warning("worker.threads_left", extra={"threads": stuck, "then": "the process ends without them"})
    for handler in logging.getLogger().handlers:
        handler.flush()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if left:
        os._exit(code)
