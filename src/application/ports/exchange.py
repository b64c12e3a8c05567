"""Where a queue's messages lie beside the ledger, a message and the job that it asks for can change places in one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from src.application.ports.queue import Delivery
from src.domain.job import Job, JobDraft

Wanted = tuple[Delivery, JobDraft]
"""A message, and the one short job that it asks for."""

Sort = Callable[[Sequence[Delivery]], tuple[Sequence[Wanted], Sequence[Delivery]]]
"""Messages -> those that ask for one short job each, and the others. Called again when the transaction must begin anew."""


class MessageExchange(Protocol):
    """For short jobs: the message goes in the commit that begins its job, so nothing has to be hidden, and nothing
    acknowledged. From then on the job's row stands for it: `wake_at` brings the job back when this worker is gone."""

    def receive(
        self,
        limit: int,
        *,
        wait_seconds: float,
        visibility_seconds: float,
        owner: str,
        lease_seconds: float,
        sort: Sort,
    ) -> tuple[Sequence[Job], Sequence[Delivery]]:
        """Jobs that are new to the ledger, begun as `JobLedger.begin` does it; and all other messages, received as
        `QueueConsumer.receive` does it. Both empty when nothing comes within `wait_seconds`. Raises DatabaseUnavailable;
        the commit may have happened."""
