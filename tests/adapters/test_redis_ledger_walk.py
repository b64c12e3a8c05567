"""Any order of moves leaves a ledger in Redis as it leaves one in memory, and its indexes as its rows say."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from src.application.ports.ledger import DeadLetter, DeadLetterFilter, Effect, JobFilter, Limits, TenantFull
from src.application.ports.outbox import Announced, JobEvent, Unsent
from src.domain.errors import (
    Cancelled,
    Conflict,
    Crashed,
    ErrorReport,
    InvalidPayload,
    LeaseLost,
    NetworkError,
    NotFound,
)
from src.domain.job import ACTIVE_STATES, Job, JobDraft, JobState
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.outbox import MemoryOutbox
from src.infrastructure.redis.ledger_rows import about, escaped, group, plain
from tests.contracts.backends.redis import RedisPlace, redis_place
from tests.fakes.clock import FrozenClock

IDS = (
    *(f"job-{number}" for number in range(12)),
    "é\u2028 \t\n",
    "\U0001f600" * 40,
    'a"\\',
    "x" * 3000,
    "job-1.1",
    "{job}:*",
)
TYPES = ("work", "other:\t", "loud")
TENANTS = ("t1", "", "t\tü")
SUBJECTS = (None, None, "v1", "v2", "", 'v"\n')
PAYLOADS: Sequence[dict[str, Any]] = ({}, {"n": 1e308, "text": "\x00\udcff\n"}, {"deep": [[[1]]], "": None})
ERRORS = (InvalidPayload("bad \udcff\n"), NetworkError("away"), Crashed("died"), Cancelled("nobody wants it"))
KEEP = 1_000_000.0
EVERY = 10_000


def loud(old: Job | None, new: Job) -> Sequence[Effect]:
    """Of one type only: batches are for types without effects."""
    if old is None or new.type != "loud" or not new.state.is_terminal:
        return ()
    event = JobEvent(
        id=f"{new.id}.{new.generation}.{new.fence}",
        type="ended",
        at=new.finished_at or 0.0,
        job_id=new.id,
        tenant=new.tenant,
        subject=new.subject,
        data={"error": new.error.message if new.error else None},
    )
    return (Announced(event, ("a", "b")),)


@dataclass
class Walk:
    """Both ledgers, and what is done to them."""

    place: RedisPlace
    dice: random.Random

    def __post_init__(self) -> None:
        clock = self.place.clock
        self.letters, self.outbox = MemoryDeadLetters(clock), MemoryOutbox(clock)
        self.memory = MemoryLedger(clock, self.letters, loud, {Announced: self.outbox.announce})
        self.redis = self.place.ledger(loud)
        self.redis.keep_seconds, self.redis.store.keep_millis = KEEP, int(KEEP * 1000)
        self.redis_letters, self.redis_outbox = self.place.dead_letters(), self.place.outbox()

    def both(self, work: Callable[[Any], Any]) -> None:
        """Now and then a second time, as after an answer that was lost."""
        for _ in range(1 + (self.dice.random() < 0.1)):
            assert work(self.redis) == work(self.memory)

    # ------------------------------------------------------------------ steps
    def draft(self, types: Sequence[str] = TYPES) -> JobDraft:
        pick = self.dice.choice
        return JobDraft(
            id=pick(IDS),
            type=pick(types),
            tenant=pick(TENANTS),
            subject=pick(SUBJECTS),
            payload=pick(PAYLOADS),
            priority=pick((0, -(2**31), 2**31 - 1)),
            max_attempts=pick((1, 3)),
            delay_seconds=pick((0.0, 0.0, 30.0, 2.5e11)),
            trace=pick((None, "00-t")),
        )

    def admit(self) -> None:
        draft, pick = self.draft(), self.dice.choice
        most = Limits(active_per_tenant=pick((0, 2)), active_total=pick((0, 4)), total_per_subject=pick((0, 2)))
        limits = pick((None, most))
        self.both(lambda ledger: replace(ledger.admit(draft, limits), created=False))

    def begin(self) -> None:
        drafts = {draft.id: replace(draft, delay_seconds=0.0) for draft in (self.draft(TYPES[:2]) for _ in range(5))}
        # Two about one subject: the first of the batch in Redis is the first of its type and tenant.
        some = sorted(drafts.values(), key=lambda draft: (draft.type, draft.tenant, draft.subject is not None))
        self.both(lambda ledger: dict(ledger.begin(some, owner="w1\n", lease_seconds=30)))

    def holds(self) -> dict[str, int]:
        rows = [job for job in self.memory.rows() if job.type != "loud"]
        some = self.dice.sample(rows, min(len(rows), self.dice.randrange(1, 7)))
        return {**{job.id: job.fence - (self.dice.random() < 0.1) for job in some}, "nobody": 1}

    def beat(self) -> None:
        holds, lease = self.holds(), self.dice.choice((0.0, 60.0, 2.5e11))
        self.both(lambda ledger: dict(ledger.beat(holds, lease_seconds=lease)))
        self.both(lambda ledger: dict(ledger.watch(holds)))

    def succeed(self) -> None:
        results = {job_id: (fence, self.dice.choice(PAYLOADS)) for job_id, fence in self.holds().items()}
        self.both(lambda ledger: set(ledger.succeed(results)))

    def hand_back(self) -> None:
        holds = self.holds()
        self.both(lambda ledger: set(ledger.hand_back(holds)))

    def change(self) -> None:
        move, running = self.move(), self.dice.choice((0, 0, 2))
        job_id = self.dice.choice(IDS)
        self.both(lambda ledger: _tried(lambda: ledger.change(job_id, move, running_per_tenant=running)))

    def change_many(self) -> None:
        move = self.move()
        some = self.dice.sample(IDS, 6)

        def mild(job: Job, now: float) -> Job:
            try:
                return move(job, now)
            except (Conflict, LeaseLost):
                return job

        self.both(lambda ledger: _alike(ledger.change_many(some, mild)))

    def move(self) -> Callable[[Job, float], Job]:
        pick = self.dice.choice
        error, delay = ErrorReport.of(pick(ERRORS)), pick((0.0, 45.0))
        return pick(
            (
                lambda job, now: job.claim(now, owner="w2", lease_seconds=30, early=delay > 0)[0],
                lambda job, now: job.claim(now, owner="w2", lease_seconds=30)[0],
                lambda job, now: job.beat(now, fence=job.fence, lease_seconds=30),
                lambda job, now: job.succeed(now, fence=job.fence, result={"by": "w2"}),
                lambda job, now: job.fail(now, fence=job.fence, error=error, dice=0.5),
                lambda job, now: job.fail(now, fence=job.fence, error=error, dice=0.5),
                lambda job, now: job.hand_back(now, fence=job.fence, delay_seconds=delay, error=error),
                lambda job, now: job.wait_untried(now, fence=job.fence, delay_seconds=delay),
                lambda job, now: job.made_already(now, owner="w3", result={})[0],
                lambda job, now: job.waking(now, seen=job.wake_at, hold_seconds=60)[0],
                lambda job, now: job.published(now),
                lambda job, now: job.request_cancel(now),
                lambda job, now: job.retry_now(now),
                lambda job, now: job.reopen(now, delay_seconds=delay),
                lambda job, now: job.reopen(now),
            )
        )

    def letter_goes(self) -> None:
        names = [letter.id for letter in self.letters.list(DeadLetterFilter(limit=EVERY))]
        some = self.dice.sample(names, min(len(names), 2))
        if self.dice.random() < 0.5:
            self.letters.notified(some)
            self.redis_letters.notified(some)
        else:
            assert self.letters.remove(some) == self.redis_letters.remove(some)

    def event_goes(self) -> None:
        sink = self.dice.choice("ab")
        kept = self.outbox.kept(sink, EVERY)
        some = [each.event.id for each in self.dice.sample(kept, min(len(kept), 2))]
        # As the relay does it: never an event before which others of its job are unsent.
        first = {each.event.job_id: each.event.id for each in reversed(self.outbox.unsent(sink, EVERY))}
        going, kind = self.dice.choice([None, *first.values()]), self.dice.randrange(4)
        for outbox in (self.outbox, self.redis_outbox):
            if kind == 0:
                outbox.sent(sink, some)
            elif kind == 1:
                outbox.release(sink, some)
            elif going is not None:
                outbox.hold(sink, going, tries=2, error="x\t\n", seconds=None if kind == 2 else 40.0)

    def time(self) -> None:
        self.place.clock.advance(self.dice.choice((0.5, 20.0, 100.0, 4000.0)))
        if self.dice.random() < 0.02:
            self.place.clock.advance(KEEP * 2)
            ended = [job.id for job in self.memory.rows() if job.state.is_terminal]
            letters = [letter.id for letter in self.letters.list(DeadLetterFilter(limit=EVERY))]
            self.memory.remove(ended, lambda _job: True, lambda _job_id: None)
            self.letters.remove([name for name in letters if name.rpartition(".")[0] in ended])

    # ------------------------------------------------------------------ what must agree
    def check(self, asking: redis.Redis) -> None:
        rows = {job.id: job for job in self.memory.rows()}
        assert {job_id: job for job_id in IDS if (job := _exactly(self.redis, job_id))} == rows
        assert list(self.redis.list(JobFilter(limit=EVERY))) == list(self.memory.list(JobFilter(limit=EVERY)))
        for state in (None, self.dice.choice(list(JobState))):
            one = JobFilter(
                state=state, type=self.dice.choice(TYPES), tenant=self.dice.choice(TENANTS), limit=3, offset=1
            )
            assert list(self.redis.list(one)) == list(self.memory.list(one))
        since = self.place.clock.now() - self.dice.choice((0.0, 50.0, 5000.0))
        assert dict(self.redis.counts()) == dict(self.memory.counts())
        assert dict(self.redis.counts(ended_from=since)) == dict(self.memory.counts(ended_from=since))
        ended = self.redis.list(JobFilter(ended_from=since, limit=EVERY))
        assert _alike({job.id: job for job in ended}) == _alike(
            {job.id: job for job in self.memory.list(JobFilter(ended_from=since, limit=EVERY))}
        )
        assert all((one.finished_at or 0) <= (other.finished_at or 0) for one, other in pairwise(ended))
        for types in (None, [self.dice.choice(TYPES)]):
            due = [ledger.to_wake(EVERY, types) for ledger in (self.memory, self.redis)]
            assert _alike({job.id: job for job in due[0]}) == _alike({job.id: job for job in due[1]})
        job_id = self.dice.choice(IDS)
        if job_id in rows:
            assert list(self.redis.attempts(job_id)) == list(self.memory.attempts(job_id))
        every = DeadLetterFilter(limit=EVERY)
        assert _letters(self.redis_letters.list(every)) == _letters(self.letters.list(every))
        assert _letters(self.redis_letters.unnotified(EVERY)) == _letters(self.letters.unnotified(EVERY))
        for sink in "ab":
            assert _events(self.redis_outbox.unsent(sink, EVERY)) == _events(self.outbox.unsent(sink, EVERY))
            assert _events(self.redis_outbox.kept(sink, EVERY)) == _events(self.outbox.kept(sink, EVERY))
        self.check_indexes(asking, rows)

    def check_indexes(self, asking: redis.Redis, rows: dict[str, Job]) -> None:
        base = self.redis.store.base
        found: dict[str, dict[str, float]] = {}
        for key in asking.scan_iter(f"{base}*", count=1000, _type="zset"):
            name = key.decode().removeprefix(base)
            if name.startswith(("outbox:", "parked:")):
                continue
            members: Any = asking.zrange(key, 0, -1, withscores=True)
            found[name] = {plain(member): score for member, score in members}
        wanted: dict[str, dict[str, float]] = {}
        for job in rows.values():
            score = job.finished_at if job.state.is_terminal else job.wake_at
            wanted.setdefault(f"{job.state.value}:{escaped(job.type)}", {})[job.id] = score or 0.0
            assert (asking.pttl(f"{base}job:{escaped(job.id)}") == -1) is (job.state in ACTIVE_STATES)
            if asking.exists(f"{base}past:{escaped(job.id)}"):
                assert (asking.pttl(f"{base}past:{escaped(job.id)}") == -1) is (job.state in ACTIVE_STATES)
            if job.state in ACTIVE_STATES:
                wanted.setdefault(f"tenant:{group(job)}", {})[job.id] = job.lease_until or 0.0
                if job.subject is not None:
                    wanted.setdefault(f"about:{escaped(job.type)}\t{about(job)}", {})[job.id] = float("inf")
        for key, told in found.items():
            kind = key.partition(":")[0]
            if kind in ACTIVE_STATES or kind == "tenant":
                assert told == wanted.get(key, {}), key
            elif kind == "about":
                assert {name: at for name, at in told.items() if at == float("inf")} == wanted.get(key, {}), key
            elif kind in list(JobState):
                # A second life's id may still stand where the first one ended.
                own = wanted.get(key, {})
                assert {name: at for name, at in told.items() if own.get(name) == at} == own, key
        assert wanted.keys() <= found.keys()


def _tried(work: Callable[[], Job]) -> Any:
    try:
        return work()
    except (TenantFull, NotFound, Conflict, LeaseLost) as error:
        return type(error)


def _exactly(ledger: Any, job_id: str) -> Job | None:
    found: Job | None = ledger.find(job_id)
    return found if found is not None and found.id == job_id else None


def _alike(rows: Any) -> Any:
    return sorted(rows.items(), key=lambda pair: pair[0])


def _events(unsent: Sequence[Unsent]) -> list[JobEvent]:
    return [each.event for each in unsent]


def _letters(letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    return sorted((replace(letter, notified_at=None) for letter in letters), key=lambda letter: letter.id)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RedisPlace]:
    made = redis_place(FrozenClock(), tmp_path)
    yield made
    made.close()


def walked(place: RedisPlace, seed: int, steps: int, *, look_every: int = 1) -> None:
    """So many steps; fails where the two part."""
    walk = Walk(place, random.Random(seed))
    moves = [walk.admit, walk.admit, walk.begin, walk.beat, walk.succeed, walk.hand_back, *[walk.change] * 8]
    moves += [walk.change_many, walk.change_many, walk.letter_goes, walk.event_goes, walk.time, walk.time]
    with redis.Redis.from_url(place.server.url) as asking:
        for number in range(steps):
            walk.dice.choice(moves)()
            if number % look_every == 0:
                walk.check(asking)


def test_any_order_of_moves_leaves_rows_queries_and_indexes_alike(place: RedisPlace) -> None:
    walked(place, seed=1, steps=160, look_every=4)
