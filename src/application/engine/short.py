"""The road of short jobs: many are received, claimed, run and settled together, so that each costs microseconds of the worker.

Promises are those of any job (claimed in the ledger before it runs, settled under its fence, acknowledged after that); the
idempotency lock is left out, which only ever spared work.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from src.application.engine.held import Held, HeldRuns, work_order
from src.application.engine.intake import Intake
from src.application.engine.pace import Pace
from src.application.engine.settler import Settler
from src.application.ports.clock import Clock
from src.application.ports.exchange import MessageExchange, Wanted
from src.application.ports.executor import Executor, Succeeded
from src.application.ports.queue import Delivery
from src.domain.errors import InvalidPayload

log = logging.getLogger(__name__)

MIXED_SECONDS = 5.0
"""After long jobs came in a batch and found no room: how long no more is received than there is room for long ones."""

PARTS = 2
"""Batches at a time: one runs while the next is taken."""

EXCHANGED_PARTS = 4
"""The same where two are taken, one runs, and one is settled."""


@dataclass(slots=True)
class ShortRoad:
    """Says how many messages to ask for, starts the short jobs among them, and settles them as they end."""

    intake: Intake
    settler: Settler
    executor: Executor
    held: HeldRuns
    pace: Pace
    clock: Clock
    slots: int
    exchange: MessageExchange | None = None
    """where the queue lies beside the ledger"""
    freed: threading.Event = field(default_factory=threading.Event)
    """set whenever something was settled"""
    _ended: queue.SimpleQueue[Sequence[Succeeded] | None] = field(default_factory=queue.SimpleQueue)
    _mixed_until: float = 0.0
    _coming: dict[int, int] = field(default_factory=dict)
    """{thread: jobs that it is about to hold}"""

    @property
    def coming(self) -> int:
        """Jobs that are about to be held: their messages were read, and their rows are being written."""
        return sum(self._coming.copy().values())

    @property
    def used(self) -> bool:
        """Whether this worker knows short jobs at all."""
        return self.intake.has_short

    @property
    def exchanges(self) -> bool:
        """Whether messages and short jobs change places in one commit."""
        return self.used and self.exchange is not None

    # ------------------------------------------------------------------ in
    def places(self) -> int:
        """Processes in which a long job could start now."""
        long, short = self.held.count()
        return max(0, self.slots - long - short)

    def room(self) -> int:
        """Messages to ask for now. A part of what may be held must be free: many small batches would cost as much as none."""
        if not self.executor.ready():
            # What it holds would wait for a process to start, and others could have done it meanwhile.
            return 0
        coming = self.coming
        long, short = self.held.count()
        free = self.slots - long
        if free <= 0 or not self.used or self.clock.monotonic() < self._mixed_until:
            return max(0, self.places() - coming)
        most = self.pace.allowance(free)
        left = most - short - coming
        return left if left >= max(1, most // (EXCHANGED_PARTS if self.exchanges else PARTS)) else 0

    def take(self, wanted: Sequence[Wanted]) -> Sequence[Delivery]:
        """Claim and start short jobs; the messages that `Intake.take` has to look at. Raises DatabaseUnavailable."""
        try:
            held, others = self.intake.take_short(wanted)
        except InvalidPayload as error:
            _one_by_one(error)
            return [delivery for delivery, _ in wanted]
        if held:
            log.debug("batch.started", extra={"jobs": len(held)})
            self.start(held)
        return others

    def take_known(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Claim and start short jobs that have a row already; the messages that `Intake.take` has to look at. Raises
        DatabaseUnavailable or DiskFull."""
        held, others = self.intake.take_known(deliveries)
        if held:
            log.info("batch.resumed", extra={"jobs": len(held)})
            self.start(held)
        return others

    def receive(
        self, limit: int, *, wait_seconds: float, sorted_out: Callable[[], object] = lambda: None
    ) -> tuple[int, Sequence[Delivery]] | None:
        """Where messages and jobs change places in one commit: how many short jobs were begun (they are started), and the
        messages that `Intake.take` has to look at; elsewhere None. `sorted_out` is called when all that came are short jobs
        and count as `coming`: somebody else may look meanwhile. Raises DatabaseUnavailable."""
        if self.exchange is None:
            return None
        me = threading.get_ident()

        def found(wanted: Sequence[Wanted], others: Sequence[Delivery]) -> None:
            self._coming[me] = len(wanted)
            if wanted and not others:
                sorted_out()

        try:
            held, others = self.intake.exchange(self.exchange, limit, wait_seconds, found)
        except InvalidPayload as error:
            _one_by_one(error)
            return None
        finally:
            self._coming.pop(me, None)
        if held:
            log.debug("batch.started", extra={"jobs": len(held)})
            self.start(held)
        return len(held), others

    def start(self, held: Sequence[Held]) -> None:
        """Run claimed short jobs."""
        long, _ = self.held.count()
        self.pace.took()
        self.executor.start_short([work_order(one) for one in held], processes=max(1, self.slots - long))
        self._stop_again(held)

    def start_one(self, taken: Held) -> None:
        """Run a claimed job, short or long."""
        if taken.short:
            self.start([taken])
            return
        self.executor.start(work_order(taken))
        self._stop_again([taken])

    def _stop_again(self, held: Sequence[Held]) -> None:
        """Held jobs can be stopped from the moment of their claim; the executor knows nothing of them before their start."""
        for one in held:
            if one.stop_reason is not None:
                self.executor.stop(one.run_id, one.stop_reason.value)

    def has_place(self) -> bool:
        """Whether a long job could start now. If not, smaller batches are received for a while, so that long jobs are not
        taken only to be given back."""
        if self.places() > 0:
            return True
        self._mixed_until = self.clock.monotonic() + MIXED_SECONDS
        return False

    # ------------------------------------------------------------------ out
    def ended(self, events: Sequence[Succeeded]) -> None:
        """Short jobs that succeeded: settled by the thread that runs `settle_all`, with those that end meanwhile."""
        self._ended.put(events)

    def left(self, taken: Held) -> None:
        """An attempt that was settled by itself is over."""
        if taken.short:
            self._over(1)
        self.freed.set()

    def returned(self, count: int) -> None:
        """So many attempts of short jobs were given back."""
        self._over(count)
        self.freed.set()

    def settle_all(self, tell: Callable[[Sequence[Held]], object]) -> None:
        """Settle until `close`; `tell` gets each batch afterwards."""
        while (events := self._next()) is not None:
            settled: Sequence[Held] = ()
            try:
                settled = self.settler.settle_short(events)
            except Exception:
                # The leases run out and the jobs are found again; the worker goes on.
                log.exception("settle.broken", extra={"jobs": len(events)})
            self._over(len(events))
            self.freed.set()
            tell(settled)

    def _over(self, count: int) -> None:
        _, left = self.held.count()
        self.pace.ended(count, left=left)

    def close(self) -> None:
        """Let `settle_all` return."""
        self._ended.put(None)

    def _next(self) -> Sequence[Succeeded] | None:
        events = self._ended.get()
        if events is None:
            return None
        found = list(events)
        while not self._ended.empty():
            more = self._ended.get()
            if more is None:
                self._ended.put(None)
                break
            found += more
        return found


def _one_by_one(error: InvalidPayload) -> None:
    """One of a batch can't be kept, and would come back with the others again and again: each is taken by itself."""
    log.warning("batch.refused", extra={"error": str(error), "then": "one by one"})
