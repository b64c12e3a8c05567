"""The answer to a COMMIT, or to the lock's SET, is lost on the wire: the ledger and the lock say what became of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from src.application.engine.uncertain import UncertainClaims
from src.domain.errors import DatabaseUnavailable, LockUnavailable
from src.domain.job import Claimed, Job, JobDraft, JobState
from src.infrastructure.db.engine import Database
from src.infrastructure.db.ledger import SqlLedger
from src.infrastructure.redis.lock import RedisIdempotency
from tests.adapters.postgres import make_database
from tests.servers.proxy import Act, Proxy
from tests.servers.shared import shared

CLAIMED = rb"UPDATE jobs SET.*RUNNING"
ENDED = rb"UPDATE jobs SET.*SUCCEEDED"


@dataclass(frozen=True, slots=True)
class Wired:
    """A ledger behind a proxy, with one job in it, and another one that sees it as it is."""

    proxy: Proxy
    ledger: SqlLedger
    straight: SqlLedger
    lost: list[Job] = field(default_factory=list)
    """claims whose answer did not come"""

    def row(self) -> Job:
        found = self.straight.find("job-1")
        assert found is not None
        return found

    def claim(self) -> Job:
        found: list[Job] = []

        def move(job: Job, now: float) -> Job:
            after, answer = job.claim(now, owner="w1", lease_seconds=30)
            assert isinstance(answer, Claimed)
            found.append(after)
            return after

        try:
            self.ledger.change("job-1", move)
        except DatabaseUnavailable:
            self.lost.append(found[-1])
            raise
        return found[-1]


@pytest.fixture
def wired() -> Iterator[Wired]:
    server = shared("postgres")
    url = make_database(server)
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy.to(server))
        through, straight = Database(proxy.in_front(url)), Database(url)
        stack.callback(through.close)
        stack.callback(straight.close)
        made = Wired(proxy, SqlLedger(through), SqlLedger(straight))
        made.ledger.admit(JobDraft(id="job-1", type="test", tenant="acme", payload={}))
        yield made


@pytest.mark.parametrize("act", [Act.LOSE_REPLY, Act.CUT_REPLY])
def test_f08_a_claim_whose_answer_is_lost_is_found_and_given_back_untried(wired: Wired, act: Act) -> None:
    with wired.proxy.fault(act, b"COMMIT", after=CLAIMED), pytest.raises(DatabaseUnavailable):
        wired.claim()
    assert (wired.row().state, wired.row().attempts) == (JobState.RUNNING, 1)
    uncertain = UncertainClaims(wired.ledger)
    uncertain.note(wired.lost[0])
    assert uncertain.settle() == 1
    assert (wired.row().state, wired.row().attempts, wired.row().fence) == (JobState.QUEUED, 0, 1)
    assert wired.claim().fence == 2


def test_f08_a_claim_that_never_arrived_left_no_trace(wired: Wired) -> None:
    with wired.proxy.fault(Act.LOSE_REQUEST, b"COMMIT", after=CLAIMED), pytest.raises(DatabaseUnavailable):
        wired.claim()
    assert (wired.row().state, wired.row().attempts, wired.row().fence) == (JobState.QUEUED, 0, 0)
    uncertain = UncertainClaims(wired.ledger)
    uncertain.note(wired.lost[0])
    assert uncertain.settle() == 0
    assert wired.claim().fence == 1


@pytest.mark.parametrize("act", [Act.LOSE_REPLY, Act.CUT_REPLY, Act.LOSE_REQUEST])
def test_f08_an_outcome_whose_answer_is_lost_is_written_once_however_often_it_is_tried(wired: Wired, act: Act) -> None:
    fence = wired.claim().fence
    with wired.proxy.fault(act, b"COMMIT", after=ENDED), pytest.raises(DatabaseUnavailable):
        wired.ledger.change("job-1", lambda job, now: job.succeed(now, fence=fence, result={"try": 1}))
    done = act is not Act.LOSE_REQUEST
    assert (wired.row().state is JobState.SUCCEEDED) is done
    again = wired.ledger.change("job-1", lambda job, now: job.succeed(now, fence=fence, result={"try": 2}))
    assert again.state is JobState.SUCCEEDED
    assert wired.row().result == {"try": 1 if done else 2}
    assert [one.outcome for one in wired.straight.attempts("job-1")] == ["SUCCEEDED"]


def test_a_beat_whose_answer_is_lost_has_renewed_or_not_and_works_again(wired: Wired) -> None:
    fence = wired.claim().fence
    with wired.proxy.fault(Act.LOSE_REPLY, b"UPDATE jobs SET.*lease_until"), pytest.raises(DatabaseUnavailable):
        wired.ledger.beat({"job-1": fence}, lease_seconds=60)
    assert wired.ledger.beat({"job-1": fence}, lease_seconds=60)["job-1"].held


def test_a_read_whose_answer_is_lost_is_asked_again_unseen(wired: Wired) -> None:
    with wired.proxy.fault(Act.LOSE_REPLY, b"FROM jobs"):
        found = wired.ledger.find("job-1")
    assert found is not None
    assert found.id == "job-1"


def test_a_lock_whose_answer_is_lost_holds_for_its_time_and_then_is_free() -> None:
    key = f"job:{uuid.uuid4().hex}:lock"
    with Proxy.to(shared("redis")) as proxy:
        lock = RedisIdempotency(proxy.url)
        with proxy.fault(Act.LOSE_REPLY, b"^SET "), pytest.raises(LockUnavailable):
            lock.acquire(key, ttl_seconds=0.3)
        # Taken, by nobody who knows the token: it stands for its time and no longer.
        assert lock.acquire(key, ttl_seconds=60) is None
        token = None
        while token is None:
            token = lock.acquire(key, ttl_seconds=60)
        with proxy.fault(Act.LOSE_REPLY, b"^EVAL"), pytest.raises(LockUnavailable):
            lock.release(key, token)
        # Freed already, or not: nobody else's lock is touched by trying again.
        lock.release(key, token)
        other = lock.acquire(key, ttl_seconds=60)
        assert other is not None
        assert not lock.release(key, token)
        assert lock.renew(key, other, ttl_seconds=60)
        lock.close()
