"""Bodies that go by way of storage."""

from __future__ import annotations

import hashlib
import json

import pytest

from src.application.claim_check import CLAIM, FOLDER, ClaimCheckPublisher
from src.application.ports.queue import Delivery, Envelope
from src.domain.errors import QueueUnavailable
from src.infrastructure.memory.queue import MemoryQueue
from src.infrastructure.memory.storage import MemoryStorage
from tests.contracts.backends.claimed import ClaimedQueue, TinyQueue
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import BEFORE, FlakyStorage

LARGE = b"x" * 100
KEY = f"{FOLDER}/{'0' * 32}"


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def storage(clock: FrozenClock) -> FlakyStorage:
    return FlakyStorage(MemoryStorage(clock))


@pytest.fixture
def memory(clock: FrozenClock) -> MemoryQueue:
    return MemoryQueue(clock)


@pytest.fixture
def queue(memory: MemoryQueue, storage: FlakyStorage) -> ClaimedQueue:
    return ClaimedQueue(memory, storage, ClaimCheckPublisher(TinyQueue(memory, 99), storage), memory)


def take(queue: ClaimedQueue) -> list[Delivery]:
    return list(queue.receive(10, wait_seconds=0, visibility_seconds=30))


def stored(storage: FlakyStorage) -> list[str]:
    return [one.key for one in storage.list("")]


def pointer(body: bytes, *, size: int | None = None) -> bytes:
    return json.dumps(
        {"size": len(body) if size is None else size, "sha256": hashlib.sha256(body).hexdigest()}
    ).encode()


def test_only_a_body_that_does_not_fit_is_stored_and_it_goes_with_its_message(
    queue: ClaimedQueue, memory: MemoryQueue, storage: FlakyStorage
) -> None:
    queue.publish([Envelope(body=LARGE, key="large"), Envelope(body=LARGE[1:], key="small")])
    (key,) = stored(storage)
    large, small = take(queue)
    assert (large.body, small.body) == (LARGE, LARGE[1:])
    queue.ack([small])
    assert stored(storage) == [key]
    queue.ack([large])
    assert stored(storage) == []
    assert memory.depth().in_flight == 0


def test_a_body_stays_until_its_message_is_acknowledged(
    queue: ClaimedQueue, storage: FlakyStorage, clock: FrozenClock
) -> None:
    queue.publish([Envelope(body=LARGE, key="k")])
    queue.release(take(queue)[0], delay_seconds=0)
    take(queue)
    clock.advance(31)
    (again,) = take(queue)
    assert (again.body, again.receive_count) == (LARGE, 3)
    queue.ack([again])
    assert stored(storage) == []


def test_the_body_is_there_before_the_message(queue: ClaimedQueue, memory: MemoryQueue, storage: FlakyStorage) -> None:
    storage.script.plan("put_bytes", BEFORE)
    with pytest.raises(QueueUnavailable, match="too large for the queue"):
        queue.publish([Envelope(body=LARGE, key="k")])
    assert memory.depth().ready == 0


def test_f17_a_body_that_can_not_be_read_now_is_put_off(
    queue: ClaimedQueue, storage: FlakyStorage, clock: FrozenClock
) -> None:
    queue.publish([Envelope(body=LARGE, key="k"), Envelope(body=b"small", key="s")])
    storage.script.plan("read", BEFORE)
    assert [one.body for one in take(queue)] == [b"small"]
    clock.advance(11)
    assert [one.body for one in take(queue)] == [LARGE]


def test_a_body_that_can_not_be_deleted_does_not_hold_up_its_message(
    queue: ClaimedQueue, memory: MemoryQueue, storage: FlakyStorage
) -> None:
    queue.publish([Envelope(body=LARGE, key="k")])
    storage.script.plan("delete", BEFORE)
    queue.ack(take(queue))
    assert memory.depth().in_flight == 0
    assert len(stored(storage)) == 1


def test_a_body_that_is_gone_leaves_the_pointer_to_be_kept_aside(queue: ClaimedQueue, storage: FlakyStorage) -> None:
    queue.publish([Envelope(body=LARGE, key="k")])
    (key,) = stored(storage)
    storage.delete([key])
    (delivery,) = take(queue)
    assert (delivery.body, delivery.attributes) == (pointer(LARGE), {CLAIM: key})


@pytest.mark.parametrize(
    "claim",
    ["tenants/t1/video/raw/secret.mp4", f"{KEY}/../../tenants", f"{FOLDER}/{'0' * 31}", f"/{KEY}", "", f"{KEY}\n"],
)
def test_t13_a_pointer_of_a_stranger_reads_and_deletes_nothing_of_a_tenant(
    queue: ClaimedQueue, memory: MemoryQueue, storage: FlakyStorage, claim: str
) -> None:
    storage.put_bytes("tenants/t1/video/raw/secret.mp4", LARGE, content_type="", cache_control="")
    memory.publish([Envelope(body=pointer(LARGE), key="k", attributes={CLAIM: claim})])
    taken = take(queue)
    assert [one.body for one in taken] == [pointer(LARGE)]
    queue.ack(taken)
    assert stored(storage) == ["tenants/t1/video/raw/secret.mp4"]


@pytest.mark.parametrize(
    "body",
    [
        pointer(b"other"),
        pointer(b"y" * len(LARGE)),
        pointer(LARGE, size=99),
        pointer(LARGE, size=2**40),
        b'{"size": 1e999, "sha256": ""}',
        b"{}",
        b"[",
        b"[" * 100_000,
        b"7",
    ],
)
def test_t14_a_pointer_that_does_not_fit_its_body_comes_as_it_is(
    queue: ClaimedQueue, memory: MemoryQueue, storage: FlakyStorage, body: bytes
) -> None:
    storage.put_bytes(KEY, LARGE, content_type="", cache_control="")
    memory.publish([Envelope(body=body, key="k", attributes={CLAIM: KEY})])
    taken = take(queue)
    assert [one.body for one in taken] == [body]
    queue.ack(taken)
    assert stored(storage) == [KEY], "what was not followed is not deleted"


def test_a_message_that_is_sent_again_does_not_bring_its_old_pointer(queue: ClaimedQueue, memory: MemoryQueue) -> None:
    queue.publish([Envelope(body=b"small", key="k", attributes={CLAIM: KEY, "n": "1"})])
    (delivery,) = memory.receive(1, wait_seconds=0, visibility_seconds=30)
    assert delivery.attributes == {"n": "1"}
