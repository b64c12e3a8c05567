"""Several processes on one embedded database."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from src.application.ports.queue import Envelope
from src.domain.job import JobDraft, JobState
from src.infrastructure.clock import SystemClock
from src.infrastructure.db import schema
from src.infrastructure.db.engine import Database
from src.infrastructure.db.ledger import SqlLedger
from src.infrastructure.db.queue import SqlQueue

ROOT = Path(__file__).parents[2]
JOBS = 40


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path / 'worker.db'}"
    schema.upgrade(made)
    database = Database(made)
    ledger, queue = SqlLedger(database), SqlQueue(database, "video", SystemClock())
    for number in range(JOBS):
        ledger.admit(JobDraft(id=f"job-{number}", type="work", tenant="t1", payload={}))
    # Each twice, under other keys, as a queue that delivers at least once does.
    queue.publish([Envelope(body=f"job-{n % JOBS}".encode(), key=f"{n}") for n in range(2 * JOBS)])
    database.close()
    return made


def start(url: str, owner: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.adapters.sqlite_worker", url, owner, *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finish(workers: list[subprocess.Popen[str]]) -> list[str]:
    return [line for worker in workers for line in worker.communicate(timeout=120)[0].split()]


def test_f04_every_job_is_completed_once_by_one_of_the_processes(url: str) -> None:
    workers = [start(url, f"w{number}") for number in range(3)]
    completed = Counter(finish(workers))
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert completed == Counter({f"job-{number}": 1 for number in range(JOBS)})
    ledger = SqlLedger(Database(url))
    assert ledger.counts() == {("work", JobState.SUCCEEDED): JOBS}
    assert all(len(ledger.attempts(f"job-{number}")) == 1 for number in range(JOBS))


def test_k10_a_process_killed_inside_its_commit_costs_one_attempt_and_nothing_else(url: str) -> None:
    dies = start(url, "dies", "5")
    completed = Counter(finish([dies]))
    assert (dies.returncode, completed.total()) == (-9, 4)
    lives = start(url, "lives")
    completed.update(finish([lives]))
    assert lives.returncode == 0
    assert completed == Counter({f"job-{number}": 1 for number in range(JOBS)})
    ledger = SqlLedger(Database(url))
    assert ledger.counts() == {("work", JobState.SUCCEEDED): JOBS}
    outcomes = Counter(
        (attempt.owner, attempt.outcome) for number in range(JOBS) for attempt in ledger.attempts(f"job-{number}")
    )
    assert outcomes["dies", "LOST"] == 1
    assert outcomes["dies", "SUCCEEDED"] == 4
    assert sum(outcomes.values()) == JOBS + 1
