"""Bodies too large for a queue: kept in storage, and a pointer sent instead. Works around any queue's publisher and consumer.

The object is deleted after the message is acknowledged. One whose message never comes (expired, purged) stays: a lifecycle
rule on the folder `_messages/`, longer than the queue keeps messages, removes it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import re
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from src.application.give_back import release_all
from src.application.ports.checkable import Checkable
from src.application.ports.queue import Delivery, Envelope, LimitedPublisher, QueueConsumer
from src.application.ports.storage import Storage
from src.domain.errors import JobError, QueueUnavailable, SourceMissing

log = logging.getLogger(__name__)

CLAIM = "mediaworker-claim"
"""Attribute of a message whose body lies in storage; its value is the key."""

FOLDER = "_messages"
KEY = re.compile(rf"{FOLDER}/[0-9a-f]{{32}}")
"""The only keys that are followed: anybody who may publish can write a pointer, and must not read (or delete) a tenant's
object with it."""

LARGEST_BYTES = 64 * 2**20
"""A larger object was not put there by us."""

REMEMBERED = 10_000
"""Claims of messages that were neither acknowledged nor given back; the oldest are forgotten beyond that, and their objects
left to the lifecycle rule."""

AGAIN_SECONDS = 10.0
"""When storage is away, how long the message is put off."""


@dataclass(frozen=True, slots=True)
class ClaimCheckPublisher:
    """QueuePublisher that stores what does not fit."""

    inner: LimitedPublisher
    storage: Storage
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Bodies first, then the messages that point at them. Raises QueueUnavailable, also when storage is away."""
        self.inner.publish([self._sendable(envelope) for envelope in envelopes])

    def check(self) -> Sequence[str]:
        """See Checkable."""
        return self.inner.check() if isinstance(self.inner, Checkable) else []

    def _sendable(self, envelope: Envelope) -> Envelope:
        # A message that is sent again (from the dead letters) may bring the attribute of its last journey.
        attributes = {name: value for name, value in envelope.attributes.items() if name != CLAIM}
        envelope = dataclasses.replace(envelope, attributes=attributes)
        if self.inner.fits(envelope):
            return envelope
        key = f"{FOLDER}/{self.new_id()}"
        try:
            self.storage.put_bytes(
                key, envelope.body, content_type="application/octet-stream", cache_control="no-store"
            )
        except JobError as error:
            raise QueueUnavailable(
                f"a message of {len(envelope.body)} bytes is too large for the queue, and storage did not take it:"
                f" {error.message}",
                fix=error.fix,
            ) from error
        pointer = {"size": len(envelope.body), "sha256": hashlib.sha256(envelope.body).hexdigest()}
        return dataclasses.replace(envelope, body=json.dumps(pointer).encode(), attributes={**attributes, CLAIM: key})


@dataclass
class ClaimCheckConsumer:
    """QueueConsumer that fetches what a pointer stands for. Thread-safe where the queue and the storage are."""

    inner: QueueConsumer
    storage: Storage
    _claims: dict[str, str] = field(default_factory=dict, init=False)
    """{receipt: key of its body}, the oldest first"""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def receive(self, limit: int, *, wait_seconds: float, visibility_seconds: float) -> Sequence[Delivery]:
        """Whole messages. One whose body can't be fetched now is put off; one whose body is gone, or is not what the pointer
        says, comes as the pointer, which no decoder understands: it is kept aside with its reason."""
        taken = self.inner.receive(limit, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds)
        return [whole for whole in map(self._whole, taken) if whole is not None]

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Remove for good: first the message, then its body."""
        self.inner.ack(deliveries)
        keys = self._forget(deliveries)
        if not keys:
            return
        try:
            self.storage.delete(keys)
        except JobError as error:
            log.warning(
                "claim.left", extra={"keys": keys, "error": str(error), "then": "the lifecycle rule removes it"}
            )

    def release(self, delivery: Delivery, *, delay_seconds: float) -> None:
        """Give back, body and all."""
        self.inner.release(delivery, delay_seconds=delay_seconds)
        self._forget([delivery])

    def release_all(self, deliveries: Sequence[Delivery], *, delay_seconds: float) -> None:
        """Give many back, bodies and all."""
        release_all(self.inner, deliveries, delay_seconds=delay_seconds)
        self._forget(deliveries)

    def extend(self, deliveries: Sequence[Delivery], *, visibility_seconds: float) -> None:
        """Hide for longer."""
        self.inner.extend(deliveries, visibility_seconds=visibility_seconds)

    def close(self) -> None:
        """Let connections go."""
        self.inner.close()

    def check(self) -> Sequence[str]:
        """See Checkable."""
        return self.inner.check() if isinstance(self.inner, Checkable) else []

    def _whole(self, delivery: Delivery) -> Delivery | None:
        key = delivery.attributes.get(CLAIM, "")
        if not KEY.fullmatch(key):
            return delivery
        try:
            body = self._fetched(key, delivery.body)
        except SourceMissing:
            log.warning("claim.missing", extra={"delivery": delivery.message_id, "key": key})
            return delivery
        except JobError as error:
            log.warning("claim.unread", extra={"delivery": delivery.message_id, "key": key, "error": str(error)})
            self._put_off(delivery)
            return None
        if body is None:
            log.warning("claim.wrong", extra={"delivery": delivery.message_id, "key": key})
            return delivery
        self._remember(delivery.receipt, key)
        plain = {name: value for name, value in delivery.attributes.items() if name != CLAIM}
        return delivery._replace(body=body, attributes=plain)

    def _fetched(self, key: str, pointer: bytes) -> bytes | None:
        """The body; None when there is another one under the key. Raises what Storage raises."""
        try:
            said = json.loads(pointer)
            size, digest = int(said["size"]), str(said["sha256"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None
        if not 0 <= size <= LARGEST_BYTES or self.storage.head(key).size != size:
            return None
        body = self.storage.read(key, 0, size)
        return body if hashlib.sha256(body).hexdigest() == digest else None

    def _put_off(self, delivery: Delivery) -> None:
        try:
            self.inner.release(delivery, delay_seconds=AGAIN_SECONDS)
        except QueueUnavailable as error:
            log.warning("message.release_failed", extra={"error": str(error), "then": "it comes back by itself"})

    def _remember(self, receipt: str, key: str) -> None:
        with self._lock:
            self._claims[receipt] = key
            while len(self._claims) > REMEMBERED:
                del self._claims[next(iter(self._claims))]

    def _forget(self, deliveries: Sequence[Delivery]) -> list[str]:
        with self._lock:
            found = [self._claims.pop(delivery.receipt, None) for delivery in deliveries]
        return [key for key in found if key is not None]
