"""A stretch of time with five schedulers that come and go, and what must have fired when it is over (reliability.md F39, G15).

What is due is not reckoned by the code under test: every quarter of an hour is looked at on the zone's clock. What becomes of it
is told by plain lists, look by look.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from src.application.catalog import Catalog, JobType
from src.application.cron.entry import Entry, Occasion
from src.application.cron.schedule import Schedule
from src.application.cron.scheduler import Scheduler
from src.application.dispatch import QueueDispatch
from src.application.engine.waker import Waker
from src.application.ports.cron import Board, CronTicks
from src.application.ports.ledger import Admission, JobFilter
from src.application.ports.queue import Envelope
from src.domain.cron import Missed, Policy
from src.domain.errors import DatabaseUnavailable, QueueUnavailable
from src.domain.job import Job, JobDraft
from src.infrastructure.memory.cron import MemoryCronTicks
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from tests.fakes.clock import FrozenClock

ZONES = ("Asia/Seoul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
WRITTEN = {"hourly": "0 * * * *", "daily": "0 4 * * *", "jumped": "30 2 * * *"}
POLICIES = {"hourly": Missed.LATEST, "daily": Missed.ALL, "jumped": Missed.SKIP}
GRACE = 60.0
FILL = 3 * 86_400.0
QUARTER = 900
SCHEDULERS = 5

CATALOG = Catalog([JobType(name="work", parse=lambda _tenant, payload: payload, handler="none:None")])


def _payload(name: str, occasion: Occasion) -> Mapping[str, Any]:
    return {"entry": name, "due": occasion.at.timestamp()}


def wall(kind: str, zone: str, begin: float, end: float) -> list[float]:
    """When the entry is due, by the zone's clock."""
    clock, due, days = ZoneInfo(zone), [], set()
    asked = timedelta(hours=2, minutes=30) if kind == "jumped" else timedelta(hours=4)
    for at in range(int(begin) + QUARTER, int(end) + 1, QUARTER):
        shown = datetime.fromtimestamp(at, clock)
        into_day = timedelta(hours=shown.hour, minutes=shown.minute)
        if kind == "hourly":
            if shown.minute == 0:
                due.append(float(at))
        elif into_day == asked or (into_day > asked and (before := _jumped(at, clock)) and before < asked):
            # Once a day, at the first chance: shown, or jumped over.
            if shown.date() not in days:
                due.append(float(at))
            days.add(shown.date())
    return due


def _jumped(at: int, clock: ZoneInfo) -> timedelta | None:
    """What the clock showed a moment before, if it was set forward since."""
    now, before = datetime.fromtimestamp(at, clock), datetime.fromtimestamp(at - 1, clock)
    if now.utcoffset() == before.utcoffset():
        return None
    return timedelta(hours=before.hour, minutes=before.minute, seconds=before.second)


@dataclass
class FlakyTicks:
    """The database between a scheduler and what all of them share: away for a while, or losing the reply to a commit."""

    inner: CronTicks
    trouble: list[str] = field(default_factory=list)

    def board(self, schedules: Mapping[str, str]) -> Board:
        self._raise("board")
        return self.inner.board(schedules)

    def know(self, schedules: Mapping[str, str]) -> None:
        self.inner.know(schedules)

    def fire(self, name: str, scheduled_at: float, draft: JobDraft) -> Admission | None:
        self._raise("before")
        answer = self.inner.fire(name, scheduled_at, draft)
        self._raise("after")
        return answer

    def _raise(self, where: str) -> None:
        if self.trouble and self.trouble[0] == where:
            self.trouble.pop(0)
            raise DatabaseUnavailable(f"scripted: {where}")


@dataclass
class FlakyPublisher:
    """A queue that is away now and then."""

    dice: random.Random
    sent: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        if self.dice.random() < 0.1:
            raise QueueUnavailable("scripted: the queue is away")
        self.waiting |= {envelope.key for envelope in envelopes} - self.sent
        self.sent |= self.waiting


