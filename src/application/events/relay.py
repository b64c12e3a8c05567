"""Sends what was announced, sink by sink, in order, until each sink has it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.ports.outbox import EventSink, Outbox
from src.domain.errors import EventRefused, NetworkError, WorkerError

log = logging.getLogger(__name__)

LEAD_SECONDS = 15.0
"""How long a relay that died keeps others from a sink."""

BATCH_SECONDS = LEAD_SECONDS / 4
"""After which no further event of a batch is begun: the one under way may take ten seconds (a webhook's), and its end must lie
within the lead, or another relay overtakes it."""

LONGEST_PAUSE_SECONDS = 60.0
"""Between two tries of a sink that is away: 1 s, doubled each time."""


@dataclass
class Relay:
    """Any number may run; each sink has one at a time. At least once: a relay that dies between the sending and the note of it
    leaves events to be sent again, under the same id."""

    outbox: Outbox
    sinks: Mapping[str, EventSink]
    owner: str
    clock: Clock
    batch: int = 50
    _failures: dict[str, int] = field(default_factory=dict, init=False)
    _not_before: dict[str, float] = field(default_factory=dict, init=False)
    """{sink: monotonic seconds}"""

    def tick(self) -> int:
        """Send what can be sent; how many events. A sink's failure is logged and tried again later. Raises
        DatabaseUnavailable."""
        return sum(self._work_off(name, sink) for name, sink in self.sinks.items() if self._may_try(name))

    def last(self) -> int:
        """A tick of somebody who will not come again, and so waits for no pause to end: a database that is away is logged, and what
        is unsent stays for others."""
        self._not_before.clear()
        try:
            return self.tick()
        except WorkerError as error:
            log.warning("relay.failed", extra={"error_class": error.code, "error": str(error)})
            return 0

    def _may_try(self, name: str) -> bool:
        return self.clock.monotonic() >= self._not_before.get(name, 0.0)

    def _work_off(self, name: str, sink: EventSink) -> int:
        total = 0
        # In this order: taking the lead is a write, and most looks find nothing.
        while self.outbox.unsent(name, 1) and self.outbox.lead(name, self.owner, seconds=LEAD_SECONDS):
            count, more = self._batch(name, sink)
            total += count
            if not more:
                break
        return total

    def _batch(self, name: str, sink: EventSink) -> tuple[int, bool]:
        """How many were sent, and whether there may be more."""
        events = self.outbox.unsent(name, self.batch)
        until, done = self.clock.monotonic() + BATCH_SECONDS, []
        more = len(events) == self.batch
        try:
            for event in events:
                try:
                    sink.send(event)
                except EventRefused as error:
                    # It would be refused for ever, and everything behind it would wait.
                    log.error(  # noqa: TRY400 - the other side's answer says it all
                        "event.refused", extra={"sink": name, "event_id": event.id, "error": str(error)}
                    )
                done.append(event.id)
                if self.clock.monotonic() > until:
                    more = True
                    break
        except NetworkError as error:
            self._put_off(name, error)
            more = False
        except Exception as error:
            # A bug met this event: what went before it is not sent again for that, and the other sinks have their turn.
            log.exception("event.broken", extra={"sink": name, "event_id": events[len(done)].id})
            self._put_off(name, error)
            more = False
        else:
            self._failures.pop(name, None)
        if done:
            self.outbox.sent(name, done)
        return len(done), more

    def _put_off(self, name: str, error: Exception) -> None:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        pause = min(LONGEST_PAUSE_SECONDS, 2.0 ** (failures - 1))
        self._not_before[name] = self.clock.monotonic() + pause
        log.warning("event.unsent", extra={"sink": name, "error": str(error), "again_in_seconds": pause})
