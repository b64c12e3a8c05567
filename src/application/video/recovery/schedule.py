"""When each recovery job runs next. Any number of processes may go by it: one run of each at a time (`SingleFlight`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.video.recovery.run import RecoveryJob, Run, SingleFlight
from src.domain.errors import WorkerError

log = logging.getLogger(__name__)

INTERVALS: Mapping[str, float] = {
    "scan-stuck": 60.0,
    "reconcile": 600.0,
    "enqueue-uploaded": 3600.0,
    "stuck-pending": 3600.0,
    "stuck-videos": 1800.0,
    "recover-dead": 7200.0,
    "purge-raw": 86_400.0,
    "sweep-orphans": 604_800.0,
    "abort-uploads": 86_400.0,
    "purge-events": 86_400.0,
    "purge-jobs": 86_400.0,
}
"""{recovery job: seconds between two runs}, those of contracts.md 1.9. The first two were hourly there, after they had stormed
without a lock (lesson 11): here a run is alone, bounded, and costs one DescribeJobs for a hundred jobs that are due."""

DELETES = frozenset({"purge-raw", "sweep-orphans", "abort-uploads"})
"""They remove objects, or parts of them: a dry run unless somebody says otherwise."""

SLOW = DELETES | {"purge-events", "purge-jobs"}
"""They look through everything there is, once a day or a week; nobody's job waits for them, nor may one wait behind them."""

JITTER = 0.1
"""Share of an interval by which a run is early or late, so that many processes don't run in step."""

FIRST_SECONDS = 10.0
"""The first runs come within this, so that a fleet that starts over does not begin with all at once."""


@dataclass(slots=True)
class Schedule:
    """`turn` runs what is due. A job whose run fails has its next one as usual."""

    jobs: Mapping[str, Callable[[], RecoveryJob]]
    intervals: Mapping[str, float]
    """of these only; 0 leaves a job out"""
    flight: SingleFlight
    clock: Clock
    dice: Callable[[], float]
    limit: int
    delete: bool = False
    """whether those that delete do"""
    _next: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = self.clock.monotonic()
        self._next = {
            name: now + self.dice() * min(FIRST_SECONDS, seconds) for name, seconds in self.intervals.items() if seconds
        }

    def turn(self) -> int:
        """How many ran, were they refused or not."""
        now = self.clock.monotonic()
        due = sorted((at, name) for name, at in self._next.items() if at <= now)
        for _at, name in due:
            if self.flight.stopping():
                break
            self._run(name)
            self._next[name] = self.clock.monotonic() + self.intervals[name] * (1 + JITTER * (2 * self.dice() - 1))
        return len(due)

    def _run(self, name: str) -> None:
        run = Run(name, dry_run=name in DELETES and not self.delete, limit=self.limit)
        try:
            self.flight.run(self.jobs[name](), run)
        except WorkerError as error:
            log.warning("recovery.broke_off", extra={"recovery": name, "error_class": error.code, "error": str(error)})
        except Exception:
            log.exception("recovery.broken", extra={"recovery": name})
        report = run.report()
        counted = {key: report[key] for key in ("dry_run", "looked", "more", "refused", "counts")}
        log.info("recovery.ran", extra={"recovery": name, **counted})
