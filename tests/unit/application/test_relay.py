"""The relay: every sink gets every event in order, and one that fails keeps nobody else waiting."""

from __future__ import annotations

import pytest

from src.application.events.relay import LEAD_SECONDS, LONGEST_PAUSE_SECONDS, PROBES, Relay
from src.application.ports.outbox import Announced, JobEvent
from src.domain.errors import DatabaseUnavailable, EventRefused, NetworkError
from src.infrastructure.memory.outbox import MemoryOutbox
from tests.fakes.clock import FrozenClock
from tests.fakes.outbox import ListSink


def event(name: str) -> JobEvent:
    return JobEvent(id=name, type="worker.x", at=1.0, job_id=name, tenant="t", subject=None, data={})


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def outbox(clock: FrozenClock) -> MemoryOutbox:
    return MemoryOutbox(clock)


def write(outbox: MemoryOutbox, *names: str) -> None:
    for name in names:
        outbox.announce(Announced(event(name), ("a", "b")), 0.0)


def test_every_sink_gets_every_event_once_and_in_order(outbox: MemoryOutbox, clock: FrozenClock) -> None:
    a, b = ListSink(), ListSink()
    relay = Relay(outbox, {"a": a, "b": b}, "w1", clock, batch=2)
    write(outbox, *(names := [f"e{number}" for number in range(7)]))
    assert relay.tick() == 14
    assert relay.tick() == 0
    assert (a.ids, b.ids) == (names, names)


def test_a_sink_that_is_away_keeps_nobody_else_waiting_and_is_asked_less_and_less_often(
    outbox: MemoryOutbox, clock: FrozenClock
) -> None:
    a, b = ListSink(down=True), ListSink()
    relay = Relay(outbox, {"a": a, "b": b}, "w1", clock)
    write(outbox, *(names := [f"e{number}" for number in range(9)]))
    assert relay.tick() == 9
    assert (a.ids, b.ids) == ([], names)
    assert a.tried == ["e0", "e1", "e2"], "by three jobs' events, lest it be the event's fault"
    relay.tick()
    assert len(a.tried) == PROBES, "it is not asked again at once"
    clock.advance(1)
    relay.tick()
    assert a.tried[3:] == ["e3", "e4", "e5"], "nor by the same ones"
    clock.advance(1.9)
    relay.tick()
    assert len(a.tried) == 2 * PROBES
    clock.advance(0.2)
    relay.tick()
    clock.advance(4)
    a.down = False
    assert relay.tick() == 9
    assert sorted(a.ids) == names
    assert outbox.waiting() == {}


def test_the_pause_has_a_longest(outbox: MemoryOutbox, clock: FrozenClock) -> None:
    a = ListSink([NetworkError("away")] * 40)
    relay = Relay(outbox, {"a": a}, "w1", clock)
    write(outbox, "e1")
    for _ in range(41):
        relay.tick()
        clock.advance(LONGEST_PAUSE_SECONDS)
    assert a.ids == ["e1"]


def test_an_event_that_is_refused_for_good_does_not_hold_up_the_others(
    outbox: MemoryOutbox, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    a = ListSink([EventRefused("too large")])
    write(outbox, "e1", "e2")
    Relay(outbox, {"a": a}, "w1", clock).tick()
    assert a.ids == ["e2"]
    assert [record.levelname for record in caplog.records if record.message == "event.refused"] == ["ERROR"]
    assert "a" not in outbox.waiting()


def test_f37_a_bug_that_one_event_meets_sends_nothing_twice_and_stops_no_other_sink(
    outbox: MemoryOutbox, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = ListSink(bad={"e2": ValueError("nobody foresaw this")}), ListSink()
    relay = Relay(outbox, {"a": a, "b": b}, "w1", clock)
    write(outbox, "e1", "e2", "e3")
    for _ in range(3):
        relay.tick()
        clock.advance(LONGEST_PAUSE_SECONDS)
    assert (a.ids, b.ids) == (["e1", "e3"], ["e1", "e2", "e3"])
    assert outbox.waiting()["a"].count == 1
    assert "event.broken" in [record.message for record in caplog.records]


def test_i11_a_relay_that_dies_after_sending_leaves_the_event_to_be_sent_again_under_its_id(
    outbox: MemoryOutbox, clock: FrozenClock
) -> None:
    class Dies(MemoryOutbox):
        def sent(self, sink: str, ids: object) -> None:
            raise DatabaseUnavailable("gone")

    dying = Dies(clock)
    dying._events, dying._leads = outbox._events, outbox._leads
    a = ListSink()
    write(outbox, "e1")
    with pytest.raises(DatabaseUnavailable):
        Relay(dying, {"a": a}, "w1", clock).tick()
    other = Relay(outbox, {"a": a}, "w2", clock)
    assert other.tick() == 0, "the sink is still the other one's"
    clock.advance(LEAD_SECONDS + 1)
    assert other.tick() == 1
    assert a.ids == ["e1", "e1"]


def test_a_last_tick_never_fails(clock: FrozenClock) -> None:
    class Away(MemoryOutbox):
        def lead(self, sink: str, owner: str, *, seconds: float) -> bool:
            raise DatabaseUnavailable("gone")

    away = Away(clock)
    write(away, "e1")
    assert Relay(away, {"a": ListSink()}, "w1", clock).last() == 0


def test_a_relay_that_has_nothing_to_send_writes_nothing(clock: FrozenClock) -> None:
    class Counts(MemoryOutbox):
        led = 0

        def lead(self, sink: str, owner: str, *, seconds: float) -> bool:
            self.led += 1
            return super().lead(sink, owner, seconds=seconds)

    outbox = Counts(clock)
    relay = Relay(outbox, {"a": ListSink(), "b": ListSink()}, "w1", clock)
    for _ in range(10):
        relay.tick()
    assert outbox.led == 0
    write(outbox, "e1")
    assert relay.tick() == 2


def test_a_last_tick_tries_a_sink_that_failed_a_moment_ago(outbox: MemoryOutbox, clock: FrozenClock) -> None:
    a = ListSink([NetworkError("away")])
    relay = Relay(outbox, {"a": a, "b": ListSink()}, "w1", clock)
    write(outbox, "e1")
    relay.tick()
    assert a.ids == []
    assert relay.last() == 1
    assert a.ids == ["e1"]
