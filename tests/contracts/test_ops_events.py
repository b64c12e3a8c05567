"""OpsEvents: what operators read later."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.application.ports.ops_events import EventFilter, EventType, OpsEvent, OpsEvents, Severity
from tests.contracts.backends.state import State
from tests.fakes.clock import FrozenClock

DESYNC = OpsEvent(
    type=EventType.BATCH_DESYNC,
    severity=Severity.ERROR,
    tenant="t1",
    video_id="v1",
    job_id="job-1",
    aws_batch_job_id="b1",
    payload={"rule": "não é", "odd": "a\x00b", "times": 3, "deep": {"list": [1, None, True]}},
    id="e1",
)
LIMIT = OpsEvent(type=EventType.TENANT_LIMIT_EXCEEDED, severity=Severity.WARNING, tenant="t1", video_id="v2")
ORPHAN = OpsEvent(type=EventType.ORPHAN_CANCELLED, severity=Severity.INFO, job_id="job-2")


@pytest.fixture
def events(state: State) -> OpsEvents:
    return state.ops_events()


def test_an_event_reads_back_as_it_was_written(events: OpsEvents, state: State, clock: FrozenClock) -> None:
    assert events.add(DESYNC)
    now = clock.now()
    assert list(state.ops_events().list(EventFilter())) == [replace(DESYNC, created_at=now, tell_at=now)]


def test_the_same_id_again_changes_nothing(events: OpsEvents, clock: FrozenClock) -> None:
    assert events.add(DESYNC)
    clock.advance(5)
    assert not events.add(replace(DESYNC, severity=Severity.INFO))
    (kept,) = events.list(EventFilter())
    assert (kept.severity, kept.created_at) == (Severity.ERROR, clock.now() - 5)


def test_what_is_old_goes_and_what_waits_to_be_told_stays(events: OpsEvents, clock: FrozenClock) -> None:
    for name in ("b", "a"):
        events.add(replace(LIMIT, id=name))
    events.add(DESYNC)
    clock.advance(10)
    events.add(replace(LIMIT, id="young"))
    assert [event.id for event in events.outdated(clock.now(), 10)] == ["a", "b"]
    assert [event.id for event in events.outdated(clock.now(), 1)] == ["a"]
    assert events.outdated(clock.now() - 10, 10) == []
    events.remove(["a", "e1", "nobody"])
    events.remove([])
    assert {event.id for event in events.list(EventFilter())} == {"b", "e1", "young"}
    events.told(["e1"])
    assert [event.id for event in events.outdated(clock.now(), 10)] == ["b", "e1"]
    events.remove(["e1", "b"])
    assert [event.id for event in events.list(EventFilter())] == ["young"]


def test_events_without_an_id_get_one_each(events: OpsEvents) -> None:
    assert events.add(LIMIT)
    assert events.add(LIMIT)
    first, second = events.list(EventFilter())
    assert first.id
    assert first.id != second.id


def test_events_are_listed_newest_first_in_pages(events: OpsEvents, clock: FrozenClock) -> None:
    for number in range(5):
        events.add(replace(LIMIT, id=f"e{number}"))
        clock.advance(1)
    assert [event.id for event in events.list(EventFilter(limit=2))] == ["e4", "e3"]
    assert [event.id for event in events.list(EventFilter(limit=2, offset=4))] == ["e0"]
    assert [event.id for event in events.list(EventFilter(since=clock.now() - 2))] == ["e4", "e3"]


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        (EventFilter(job_id="job-1"), {EventType.BATCH_DESYNC}),
        (EventFilter(video_id="v2"), {EventType.TENANT_LIMIT_EXCEEDED}),
        (EventFilter(tenant="t1"), {EventType.BATCH_DESYNC, EventType.TENANT_LIMIT_EXCEEDED}),
        (EventFilter(type=EventType.ORPHAN_CANCELLED), {EventType.ORPHAN_CANCELLED}),
        (EventFilter(severity=Severity.WARNING), {EventType.BATCH_DESYNC, EventType.TENANT_LIMIT_EXCEEDED}),
        (EventFilter(severity=Severity.ERROR, tenant="t2"), set()),
        (EventFilter(severity=Severity.INFO), {e.type for e in (DESYNC, LIMIT, ORPHAN)}),
    ],
)
def test_a_filter_names_what_is_wanted(events: OpsEvents, criteria: EventFilter, expected: set[EventType]) -> None:
    for event in (DESYNC, LIMIT, ORPHAN):
        events.add(event)
    assert {event.type for event in events.list(criteria)} == expected


def test_an_administrator_is_told_of_a_desync_and_of_nothing_else_here(events: OpsEvents, clock: FrozenClock) -> None:
    for event in (LIMIT, DESYNC, ORPHAN, replace(LIMIT, type=EventType.JOB_DEAD)):
        events.add(event)
    clock.advance(1)
    events.add(replace(DESYNC, id="e2"))
    assert [event.id for event in events.untold(10)] == ["e1", "e2"]
    assert [event.id for event in events.untold(1)] == ["e1"]
    events.told(["e1", "nobodys"])
    assert [event.id for event in events.untold(10)] == ["e2"]
    assert len(events.list(EventFilter())) == 5


def test_an_event_survives_what_it_is_about(events: OpsEvents, state: State) -> None:
    """Nothing that it names was ever there."""
    assert events.add(DESYNC)
    assert state.ledger().find("job-1") is None
    assert state.videos().find("v1") is None
