"""The scheduler on memory: what is known, missed, joined, failed, and who brings on what was not published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from src.application import failpoints
from src.application.catalog import Catalog, JobType
from src.application.cron.entry import Entry, Occasion
from src.application.cron.schedule import Schedule
from src.application.cron.scheduler import LEAST_SECONDS, LOOK_SECONDS, Scheduler
from src.application.dispatch import QueueDispatch
from src.application.engine.health import WEDGED_SECONDS, Health
from src.application.engine.waker import Waker
from src.application.ports.ledger import JobFilter
from src.application.ports.queue import Envelope
from src.domain.cron import Missed, Policy
from src.domain.errors import QueueUnavailable
from src.domain.job import Job, JobDraft
from src.infrastructure.memory.cron import MemoryCronTicks
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from tests.fakes.clock import FrozenClock

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0
CATALOG = Catalog(
    [
        JobType(name="work", parse=lambda _tenant, payload: payload, handler="x:Y"),
        JobType(name="alone", parse=lambda _tenant, payload: payload, handler="x:Y", subject=lambda *_: "all"),
    ]
)


@dataclass
class Queue:
    """What was published; away when told so."""

    away: bool = False
    sent: list[str] = field(default_factory=list)

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        if self.away:
            raise QueueUnavailable("away")
        self.sent += [envelope.key for envelope in envelopes]


@dataclass
class Place:
    """What all schedulers share."""

    clock: FrozenClock = field(default_factory=lambda: FrozenClock(NOON + 1))
    queue: Queue = field(default_factory=Queue)

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(self.clock, MemoryDeadLetters(self.clock))
        self.ticks = MemoryCronTicks(self.clock, self.ledger)

    def scheduler(self, *entries: Entry) -> Scheduler:
        return Scheduler(entries or (HOURLY,), CATALOG, self.ticks, self.ledger, QueueDispatch(self.queue))

    def jobs(self) -> list[Job]:
        return sorted(self.ledger.list(JobFilter(limit=1000)), key=lambda job: job.created_at)

    def hours(self) -> list[float]:
        """For which hours after noon something fired, oldest first."""
        return sorted((job.payload["due"] - NOON) / HOUR for job in self.jobs())


HOURLY = Entry(
    name="hourly",
    type="work",
    schedule=Schedule("0 * * * *"),
    payload=lambda occasion: {"due": occasion.at.timestamp(), "late": occasion.late},
)


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def crash() -> Iterator[None]:
    """The process dies between the commit and the message."""

    def die(name: str) -> None:
        if name == "cron.admitted":
            raise KeyboardInterrupt

    failpoints.arm(die)
    yield
    failpoints.arm(None)


def test_f39_a_new_entry_has_no_past(place: Place) -> None:
    assert place.scheduler().turn() == LOOK_SECONDS
    assert place.jobs() == []
    place.clock.advance(HOUR)
    place.scheduler().turn()
    assert place.hours() == [1]


def test_f39_any_number_of_schedulers_and_a_restart_in_the_same_minute(place: Place) -> None:
    several = [place.scheduler() for _ in range(5)]
    several[0].turn()
    place.clock.advance(HOUR)
    for scheduler in (*several, place.scheduler(), *several):
        scheduler.turn()
    assert place.hours() == [1]
    assert place.queue.sent == [place.jobs()[0].id]


@pytest.mark.parametrize(
    ("missed", "hours", "late"),
    [(Missed.SKIP, [], []), (Missed.LATEST, [3], [True]), (Missed.ALL, [1, 2, 3], [True, True, True])],
)
def test_f39_three_moments_missed(place: Place, missed: Missed, hours: list[float], late: list[bool]) -> None:
    entry = replace(HOURLY, policy=Policy(missed=missed))
    place.scheduler(entry).turn()
    place.clock.advance(3.5 * HOUR)
    for _ in range(3):
        place.scheduler(entry).turn()
    assert place.hours() == hours
    assert [job.payload["late"] for job in place.jobs()] == late
    place.clock.advance(0.5 * HOUR)
    place.scheduler(entry).turn()
    assert place.hours() == [*hours, 4]


def test_f39_a_clock_that_jumps_back_fires_nothing_again(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = place.scheduler()
    scheduler.turn()
    place.clock.advance(2 * HOUR)
    scheduler.turn()
    place.clock.step(-1.5 * HOUR)
    for _ in range(4):
        scheduler.turn()
        place.scheduler().turn()
        place.clock.advance(0.5 * HOUR)
    assert place.hours() == [2]
    assert sum(record.msg == "cron.clock_behind" for record in caplog.records) == 2, "once by each that saw it"
    scheduler.turn()
    place.clock.advance(HOUR)
    scheduler.turn()
    assert place.hours() == [2, 3]


def test_f39_what_is_due_first_is_looked_at_when_it_is_due(place: Place) -> None:
    scheduler = place.scheduler()
    scheduler.turn()
    place.clock.advance(HOUR - 4)
    assert scheduler.turn() == pytest.approx(3)
    place.clock.advance(3)
    assert scheduler.turn() == LOOK_SECONDS
    assert place.hours() == [1]
    assert place.jobs()[0].created_at == NOON + HOUR


def test_a_changed_schedule_fires_nothing_that_lies_before_the_change(place: Place) -> None:
    place.scheduler().turn()
    place.clock.advance(1.75 * HOUR)
    changed = replace(HOURLY, schedule=Schedule("30 * * * *"))
    place.scheduler(changed).turn()
    assert place.hours() == []
    place.clock.advance(HOUR)
    place.scheduler(changed).turn()
    assert place.hours() == [2.5]


def test_both_versions_of_a_schedule_side_by_side_miss_nothing(place: Place) -> None:
    changed = replace(HOURLY, schedule=Schedule("30 * * * *"))
    both = [place.scheduler(), place.scheduler(changed)]
    for _ in range(8 * 4):
        for scheduler in both:
            scheduler.turn()
        place.clock.advance(HOUR / 4)
    assert place.hours() == [number / 2 for number in range(1, 16)]


def test_a_queue_that_is_away_leaves_the_job_to_its_recovery_owner(place: Place) -> None:
    place.scheduler().turn()
    place.clock.advance(HOUR)
    place.queue.away = True
    place.scheduler().turn()
    place.queue.away = False
    place.scheduler().turn()
    assert (place.hours(), place.queue.sent) == ([1], [])
    assert Waker(place.ledger, place.queue).tick() == 1
    assert place.queue.sent == [place.jobs()[0].id]


@pytest.mark.usefixtures("crash")
def test_f39_a_crash_between_commit_and_message_loses_no_moment(place: Place) -> None:
    place.scheduler().turn()
    place.clock.advance(HOUR)
    with pytest.raises(KeyboardInterrupt):
        place.scheduler().turn()
    failpoints.arm(None)
    place.scheduler().turn()
    assert (place.hours(), place.queue.sent) == ([1], [])
    assert Waker(place.ledger, place.queue).tick() == 1
    assert place.queue.sent == [place.jobs()[0].id]


def test_a_published_job_is_left_alone_by_the_waker(place: Place) -> None:
    place.scheduler().turn()
    place.clock.advance(HOUR)
    place.scheduler().turn()
    assert Waker(place.ledger, place.queue).tick() == 0
    assert len(place.queue.sent) == 1


def test_a_moment_whose_job_is_active_already_makes_no_second_one(place: Place) -> None:
    entry = replace(HOURLY, type="alone")
    place.scheduler(entry).turn()
    by_hand = place.ledger.admit(
        JobDraft(id="hand", type="alone", tenant="default", payload={"due": 0.0}, subject="all")
    )
    place.clock.advance(HOUR)
    place.scheduler(entry).turn()
    assert [job.id for job in place.jobs()] == ["hand"]
    assert by_hand.job is not None
    last = place.ticks.board({"hourly": str(entry.schedule)}).entries["hourly"].last
    assert last is not None
    assert (last.scheduled_at, last.job_id) == (NOON + HOUR, "hand")


def test_an_entry_that_fails_stops_no_other(place: Place) -> None:
    broken = replace(HOURLY, name="broken", type="unheard-of")
    scheduler = place.scheduler(broken, HOURLY)
    scheduler.turn()
    place.clock.advance(HOUR)
    assert scheduler.turn() <= LOOK_SECONDS
    assert place.hours() == [1]


def test_more_than_one_look_fires_is_gone_on_with_at_once(place: Place) -> None:
    entry = replace(HOURLY, schedule=Schedule("* * * * *"), policy=Policy(missed=Missed.ALL))
    place.scheduler(entry).turn()
    place.clock.advance(4 * HOUR)
    scheduler = place.scheduler(entry)
    assert scheduler.turn() == LEAST_SECONDS
    assert scheduler.turn() == LEAST_SECONDS
    assert scheduler.turn() > LEAST_SECONDS
    assert len(place.hours()) == len(set(place.hours())) == 240


def test_without_entries_nothing_is_asked(place: Place) -> None:
    assert Scheduler((), CATALOG, place.ticks, place.ledger, QueueDispatch(place.queue)).turn() == LOOK_SECONDS


def test_a_bug_in_one_entry_stops_no_other(place: Place) -> None:
    def trips(_occasion: Occasion) -> Mapping[str, Any]:
        raise ValueError("nobody foresaw this")

    scheduler = place.scheduler(replace(HOURLY, name="broken", payload=trips), HOURLY)
    scheduler.turn()
    place.clock.advance(HOUR)
    scheduler.turn()
    assert place.hours() == [1]


def test_f45_a_turn_that_fires_several_while_the_queue_hangs_tells_of_itself_in_between(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage restarts nothing."""
    clock, lived = FrozenClock(), list[bool]()
    health = Health(clock)
    scheduler = place.scheduler(*(replace(HOURLY, name=f"hourly-{number}") for number in range(3)))
    scheduler.goes_on = health.goes_on
    scheduler.turn()
    place.clock.advance(HOUR)

    def hang(_envelopes: Sequence[Envelope]) -> None:
        clock.advance(WEDGED_SECONDS - 5)
        lived.append(health.live())
        raise QueueUnavailable("no answer")

    monkeypatch.setattr(place.queue, "publish", hang)
    health.turned("scheduler")
    scheduler.turn()
    assert lived == [True] * 3


