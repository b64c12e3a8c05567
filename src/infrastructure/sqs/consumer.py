"""The worker's side of one SQS queue. It reads no database and publishes nothing (mission.md V1)."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from src.application.ports.queue import RECEIVE_BYTES, Delivery
from src.domain.errors import QueueUnavailable
from src.infrastructure.sqs import codec
from src.infrastructure.sqs.connection import AT_ONCE, BATCH, LONGEST_POLL_SECONDS, SqsConnection
from src.infrastructure.sqs.errors import STALE

log = logging.getLogger(__name__)

LONGEST_HIDE_SECONDS = 43_200
"""SQS hides one receive's message for 12 hours at most, extensions included."""

TIDY_SECONDS = 60.0
"""Between two looks for receipts that have lived their 12 hours."""

FEW_RECEIVES = 10
"""A redrive policy that moves messages aside after fewer receives than this meets our hand-backs, which count as well."""

NOBODYS = "start-up-check"
"""A receipt that fits no message."""


@dataclass
class SqsConsumer:
    """QueueConsumer. Thread-safe. A receipt is good in the consumer that received it, until it is acknowledged or given
    back; later it is ignored here, without asking SQS, which would still take it."""

    connection: SqsConnection
    _held: dict[str, float] = field(default_factory=dict, init=False)
    """{receipt: monotonic seconds when its receive was asked for}"""
    _tidied_at: float = field(default=0.0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def receive(self, limit: int, *, wait_seconds: float, visibility_seconds: float) -> Sequence[Delivery]:
        """Hide and return up to `limit` messages: long polls of whole seconds, then the fraction that is left. Of a FIFO
        queue's group at most one, so that its messages are worked off one after the other whatever runs beside them."""
        left, clock = wait_seconds, self.connection.clock
        while True:
            poll, began = min(LONGEST_POLL_SECONDS, int(left)), clock.monotonic()
            taken, early = self._take(limit, poll, _whole(visibility_seconds))
            # A message that comes before its time ends the poll, not the wait.
            left -= clock.monotonic() - began if early else poll
            if taken or left <= 0:
                return taken
            if left < 1:
                clock.sleep(left)
                left = 0

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Delete them. Stale receipts are ignored."""
        receipts = self._known(deliveries)
        entries = [{"ReceiptHandle": receipt} for receipt in receipts]
        self.connection.batch("delete_message_batch", entries, passed_over=STALE)
        self._forget(receipts)

    def release(self, delivery: Delivery, *, delay_seconds: float) -> None:
        """Give back. What is left of the 12 hours cuts the delay: the message then comes back early and is put off again."""
        self.release_all([delivery], delay_seconds=delay_seconds)

    def release_all(self, deliveries: Sequence[Delivery], *, delay_seconds: float) -> None:
        """As `release`, ten in a call."""
        receipts = self._known(deliveries)
        self._hide(receipts, delay_seconds)
        self._forget(receipts)

    def extend(self, deliveries: Sequence[Delivery], *, visibility_seconds: float) -> None:
        """Hide for longer, within the 12 hours of their receive; a message that has used them up comes back."""
        self._hide(self._known(deliveries), visibility_seconds)

    def close(self) -> None:
        """Let connections go."""
        self.connection.close()

    def check(self) -> Sequence[str]:
        """The queue exists, and this role may receive, delete and hide: asked with nonsense, so that no message is touched."""
        found = self.connection.check()
        self.connection.probe("receive_message", MaxNumberOfMessages=0, WaitTimeSeconds=0, VisibilityTimeout=0)
        self.connection.probe("delete_message", ReceiptHandle=NOBODYS)
        self.connection.probe("change_message_visibility", ReceiptHandle=NOBODYS, VisibilityTimeout=0)
        return [f"{'FIFO' if self.connection.fifo else 'standard'} queue", *_redrive(found)]

    # ------------------------------------------------------------------ receiving
    def _take(self, limit: int, poll: int, hide: int) -> tuple[list[Delivery], int]:
        """(messages that are due, how many others came before their time and were put off)"""
        # A FIFO receive of several brings several of one group, and only what is hidden holds the rest of its group back.
        size = 1 if self.connection.fifo else BATCH
        messages = self._receive(min(size, limit), poll, hide)
        taken = self._due(messages)
        early, asks = len(messages) - len(taken), 1
        while messages and limit > size and len(taken) < limit and _size(taken) < RECEIVE_BYTES:
            # Twice as many at a time as long as there is more: asking an empty queue costs money too.
            wanted = [min(size, limit - len(taken) - start) for start in range(0, limit - len(taken), size)][:asks]
            found = self.connection.together([partial(self._receive, some, 0, hide) for some in wanted])
            messages = [message for answer in found if not isinstance(answer, QueueUnavailable) for message in answer]
            due = self._due(messages)
            taken, early = taken + due, early + len(messages) - len(due)
            for answer in found:
                if isinstance(answer, QueueUnavailable):
                    # Those that are here are hidden from everybody else: they must not be dropped with this answer.
                    log.warning("receive.cut_short", extra={"error": str(answer), "taken": len(taken)})
                    return taken, early
            asks = 1 if self.connection.fifo else min(AT_ONCE, 2 * asks)
        return taken, early

    def _receive(self, limit: int, poll: int, hide: int) -> Sequence[Mapping[str, Any]]:
        # The 12 hours count from the receive, so from before its answer.
        now = self.connection.clock.monotonic()
        answer = self.connection.call(
            "receive_message",
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=poll,
            VisibilityTimeout=hide,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=codec.ASKED,
        )
        messages: Sequence[Mapping[str, Any]] = answer.get("Messages", ())
        with self._lock:
            if now - self._tidied_at > TIDY_SECONDS:
                self._tidied_at = now
                self._held = {k: at for k, at in self._held.items() if now - at < LONGEST_HIDE_SECONDS}
            self._held.update({message["ReceiptHandle"]: now for message in messages})
        return messages

    def _due(self, messages: Sequence[Mapping[str, Any]]) -> list[Delivery]:
        due = []
        for message in messages:
            seen = codec.read(message)
            delivery = Delivery(
                message_id=message["MessageId"],
                body=seen.body,
                receipt=message["ReceiptHandle"],
                receive_count=seen.receive_count,
                enqueued_at=seen.enqueued_at,
                attributes=seen.attributes,
            )
            early = (seen.not_before or 0.0) - self.connection.clock.now()
            if early > 0:
                self._put_off(delivery, early)
            else:
                due.append(delivery)
        return due

    def _put_off(self, delivery: Delivery, seconds: float) -> None:
        try:
            self.release(delivery, delay_seconds=seconds)
        except QueueUnavailable as error:
            log.warning("message.release_failed", extra={"error": str(error), "then": "it comes back by itself"})

    # ------------------------------------------------------------------ receipts
    def _hide(self, receipts: Mapping[str, float], seconds: float) -> None:
        now = self.connection.clock.monotonic()
        entries = []
        for receipt, received_at in receipts.items():
            left = int(LONGEST_HIDE_SECONDS - (now - received_at)) - 1
            if left > 0:
                entries.append({"ReceiptHandle": receipt, "VisibilityTimeout": min(_whole(seconds), left)})
        self.connection.batch("change_message_visibility_batch", entries, passed_over=STALE)

    def _known(self, deliveries: Sequence[Delivery]) -> Mapping[str, float]:
        with self._lock:
            return {one.receipt: self._held[one.receipt] for one in deliveries if one.receipt in self._held}

    def _forget(self, receipts: Mapping[str, float]) -> None:
        with self._lock:
            for receipt in receipts:
                self._held.pop(receipt, None)


def _whole(seconds: float) -> int:
    """Whole seconds, rounded up: a message must not show before its lease ends."""
    return max(0, min(LONGEST_HIDE_SECONDS, math.ceil(seconds)))


def _size(deliveries: Sequence[Delivery]) -> int:
    return sum(len(delivery.body) for delivery in deliveries)


def _redrive(attributes: Mapping[str, str]) -> list[str]:
    policy = attributes.get("RedrivePolicy")
    if not policy:
        return ["no dead-letter queue of its own"]
    try:
        count = int(json.loads(policy)["maxReceiveCount"])
    except (ValueError, KeyError, TypeError):
        return [f"a redrive policy that can't be read: {policy[:100]}"]
    if count >= FEW_RECEIVES:
        return [f"moves messages aside after {count} receives"]
    log.warning("queue.redrive_small", extra={"max_receive_count": count, "then": "jobs go on; messages are set aside"})
    said = (
        f"warning: SQS moves messages aside after {count} receives, and every retry and hand-back is one: jobs go on by"
    )
    return [f"{said} the ledger, but its dead-letter queue fills (set maxReceiveCount to {FEW_RECEIVES} or more)"]
