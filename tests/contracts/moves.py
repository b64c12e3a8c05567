"""What the ledger's suites do to jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from src.application.ports.ledger import Move
from src.domain.errors import ErrorReport
from src.domain.job import ClaimAnswer, Job, JobDraft
from tests.fakes.flaky import WholeLedger

Answer = TypeVar("Answer")


def draft(job_id: str = "job-1", *, subject: str | None = None, tenant: str = "t1", job_type: str = "work") -> JobDraft:
    return JobDraft(
        id=job_id,
        type=job_type,
        tenant=tenant,
        subject=subject,
        payload={"n": 1.5, "text": "é\u0000"},
        trace="00-t",
        max_attempts=3,
    )


def claim(
    ledger: WholeLedger,
    job_id: str = "job-1",
    *,
    owner: str = "w1",
    lease: float = 30.0,
    running_per_tenant: int = 0,
) -> ClaimAnswer:
    answers: list[ClaimAnswer] = []

    def move(job: Job, now: float) -> Job:
        new, answer = job.claim(now, owner=owner, lease_seconds=lease)
        answers.append(answer)
        return new

    ledger.change(job_id, move, running_per_tenant=running_per_tenant)
    return answers[-1]


def at_once(count: int, work: Callable[[int], Answer]) -> list[Answer]:
    """Call `work` from so many threads together."""
    gate = threading.Barrier(count)

    def run(number: int) -> Answer:
        gate.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def failing(fence: int, error: Exception) -> Move:
    return lambda job, now: job.fail(now, fence=fence, error=ErrorReport.of(error), dice=0.5)