@pytest.mark.parametrize(("asked", "given"), [(None, 1), (0, 0), (-3, -3)])
def test_a_job_by_the_clock_has_its_type_s_priority_unless_the_entry_says_otherwise(
    place: Place, asked: int | None, given: int
) -> None:
    """As one by a message: a clean-up that cron asks for waits in `worker:low` too (seed 000, section 2)."""
    catalog = Catalog([JobType(name="work", parse=lambda _tenant, payload: payload, handler="x:Y", priority=1)])
    scheduler = replace(place.scheduler(replace(HOURLY, priority=asked)), catalog=catalog)
    scheduler.turn()
    place.clock.advance(HOUR)
    scheduler.turn()
    assert [job.priority for job in place.jobs()] == [given]


@pytest.mark.parametrize(("missed", "told"), [(Missed.LATEST, [1.0]), (Missed.ALL, [None, None, None])])
def test_only_moments_that_were_given_up_are_told_as_passed_over(
    place: Place, caplog: pytest.LogCaptureFixture, missed: Missed, told: list[float | None]
) -> None:
    entry = replace(HOURLY, policy=Policy(missed=missed))
    place.scheduler(entry).turn()
    place.clock.advance(3.5 * HOUR)
    with caplog.at_level("INFO"):
        place.scheduler(entry).turn()
    fired = [record for record in caplog.records if record.msg == "cron.fired"]
    since = [getattr(record, "passed_over_since", None) for record in fired]
    assert [text and (datetime.fromisoformat(text).timestamp() - NOON) / HOUR for text in since] == told
