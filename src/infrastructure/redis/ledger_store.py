"""The way to one ledger in Redis: its keys, its scripts, and whether its server can be trusted with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from src.domain.errors import ConfigError, DatabaseUnavailable
from src.infrastructure.redis.address import RedisLink

KEEP_SECONDS = 7 * 86_400.0


@cache
def script(name: str) -> str:
    """A script of the folder `lua` (or several, `one+other`, that become one), with what those of the ledger share."""
    folder = Path(__file__).with_name("lua")
    return "".join((folder / f"{part}.lua").read_text() for part in ("ledger_common", *name.split("+")))


@dataclass
class LedgerStore:
    """Keys begin with `{name}:`: a cluster keeps them together. Raises DatabaseUnavailable. Thread-safe."""

    url: str | None = field(repr=False)
    name: str = "ledger"
    keep_seconds: float = KEEP_SECONDS
    link: RedisLink = field(init=False)
    base: str = field(init=False)
    keep_millis: int = field(init=False)

    def __post_init__(self) -> None:
        if not self.name or set(self.name) & set("{}"):
            raise ConfigError(
                f"a Redis cluster can't keep the keys of a ledger called {self.name!r} together",
                fix="take braces out of WORKER_LEDGER__NAME",
            )
        self.link = RedisLink(self.url, DatabaseUnavailable)
        self.base = f"{{{self.name}}}:"
        self.keep_millis = max(1, int(self.keep_seconds * 1000))

    def run(self, name: str, *args: Any) -> Any:
        """What a script answers."""
        return self.link.run(script(name), (self.base,), args)

    def key(self, *parts: str) -> str:
        """One of the ledger's."""
        return self.base + ":".join(parts)

    def close(self) -> None:
        """Let connections go."""
        self.link.close()
