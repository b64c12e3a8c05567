"""Events by HTTP, signed as Standard Webhooks say (https://www.standardwebhooks.com): the headers `webhook-id` (the event's id,
the same at each try), `webhook-timestamp` and `webhook-signature`."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

from src.application.events.body import BodyFormat, body
from src.application.ports.clock import Clock
from src.application.ports.outbox import JobEvent
from src.domain.errors import ConfigError, EventRefused, NetworkError

TIMEOUT_SECONDS = 10.0
REFUSALS = frozenset({400, 405, 406, 413, 414, 415, 422, 501})
"""Answers that say something of this event: the same bytes will get the same answer. All others are about the receiver (gone,
forbidden, busy), who may be put right while the events wait."""

SHORTEST_KEY = 24
"""Bytes (the standard's recommendation is 24 to 64)."""

SHOWN = 200
"""Letters of an answer that are kept."""

MOST_BYTES, ANSWER_SECONDS = 65_536, 2.0
"""Of an answer's body that are read, so that the connection serves the next event too; then it is closed."""


@dataclass
class WebhookSink:
    """EventSink that posts to `url`. Redirects are not followed: the signature is for the address that was set."""

    url: str
    secret: str = field(repr=False)
    """`whsec_` and base64, or base64"""
    form: BodyFormat
    source: str
    clock: Clock
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=TIMEOUT_SECONDS), repr=False)
    _signer: Webhook = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self._is_address():
            raise ConfigError("events.webhook_url is no http(s) address", fix="set WORKER_EVENTS__WEBHOOK_URL")
        try:
            key = base64.b64decode(self.secret.removeprefix("whsec_") + "==", validate=False)
        except ValueError:
            key = b""
        if len(key) < SHORTEST_KEY:
            raise ConfigError(
                "events.webhook_secret is no base64 of enough random bytes to sign with",
                fix="set WORKER_EVENTS__WEBHOOK_SECRET to `whsec_` and the base64 of 24 to 64 random bytes: "
                "echo whsec_$(openssl rand -base64 32)",
            )
        self._signer = Webhook(key)

    def _is_address(self) -> bool:
        try:
            parsed = httpx.URL(self.url)
        except (httpx.InvalidURL, TypeError):
            return False
        return parsed.scheme in ("https", "http") and bool(parsed.host)

    def send(self, event: JobEvent) -> None:
        """Raises NetworkError, EventRefused."""
        content, now = body(event, self.form, self.source), datetime.fromtimestamp(self.clock.now(), UTC)
        headers = {
            "content-type": "application/cloudevents+json"
            if self.form is BodyFormat.CLOUDEVENTS
            else "application/json",
            "webhook-id": event.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(event.id, now, content.decode()),
        }
        try:
            with self.client.stream("POST", self.url, content=content, headers=headers) as answer:
                status, text = answer.status_code, self._beginning(answer)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NetworkError(f"webhook: {type(error).__name__}: {error}", fix="is the receiver up?") from error
        if httpx.codes.is_success(status):
            return
        said = f"webhook answered {status}: {text[:SHOWN]}"
        if status in REFUSALS:
            raise EventRefused(said)
        raise NetworkError(said)

    def _beginning(self, answer: httpx.Response) -> str:
        """Of what it says beside the status, which alone counts: an answer without an end keeps nobody."""
        found, until = b"", self.clock.monotonic() + ANSWER_SECONDS
        try:
            for piece in answer.iter_raw():
                found += piece
                if len(found) > MOST_BYTES or self.clock.monotonic() > until:
                    break
        except httpx.HTTPError:
            # Cut off: it was said already whether the event was taken.
            pass
        return found[: 4 * SHOWN].decode(errors="replace")

    def close(self) -> None:
        """Let connections go."""
        self.client.close()