class CronYear:
    """`days` of the year 2026, from `first` on."""

    def __init__(self, seed: int, first: datetime, days: int) -> None:
        self.dice = random.Random(seed)
        self.begin, self.end = first.timestamp(), first.timestamp() + days * 86_400
        self.clock = FrozenClock(self.begin + 0.5)
        self.ledger = MemoryLedger(self.clock, MemoryDeadLetters(self.clock))
        self.shared = MemoryCronTicks(self.clock, self.ledger)
        self.publisher = FlakyPublisher(self.dice)
        self.entries = [
            Entry(
                name=f"{kind} {zone}",
                type="work",
                schedule=Schedule(WRITTEN[kind], zone),
                payload=partial(_payload, f"{kind} {zone}"),
                policy=Policy(missed=POLICIES[kind], grace_seconds=GRACE, fill_seconds=FILL),
            )
            for kind in WRITTEN
            for zone in ZONES
        ]
        self.due = {f"{kind} {zone}": wall(kind, zone, self.begin, self.end) for kind in WRITTEN for zone in ZONES}
        self.expected: dict[str, list[float]] = {name: [] for name in self.due}
        self.fresh: dict[str, list[float]] = {name: list(moments) for name, moments in self.due.items()}
        self.schedulers = [self.scheduler() for _ in range(SCHEDULERS)]
        self.looks = self.outages = 0

    def scheduler(self) -> Scheduler:
        """One that knows nothing but what all share: a new process."""
        return Scheduler(self.entries, CATALOG, FlakyTicks(self.shared), self.ledger, QueueDispatch(self.publisher))

    # ------------------------------------------------------------------ what happens
    def run(self) -> None:
        """Every moment that is due is met by two or more of the schedulers, unless all of them are away."""
        self.look()
        away_until = 0.0
        for at in sorted({at for moments in self.due.values() for at in moments}):
            if at < away_until:
                continue
            if self.dice.random() < 0.01:
                # All of them, for minutes or for days; back at any time, also in the very minute of a moment.
                self.outages += 1
                long = self.dice.choice((120, 3600, 10_800, 90_000, 400_000)) * self.dice.random()
                away_until = min(at + long, self.end)
                self.until(away_until)
                self.look()
                continue
            self.until(at + self.dice.choice((0.0, 0.3, 5.0, 59.0)))
            self.look()
            if self.dice.random() < 0.02:
                self.set_back()
        self.until(self.end)
        self.look()

    def until(self, at: float) -> None:
        """Time passes."""
        self.clock.advance(max(0.0, at - self.clock.now()))

    def look(self) -> None:
        """Some of them, in any order, some of them started this very minute, some with a database that fails once."""
        self.looks += 1
        self.foresee(self.clock.now())
        for number in self.dice.sample(range(SCHEDULERS), 2):
            if self.dice.random() < 0.05:
                self.schedulers[number] = self.scheduler()
            if self.dice.random() < 0.05:
                ticks = self.schedulers[number].ticks
                assert isinstance(ticks, FlakyTicks)
                ticks.trouble = [self.dice.choice(("board", "before", "after"))]
            self.turn(number)
        self.work()

    def turn(self, number: int) -> None:
        """As its loop does: again after a failure, and again while there is more to do at once."""
        for _ in range(40):
            try:
                if self.schedulers[number].turn() > 0.05:
                    return
            except DatabaseUnavailable:
                continue
        raise AssertionError("a scheduler comes to no rest")

    def set_back(self) -> None:
        """The clock jumps back over what has just fired, and comes right again."""
        back = self.dice.choice((2.0, 120.0, 3500.0, 7300.0))
        self.clock.step(-back)
        for number in range(SCHEDULERS):
            self.turn(number)
        self.clock.step(back)

    # ------------------------------------------------------------------ what must have happened
    def foresee(self, now: float) -> None:
        """By the lists alone: what of each entry is due at this look, and what of it fires."""
        for name, waiting in self.fresh.items():
            passed = [at for at in waiting if at <= now]
            if not passed:
                continue
            del waiting[: len(passed)]
            on_time = [at for at in passed if now - at < GRACE]
            match POLICIES[name.split()[0]]:
                case Missed.SKIP:
                    fires = on_time
                case Missed.LATEST:
                    fires = on_time or passed[-1:]
                case Missed.ALL:
                    fires = [at for at in passed if now - at < FILL]
            self.expected[name] += fires

    def check(self) -> None:
        """No moment twice, none before its time, none left out but by the policy, and every job is on its way."""
        jobs = self.ledger.list(JobFilter(limit=1_000_000))
        for name, moments in self.expected.items():
            fired = sorted(job.payload["due"] for job in jobs if job.payload["entry"] == name)
            assert fired == moments, name
        assert all(job.payload["due"] <= job.created_at for job in jobs)
        self.clock.advance(2)
        waker = Waker(self.ledger, self.publisher, hold_seconds=1.0)
        for _ in range(len(jobs)):
            if self.publisher.sent >= {job.id for job in jobs}:
                return
            self.clock.advance(2)
            with suppress(QueueUnavailable):
                waker.tick()
            self.work()
        raise AssertionError("jobs that nobody publishes")

    def work(self) -> None:
        """A worker does what was published."""
        for job_id in self.publisher.waiting:
            fence = self.ledger.change(job_id, _claimed).fence
            self.ledger.change(job_id, partial(_done, fence))
        self.publisher.waiting.clear()


def _claimed(job: Job, now: float) -> Job:
    return job.claim(now, owner="worker", lease_seconds=60)[0]


def _done(fence: int, job: Job, now: float) -> Job:
    return job.succeed(now, fence=fence, result={})
