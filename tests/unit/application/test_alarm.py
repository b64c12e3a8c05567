"""An administrator is told of every dead letter and every grave event, whatever dies in between."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.application.engine.alarm import Alarm
from src.application.ports.ledger import DeadLetter
from src.application.ports.ops_events import EventType, OpsEvent, Severity
from src.domain.errors import ErrorReport, NetworkError
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.notify import MemoryNotifier
from src.infrastructure.memory.ops_events import MemoryOpsEvents
from tests.fakes.clock import FrozenClock


@dataclass
class Pager(MemoryNotifier):
    """Out of reach for so many events."""

    misses: int = 0
    asked: list[str] = field(default_factory=list)

    def notify_event(self, event: OpsEvent) -> None:
        self.asked.append(event.id)
        if self.misses:
            self.misses -= 1
            raise NetworkError("no route")
        super().notify_event(event)


def desync(name: str) -> OpsEvent:
    return OpsEvent(id=name, type=EventType.BATCH_DESYNC, severity=Severity.ERROR, job_id="job-1")


def test_an_event_is_told_once() -> None:
    clock = FrozenClock()
    events, pager = MemoryOpsEvents(clock), Pager()
    alarm = Alarm(MemoryDeadLetters(clock), pager, events)
    events.add(desync("e1"))
    events.add(OpsEvent(id="e2", type=EventType.TENANT_LIMIT_EXCEEDED, severity=Severity.WARNING))
    assert alarm.tick() == 1
    assert alarm.tick() == 0
    assert [event.id for event in pager.events] == ["e1"]


def test_an_event_that_could_not_be_told_is_told_later_and_in_order() -> None:
    clock = FrozenClock()
    events, pager = MemoryOpsEvents(clock), Pager(misses=1)
    alarm = Alarm(MemoryDeadLetters(clock), pager, events)
    for name in ("e1", "e2"):
        events.add(desync(name))
        clock.advance(1)
    assert alarm.tick() == 0
    assert pager.asked == ["e1"], "the pager is not tried again for each of them"
    assert alarm.tick() == 2
    assert [event.id for event in pager.events] == ["e1", "e2"]


def test_where_no_events_are_kept_letters_are_told_all_the_same() -> None:
    assert Alarm(MemoryDeadLetters(FrozenClock()), Pager()).tick() == 0


def test_f28_a_letter_that_meets_a_bug_keeps_no_other_from_being_told() -> None:
    class Trips(Pager):
        def notify(self, letter: DeadLetter) -> None:
            if letter.id == "l2":
                raise ValueError("nobody foresaw this")
            super().notify(letter)

    clock = FrozenClock()
    letters, pager = MemoryDeadLetters(clock), Trips()
    for name in ("l1", "l2", "l3"):
        letters.add(letter(name))
        clock.advance(1)
    alarm = Alarm(letters, pager)
    assert (alarm.tick(), alarm.tick()) == (2, 0)
    assert [told.id for told in pager.told] == ["l1", "l3"]
    assert [left.id for left in letters.unnotified(10)] == ["l2"]


def letter(name: str) -> DeadLetter:
    return DeadLetter(
        id=name,
        job_id=None,
        type=None,
        tenant=None,
        queue="q",
        body=b"{}",
        error=ErrorReport("invalid_message", "no JSON", retryable=False),
        attempts=1,
        created_at=1.0,
    )
