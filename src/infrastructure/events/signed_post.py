"""POSTs signed as Standard Webhooks say (https://www.standardwebhooks.com): the headers `webhook-id`, `webhook-timestamp` and
`webhook-signature`."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

from src.application.ports.clock import Clock
from src.domain.errors import ConfigError, EventRefused, NetworkError
from src.infrastructure.events.deadline import Deadline, bounded_client

TIMEOUT_SECONDS = 10.0
"""Of the whole of it: connection, keys, answer."""
REFUSALS = frozenset({400, 405, 406, 413, 414, 415, 422, 501})
"""Answers that say something of this message: the same bytes will get the same answer. All others are about the receiver (gone,
forbidden, busy), who may be put right while the messages wait."""

SHORTEST_KEY = 24
"""Bytes (the standard's recommendation is 24 to 64)."""

SHOWN = 200
"""Letters of an answer that are kept."""

MOST_BYTES, ANSWER_SECONDS = 65_536, 2.0
"""Of an answer's body that are read, so that the connection serves the next event too; then it is closed."""


@dataclass
class SignedPost:
    """One receiver. Redirects are not followed: the signature is for the address that was set. `group` is the group of the settings
    that has `webhook_url` and `webhook_secret`."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    """`whsec_` and base64, or base64"""
    clock: Clock
    group: str
    seconds: float = TIMEOUT_SECONDS
    """after which the receiver counts as away, and nothing more is sent to it"""
    client: httpx.Client = field(init=False, repr=False)
    _deadline: Deadline = field(init=False, repr=False)
    _signer: Webhook = field(init=False, repr=False)

    def __post_init__(self) -> None:
        prefix = f"WORKER_{self.group.upper()}__WEBHOOK"
        if not _is_address(self.url):
            raise ConfigError(f"{self.group}.webhook_url is no http(s) address", fix=f"set {prefix}_URL")
        try:
            key = base64.b64decode(self.secret.removeprefix("whsec_") + "==", validate=False)
        except ValueError:
            key = b""
        if len(key) < SHORTEST_KEY:
            raise ConfigError(
                f"{self.group}.webhook_secret is no base64 of enough random bytes to sign with",
                fix=f"set {prefix}_SECRET to `whsec_` and the base64 of 24 to 64 random bytes: "
                "echo whsec_$(openssl rand -base64 32)",
            )
        self._signer = Webhook(key)
        self._deadline = Deadline(self.seconds)
        self.client = bounded_client(self._deadline)

    def send(self, message_id: str, content: bytes, content_type: str = "application/json") -> None:
        """Returns when the receiver has it. Raises NetworkError, or EventRefused for what will never be taken."""
        now = datetime.fromtimestamp(self.clock.now(), UTC)
        headers = {
            "content-type": content_type,
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(message_id, now, content.decode()),
        }
        self._deadline.begin()
        try:
            with self.client.stream("POST", self.url, content=content, headers=headers) as answer:
                status, text = answer.status_code, self._beginning(answer)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NetworkError(f"webhook: {type(error).__name__}: {error}", fix="is the receiver up?") from error
        if httpx.codes.is_success(status):
            return
        said = f"webhook answered {status}" + (f": {text[:SHOWN]}" if text else "")
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


def _is_address(url: str) -> bool:
    try:
        return httpx.URL(url).scheme in ("https", "http") and bool(httpx.URL(url).host)
    except (httpx.InvalidURL, TypeError):
        return False
