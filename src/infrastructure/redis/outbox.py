"""The outbox beside the ledger in Redis, written by the script that writes the move."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from src.application.ports.ledger import Effect
from src.application.ports.outbox import Announced, JobEvent, Waiting
from src.infrastructure.redis.ledger_store import LedgerStore


@dataclass
class RedisOutbox:
    """Outbox. Thread-safe."""

    url: str | None = field(repr=False)
    name: str = "ledger"
    store: LedgerStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = LedgerStore(self.url, self.name)

    def lead(self, sink: str, owner: str, *, seconds: float) -> bool:
        """Take the sink, or keep it."""
        return bool(self.store.run("ledger_lead", sink, owner, max(1, round(seconds * 1000))))

    def unsent(self, sink: str, limit: int) -> Sequence[JobEvent]:
        """In the order of writing."""
        return [_event(text) for text in self.store.run("ledger_outbox", sink, limit) if text is not None]

    def sent(self, sink: str, ids: Collection[str]) -> None:
        """They go."""
        if ids:
            self.store.run("ledger_sent", sink, *ids)

    def waiting(self) -> Mapping[str, Waiting]:
        """Counted."""
        told = self.store.run("ledger_waiting")
        return {
            sink.decode(): Waiting(count=int(count), oldest_at=_event(first).at)
            for sink, count, first in zip(told[::3], told[1::3], told[2::3], strict=True)
        }

    def close(self) -> None:
        """Let connections go."""
        self.store.close()


def announced(effects: Iterable[Effect]) -> list[str]:
    """What the script of a move writes: sink, id, event, and so on. Raises TypeError for an effect of any other kind: this
    ledger has nothing else that it could write in the same commit."""
    told: list[str] = []
    for effect in effects:
        if not isinstance(effect, Announced):
            raise TypeError(f"the ledger in Redis can't write {type(effect).__name__}")
        text = json.dumps(asdict(effect.event), separators=(",", ":"))
        for sink in effect.sinks:
            told += (sink, effect.event.id, text)
    return told


def _event(text: bytes) -> JobEvent:
    found: dict[str, Any] = json.loads(text)
    return JobEvent(**found)
