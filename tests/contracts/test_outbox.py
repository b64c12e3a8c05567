"""Outbox: events that were written with a job's move, and are kept until each sink has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from src.application.catalog import Catalog, JobType
from src.application.events.announce import JOB_FAILED, Announcement, Announcer
from src.application.ports.outbox import Hold, JobEvent, Outbox, OutboxDesk, Unsent
from src.domain.errors import LeaseLost, UnsupportedFormat
from src.domain.job import Claimed, Job
from tests.contracts.backends.state import LedgerPlace
from tests.contracts.moves import claim, draft, failing
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import WholeLedger

READY = "worker.work_ready"


def announcing(job: Job) -> Sequence[Announcement]:
    return [Announcement(READY, {"content_id": job.id, "odd": "é\x00", **(job.result or {})})]


def parse(_tenant: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    return payload


CATALOG = Catalog(
    [JobType(name="work", parse=parse, handler="nowhere:None", announces=announcing)], Announcer(("a", "b"))
)


@pytest.fixture
def ledger(ledgers: LedgerPlace) -> WholeLedger:
    return ledgers.ledger(CATALOG.effects)


@pytest.fixture
def outbox(ledgers: LedgerPlace) -> OutboxDesk:
    return ledgers.outbox()


def begun(ledger: WholeLedger, name: str = "job-1") -> int:
    answer = claim(ledger, name)
    assert isinstance(answer, Claimed)
    return answer.job.fence


def done(ledger: WholeLedger, name: str = "job-1") -> Job:
    ledger.admit(draft(name))
    fence = begun(ledger, name)
    return ledger.change(name, lambda job, now: job.succeed(now, fence=fence, result={"n": 1}))


def going(outbox: Outbox, sink: str, limit: int) -> list[JobEvent]:
    return [each.event for each in outbox.unsent(sink, limit)]


def types(outbox: Outbox, sink: str = "a") -> list[str]:
    return [event.type for event in going(outbox, sink, 10)]


def test_e2_a_success_is_announced_to_every_sink_with_what_it_gave(
    ledger: WholeLedger, outbox: Outbox, clock: FrozenClock
) -> None:
    done(ledger)
    expected = JobEvent(
        id=f"job-1.1.{READY}",
        type=READY,
        at=clock.now(),
        job_id="job-1",
        tenant="t1",
        subject="job-1",
        data={"content_id": "job-1", "odd": "é\x00", "n": 1},
        trace="00-t",
    )
    for sink in ("a", "b"):
        (event,) = going(outbox, sink, 10)
        assert event == expected
    assert going(outbox, "c", 10) == []


def test_e2_a_move_that_is_made_again_gives_the_same_one_event(ledger: WholeLedger, outbox: Outbox) -> None:
    fence = done(ledger).fence
    ledger.change("job-1", lambda job, now: job.succeed(now, fence=fence, result={"n": 1}))
    assert len(going(outbox, "a", 10)) == 1


def test_a_refused_move_announces_nothing(ledger: WholeLedger, outbox: Outbox) -> None:
    ledger.admit(draft())
    claim(ledger)
    with pytest.raises(LeaseLost):
        ledger.change("job-1", lambda job, now: job.succeed(now, fence=77, result={}))
    assert going(outbox, "a", 10) == []


def test_a_failure_is_announced_and_a_retry_by_an_operator_announces_anew(ledger: WholeLedger, outbox: Outbox) -> None:
    ledger.admit(draft())
    fence = begun(ledger)
    ledger.change("job-1", failing(fence, UnsupportedFormat("no such codec")))
    (event,) = going(outbox, "a", 10)
    assert (event.type, event.data["job_id"], event.data["error"]) == (JOB_FAILED, "job-1", "no such codec")
    ledger.change("job-1", lambda job, now: job.reopen(now))
    again = begun(ledger)
    ledger.change("job-1", lambda job, now: job.succeed(now, fence=again, result={}))
    assert [event.id for event in going(outbox, "a", 10)] == [f"job-1.1.{JOB_FAILED}", f"job-1.2.{READY}"]


def test_events_come_in_the_order_of_their_writing_and_go_when_they_are_sent(
    ledger: WholeLedger, outbox: Outbox, clock: FrozenClock
) -> None:
    names = ["job-3", "job-1", "job-2"]
    for name in names:
        done(ledger, name)
        clock.advance(1)
    assert [event.job_id for event in going(outbox, "a", 10)] == names
    assert [event.job_id for event in going(outbox, "a", 2)] == names[:2]
    outbox.sent("a", [event.id for event in going(outbox, "a", 2)])
    outbox.sent("a", ["unknown"])
    outbox.sent("a", [])
    assert [event.job_id for event in going(outbox, "a", 10)] == names[2:]
    assert [event.job_id for event in going(outbox, "b", 10)] == names
    waiting = outbox.waiting()
    assert {sink: told.count for sink, told in waiting.items()} == {"a": 1, "b": 3}
    assert waiting["b"].oldest_at == pytest.approx(clock.now() - 3)
    outbox.sent("a", [event.id for event in going(outbox, "a", 10)])
    assert set(outbox.waiting()) == {"b"}


def test_one_at_a_time_sends_to_a_sink(outbox: Outbox, ledgers: LedgerPlace, clock: FrozenClock) -> None:
    other = ledgers.outbox()
    assert outbox.lead("a", "w1", seconds=10)
    assert outbox.lead("a", "w1", seconds=10)
    assert not other.lead("a", "w2", seconds=10)
    assert other.lead("b", "w2", seconds=10)
    clock.advance(11)
    assert other.lead("a", "w2", seconds=10)
    assert not outbox.lead("a", "w1", seconds=10)


def test_a_sink_that_is_left_is_another_one_s_at_once(outbox: Outbox, ledgers: LedgerPlace) -> None:
    other = ledgers.outbox()
    assert outbox.lead("a", "w1", seconds=10)
    assert not other.lead("a", "w2", seconds=0), "nobody leaves what he has not"
    assert outbox.lead("a", "w1", seconds=0)
    assert other.lead("a", "w2", seconds=10)


def again(ledger: WholeLedger, name: str) -> None:
    """A second event of a job that is done: it fails when an operator has it done again."""
    ledger.change(name, lambda job, now: job.reopen(now))
    ledger.change(name, failing(begun(ledger, name), UnsupportedFormat("no such codec")))


FIRST, LATER, OTHER = f"job-1.1.{READY}", f"job-1.2.{JOB_FAILED}", f"job-2.1.{READY}"


def names(outbox: Outbox, sink: str = "a") -> list[str]:
    return [event.id for event in going(outbox, sink, 10)]


def test_f37_what_is_put_off_and_what_follows_of_its_job_waits_and_others_go(
    ledger: WholeLedger, outbox: OutboxDesk, clock: FrozenClock
) -> None:
    done(ledger, "job-1")
    again(ledger, "job-1")
    done(ledger, "job-2")
    outbox.hold("a", FIRST, tries=3, error="503 é\n\t", seconds=20)
    assert names(outbox) == [OTHER]
    assert [event.id for event in going(outbox, "a", 1)] == [OTHER]
    assert names(outbox, "b") == [FIRST, LATER, OTHER]
    first, later, other = outbox.kept("a", 10)
    assert (first.event.id, later, other) == (FIRST, Unsent(later.event), Unsent(other.event))
    assert first.hold is not None
    assert first.hold == Hold(tries=3, error="503 é\n\t", retry_at=first.hold.retry_at)
    assert first.hold.retry_at == pytest.approx(clock.now() + 20, abs=1)
    assert (outbox.waiting()["a"].count, outbox.waiting()["a"].parked) == (3, 0)
    clock.advance(21)
    assert names(outbox) == [FIRST, LATER, OTHER]
    (first, *_) = outbox.unsent("a", 1)
    assert first.hold is not None
    assert first.hold.tries == 3
    outbox.sent("a", [FIRST])
    assert names(outbox) == [LATER, OTHER]


def test_f37_what_is_parked_stays_until_it_is_let_go_on_and_keeps_its_place(
    ledger: WholeLedger, outbox: OutboxDesk, clock: FrozenClock
) -> None:
    done(ledger, "job-1")
    done(ledger, "job-2")
    outbox.hold("a", FIRST, tries=12, error="nul \x00", seconds=None)
    outbox.hold("a", "unknown", tries=12, error="x", seconds=None)
    clock.advance(5)
    again(ledger, "job-1")
    assert names(outbox) == [OTHER]
    assert names(outbox, "b") == [FIRST, OTHER, LATER]
    waiting = outbox.waiting()
    assert (waiting["a"].count, waiting["a"].parked) == (3, 1)
    assert (waiting["b"].count, waiting["b"].parked) == (3, 0)
    assert waiting["a"].oldest_at == waiting["b"].oldest_at
    (parked,) = outbox.kept("a", 10, parked=True)
    assert parked.hold is not None
    assert (parked.event.id, parked.hold.tries, parked.hold.retry_at) == (FIRST, 12, None)
    assert [each.event.id for each in outbox.kept("a", 10)] == [FIRST, OTHER, LATER]
    assert [each.event.id for each in outbox.kept("a", 1)] == [FIRST]
    assert list(outbox.release("b", [FIRST])) == []
    assert list(outbox.release("a", [])) == []
    assert list(outbox.release("a", [FIRST, OTHER, "unknown"])) == [FIRST]
    assert names(outbox) == [FIRST, OTHER, LATER]
    assert outbox.unsent("a", 1) == [Unsent(parked.event)]
    assert outbox.waiting()["a"].parked == 0


def test_f37_what_is_parked_can_be_forgotten_and_what_it_kept_back_goes(
    ledger: WholeLedger, outbox: OutboxDesk
) -> None:
    done(ledger, "job-1")
    again(ledger, "job-1")
    outbox.hold("a", FIRST, tries=12, error="x", seconds=None)
    assert names(outbox) == []
    assert "a" in outbox.waiting()
    outbox.sent("a", [FIRST])
    assert names(outbox) == [LATER]
    outbox.hold("a", LATER, tries=12, error="x", seconds=None)
    outbox.sent("a", [LATER])
    assert "a" not in outbox.waiting()
    assert outbox.kept("a", 10) == []


def test_f37_more_than_a_page_of_what_is_held_hides_nothing_behind_it(ledger: WholeLedger, outbox: OutboxDesk) -> None:
    for number in range(120):
        done(ledger, f"job-{number}")
    for number in range(119):
        outbox.hold("a", f"job-{number}.1.{READY}", tries=1, error="x", seconds=600 if number % 2 else None)
    assert names(outbox) == [f"job-119.1.{READY}"]


def test_f37_an_event_that_tells_of_half_a_surrogate_pair_is_held_like_any_other(
    ledger: WholeLedger, outbox: OutboxDesk
) -> None:
    """From a file's name that is no UTF-8. One that can't be read again would stop the sink for all jobs."""
    for name in ("job-1", 'job-"\\'):
        ledger.admit(draft(name))
        ledger.change(name, failing(begun(ledger, name), UnsupportedFormat("no codec for a\udcff.mp4")))
        again(ledger, name)
    done(ledger, "job-2")
    odd, odder = f"job-1.1.{JOB_FAILED}", f'job-"\\.1.{JOB_FAILED}'
    outbox.hold("a", odd, tries=1, error="x", seconds=20)
    outbox.hold("a", odder, tries=1, error="x", seconds=None)
    assert names(outbox) == [OTHER]
    outbox.hold("a", odd, tries=2, error="x", seconds=None)
    assert names(outbox) == [OTHER]
    assert list(outbox.release("a", [odd])) == [odd]
    outbox.sent("a", [odder])
    assert names(outbox) == [odd, LATER, f'job-"\\.2.{JOB_FAILED}', OTHER]


def test_why_a_sink_takes_nothing_is_kept_beside_an_event_that_may_go_all_the_same(
    ledger: WholeLedger, outbox: OutboxDesk
) -> None:
    done(ledger, "job-1")
    again(ledger, "job-1")
    outbox.hold("a", FIRST, tries=0, error="away", seconds=0)
    assert names(outbox) == [FIRST, LATER]
    (first, later) = outbox.kept("a", 10)
    assert first.hold is not None
    assert (first.hold.tries, first.hold.error, later.hold) == (0, "away", None)
    assert outbox.waiting()["a"].parked == 0


def test_nobody_who_is_told_means_nothing_is_written(ledgers: LedgerPlace, outbox: Outbox) -> None:
    catalog = Catalog([JobType(name="work", parse=parse, handler="nowhere:None", announces=announcing)])
    done(ledgers.ledger(catalog.effects))
    assert outbox.waiting() == {}
