"""The content platform's events where they come by the queue: in its bus's envelope, or as CloudEvents."""

from __future__ import annotations

from src.application.decoders.asked import Asked, Document, Found, tenant_in
from src.application.decoders.settings import DecoderSettings
from src.application.events.routes import ROUTES, TENANT_NAMES, opened
from src.domain.errors import InvalidMessage
from src.domain.ids import derived_id


def read(document: Document, settings: DecoderSettings) -> Found | None:
    """The jobs that the event asks for, with ids made of the event's, so that it may come twice."""
    kind = document.get("type") if "specversion" in document else document.get("event_type")
    if not isinstance(kind, str) or kind not in ROUTES:
        return None
    if "specversion" in document and not str(document["specversion"]).startswith("1"):
        # For cloudevents.py, which knows what to do with a later version.
        return None
    event = opened(document, None)
    if event.id is None:
        raise InvalidMessage(
            f"{kind} has no id, so a second delivery could not be told from a second event", fix="send event_id"
        )
    tenant = tenant_in(document, *TENANT_NAMES) or settings.default_tenant
    return [
        Asked(
            id=derived_id("event", event.origin, event.id, wanted.type),
            type=wanted.type,
            tenant=tenant,
            payload={**event.payload, **wanted.extra},
        )
        for wanted in ROUTES[kind]
    ]
