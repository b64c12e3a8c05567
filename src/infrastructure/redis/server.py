"""What an operator should know of a Redis that keeps what nobody else has."""

from __future__ import annotations

from collections.abc import Sequence

from src.domain.errors import ConfigError
from src.infrastructure.redis.address import RedisLink


def facts(link: RedisLink, *, kept: str, keeper: str) -> Sequence[str]:
    """`kept` is what is in there, `keeper` whose it is. Raises ConfigError for a server that throws it away."""
    found = link.info()
    if not found:
        return [f"Redis at {link.address.shown}"]
    policy = str(found.get("maxmemory_policy", ""))
    if policy.startswith("allkeys") and int(found.get("maxmemory", 0)):
        raise ConfigError(
            f"Redis at {link.address.shown} throws keys away when its memory is full (maxmemory-policy {policy})",
            fix=f"set its maxmemory-policy to noeviction, or use another Redis for the {keeper}",
        )
    told = [f"Redis {found.get('redis_version', 'of an unknown version')} at {link.address.shown}"]
    if not int(found.get("aof_enabled", 0)):
        told.append(f"warning: without an append-only file Redis forgets {kept} when it restarts (set appendonly yes)")
    return told
