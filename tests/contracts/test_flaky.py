"""The hostile wrappers do what their words say; else the tests that rely on them prove nothing."""

from __future__ import annotations

import pytest

from src.application.ports.queue import Envelope
from src.domain.errors import DatabaseUnavailable, LockUnavailable, NetworkError, QueueUnavailable, StorageUnavailable
from src.domain.job import JobDraft
from src.domain.progress import ProgressReport
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.lock import MemoryIdempotency
from src.infrastructure.memory.progress import MemoryProgress
from src.infrastructure.memory.queue import MemoryQueue
from src.infrastructure.memory.storage import MemoryStorage
from tests.fakes import flaky
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import AFTER, BEFORE, OK, FlakyLedger, FlakyLock, FlakyProgress, FlakyQueue, FlakyStorage

DRAFT = JobDraft(id="job-1", type="work", tenant="t1", payload={})


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def queue(clock: FrozenClock) -> FlakyQueue:
    made = FlakyQueue(MemoryQueue(clock))
    made.publish([Envelope(body=name.encode(), key=name) for name in ("a", "b")])
    return made


@pytest.fixture
def lock(clock: FrozenClock) -> FlakyLock:
    return FlakyLock(MemoryIdempotency(clock))


@pytest.fixture
def storage(clock: FrozenClock) -> FlakyStorage:
    made = FlakyStorage(MemoryStorage(clock))
    made.put_bytes("a", b"0123456789", content_type="", cache_control="")
    return made


def bodies(queue: FlakyQueue, limit: int = 5) -> list[bytes]:
    return [taken.body for taken in queue.receive(limit, wait_seconds=0, visibility_seconds=30)]


def test_before_means_it_did_not_happen_and_after_that_it_did(clock: FrozenClock) -> None:
    inner = MemoryLedger(clock, MemoryDeadLetters(clock))
    ledger = FlakyLedger(inner)
    ledger.script.plan("admit", BEFORE, AFTER, OK)
    with pytest.raises(DatabaseUnavailable):
        ledger.admit(DRAFT)
    assert inner.find("job-1") is None
    with pytest.raises(DatabaseUnavailable):
        ledger.admit(DRAFT)
    assert inner.find("job-1") is not None
    assert not ledger.admit(DRAFT).created
    assert ledger.script.happened == [("admit", BEFORE), ("admit", AFTER)]


def test_a_server_that_is_away_fails_until_it_is_back(clock: FrozenClock) -> None:
    ledger = FlakyLedger(MemoryLedger(clock, MemoryDeadLetters(clock)))
    ledger.script.down.add("watch")
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            ledger.watch({})
    ledger.script.down.clear()
    assert ledger.watch({}) == {}


def test_a_word_that_a_method_does_not_know_is_an_error(queue: FlakyQueue) -> None:
    queue.script.plan("depth", "nonsense")
    with pytest.raises(AssertionError):
        queue.depth()


def test_messages_are_doubled_turned_round_or_not_seen(queue: FlakyQueue, clock: FrozenClock) -> None:
    queue.script.plan("receive", flaky.EMPTY, flaky.REVERSE, flaky.DUPLICATE)
    assert bodies(queue) == []
    assert bodies(queue) == [b"b", b"a"]
    clock.advance(31)
    assert bodies(queue) == [b"a", b"b", b"a", b"b"]


def test_a_message_whose_visibility_ends_at_once_goes_to_somebody_else_too(queue: FlakyQueue) -> None:
    queue.script.plan("receive", flaky.EXPIRE)
    first = queue.receive(1, wait_seconds=0, visibility_seconds=30)
    assert bodies(queue, 1) == [first[0].body]


def test_an_acknowledgement_gets_lost(queue: FlakyQueue, clock: FrozenClock) -> None:
    queue.script.plan("ack", flaky.LOSE, BEFORE, AFTER)
    taken = queue.receive(1, wait_seconds=0, visibility_seconds=30)
    queue.ack(taken)
    with pytest.raises(QueueUnavailable):
        queue.ack(taken)
    assert queue.depth().in_flight == 1
    with pytest.raises(QueueUnavailable):
        queue.ack(taken)
    assert queue.depth().in_flight == 0


def test_a_message_is_stored_twice_or_never(queue: FlakyQueue) -> None:
    queue.script.plan("publish", flaky.DUPLICATE, flaky.LOSE)
    queue.publish([Envelope(body=b"c", key="c")])
    queue.publish([Envelope(body=b"d", key="d")])
    assert bodies(queue, 9) == [b"a", b"b", b"c", b"c"]


def test_f14_a_lock_server_that_forgets_gives_the_key_to_two(lock: FlakyLock) -> None:
    assert lock.acquire("k", ttl_seconds=30)
    assert lock.acquire("k", ttl_seconds=30) is None
    lock.script.plan("acquire", flaky.DROP)
    assert lock.acquire("k", ttl_seconds=30)


def test_a_lock_expires_under_its_owner_or_is_refused_or_stays(lock: FlakyLock) -> None:
    lock.script.plan("acquire", flaky.EXPIRE, flaky.REFUSE, BEFORE)
    token = lock.acquire("k", ttl_seconds=30)
    assert token
    assert not lock.renew("k", token, ttl_seconds=30)
    assert lock.acquire("k", ttl_seconds=30) is None
    with pytest.raises(LockUnavailable):
        lock.acquire("k", ttl_seconds=30)
    held = lock.acquire("k", ttl_seconds=30)
    assert held
    lock.script.plan("release", flaky.LOSE)
    assert lock.release("k", held)
    assert lock.acquire("k", ttl_seconds=30) is None


def test_f13_progress_may_be_away() -> None:
    progress = FlakyProgress(MemoryProgress(FrozenClock()))
    progress.script.plan("record", BEFORE)
    report = ProgressReport(percent=1, step="s", step_index=1, step_total=1)
    with pytest.raises(NetworkError):
        progress.record("job-1", 1, report)
    assert progress.latest("job-1") is None


def test_f17_a_read_comes_back_short_changed_or_not_at_all(storage: FlakyStorage) -> None:
    storage.script.plan("read", flaky.SHORT, flaky.CHANGED, BEFORE)
    assert storage.read("a", 0, 10) == b"01234"
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            storage.read("a", 0, 10)
    assert storage.read("a", 0, 10) == b"0123456789"


def test_f18_a_put_happens_and_its_reply_is_lost(storage: FlakyStorage) -> None:
    storage.script.plan("put_bytes", AFTER)
    with pytest.raises(StorageUnavailable):
        storage.put_bytes("b", b"x", content_type="", cache_control="")
    assert storage.head("b").size == 1
    assert storage.log == [("put", "a"), ("put", "b")]
