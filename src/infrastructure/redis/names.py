"""Which keys a queue has. Known without the SDK of Redis: the settings are checked by it."""

from __future__ import annotations

from src.domain.errors import ConfigError

PARTS = ("claiming", "messages", "ready", "delayed", "leases", "claims", "keys", "seq")


def keys_of(name: str) -> tuple[str, ...]:
    """The list that producers push to, and the keys beside it: of one hash slot. Raises ConfigError."""
    tag = name.partition("{")[2].partition("}")[0]
    if "}" in name.partition("{")[2] and tag:
        return (name, *(f"{name}:{part}" for part in PARTS))
    if "{" in name or "}" in name:
        raise ConfigError(
            f"a Redis cluster can't keep the keys of a queue called {name!r} together",
            fix="take braces out of WORKER_QUEUE__NAME, or put them around a part of it that is not empty",
        )
    return (name, *(f"{{{name}}}:{part}" for part in PARTS))
