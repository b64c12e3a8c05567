"""The idempotency lock: an optimisation that spares a second worker the trouble. Correctness is the ledger's fence."""

from __future__ import annotations

from typing import Protocol


class Idempotency(Protocol):
    """One holder per key until release or expiry. Raises LockUnavailable when its server can't be reached: what that
    means (go on without it, or pause) is the engine's setting, never the adapter's guess."""

    def acquire(self, key: str, *, ttl_seconds: float) -> str | None:
        """A random token when the lock is ours now, None when somebody else holds it."""

    def renew(self, key: str, token: str, *, ttl_seconds: float) -> bool:
        """Hold for `ttl_seconds` from now; False when the token no longer holds the key."""

    def release(self, key: str, token: str) -> bool:
        """Free the key if the token still holds it (compare and delete); False otherwise."""
