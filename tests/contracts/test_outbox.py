"""Outbox: events that were written with a job's move, and are kept until each sink has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from src.application.catalog import Catalog, JobType
from src.application.events.announce import JOB_FAILED, Announcement, Announcer
from src.application.ports.outbox import JobEvent, Outbox
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
def outbox(ledgers: LedgerPlace) -> Outbox:
    return ledgers.outbox()


def begun(ledger: WholeLedger, name: str = "job-1") -> int:
    answer = claim(ledger, name)
    assert isinstance(answer, Claimed)
    return answer.job.fence


def done(ledger: WholeLedger, name: str = "job-1") -> Job:
    ledger.admit(draft(name))
    fence = begun(ledger, name)
    return ledger.change(name, lambda job, now: job.succeed(now, fence=fence, result={"n": 1}))


def types(outbox: Outbox, sink: str = "a") -> list[str]:
    return [event.type for event in outbox.unsent(sink, 10)]


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
        (event,) = outbox.unsent(sink, 10)
        assert event == expected
    assert outbox.unsent("c", 10) == []


def test_e2_a_move_that_is_made_again_gives_the_same_one_event(ledger: WholeLedger, outbox: Outbox) -> None:
    fence = done(ledger).fence
    ledger.change("job-1", lambda job, now: job.succeed(now, fence=fence, result={"n": 1}))
    assert len(outbox.unsent("a", 10)) == 1


def test_a_refused_move_announces_nothing(ledger: WholeLedger, outbox: Outbox) -> None:
    ledger.admit(draft())
    claim(ledger)
    with pytest.raises(LeaseLost):
        ledger.change("job-1", lambda job, now: job.succeed(now, fence=77, result={}))
    assert outbox.unsent("a", 10) == []


def test_a_failure_is_announced_and_a_retry_by_an_operator_announces_anew(ledger: WholeLedger, outbox: Outbox) -> None:
    ledger.admit(draft())
    fence = begun(ledger)
    ledger.change("job-1", failing(fence, UnsupportedFormat("no such codec")))
    (event,) = outbox.unsent("a", 10)
    assert (event.type, event.data["job_id"], event.data["error"]) == (JOB_FAILED, "job-1", "no such codec")
    ledger.change("job-1", lambda job, now: job.reopen(now))
    again = begun(ledger)
    ledger.change("job-1", lambda job, now: job.succeed(now, fence=again, result={}))
    assert [event.id for event in outbox.unsent("a", 10)] == [f"job-1.1.{JOB_FAILED}", f"job-1.2.{READY}"]


def test_events_come_in_the_order_of_their_writing_and_go_when_they_are_sent(
    ledger: WholeLedger, outbox: Outbox, clock: FrozenClock
) -> None:
    names = ["job-3", "job-1", "job-2"]
    for name in names:
        done(ledger, name)
        clock.advance(1)
    assert [event.job_id for event in outbox.unsent("a", 10)] == names
    assert [event.job_id for event in outbox.unsent("a", 2)] == names[:2]
    outbox.sent("a", [event.id for event in outbox.unsent("a", 2)])
    outbox.sent("a", ["unknown"])
    outbox.sent("a", [])
    assert [event.job_id for event in outbox.unsent("a", 10)] == names[2:]
    assert [event.job_id for event in outbox.unsent("b", 10)] == names
    waiting = outbox.waiting()
    assert {sink: told.count for sink, told in waiting.items()} == {"a": 1, "b": 3}
    assert waiting["b"].oldest_at == pytest.approx(clock.now() - 3)
    outbox.sent("a", [event.id for event in outbox.unsent("a", 10)])
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


def test_nobody_who_is_told_means_nothing_is_written(ledgers: LedgerPlace, outbox: Outbox) -> None:
    catalog = Catalog([JobType(name="work", parse=parse, handler="nowhere:None", announces=announcing)])
    done(ledgers.ledger(catalog.effects))
    assert outbox.waiting() == {}
