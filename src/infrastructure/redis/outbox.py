"""The outbox beside the ledger in Redis, written by the script that writes the move."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from src.application.ports.ledger import Effect
from src.application.ports.outbox import Announced, Hold, JobEvent, Unsent, Waiting
from src.infrastructure.redis.ledger_store import LedgerStore


@dataclass
class RedisOutbox:
    """OutboxDesk. Thread-safe."""

    url: str | None = field(repr=False)
    name: str = "ledger"
    store: LedgerStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = LedgerStore(self.url, self.name)

    def lead(self, sink: str, owner: str, *, seconds: float) -> bool:
        """Take the sink, or keep it."""
        return bool(self.store.run("ledger_lead", sink, owner, max(1, round(seconds * 1000)) if seconds else 0))

    def unsent(self, sink: str, limit: int) -> Sequence[Unsent]:
        """In the order of writing."""
        return _unsent(self.store.run("ledger_outbox", sink, limit))

    def sent(self, sink: str, ids: Collection[str]) -> None:
        """They go."""
        if ids:
            self.store.run("ledger_sent", sink, *ids)

    def hold(self, sink: str, event_id: str, *, tries: int, error: str, seconds: float | None) -> None:
        """Noted beside the event."""
        later = "" if seconds is None else repr(float(seconds))
        self.store.run("ledger_hold", sink, event_id, tries, later, error.encode("utf-8", "replace"))

    def waiting(self) -> Mapping[str, Waiting]:
        """Counted."""
        told = self.store.run("ledger_waiting")
        return {
            sink.decode(): Waiting(count=int(count), oldest_at=_event(first).at, parked=int(parked))
            for sink, count, parked, first in zip(told[::4], told[1::4], told[2::4], told[3::4], strict=True)
        }

    def kept(self, sink: str, limit: int, *, parked: bool = False) -> Sequence[Unsent]:
        """In the order of writing."""
        return _unsent(self.store.run("ledger_kept", sink, limit, int(parked)))

    def release(self, sink: str, ids: Collection[str]) -> Collection[str]:
        """The note goes."""
        return [found.decode() for found in self.store.run("ledger_release", sink, *ids)] if ids else []

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


def _unsent(told: Sequence[bytes]) -> Sequence[Unsent]:
    return [Unsent(_event(text), _hold(note)) for text, note in zip(told[::2], told[1::2], strict=True)]


def _hold(note: bytes) -> Hold | None:
    if not note:
        return None
    tries, retry_at, error = note.decode().split("\t", 2)
    return Hold(tries=int(tries), error=error, retry_at=float(retry_at) if retry_at else None)


def _event(text: bytes) -> JobEvent:
    found: dict[str, Any] = json.loads(text)
    return JobEvent(**found)
