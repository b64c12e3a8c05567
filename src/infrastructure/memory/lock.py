"""The idempotency lock in memory."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from src.application.ports.clock import Clock


def random_token() -> str:
    """Nobody can guess or repeat it."""
    return uuid.uuid4().hex


@dataclass
class MemoryIdempotency:
    """Idempotency. Thread-safe. `tokens` makes the next token; a deterministic test passes its own."""

    clock: Clock
    tokens: Callable[[], str] = random_token
    _held: dict[str, tuple[str, float]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def acquire(self, key: str, *, ttl_seconds: float) -> str | None:
        """A token, or None while somebody else's holds."""
        with self._lock:
            now = self.clock.now()
            if key in self._held and self._held[key][1] > now:
                return None
            token = self.tokens()
            self._held[key] = (token, now + ttl_seconds)
            return token

    def renew(self, key: str, token: str, *, ttl_seconds: float) -> bool:
        """Hold on, if the token still holds."""
        with self._lock:
            if not self._holds(key, token):
                return False
            self._held[key] = (token, self.clock.now() + ttl_seconds)
            return True

    def release(self, key: str, token: str) -> bool:
        """Free, if the token still holds."""
        with self._lock:
            if not self._holds(key, token):
                return False
            del self._held[key]
            return True

    def forget(self, key: str) -> None:
        """Lose the key, as a lock server does that restarts from an old snapshot. For tests (reliability.md F14)."""
        with self._lock:
            self._held.pop(key, None)

    def _holds(self, key: str, token: str) -> bool:
        held, until = self._held.get(key, ("", 0.0))
        return held == token and until > self.clock.now()
