"""The container's process: signals, logs, settings, then the one job; its exit code says how that ended (contracts.md 1.7)."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from src.application.engine.stop import StopSwitch
from src.application.engine.verdict import Event, Verdict
from src.domain.errors import ConfigError, InvalidPayload, WorkerError
from src.domain.ids import identifier
from src.infrastructure.clock import SystemClock
from src.infrastructure.observability import logs

if TYPE_CHECKING:
    from src.application.engine.oneshot import OneShot
    from src.infrastructure.observability.logs import Lines

log = logging.getLogger(__name__)

JOB_ID = "VIDEO_JOB_ID"
UNSET = "Ref::job_id"
"""What a job definition's command says; Batch puts the job's id in its place."""

USAGE = f"usage: python -m src.interfaces.workers.batch.main JOB_ID, or the id in {JOB_ID}, which wins"

KILL_SECONDS = 30.0
"""Batch kills a container so long after SIGTERM (ECS stopTimeout), whatever our own grace time says."""

SPARE_SECONDS = 2.0
"""The process ends so long before the grace time does (a quarter of it, where that is shorter)."""

WIND_UP_SECONDS = 6.0
"""Before that: what ending takes once a database that is away is waited for no longer."""


def main(arguments: Sequence[str]) -> int:
    """The exit code. Never raises for what is foreseen; a bug ends in a traceback (as one log line) and exit 1."""
    from src.interfaces.wiring.oneshot import log_fields
    from src.interfaces.workers.runner import leave

    if arguments and arguments[0] in ("--help", "-h"):
        print(
            f"{USAGE}\n\nDo one job of the ledger and end (docs/batch-worker.md). Settings are WORKER_* environment variables."
        )
        return 0
    stop = StopSwitch(SystemClock(), KILL_SECONDS - SPARE_SECONDS - WIND_UP_SECONDS)
    before = set(threading.enumerate())
    job_id = os.environ.get(JOB_ID) or (arguments[0] if len(arguments) == 1 else "")
    # Before the settings, because what is wrong with those is a line as well.
    lines = logs.configure(secrets=logs.secret_values(os.environ))
    lines.keep(log_fields(job_id or None))
    _heed_signals(stop, lines, KILL_SECONDS)
    try:
        verdict = _run(job_id, arguments, stop)
    except WorkerError as error:
        facts = {"error_class": error.code, "error": str(error)}
        verdict = Verdict(Event.TERMINATED if stop.requested else Event.NOT_STARTED, None, facts)
    log.log(logging.ERROR if verdict.exit_code else logging.INFO, verdict.event.value, extra=_told(verdict))
    leave(verdict.exit_code, before)
    return verdict.exit_code


def _run(job_id: str, arguments: Sequence[str], stop: StopSwitch) -> Verdict:
    if len(arguments) > 1:
        raise ConfigError(f"one job id is wanted, not {len(arguments)} arguments", fix=USAGE)
    if not job_id or job_id == UNSET:
        raise ConfigError("there is no job id", fix=f"give one argument, or set {JOB_ID}")
    try:
        identifier(job_id, "job id")
    except InvalidPayload as error:
        return Verdict(Event.NOT_FOUND, None, {"reason": str(error)})
    return _made(job_id, stop).run(job_id)


def _made(job_id: str, stop: StopSwitch) -> OneShot:
    from src.interfaces.wiring.adapters import build
    from src.interfaces.wiring.assemble import build_catalog, check_handlers
    from src.interfaces.wiring.environment import load
    from src.interfaces.wiring.oneshot import build_one_shot, check_ledger_there, log_fields
    from src.interfaces.workers.failpoints import arm_from

    settings = load()
    lines = logs.configure(settings.log.level, settings.log.format, secrets=logs.secret_values(os.environ))
    lines.keep(log_fields(job_id))
    ends_within = min(KILL_SECONDS, settings.shutdown.grace_seconds)
    stop.seconds = max(ends_within / 4, ends_within - SPARE_SECONDS - WIND_UP_SECONDS)
    _heed_signals(stop, lines, ends_within)
    arm_from(os.environ, settings.environment, supervisor=os.getpid())
    catalog = build_catalog(settings)
    check_handlers(settings, catalog)
    adapters = build(settings, catalog, queue=False)
    check_ledger_there(settings, adapters)
    return build_one_shot(settings, adapters, catalog, stop, keep=lines.keep, redact=lines.censor.hidden)


def _heed_signals(stop: StopSwitch, lines: Lines, ends_within: float) -> None:
    """SIGTERM and SIGINT ask for the end; if something hangs, an alarm brings it. What is unwritten then is protected by its
    lease, and what runs dies with this process."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if not stop.requested:
            signal.setitimer(signal.ITIMER_REAL, ends_within - min(SPARE_SECONDS, ends_within / 4))
        stop.request(signal.Signals(number).name)

    def on_alarm(_number: int, _frame: FrameType | None) -> None:
        # Not by the logs: the thread that this interrupts may hold their locks.
        said = lines.own(level="error", event=Event.TERMINATED.value, signal=stop.name, written=False, then="killed")
        os.write(2, f"{said}\n".encode())
        os._exit(1)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    signal.signal(signal.SIGALRM, on_alarm)


def _told(verdict: Verdict) -> Mapping[str, Any]:
    job = verdict.job
    if job is None:
        return verdict.facts
    error = {"error_class": job.error.code, "error": job.error.message} if job.error else {}
    retry = {"due_at": job.due_at} if verdict.event in (Event.FAILED, Event.TERMINATED) else {}
    known = {"state": job.state.value, "attempts": job.attempts, "max_attempts": job.max_attempts}
    return {**known, **error, **retry, **verdict.facts}
