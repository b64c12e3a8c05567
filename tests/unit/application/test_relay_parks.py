"""F37: one event that a sink never takes is set aside in the end; whoever else has something to tell goes on; and a sink that takes
nothing at all sets nothing aside."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from src.application.events import relay as relay_module
from src.application.events.relay import LEAD_SECONDS, LONGEST_PAUSE_SECONDS, PAUSES, PROBES, Relay
from src.application.ports.outbox import Announced, JobEvent, Unsent
from src.domain.errors import NetworkError
from src.infrastructure.memory.outbox import MemoryOutbox
from tests.fakes.clock import FrozenClock
from tests.fakes.outbox import ListSink

BAD = NetworkError("webhook answered 500")
TICK_SECONDS = 0.5


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def outbox(clock: FrozenClock) -> MemoryOutbox:
    return MemoryOutbox(clock)


def write(outbox: MemoryOutbox, *names: str) -> None:
    """`job` or `job.n`: the nth event of a job."""
    for name in names:
        job = name.split(".")[0]
        event = JobEvent(id=name, type="worker.x", at=1.0, job_id=job, tenant="t", subject=None, data={})
        outbox.announce(Announced(event, ("a",)), 0.0)


def relays(outbox: MemoryOutbox, sink: ListSink, clock: FrozenClock, owner: str = "w1") -> Relay:
    return Relay(outbox, {"a": sink}, owner, clock)


def run(relay: Relay, clock: FrozenClock, seconds: float, each: Callable[[int], object] = lambda _turn: None) -> None:
    for turn in range(round(seconds / TICK_SECONDS)):
        each(turn)
        relay.tick()
        clock.advance(TICK_SECONDS)


def parked(outbox: MemoryOutbox) -> list[str]:
    return [each.event.id for each in outbox.kept("a", 10_000, parked=True)]


def counted(each: Unsent) -> bool:
    """Whether a failure was put down to the event itself."""
    return each.hold is not None and each.hold.tries > 0


def test_why_a_sink_takes_nothing_is_noted_at_an_event_and_holds_up_none(
    outbox: MemoryOutbox, clock: FrozenClock
) -> None:
    sink = ListSink(down=True)
    write(outbox, "one", "two")
    relays(outbox, sink, clock).tick()
    holds = [each.hold for each in outbox.kept("a", 10)]
    assert [(hold.tries, hold.error) for hold in holds if hold] == [(0, "away")]
    assert [each.event.id for each in outbox.unsent("a", 10)] == ["one", "two"]
    assert outbox.waiting()["a"].parked == 0


def test_f37_one_bad_event_in_a_thousand_is_parked_and_the_others_keep_their_order(
    outbox: MemoryOutbox, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"j{number % 300}.{number}" for number in range(1000)]
    sink = ListSink(bad={"j7.307": BAD})
    write(outbox, *names)
    relay = relays(outbox, sink, clock)
    relay.tick()
    behind = ["j7.607", "j7.907"]
    good = [name for name in names if name not in ("j7.307", *behind)]
    assert sink.ids == good, "at once, and in the order of their writing"
    run(relay, clock, sum(PAUSES) + 60, lambda turn: write(outbox, f"later{turn}"))
    assert parked(outbox) == ["j7.307"]
    assert sink.tried.count("j7.307") == len(PAUSES) + 1
    assert not set(behind) & set(sink.tried), "they wait behind it"
    assert outbox.waiting()["a"].count == 3
    assert sink.ids[len(good) :] == [f"later{turn}" for turn in range(len(sink.ids) - len(good))]
    (said,) = [record for record in caplog.records if record.message == "event.parked"]
    assert (said.levelname, said.__dict__["event_id"]) == ("ERROR", "j7.307")
    sink.bad.clear()
    assert list(outbox.release("a", ["j7.307"])) == ["j7.307"]
    relay.tick()
    assert sink.ids[-3:] == ["j7.307", *behind]
    assert outbox.waiting() == {}


def test_f37_a_sink_that_takes_nothing_for_days_parks_nothing(outbox: MemoryOutbox, clock: FrozenClock) -> None:
    sink = ListSink(down=True)
    write(outbox, *(names := [f"j{number}" for number in range(40)]))
    relay = relays(outbox, sink, clock)
    for _ in range(3 * 86_400 // 60):
        relay.tick()
        clock.advance(LONGEST_PAUSE_SECONDS)
    assert not any(counted(each) for each in outbox.kept("a", 100))
    sink.down = False
    relay.tick()
    assert len(sink.ids) >= len(names) - 1
    assert [each.hold.tries for each in outbox.kept("a", 100) if each.hold and counted(each)] in ([], [1]), (
        "the last one asked with"
    )
    run(relay, clock, PAUSES[0] + TICK_SECONDS)
    assert sorted(sink.ids) == sorted(names)
    assert outbox.waiting() == {}


def test_f37_an_outage_gives_a_bad_event_no_tries_either(outbox: MemoryOutbox, clock: FrozenClock) -> None:
    sink = ListSink(bad={"bad": BAD})
    write(outbox, "bad", "good")
    relay = relays(outbox, sink, clock)
    relay.tick()
    (held,) = outbox.kept("a", 10)
    assert held.hold is not None
    assert held.hold.tries == 1
    sink.down = True
    run(relay, clock, 2000, lambda turn: write(outbox, f"j{turn}") if turn % 50 == 0 else None)
    (held,) = [each for each in outbox.kept("a", 100) if counted(each)]
    assert held.hold is not None
    assert (held.event.id, held.hold.tries) == ("bad", 1)


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_f37_a_sink_that_takes_few_by_chance_parks_none(share: float) -> None:
    """A receiver that is overloaded, or lets a few pass in a second: nothing of this is any event's fault."""
    clock = FrozenClock()
    outbox, dice = MemoryOutbox(clock), random.Random(37)

    class Moody(ListSink):
        def send(self, event: JobEvent) -> None:
            if dice.random() < share:
                raise BAD
            super().send(event)

    sink = Moody()
    write(outbox, *(f"j{number}" for number in range(100)))
    run(relays(outbox, sink, clock), clock, 4000, lambda turn: write(outbox, f"more{turn}") if turn % 20 == 0 else None)
    assert sink.ids
    assert parked(outbox) == []


