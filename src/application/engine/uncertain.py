"""Claims whose fate is unknown: the database went away between the commit and its answer (reliability.md 2).

Such a row may say RUNNING, with this worker's lease, while nobody runs it. Left alone it would come back when the lease ends,
an attempt poorer. So as soon as the database answers it is read back, and given back untried when the claim went through.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from src.application.engine.held import HeldRuns, run_id
from src.application.ports.ledger import JobLedger
from src.domain.errors import NotFound
from src.domain.job import Job

log = logging.getLogger(__name__)


@dataclass(slots=True)
class UncertainClaims:
    """Thread-safe. What a worker that dies forgets in here is found by the end of its lease, as any job of a dead worker."""

    ledger: JobLedger
    held: HeldRuns = field(default_factory=HeldRuns)
    """what this worker runs: the messages of a claim that failed may have come again, to its other hand"""
    _claims: dict[str, Job] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, claimed: Job) -> None:
        """This claim was asked for, and what became of it was not heard."""
        with self._lock:
            self._claims[claimed.id] = claimed

    @property
    def pending(self) -> bool:
        """Whether rows are still to be read back. They are due once they were, if the claim went through."""
        with self._lock:
            return bool(self._claims)

    def settle(self, goes_on: Callable[[], object] = lambda: None) -> int:
        """Read every such row back; how many had been claimed and are given back. `goes_on` is told after each: those of a batch
        are hundreds. Raises DatabaseUnavailable: the rest stays noted."""
        with self._lock:
            noted = list(self._claims.values())
        given_back = 0
        for claimed in noted:
            given_back += self._settle(claimed)
            with self._lock:
                if self._claims.get(claimed.id) is claimed:
                    del self._claims[claimed.id]
            goes_on()
        return given_back

    def _settle(self, claimed: Job) -> bool:
        ours: list[bool] = []

        def move(job: Job, now: float) -> Job:
            same = (job.state, job.fence, job.lease_owner) == (claimed.state, claimed.fence, claimed.lease_owner)
            # The time of the claim tells ours from that of another worker that has the same name and got the same fence. Of
            # a claim of many it was in the answer that was lost.
            lost = same and claimed.started_at in (None, job.started_at)
            ours.append(lost and self.held.get(run_id(job)) is None)
            return job.hand_back(now, fence=claimed.fence) if ours[-1] else job

        try:
            self.ledger.change(claimed.id, move)
        except NotFound:
            return False
        if ours[-1]:
            log.info("claim.taken_back", extra={"job": claimed.id, "fence": claimed.fence})
        return ours[-1]
