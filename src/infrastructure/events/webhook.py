"""Events by HTTP, signed (signed_post.py): `webhook-id` is the event's id, the same at each try."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.application.events.body import BodyFormat, body
from src.application.ports.clock import Clock
from src.application.ports.outbox import JobEvent
from src.infrastructure.events.signed_post import SignedPost


@dataclass
class WebhookSink:
    """EventSink that posts to `url`."""

    url: str
    secret: str = field(repr=False)
    """`whsec_` and base64, or base64"""
    form: BodyFormat
    source: str
    clock: Clock
    _post: SignedPost = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._post = SignedPost(self.url, self.secret, self.clock, "events")

    def send(self, event: JobEvent) -> None:
        """Raises NetworkError, EventRefused."""
        cloud = self.form is BodyFormat.CLOUDEVENTS
        kind = "application/cloudevents+json" if cloud else "application/json"
        self._post.send(event.id, body(event, self.form, self.source), kind)

    def close(self) -> None:
        """Let connections go."""
        self._post.close()
