"""Events for other systems: written in the commit of the move that they tell of, sent afterwards until everybody has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from src.application.ports.ledger import Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """What other systems are told. `id` is the same however often it is sent: a receiver that remembers it sees each event
    once. Times are epoch seconds of the ledger."""

    id: str
    type: str
    """as in `worker.thumbnail_ready`"""
    at: float
    job_id: str
    tenant: str
    subject: str | None
    """what the job is about (a content's or a video's id)"""
    data: Mapping[str, Any]
    """JSON"""
    trace: str | None = None
    """W3C traceparent of the job"""


@dataclass(frozen=True, slots=True)
class Announced(Effect):
    """An event that becomes true with a job's move, once for each sink."""

    event: JobEvent
    sinks: Sequence[str]


class Outbox(Protocol):
    """What was announced and not yet sent, for each sink apart, so that one that is away keeps nobody else waiting. Raises
    DatabaseUnavailable."""

    def lead(self, sink: str, owner: str, *, seconds: float) -> bool:
        """Whether `owner` may send to the sink for `seconds` from now: one at a time, so that events of one job arrive in
        their order. Asking again prolongs it."""

    def unsent(self, sink: str, limit: int) -> Sequence[JobEvent]:
        """In the order in which they were written."""

    def sent(self, sink: str, ids: Collection[str]) -> None:
        """The sink has them; unknown ones are passed over."""

    def waiting(self) -> Mapping[str, Waiting]:
        """{sink: what it has yet to be sent}, sinks with nothing left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How many events, and the time of the oldest."""

    count: int
    oldest_at: float


class EventSink(Protocol):
    """One way of telling other systems."""

    def send(self, event: JobEvent) -> None:
        """Returns when the other side has it. Raises NetworkError (it is sent again later, and what follows waits) or
        EventRefused (it will never be taken)."""
