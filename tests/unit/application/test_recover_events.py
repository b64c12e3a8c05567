"""purge-events: which events go, and which don't."""

from __future__ import annotations

import pytest

from src.application.ports.ops_events import EventFilter, EventType, OpsEvent, Severity
from src.application.video.recovery import purge_events
from src.application.video.recovery.run import Run
from tests.fakes.clinic import DAY, Clinic

NAME = "purge-events"


@pytest.fixture
def clinic() -> Clinic:
    return Clinic()


def note(clinic: Clinic, *ids: str, kind: EventType = EventType.ORPHAN_CANCELLED) -> None:
    for each in ids:
        clinic.office.events.add(OpsEvent(id=each, type=kind, severity=Severity.INFO))


def left(clinic: Clinic) -> set[str]:
    return {event.id for event in clinic.office.events.list(EventFilter())}


def test_events_are_kept_for_ninety_days_and_no_longer(clinic: Clinic) -> None:
    note(clinic, "a", "b")
    clinic.clock.advance(DAY)
    note(clinic, "c")
    clinic.clock.advance(89 * DAY)
    assert clinic.run(NAME).notes == [], "ninety days are not more than ninety days"
    clinic.clock.advance(1)
    dry = clinic.run(NAME, dry_run=True)
    assert [(each.id, each.action) for each in dry.notes] == [("2 events", "remove")]
    assert left(clinic) == {"a", "b", "c"}
    done = clinic.run(NAME)
    assert [(each.id, each.action) for each in done.notes] == [("2 events", "remove")]
    assert left(clinic) == {"c"}


def test_what_nobody_was_told_of_stays(clinic: Clinic) -> None:
    note(clinic, "told", "untold", kind=EventType.BATCH_DESYNC)
    clinic.office.events.told(["told"])
    clinic.clock.advance(400 * DAY)
    clinic.run(NAME)
    assert left(clinic) == {"untold"}


def test_a_run_is_bounded_and_goes_page_by_page(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge_events, "PAGE", 2)
    note(clinic, *(f"e{number}" for number in range(5)))
    clinic.clock.advance(91 * DAY)
    run = clinic.run(NAME, dry_run=True)
    assert (run.looked, run.more, len(left(clinic))) == (1, True, 5)
    run = clinic.run(NAME, limit=2)
    assert (run.looked, run.more, len(left(clinic))) == (2, True, 1)
    run = clinic.run(NAME, limit=2)
    assert (run.looked, run.more, left(clinic)) == (1, False, set())


def test_one_run_at_a_time(clinic: Clinic) -> None:
    note(clinic, "a")
    clinic.clock.advance(91 * DAY)
    assert clinic.lock.acquire(f"video:{NAME}:lock", ttl_seconds=600)
    run: Run = clinic.run(NAME)
    assert (run.refused, left(clinic)) == ("another purge-events is running", {"a"})
