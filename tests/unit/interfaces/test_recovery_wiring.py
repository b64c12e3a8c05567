"""What `mediaworker run recovery` is made of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from src.application.engine.health import Health
from src.application.ports.batch import BatchJob
from src.application.ports.submissions import BatchSubmission
from src.application.video.recovery.purge_jobs import PurgeJobs
from src.application.video.recovery.run import Run
from src.application.video.recovery.schedule import INTERVALS, Schedule
from src.domain.errors import BatchDenied, ConfigError
from src.domain.infra.queue_rules import KEPT_SECONDS
from src.infrastructure.memory.batch import MemoryBatch
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.checks import check_database
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.recoveries import batch_probes, make_schedules, recovery_jobs, tell_left_alone
from src.interfaces.wiring.settings import Settings
from src.interfaces.workers.turns import Loop, at_its_pace, keep_turning
from tests.fakes.clock import FrozenClock


@dataclass
class Standing:
    """Two of them are never at it at the same time, unless in threads of their own."""

    name: str
    waits: threading.Event | None
    ran: threading.Event = field(default_factory=threading.Event)

    def run(self, _run: Run) -> None:
        self.ran.set()
        if self.waits is not None:
            self.waits.wait(60)


def never(_schedule: str) -> bool:
    return False


BATCH = {"WORKER_DISPATCH__BACKEND": "batch", "WORKER_BATCH__QUEUE": "q", "WORKER_BATCH__DEFINITION": "d"}


def wired(tmp_path: Path, **more: str) -> tuple[Settings, Adapters]:
    settings = load({"WORKER_DATA_DIR": str(tmp_path), "WORKER_AWS__ENDPOINT_URL": "http://127.0.0.1:9", **more})
    adapters = build(settings, build_catalog(settings))
    check_database(settings, adapters)
    return settings, adapters


class Denied(MemoryBatch):
    """Permits nothing, as a role without the policy."""

    def describe(self, batch_ids: Collection[str]) -> Mapping[str, BatchJob]:
        raise BatchDenied("DescribeJobs was denied")


def test_recovery_that_may_not_ask_batch_is_not_ready(tmp_path: Path) -> None:
    settings, adapters = wired(tmp_path, **BATCH)
    health, clock = Health(FrozenClock()), FrozenClock()
    for batch, ready in ((MemoryBatch(clock), True), (Denied(clock), False)):
        adapters.batch.override(batch)
        for probe in batch_probes(settings, adapters, health):
            probe.tick()
        assert health.ready() is ready
    settings, adapters = wired(tmp_path)
    assert batch_probes(settings, adapters, health) == ()


def test_submissions_that_nobody_looks_after_are_told_of_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings, adapters = wired(tmp_path)
    tell_left_alone(settings, adapters)
    assert caplog.messages == []
    adapters.submissions().add(BatchSubmission(batch_id="b1", job_id="j1", generation=1, attempt=1))
    tell_left_alone(*wired(tmp_path, **BATCH))
    assert caplog.messages == []
    tell_left_alone(settings, adapters)
    (said,) = caplog.records
    assert (said.levelname, said.message) == ("WARNING", "recovery.batch_left_alone")
    assert "WORKER_DISPATCH__BACKEND=batch" in said.__dict__["fix"]
    adapters.submissions().count("b1")
    caplog.clear()
    tell_left_alone(settings, adapters)
    assert caplog.messages == []


def schedules(tmp_path: Path, clock: FrozenClock, stopping: Callable[[str], bool] = never) -> list[Schedule]:
    settings = load(
        {
            "WORKER_DATA_DIR": str(tmp_path),
            "WORKER_LOCK__BACKEND": "memory",
            "WORKER_DISPATCH__BACKEND": "batch",
            "WORKER_BATCH__QUEUE": "q",
            "WORKER_BATCH__DEFINITION": "d",
            "WORKER_AWS__ENDPOINT_URL": "http://127.0.0.1:9",
            "WORKER_STORAGE__BACKEND": "s3",
            "WORKER_STORAGE__BUCKET": "b",
        }
    )
    catalog = build_catalog(settings)
    made = make_schedules(settings, build(settings, catalog), catalog, clock=clock, stopping=stopping)
    return list(made.values())


def test_rows_of_jobs_that_are_kept_for_ever_are_left_alone(tmp_path: Path) -> None:
    settings, adapters = wired(tmp_path, WORKER_RECOVERY__KEEP_JOB_SECONDS="0")
    run, catalog = Run("purge-jobs"), build_catalog(settings)
    recovery_jobs(settings, adapters, catalog)["purge-jobs"]().run(run)
    assert run.refused == "WORKER_RECOVERY__KEEP_JOB_SECONDS=0 keeps rows of jobs for ever"
    made = make_schedules(settings, adapters, catalog, clock=FrozenClock(), stopping=never)
    assert made["sweeps"].intervals["purge-jobs"] == 0.0
    settings, adapters = wired(tmp_path)
    job = recovery_jobs(settings, adapters, build_catalog(settings))["purge-jobs"]()
    assert isinstance(job, PurgeJobs)
    assert job.keep_seconds == 90 * 86_400.0


@pytest.mark.parametrize("seconds", ["1", "1209599"])
def test_rows_of_jobs_stay_for_longer_than_any_message_may_live(tmp_path: Path, seconds: str) -> None:
    with pytest.raises(ConfigError, match="WORKER_RECOVERY__KEEP_JOB_SECONDS") as refused:
        wired(tmp_path, WORKER_RECOVERY__KEEP_JOB_SECONDS=seconds)
    assert "1209600" in str(refused.value.fix)
    assert "for ever" in str(refused.value.fix)


def test_fourteen_days_are_long_enough(tmp_path: Path) -> None:
    settings, _adapters = wired(tmp_path, WORKER_RECOVERY__KEEP_JOB_SECONDS="1209600")
    assert settings.recovery.keep_job_seconds == KEPT_SECONDS


def test_each_recovery_job_is_in_one_schedule(tmp_path: Path) -> None:
    names = [name for schedule in schedules(tmp_path, FrozenClock()) for name in schedule.intervals]
    assert sorted(names) == sorted(INTERVALS)


def test_a_sweep_that_takes_hours_keeps_no_job_waiting_for_its_owner(tmp_path: Path) -> None:
    clock, stop, done = FrozenClock(), threading.Event(), threading.Event()
    hold = {"purge-raw", "sweep-orphans", "abort-uploads", "purge-events", "purge-jobs"}
    made = {name: Standing(name, done if name in hold else None) for name in INTERVALS}

    def of(name: str) -> Callable[[], Standing]:
        return lambda: made[name]

    threads = []
    for schedule in schedules(tmp_path, clock):
        own = replace(schedule, jobs={name: of(name) for name in INTERVALS}, dice=lambda: 0.0)
        own._next = dict.fromkeys(schedule.intervals, 0.0)
        threads.append(keep_turning(Loop("one", [at_its_pace(own.turn)]), stop, Health(clock)))
    try:
        late = [name for name in sorted(INTERVALS.keys() - hold) if not made[name].ran.wait(10)]
        assert late == []
        assert any(made[name].ran.is_set() for name in hold)
    finally:
        stop.set()
        done.set()
        for thread in threads:
            thread.join(10)


def test_f45_a_run_tells_its_own_schedule_that_it_goes_on(tmp_path: Path) -> None:
    told: list[str] = []

    def stopping(schedule: str) -> bool:
        told.append(schedule)
        return False

    for schedule in schedules(tmp_path, FrozenClock(), stopping):
        schedule.flight.stopping()
    assert told == ["recovery", "sweeps"]
