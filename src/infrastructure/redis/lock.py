"""The idempotency lock in Redis: SET NX PX with a random token, which alone renews and releases it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from src.domain.errors import LockUnavailable
from src.infrastructure.redis.address import RedisLink

RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass
class RedisIdempotency:
    """Idempotency. Thread-safe. An answer that was lost may leave a key that nobody holds: it expires."""

    url: str | None = field(repr=False)
    link: RedisLink = field(init=False)

    def __post_init__(self) -> None:
        self.link = RedisLink(self.url, LockUnavailable)

    def acquire(self, key: str, *, ttl_seconds: float) -> str | None:
        """A token, or None while somebody else's holds."""
        token = uuid.uuid4().hex
        taken = self.link.ask(lambda client: client.set(key, token, nx=True, px=_millis(ttl_seconds)))
        return token if taken else None

    def renew(self, key: str, token: str, *, ttl_seconds: float) -> bool:
        """Hold on, if the token still holds."""
        return bool(self.link.run(RENEW, (key,), (token, _millis(ttl_seconds))))

    def release(self, key: str, token: str) -> bool:
        """Free, if the token still holds."""
        return bool(self.link.run(RELEASE, (key,), (token,)))

    def close(self) -> None:
        """Let connections go; locks stay until they expire."""
        self.link.close()

    def check(self) -> Sequence[str]:
        """Takes, renews and frees a key of its own."""
        return self.link.tried(self._check)

    def _check(self) -> Sequence[str]:
        key = f"job:selftest-{uuid.uuid4().hex}:lock"
        token = self.acquire(key, ttl_seconds=5)
        if token is None or not self.renew(key, token, ttl_seconds=5) or not self.release(key, token):
            raise LockUnavailable(
                f"Redis at {self.link.address.shown} lost a lock within a moment",
                fix="is its memory full, or do several servers answer at this address?",
            )
        return [f"Redis at {self.link.address.shown}"]


def _millis(seconds: float) -> int:
    # Redis keeps a key through the whole of its last millisecond; the port's key is free then.
    return max(1, int(seconds * 1000) - 1)
