"""Events of other systems become jobs."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.application.decoders.asked import tenant_in
from src.application.decoders.body import read_body
from src.application.decoders.decoded import Requests
from src.application.decoders.registry import VERSION_KEYS, Decoders, newer
from src.application.dispatch import set_going
from src.application.events.routes import ROUTES, TENANT_NAMES, Event, Wanted, kind_of, opened
from src.application.ports.clock import Clock
from src.application.ports.dispatch import Dispatch
from src.application.ports.event_source import Heard
from src.application.ports.ledger import DeadLetter, DeadLetters, JobLedger
from src.domain.errors import ErrorReport, InvalidMessage, Permanent
from src.domain.ids import identifier
from src.domain.job import JobDraft

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hearing:
    """An event with an id becomes the same jobs however often, by however many listeners and on whichever roads it is heard; one
    without becomes new jobs each time. What can't be understood is kept among the dead letters with the reason."""

    ledger: JobLedger
    dispatch: Dispatch
    dead_letters: DeadLetters
    decoders: Decoders
    clock: Clock
    routes: Mapping[str, Sequence[Wanted]] = field(default_factory=lambda: ROUTES)
    goes_on: Callable[[], object] = lambda: None
    """is told between two questions to backends: an event may ask for several jobs"""

    def hear(self, heard: Heard, fresh: str) -> Sequence[str]:
        """The ids of its jobs that were not there before. `fresh` stands for the id of an event that has none. Raises
        DatabaseUnavailable: then it is to be heard again."""
        try:
            if (document := self._ours(heard)) is None:
                log.debug("event.passed_over", extra={"source": heard.source, "type": heard.type})
                return []
            event, beside = self._read(document, heard)
            if event.id is None:
                mark = _mark(heard.source, heard.id or fresh)
            else:
                # Not by the road: the sender may take both.
                mark = _mark(f"{event.type} of {event.origin}", event.id)
            drafts = [self._draft(event, each, mark, beside) for each in self.routes[event.type]]
            return [draft.id for draft in drafts if self._ask(draft)]
        except Permanent as error:
            self.give_up(heard, error, fresh)
            return []

    def _ask(self, draft: JobDraft) -> bool:
        admission = self.ledger.admit(draft)
        self.goes_on()
        if admission.job is None or not admission.created:
            return False
        set_going(admission.job, self.ledger, self.dispatch)
        self.goes_on()
        return True

    def _draft(self, event: Event, wanted: Wanted, mark: str, beside: Mapping[str, Any]) -> JobDraft:
        payload = {**event.payload, **wanted.extra}
        job = {**beside, "id": f"event-{mark}-{wanted.type}", "type": wanted.type, "payload": payload}
        decoded = self.decoders.decode(json.dumps(job).encode(), {})
        if not isinstance(decoded, Requests):
            raise InvalidMessage(f"{event.type} asks for no {wanted.type}")
        (draft,) = decoded.drafts
        return draft

    def _ours(self, heard: Heard) -> Mapping[str, Any] | None:
        """None for events of types that nobody here acts on: how those look is between others, and never a reason for a dead
        letter. Raises InvalidMessage for what may be ours and is no JSON object."""
        try:
            document = self._document(heard)
        except InvalidMessage:
            if heard.type is not None and heard.type not in self.routes:
                return None
            raise
        kind = kind_of(document, heard.type)
        return None if kind and isinstance(kind, str) and kind not in self.routes else document

    def _read(self, document: Mapping[str, Any], heard: Heard) -> tuple[Event, Mapping[str, Any]]:
        """With what a job's body has beside its payload: whose it is, and the trace."""
        if (found := newer(document)) is not None:
            raise InvalidMessage(
                f"{found.version} is newer than this worker", fix="upgrade it, then requeue the letter"
            )
        event = opened(document, heard.type)
        # Else its jobs would be refused for a reason that names no event.
        identifier(event.payload.get("content_id"), f"{event.type}: content_id")
        tenant, trace = tenant_in(document, *TENANT_NAMES), document.get("traceparent")
        return event, {name: value for name, value in (("tenant_id", tenant), ("traceparent", trace)) if value}

    def give_up(self, heard: Heard, error: Exception, fresh: str) -> None:
        """Keep it among the dead letters. Raises DatabaseUnavailable."""
        report = ErrorReport.of(error)
        log.warning(
            "event.refused", extra={"source": heard.source, "error_class": report.code, "error": report.message}
        )
        self.dead_letters.add(
            DeadLetter(
                id=f"event-{_mark(heard.source, heard.id or fresh)}",
                job_id=None,
                type=None,
                tenant=None,
                queue=heard.source,
                body=self._again(heard, fresh),
                error=report,
                attempts=0,
                created_at=self.clock.now(),
                attributes={"event": heard.type} if heard.type else {},
            )
        )

    def _again(self, heard: Heard, fresh: str) -> bytes:
        """The event as the queue understands it, to which a letter that is requeued goes: by this road it had its type, and
        perhaps its id, from elsewhere. As it came, if it can't be read at all."""
        try:
            document = self._document(heard)
            event = opened(document, heard.type)
        except Permanent:
            return heard.body
        if event.type not in self.routes:
            return heard.body
        beside = {name: document[name] for name in (*TENANT_NAMES, *VERSION_KEYS, "traceparent") if name in document}
        named = {"event_id": event.id or heard.id or fresh, "source_block": event.origin}
        return json.dumps({**beside, **named, "event_type": event.type, "payload": event.payload}).encode()

    def _document(self, heard: Heard) -> Mapping[str, Any]:
        limits = self.decoders.settings
        return read_body(heard.body, max_bytes=limits.max_bytes, max_depth=limits.max_depth)


def _mark(source: str, name: str) -> str:
    return hashlib.sha256(f"{source}\n{name}".encode()).hexdigest()[:24]
