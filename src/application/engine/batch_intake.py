"""Claims of many short jobs in one commit: those that are new, and those that have a row already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from src.application.decoders.decoded import Reference, Requests
from src.application.engine.held import Held, HeldRuns
from src.application.engine.options import EngineOptions
from src.application.engine.uncertain import UncertainClaims
from src.application.failpoints import failpoint
from src.application.ports.clock import Clock
from src.application.ports.exchange import MessageExchange, Wanted
from src.application.ports.ledger import JobLedger
from src.application.ports.queue import Delivery, QueueConsumer
from src.domain.errors import DatabaseUnavailable, QueueUnavailable
from src.domain.job import ClaimAnswer, Claimed, Finished, Job, JobDraft, JobState

if TYPE_CHECKING:
    from src.application.decoders import Decoders

log = logging.getLogger(__name__)

TOGETHER = 2
"""Fewer known jobs than this are taken one by one, with the idempotency lock that spares work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchIntake:
    """What it can't claim is left to `Intake.take`, which looks at one message at a time."""

    decoders: Decoders
    ledger: JobLedger
    queue: QueueConsumer
    held: HeldRuns
    clock: Clock
    options: EngineOptions
    knows: Callable[[str], bool] = lambda _type: True
    """whether a job type is registered in this worker"""
    is_short: Callable[[str], bool] = lambda _type: False
    """whether a job type is short"""
    has_short: bool = False
    """whether there are any"""
    uncertain: UncertainClaims | None = None
    """is told of claims whose commit may have happened"""
    database_was_away: Callable[[], bool] = lambda: False
    """whether the database has only just come back: nobody could renew a lease meanwhile"""

    def sort(self, deliveries: Sequence[Delivery]) -> tuple[Sequence[Wanted], Sequence[Delivery]]:
        """Those that ask for one short job each, and the others, which `take` has to look at. Changes and raises nothing."""
        if self.options.running_per_tenant:
            # Counted one claim at a time.
            return (), deliveries
        short: dict[str, Wanted] = {}
        others: list[Delivery] = []
        for delivery in deliveries:
            failpoint("message.received")
            draft = self._short_draft(delivery)
            if draft is None or draft.id in short:
                others.append(delivery)
            else:
                short[draft.id] = delivery, draft
        return list(short.values()), others

    def _short_draft(self, delivery: Delivery) -> JobDraft | None:
        _, draft = self._named(delivery)
        return draft if draft is not None and self.is_short(draft.type) else None

    def take_short(self, wanted: Sequence[Wanted]) -> tuple[Sequence[Held], Sequence[Delivery]]:
        """Claim new short jobs, all in one commit: those that are held now, and the messages whose jobs the ledger knows
        already, which `take` has to look at. Raises DatabaseUnavailable; the messages then come back by themselves."""
        drafts = [draft for _, draft in wanted]
        try:
            begun = self.ledger.begin(drafts, owner=self.options.owner, lease_seconds=self.options.lease_seconds)
        except DatabaseUnavailable:
            self._note(map(self._claimed, drafts))
            raise
        held = self._hold([(begun[draft.id], delivery) for delivery, draft in wanted if draft.id in begun])
        return held, [delivery for delivery, draft in wanted if draft.id not in begun]

    def take_known(self, deliveries: Sequence[Delivery]) -> tuple[Sequence[Held], Sequence[Delivery]]:
        """Claim short jobs that have a row already, many at a time: what a dead worker left, what is due again, what was brought
        twice. Those that are held now, and the messages that `take` has to look at. Raises DatabaseUnavailable or DiskFull; the
        messages then come back by themselves."""
        known: dict[str, Delivery] = {}
        drafts: dict[str, JobDraft | None] = {}
        for delivery in deliveries if not self.options.running_per_tenant else ():
            job_id, draft = self._named(delivery)
            if job_id is not None and job_id not in known:
                known[job_id], drafts[job_id] = delivery, draft
        if len(known) < TOGETHER:
            return (), deliveries
        answers: dict[str, ClaimAnswer] = {}

        def move(job: Job, now: float) -> Job:
            answers.pop(job.id, None)
            draft = drafts[job.id]
            if not (self.knows(job.type) and self.is_short(job.type)):
                return job
            if draft is not None and (draft.tenant, draft.type) != (job.tenant, job.type):
                return job
            if job.state is JobState.RUNNING and self.database_was_away():
                return job
            after, answer = job.claim(now, owner=self.options.owner, lease_seconds=self.options.lease_seconds)
            if isinstance(answer, Claimed) or after is job:
                answers[job.id] = answer
                return after
            return job  # what ends a job without running it is for `take`

        try:
            rows = self.ledger.change_many(known, move)
        except Exception:
            # It may be several commits: some are there, whatever kept the next one from being made.
            self._note([answer.job for answer in answers.values() if isinstance(answer, Claimed)])
            raise
        sure = {job_id: answer for job_id, answer in answers.items() if job_id in rows}
        held = self._hold([(one.job, known[job_id]) for job_id, one in sure.items() if isinstance(one, Claimed)])
        done = [known[job_id] for job_id, one in sure.items() if isinstance(one, Finished)]
        if done:
            self._acknowledge(done)
        dealt = {id(delivery) for delivery in done} | {id(one.delivery) for one in held}
        return held, [delivery for delivery in deliveries if id(delivery) not in dealt]

    def _acknowledge(self, done: Sequence[Delivery]) -> None:
        """Of jobs that have ended. What is claimed beside them has to be started whatever the queue says."""
        try:
            self.queue.ack(done)
        except QueueUnavailable as error:
            log.warning("messages.unsettled", extra={"jobs": len(done), "reason": str(error)})
        failpoint("message.acked")

    def _named(self, delivery: Delivery) -> tuple[str | None, JobDraft | None]:
        """The one job that a message is about, and what it says of it."""
        try:
            decoded = self.decoders.decode(delivery.body, delivery.attributes)
        except Exception:  # noqa: BLE001 - `take` meets it again, and says what it means
            return None, None
        match decoded:
            case Requests([draft]) if not draft.delay_seconds:
                return draft.id, draft
            case Reference(job_id):
                return job_id, None
        return None, None

    def exchange(
        self,
        exchange: MessageExchange,
        limit: int,
        wait_seconds: float,
        found: Callable[[Sequence[Wanted], Sequence[Delivery]], object] = lambda _wanted, _others: None,
    ) -> tuple[Sequence[Held], Sequence[Delivery]]:
        """Receive, and claim what is short and new in the same commit: those that are held now, and the messages that `take`
        has to look at. `found` is told before the claim what came. Raises DatabaseUnavailable."""
        drafts: list[JobDraft] = []

        def sort(deliveries: Sequence[Delivery]) -> tuple[Sequence[Wanted], Sequence[Delivery]]:
            wanted, others = self.sort(deliveries)
            drafts[:] = [draft for _, draft in wanted]
            found(wanted, others)
            return wanted, others

        try:
            jobs, others = exchange.receive(
                limit,
                wait_seconds=wait_seconds,
                visibility_seconds=self.options.visibility_seconds,
                owner=self.options.owner,
                lease_seconds=self.options.lease_seconds,
                sort=sort,
            )
        except DatabaseUnavailable:
            self._note(map(self._claimed, drafts))
            raise
        return self._hold([(job, None) for job in jobs]) if jobs else (), others

    def _note(self, claimed: Iterable[Job]) -> None:
        if self.uncertain is not None:
            for job in claimed:
                self.uncertain.note(job)

    def _claimed(self, draft: JobDraft) -> Job:
        claimed = Job.begun(draft, 0.0, owner=self.options.owner, lease_seconds=self.options.lease_seconds)
        return replace(claimed, started_at=None)

    def _hold(self, begun: Sequence[tuple[Job, Delivery | None]]) -> Sequence[Held]:
        failpoint("claim.committed")
        now = self.clock.monotonic()
        held = [Held(job, delivery, None, now, now, short=True) for job, delivery in begun]
        self.held.add_all(held)
        return held