def test_f37_of_two_failures_in_a_row_the_first_is_nobodys(outbox: MemoryOutbox, clock: FrozenClock) -> None:
    sink = ListSink([BAD, BAD])
    write(outbox, "e1", "e2", "e3")
    relays(outbox, sink, clock).tick()
    assert sink.ids == ["e3", "e1"]
    (held,) = outbox.kept("a", 10)
    assert (held.event.id, held.hold.tries if held.hold else 0) == ("e2", 1)


def test_f37_one_that_failed_by_itself_before_judges_no_other(outbox: MemoryOutbox, clock: FrozenClock) -> None:
    sink = ListSink(bad={"bad": BAD})
    write(outbox, "bad", "known")
    outbox.hold("a", "known", tries=2, error="500", seconds=0)
    relay = relays(outbox, sink, clock)
    relay.tick()
    assert sink.ids == ["known"]
    assert [counted(each) for each in outbox.kept("a", 10)] == [False]
    write(outbox, "new")
    relay.tick()
    (held,) = outbox.kept("a", 10)
    assert (held.event.id, held.hold.tries if held.hold else 0) == ("bad", 1)


def test_f37_a_failure_that_was_judged_late_counts_once_with_the_next_one(
    outbox: MemoryOutbox, clock: FrozenClock
) -> None:
    """The sink's answer to "early" judges what was found out before, in the same batch in which "bad" fails again."""
    sink = ListSink(bad={"bad": BAD})
    write(outbox, "early", "bad")
    outbox.hold("a", "early", tries=1, error="500", seconds=5)
    outbox.hold("a", "bad", tries=3, error="500", seconds=0)
    relay = relays(outbox, sink, clock)
    relay.tick()
    (_early, bad) = outbox.kept("a", 10)
    assert bad.hold is not None
    assert bad.hold.tries == 3, "nobody has judged it yet"
    outbox.release("a", ["early"])
    clock.advance(PAUSES[2])
    relay.tick()
    (bad,) = outbox.kept("a", 10)
    assert bad.hold is not None
    assert bad.hold.tries == 4
    write(outbox, "late")
    relay.tick()
    (bad,) = outbox.kept("a", 10)
    assert bad.hold is not None
    assert bad.hold.tries == 5


def test_f37_an_event_alone_with_a_sink_is_not_judged_and_delays_no_other(
    outbox: MemoryOutbox, clock: FrozenClock
) -> None:
    sink = ListSink(bad={"bad": BAD})
    relay = relays(outbox, sink, clock)
    write(outbox, "bad", "bad.2")
    run(relay, clock, 3600)
    assert not any(counted(each) for each in outbox.kept("a", 10)), "it may be the sink's fault"
    assert len(sink.tried) < 3600 / LONGEST_PAUSE_SECONDS + 10
    write(outbox, "good")
    relay.tick()
    assert sink.ids == ["good"], "without waiting for the pause to end"
    assert [counted(each) for each in outbox.kept("a", 10)] == [True, False]


def test_f37_many_bad_ones_at_the_head_do_not_look_like_an_outage_for_ever(
    outbox: MemoryOutbox, clock: FrozenClock
) -> None:
    bad = [f"bad{number}" for number in range(4 * PROBES)]
    sink = ListSink(bad=dict.fromkeys(bad, BAD))
    write(outbox, *bad, "good1", "good2")
    run(relays(outbox, sink, clock), clock, 20)
    assert sink.ids == ["good1", "good2"]
    assert outbox.waiting()["a"].count == len(bad)


def test_f37_more_events_than_are_remembered_are_tried_from_the_first_again(
    outbox: MemoryOutbox, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "MOST_MET", 20)
    sink = ListSink(down=True)
    write(outbox, *(f"j{number}" for number in range(100)))
    relay = relays(outbox, sink, clock)
    for _ in range(20 // PROBES + 2):
        relay.tick()
        clock.advance(LONGEST_PAUSE_SECONDS)
    assert sink.tried.count("j0") == 2


def test_f37_tries_outlive_the_relay(outbox: MemoryOutbox, clock: FrozenClock) -> None:
    sink = ListSink(bad={"bad": BAD})
    write(outbox, "bad")
    for number in range(len(PAUSES) + 1):
        write(outbox, f"good{number}")
        relays(outbox, sink, clock, f"w{number}").tick()
        clock.advance(max(PAUSES) + LEAD_SECONDS)
    assert parked(outbox) == ["bad"]
    assert len(sink.ids) == len(PAUSES) + 1


def test_i11_of_two_relays_one_leads_and_the_other_takes_over_where_it_is_left(
    outbox: MemoryOutbox, clock: FrozenClock
) -> None:
    sink = ListSink()
    one, other = relays(outbox, sink, clock, "w1#1"), relays(outbox, sink, clock, "w1#2")
    write(outbox, "e1")
    assert one.tick() == 1
    write(outbox, "e2")
    assert other.tick() == 0
    assert one.last() == 1
    write(outbox, "e3")
    assert other.tick() == 1, "whoever goes leaves the sink"
    assert sink.ids == ["e1", "e2", "e3"]
