"""An administrator is told of every dead letter and every grave event, whatever dies in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from src.application.engine.alarm import Alarm
from src.application.ports.ledger import DeadLetter
from src.application.ports.ops_events import EventType, OpsEvent, Severity
from src.domain.errors import DatabaseUnavailable, ErrorReport, NetworkError
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.notify import MemoryNotifier
from src.infrastructure.memory.ops_events import MemoryOpsEvents
from src.infrastructure.notify.several import LONGEST_PAUSE_SECONDS, REMEMBERED, SeveralNotifiers
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
    alarm = Alarm(MemoryDeadLetters(clock), SeveralNotifiers([("pager", pager)], clock), events)
    for name in ("e1", "e2"):
        events.add(desync(name))
        clock.advance(1)
    assert alarm.tick() == 0
    assert pager.asked == ["e1"], "the pager is not tried again for each of them"
    clock.advance(1)
    assert alarm.tick() == 2
    assert [event.id for event in pager.events] == ["e1", "e2"]


def test_where_no_events_are_kept_letters_are_told_all_the_same() -> None:
    assert Alarm(MemoryDeadLetters(FrozenClock()), Pager()).tick() == 0


# ---------------------------------------------------------------------- several ways
def letters(clock: FrozenClock, *names: str) -> MemoryDeadLetters:
    kept = MemoryDeadLetters(clock)
    for name in names:
        kept.add(letter(name, clock.now()))
        clock.advance(1)
    return kept


def letter(name: str, at: float = 1.0) -> DeadLetter:
    error = ErrorReport("corrupt_source", "no moov", retryable=False)
    return DeadLetter(
        id=name,
        job_id=name,
        type="video",
        tenant="acme",
        queue=None,
        body=b"{}",
        error=error,
        attempts=1,
        created_at=at,
    )


@dataclass
class Away(MemoryNotifier):
    """Counts how often it is asked while it is away."""

    away: bool = True
    asked: int = 0

    def notify(self, letter: DeadLetter) -> None:
        self.asked += 1
        if self.away:
            raise NetworkError("no route")
        super().notify(letter)

    def notify_event(self, event: OpsEvent) -> None:
        if self.away:
            raise NetworkError("no route")
        super().notify_event(event)


def test_e7_one_who_is_away_neither_mutes_nor_repeats_the_others() -> None:
    clock = FrozenClock()
    log, webhook = MemoryNotifier(), Away()
    kept = letters(clock, "l1", "l2", "l3")
    alarm = Alarm(kept, SeveralNotifiers([("log", log), ("webhook", webhook)], clock))
    for _ in range(600):
        alarm.tick()
        clock.advance(1)
    assert [each.id for each in log.told] == ["l1", "l2", "l3"]
    assert len(kept.unnotified(10)) == 3, "the webhook has yet to be told"
    # After 1, 2, 4, ... 60 s, whatever the number of letters.
    assert webhook.asked == 15
    webhook.away = False
    clock.advance(LONGEST_PAUSE_SECONDS)
    assert alarm.tick() + alarm.tick() == 3
    assert sorted(each.id for each in webhook.told) == ["l1", "l2", "l3"]
    assert len(log.told) == 3
    assert kept.unnotified(10) == []
    assert alarm.tick() == 0


def test_a_way_that_is_away_for_days_keeps_its_pause_and_nobody_from_being_told() -> None:
    clock = FrozenClock()
    log, webhook = MemoryNotifier(), Away()
    several = SeveralNotifiers([("webhook", webhook), ("log", log)], clock)
    for number in range(1100):
        with pytest.raises(NetworkError, match="webhook"):
            several.notify(letter(f"l{number}"))
        clock.advance(LONGEST_PAUSE_SECONDS)
    assert webhook.asked == len(log.told) == 1100


def test_f37_a_letter_that_one_way_never_takes_keeps_no_other_from_being_told() -> None:
    class Picky(MemoryNotifier):
        def notify(self, letter: DeadLetter) -> None:
            if letter.id in ("l2", "l3"):
                raise NetworkError("500")
            super().notify(letter)

    clock = FrozenClock()
    kept, picky = letters(clock, *(f"l{number}" for number in range(1, 8))), Picky()
    alarm = Alarm(kept, SeveralNotifiers([("webhook", picky)], clock))
    for _ in range(600):
        alarm.tick()
        clock.advance(1)
    assert [each.id for each in picky.told] == ["l1", "l4", "l5", "l6", "l7"]
    assert [each.id for each in kept.unnotified(10)] == ["l2", "l3"]


def test_more_letters_than_one_look_sees_wait_for_one_way_and_the_others_are_told_all() -> None:
    clock = FrozenClock()
    kept, log, webhook = letters(clock, *(f"l{number}" for number in range(120))), MemoryNotifier(), Away()
    events = MemoryOpsEvents(clock)
    alarm = Alarm(kept, SeveralNotifiers([("log", log), ("webhook", webhook)], clock), events)
    for number in range(120):
        events.add(desync(f"e{number}"))
    for _ in range(10):
        alarm.tick()
        clock.advance(1)
    assert len(log.told) == 120
    assert len({told.id for told in log.told}) == 120
    assert len(log.events) == 120


def test_the_last_tick_of_a_drain_tells_what_is_there_and_never_fails_it(caplog: pytest.LogCaptureFixture) -> None:
    pager = MemoryNotifier()
    kept = letters(FrozenClock(), "l1")
    assert Alarm(kept, pager).last() == 1

    class Gone(MemoryDeadLetters):
        def unnotified(self, limit: int) -> Sequence[DeadLetter]:
            raise DatabaseUnavailable("no answer")

    assert Alarm(Gone(FrozenClock()), pager).last() == 0
    assert "alarm.failed" in caplog.text


def test_what_was_told_is_forgotten_when_all_have_it_and_never_grows_without_end() -> None:
    clock = FrozenClock()
    log, webhook = MemoryNotifier(), Away()
    several = SeveralNotifiers([("log", log), ("webhook", webhook)], clock)
    for number in range(REMEMBERED + 50):
        with pytest.raises(NetworkError, match="webhook"):
            several.notify(letter(f"l{number}"))
    assert len(several._ways[0].told) == REMEMBERED
    webhook.away = False
    clock.advance(LONGEST_PAUSE_SECONDS)
    for number in range(50, REMEMBERED + 50):
        several.notify(letter(f"l{number}"))
    assert [len(way.told) for way in several._ways] == [0, 0]
    assert len(log.told) == REMEMBERED + 50, "each once"


def test_f28_a_letter_that_meets_a_bug_keeps_no_other_from_being_told() -> None:
    class Trips(Pager):
        def notify(self, letter: DeadLetter) -> None:
            if letter.id == "l2":
                raise ValueError("nobody foresaw this")
            super().notify(letter)

    pager, kept = Trips(), letters(FrozenClock(), "l1", "l2", "l3")
    alarm = Alarm(kept, pager)
    assert (alarm.tick(), alarm.tick()) == (2, 0)
    assert [told.id for told in pager.told] == ["l1", "l3"]
    assert [left.id for left in kept.unnotified(10)] == ["l2"]
