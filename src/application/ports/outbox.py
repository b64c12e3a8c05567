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


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why an event was not sent when it was tried. Times are epoch seconds of the ledger."""

    tries: int
    """that count: others of the sink's events were taken right after. 0: the sink took nothing, so the event waits for it, and holds
    up nothing"""
    error: str
    """of the latest one"""
    retry_at: float | None
    """None: parked, until an operator lets it go on"""


@dataclass(frozen=True, slots=True)
class Unsent:
    """An event that a sink has yet to get."""

    event: JobEvent
    hold: Hold | None = None


class Outbox(Protocol):
    """What was announced and not yet sent, for each sink apart, so that one that is away keeps nobody else waiting. Raises
    DatabaseUnavailable."""

    def lead(self, sink: str, owner: str, *, seconds: float) -> bool:
        """Whether `owner` may send to the sink for `seconds` from now: one at a time, so that events of one job arrive in
        their order. Asking again prolongs it; with 0 seconds it is over."""

    def unsent(self, sink: str, limit: int) -> Sequence[Unsent]:
        """What may go now, in the order in which it was written: without what is parked or put off, and without events of the
        same job that were written after that."""

    def sent(self, sink: str, ids: Collection[str]) -> None:
        """The sink has them; unknown ones are passed over."""

    def hold(self, sink: str, event_id: str, *, tries: int, error: str, seconds: float | None) -> None:
        """Put the event off for `seconds`, or park it (None). An unknown one is passed over."""

    def waiting(self) -> Mapping[str, Waiting]:
        """{sink: what it has yet to be sent}, sinks with nothing left out."""


class OutboxDesk(Outbox, Protocol):
    """The outbox as an operator sees it, with what he does about it. Raises DatabaseUnavailable."""

    def kept(self, sink: str, limit: int, *, parked: bool = False) -> Sequence[Unsent]:
        """All that is unsent, whatever holds it, in the order in which it was written; with `parked`, only that."""

    def release(self, sink: str, ids: Collection[str]) -> Collection[str]:
        """These go on at once, and their tries count anew; which of them were held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How many events, the time of the oldest, and how many of them are parked."""

    count: int
    oldest_at: float
    parked: int = 0


class EventSink(Protocol):
    """One way of telling other systems."""

    def send(self, event: JobEvent) -> None:
        """Returns when the other side has it. Raises NetworkError (it is sent again later; what follows of the same job waits)
        or EventRefused (it will never be taken)."""
