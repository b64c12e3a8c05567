"""A bare worker in a process of its own: `python -m tests.adapters.sqlite_worker URL OWNER [DIE_AT]`.

It claims and completes jobs until the queue is empty, and prints the id of each job that it completed. At the DIE_AT-th
completion it kills itself inside the transaction, after the row was written and before the commit.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from src.application.ports.ledger import Effect
from src.domain.errors import LeaseLost
from src.domain.job import ClaimAnswer, Claimed, Job
from src.infrastructure.clock import SystemClock
from src.infrastructure.db.engine import Database
from src.infrastructure.db.ledger import SqlLedger
from src.infrastructure.db.queue import SqlQueue

LEASE_SECONDS = 2.0


def main(url: str, owner: str, die_at: int = 0) -> None:
    """Work."""
    database = Database(url)
    ledger, queue = SqlLedger(database), SqlQueue(database, "video", SystemClock())
    completed = 0
    while queue.depth().ready or queue.depth().delayed or queue.depth().in_flight:
        for delivery in queue.receive(3, wait_seconds=0.2, visibility_seconds=LEASE_SECONDS):
            job_id = delivery.body.decode()
            if (fence := claimed(ledger, job_id, owner)) is not None:
                completed += 1
                complete(ledger, job_id, fence, die=completed == die_at)
            if (job := ledger.find(job_id)) is not None and job.state.is_terminal:
                queue.ack([delivery])
            else:
                queue.release(delivery, delay_seconds=0.2)


def claimed(ledger: SqlLedger, job_id: str, owner: str) -> int | None:
    """The fence, when the job is ours."""
    answers: list[ClaimAnswer] = []

    def move(job: Job, now: float) -> Job:
        new, answer = job.claim(now, owner=owner, lease_seconds=LEASE_SECONDS)
        answers.append(answer)
        return new

    ledger.change(job_id, move)
    return answers[-1].job.fence if isinstance(answers[-1], Claimed) else None


def killing_effects(_old: Job | None, _new: Job) -> Sequence[Effect]:
    """Effects are asked for inside the transaction."""
    os.kill(os.getpid(), signal.SIGKILL)
    return ()


def complete(ledger: SqlLedger, job_id: str, fence: int, *, die: bool) -> None:
    """Succeed, or die on the way."""
    if die:
        ledger.effects = killing_effects
    try:
        ledger.change(job_id, lambda job, now: job.succeed(now, fence=fence, result={"fence": fence}))
    except LeaseLost:
        return
    print(job_id, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(int(number) for number in sys.argv[3:]))
