"""When the recovery jobs run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from src.application.video.recovery.run import RecoveryJob, Run, SingleFlight
from src.application.video.recovery.schedule import Schedule
from src.domain.errors import BatchUnavailable
from src.infrastructure.memory.lock import MemoryIdempotency
from tests.fakes.clock import FrozenClock


@dataclass
class Counted:
    name: str
    runs: list[bool] = field(default_factory=list)
    """dry or not"""
    error: Exception | None = None

    def run(self, run: Run) -> None:
        self.runs.append(run.dry_run)
        if self.error is not None:
            raise self.error


@dataclass
class Day:
    clock: FrozenClock = field(default_factory=FrozenClock)
    made: dict[str, Counted] = field(
        default_factory=lambda: {name: Counted(name) for name in ("scan-stuck", "purge-raw", "reconcile")}
    )
    stopping: bool = False

    def __post_init__(self) -> None:
        self.lock = MemoryIdempotency(self.clock)

    def schedule(self, *, dice: float = 0.5, delete: bool = False) -> Schedule:
        jobs: dict[str, Callable[[], RecoveryJob]] = {name: lambda name=name: self.made[name] for name in self.made}  # type: ignore[misc]
        return Schedule(
            jobs=jobs,
            intervals={"scan-stuck": 60.0, "purge-raw": 3600.0, "reconcile": 0.0},
            flight=SingleFlight(self.lock, lambda: self.stopping),
            clock=self.clock,
            dice=lambda: dice,
            limit=10,
            delete=delete,
        )

    def pass_time(self, *schedules: Schedule, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            for schedule in schedules:
                schedule.turn()


def test_each_runs_at_its_interval_and_one_without_an_interval_never() -> None:
    day = Day()
    day.pass_time(day.schedule(), seconds=3700)
    assert {name: len(job.runs) for name, job in day.made.items()} == {"scan-stuck": 62, "purge-raw": 2, "reconcile": 0}


@pytest.mark.parametrize(("dice", "runs"), [(0.0, 67), (0.99, 57)])
def test_a_tenth_early_or_late(dice: float, runs: int) -> None:
    day = Day()
    day.pass_time(day.schedule(dice=dice), seconds=3600)
    assert abs(len(day.made["scan-stuck"].runs) - runs) <= 3


@pytest.mark.parametrize("delete", [False, True])
def test_what_removes_objects_only_says_it_until_it_may(delete: bool) -> None:
    day = Day()
    day.pass_time(day.schedule(delete=delete), seconds=20)
    assert day.made["purge-raw"].runs == [not delete]
    assert day.made["scan-stuck"].runs == [False]


@pytest.mark.parametrize("error", [BatchUnavailable("reset"), RuntimeError("a bug")])
def test_one_that_breaks_off_has_its_next_run_and_so_have_the_others(error: Exception) -> None:
    day = Day()
    day.made["scan-stuck"].error = error
    day.pass_time(day.schedule(), seconds=130)
    assert (len(day.made["scan-stuck"].runs), len(day.made["purge-raw"].runs)) == (3, 1)


def test_one_that_another_process_runs_is_left_to_it() -> None:
    day = Day()
    assert day.lock.acquire("video:scan-stuck:lock", ttl_seconds=1000) is not None
    day.pass_time(day.schedule(), seconds=130)
    assert day.made["scan-stuck"].runs == []


def test_nothing_begins_once_the_process_is_to_end() -> None:
    day = Day()
    schedule = day.schedule()
    day.stopping = True
    day.pass_time(schedule, seconds=100)
    assert not any(job.runs for job in day.made.values())
