"""Idempotency."""

from __future__ import annotations

import threading

import pytest

from src.application.ports.lock import Idempotency
from tests.contracts.backends.state import LockPlace
from tests.fakes.clock import FrozenClock

KEY = "job:video:1:lock"


@pytest.fixture
def lock(locks: LockPlace) -> Idempotency:
    return locks.lock()


def held(lock: Idempotency, key: str = KEY, *, ttl: float = 30.0) -> str:
    token = lock.acquire(key, ttl_seconds=ttl)
    assert token
    return token


def test_one_holder_at_a_time(lock: Idempotency, locks: LockPlace) -> None:
    held(lock)
    assert locks.lock().acquire(KEY, ttl_seconds=30) is None


def test_other_keys_are_free(lock: Idempotency) -> None:
    held(lock)
    held(lock, "job:video:2:lock")


def test_a_released_key_is_free(lock: Idempotency, locks: LockPlace) -> None:
    assert lock.release(KEY, held(lock))
    assert locks.lock().acquire(KEY, ttl_seconds=30)


def test_an_expired_key_is_free(lock: Idempotency, clock: FrozenClock) -> None:
    first = held(lock, ttl=30)
    clock.advance(29)
    assert lock.acquire(KEY, ttl_seconds=30) is None
    clock.advance(1)
    assert held(lock) != first


def test_renewing_holds_on_from_now(lock: Idempotency, clock: FrozenClock) -> None:
    token = held(lock, ttl=30)
    for _ in range(20):
        clock.advance(20)
        assert lock.renew(KEY, token, ttl_seconds=30)
    assert lock.acquire(KEY, ttl_seconds=30) is None


def test_an_expired_token_can_not_renew(lock: Idempotency, clock: FrozenClock) -> None:
    token = held(lock, ttl=30)
    clock.advance(31)
    assert not lock.renew(KEY, token, ttl_seconds=30)
    held(lock)
    assert not lock.renew(KEY, token, ttl_seconds=30)


def test_f15_release_never_frees_anothers_lock(lock: Idempotency, locks: LockPlace, clock: FrozenClock) -> None:
    old = held(lock, ttl=30)
    clock.advance(31)
    new = held(locks.lock(), ttl=30)
    assert not lock.release(KEY, old)
    assert lock.acquire(KEY, ttl_seconds=30) is None
    assert lock.release(KEY, new)


def test_a_release_without_a_lock_is_false(lock: Idempotency) -> None:
    assert not lock.release(KEY, "nobody's")
    assert not lock.renew(KEY, "nobody's", ttl_seconds=30)


def test_tokens_are_never_the_same(lock: Idempotency) -> None:
    tokens = set()
    for _ in range(20):
        tokens.add(token := held(lock))
        lock.release(KEY, token)
    assert len(tokens) == 20


def test_many_at_once_give_one_holder(locks: LockPlace) -> None:
    gate, tokens = threading.Barrier(6), []

    def acquire() -> None:
        lock = locks.lock()
        gate.wait()
        tokens.append(lock.acquire(KEY, ttl_seconds=30))

    workers = [threading.Thread(target=acquire) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len([token for token in tokens if token]) == 1
    assert len(tokens) == 6


def test_t24_keys_are_only_text(lock: Idempotency) -> None:
    token = held(lock, "a:b\r\nFLUSHALL'; DROP TABLE locks; --")
    assert lock.release("a:b\r\nFLUSHALL'; DROP TABLE locks; --", token)
