"""Sends what was announced, sink by sink, in order, until each sink has it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.application.ports.outbox import EventSink, Outbox, Unsent
from src.domain.errors import EventRefused, NetworkError, WorkerError

log = logging.getLogger(__name__)

LEAD_SECONDS = 15.0
"""How long a relay that died keeps others from a sink."""

BATCH_SECONDS = LEAD_SECONDS / 4
"""After which no further event of a batch is begun: the one under way may take ten seconds (a webhook's), and its end must lie
within the lead, or another relay overtakes it."""

SHOWN = 500
"""Letters of an error that are kept."""

LONGEST_PAUSE_SECONDS = 60.0
"""Between two tries of a sink that is away: 1 s, doubled each time."""

PAUSES = (*(2.0**n for n in range(10)), 900.0)
"""Seconds between the tries that count of one event which a sink does not take, although it is there; after the last of them it is
parked: at its twelfth, half an hour after its first."""

PROBES = 3
"""Jobs whose events are tried, one after another without a success, before a sink counts as away. The next round asks with others:
so many bad ones in a row would look like an outage for ever."""

MOST_MET = 1000
"""Events that are passed over for others while a sink is away; then the first come first again."""


@dataclass
class _Sink:
    """What this relay knows of one sink since the sink took something last."""

    rounds: int = 0
    """that ended without"""
    not_before: float = 0.0
    """monotonic seconds"""
    met: set[str] = field(default_factory=set)
    """events without a history that failed"""
    suspects: dict[str, tuple[int, str]] = field(default_factory=dict)
    """{event: (tries that counted, error)} of failures that count if the next event is taken"""


@dataclass
class _Batch:
    """What came of one."""

    sent: list[str] = field(default_factory=list)
    holds: dict[str, tuple[int, str]] = field(default_factory=dict)
    behind: set[str] = field(default_factory=set)
    """jobs whose events have to wait"""
    failed: int = 0
    """events without a history, since the last success"""
    away: str = ""
    """the first event of those"""
    error: str = ""
    more: bool = False
    """the outbox has perhaps something else that may go"""


@dataclass
class Relay:
    """Any number may run; each sink has one at a time. At least once: a relay that dies between the sending and the note of it
    leaves events to be sent again, under the same id.

    A failure is the event's own if the sink takes the very next event that has not failed by itself before, of another job: then it
    counts as a try of the event, which is put off, and parked at last (PAUSES). Otherwise it is the sink's, and counts for nothing.
    Were a sink's answers left to chance, then between two tries that count an event would be taken at least every other time,
    however rarely the sink takes one: one event in 4,000 is parked wrongly at worst."""

    outbox: Outbox
    sinks: Mapping[str, EventSink]
    owner: str
    """of this relay alone"""
    clock: Clock
    batch: int = 50
    _known: dict[str, _Sink] = field(default_factory=dict, init=False)
    _turn: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)
    """the last tick may come while another thread is at one: under one name, both would lead"""

    def tick(self) -> int:
        """Send what can be sent; how many events. A sink's failure is logged and tried again later. Raises
        DatabaseUnavailable."""
        with self._turn:
            return sum(self._work_off(name, sink) for name, sink in self.sinks.items())

    def last(self) -> int:
        """A tick of somebody who will not come again, and so waits for no pause to end and leaves the sinks to others: a database
        that is away is logged, and what is unsent stays for them."""
        try:
            with self._turn:
                self._known.clear()
                sent = self.tick()
                for name in self._known:
                    self.outbox.lead(name, self.owner, seconds=0)
        except WorkerError as error:
            log.warning("relay.failed", extra={"error_class": error.code, "error": str(error)})
            return 0
        return sent

    def _work_off(self, name: str, sink: EventSink) -> int:
        total, until = 0, self.clock.monotonic() + LEAD_SECONDS
        # In this order: taking the lead is a write, and most looks find nothing.
        while self._may_go(name):
            if not self.outbox.lead(name, self.owner, seconds=LEAD_SECONDS):
                # What the one who has it finds out, this relay will not hear of.
                self._known.pop(name, None)
                break
            count, more = self._batch(name, sink)
            total += count
            if not more or self.clock.monotonic() > until:
                break
        return total

    def _may_go(self, name: str) -> bool:
        """Whether there is something to send. While a sink pauses because of one event alone, others are: it may be that event's
        fault."""
        known = self._known.get(name)
        if known is None or self.clock.monotonic() >= known.not_before:
            return bool(self.outbox.unsent(name, 1))
        if len(known.met) != 1:
            return False
        return any(_untried(self.outbox.unsent(name, self.batch), known.met))

    def _batch(self, name: str, sink: EventSink) -> tuple[int, bool]:
        """How many were sent, and whether there may be more."""
        known = self._known.setdefault(name, _Sink())
        limit = self.batch + len(known.met)
        events = self.outbox.unsent(name, limit)
        if len(known.met) > MOST_MET or not any(_untried(events, known.met)):
            known.met.clear()
        until, batch = self.clock.monotonic() + BATCH_SECONDS, _Batch(more=len(events) == limit)
        for each in _untried(events, frozenset(known.met)):
            if each.event.job_id in batch.behind:
                continue
            self._try(name, sink, each, known, batch)
            if batch.failed == PROBES:
                break
            if self.clock.monotonic() > until:
                batch.more = True
                break
        self._note(name, batch)
        if known.met:
            if batch.away:
                # For whoever asks why nothing comes: no try of the event, and it may go as soon as the sink is back.
                self.outbox.hold(name, batch.away, tries=0, error=batch.error[:SHOWN], seconds=0)
            self._put_off(name, known, batch.error)
            return len(batch.sent), False
        known.rounds, known.not_before = 0, 0.0
        return len(batch.sent), bool(batch.sent) and batch.more

    def _try(self, name: str, sink: EventSink, each: Unsent, known: _Sink, batch: _Batch) -> None:
        event = each.event
        tries, _error = batch.holds.get(event.id, (each.hold.tries if each.hold else 0, ""))
        try:
            sink.send(event)
        except EventRefused as error:
            # It would be refused for ever, and everything behind it would wait. Whoever refuses is there.
            log.error(  # noqa: TRY400 - the other side's answer says it all
                "event.refused", extra={"sink": name, "event_id": event.id, "error": str(error)}
            )
        except NetworkError as error:
            self._failed(each, tries, str(error), known, batch)
            return
        except Exception as error:
            # A bug met this event: what went before it is not sent again for that, and the others have their turn.
            log.exception("event.broken", extra={"sink": name, "event_id": event.id})
            self._failed(each, tries, f"{type(error).__name__}: {error}", known, batch)
            return
        batch.sent.append(event.id)
        batch.holds.pop(event.id, None)
        batch.failed, batch.away = 0, ""
        batch.more |= bool(known.met)
        known.met.clear()
        known.suspects.pop(event.id, None)
        if not tries:
            batch.holds |= {suspect: (counted + 1, text) for suspect, (counted, text) in known.suspects.items()}
            known.suspects.clear()

    @staticmethod
    def _failed(each: Unsent, tries: int, error: str, known: _Sink, batch: _Batch) -> None:
        batch.behind.add(each.event.job_id)
        batch.error = error
        if tries:
            batch.holds[each.event.id] = (tries, error)
        else:
            batch.failed += 1
            batch.away = batch.away or each.event.id
            known.suspects.clear()
            known.met.add(each.event.id)
        known.suspects[each.event.id] = (tries, error)

    def _note(self, name: str, batch: _Batch) -> None:
        if batch.sent:
            self.outbox.sent(name, batch.sent)
        for event_id, (tries, error) in batch.holds.items():
            seconds = PAUSES[tries - 1] if tries <= len(PAUSES) else None
            self.outbox.hold(name, event_id, tries=tries, error=error[:SHOWN], seconds=seconds)
            about = {"sink": name, "event_id": event_id, "tries": tries, "error": error[:SHOWN]}
            if seconds is None:
                log.error("event.parked", extra={**about, "then": "`mediaworker outbox retry` sends it again"})
            else:
                log.warning("event.put_off", extra={**about, "again_in_seconds": seconds})

    def _put_off(self, name: str, known: _Sink, error: str) -> None:
        # A power of two is soon more than any number: a sink that is away for days still has a pause.
        pause = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(known.rounds, 60))
        known.rounds += 1
        known.not_before = self.clock.monotonic() + pause
        log.warning("event.unsent", extra={"sink": name, "error": error, "again_in_seconds": pause})


def _untried(events: Sequence[Unsent], met: Collection[str]) -> Iterator[Unsent]:
    """Without those that were met, and those of the same jobs behind them."""
    behind: set[str] = set()
    for each in events:
        if each.event.id in met:
            behind.add(each.event.job_id)
        elif each.event.job_id not in behind:
            yield each
