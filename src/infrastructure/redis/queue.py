"""A queue in Redis: any `RPUSH` of a JSON body is a producer's, and nothing is lost between the list and the worker.

A receive moves bodies, by one script, out of the list `name` into a lease; they come back when it ends. Keys of one queue
share a hash tag, so a cluster keeps them together. How the keys hang together is said in lua/common.lua.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from src.application.ports.clock import Clock
from src.application.ports.queue import RECEIVE_BYTES, Delivery, Envelope, QueueDepth
from src.domain.errors import QueueUnavailable
from src.infrastructure.redis.address import RedisLink
from src.infrastructure.redis.names import PARTS, keys_of
from src.infrastructure.redis.server import facts

BATCH = 500
"""Messages per script: it runs some 3 ms, and nobody else is served meanwhile. With 200, all that is done once a batch made a short job
cost the worker a fifth more (0.81 to 0.92 of its CPU with 500, three runs side by side)."""

PUBLISH_BYTES = 8 * 2**20
"""Bodies per script of a publish; one argument of a command may have 512 MB."""

SLICE_SECONDS = 2.0
"""Longest blocking wait before the next look: what bounds the wait for a message that another worker's crash left behind."""

SHORTEST_SECONDS = 0.001
"""Zero would mean: wait for ever."""

LEFT_SECONDS = 60
"""How long what a start-up check put there may outlive the worker that was killed in it."""

PRIORITIES = 2047
"""Priorities below the negative and above the positive number count as it."""

MICROS = 1e6

_ID = re.compile(r"[0-9]{12,}-[0-9a-f]{16}")
"""A message's. What else stands in a receipt is another queue's."""

Item = TypeVar("Item")


@cache
def script(name: str) -> str:
    """A script of the folder `lua`, with what they share. A Redis whose memory is full takes no new messages, but the old
    ones can be worked off."""
    folder = Path(__file__).with_name("lua")
    head = "#!lua\n" if name == "publish" else "#!lua flags=allow-oom\n"
    return head + (folder / "common.lua").read_text() + (folder / f"{name}.lua").read_text()


@dataclass
class RedisQueue:
    """QueueConsumer, QueuePublisher and QueueInspector of the queue called `name`. Thread-safe. The server's clock decides
    what is visible; `clock` only paces the waiting. `pause` waits instead of the server, where its clock stands still
    (tests)."""

    url: str | None = field(repr=False)
    name: str
    clock: Clock
    pause: Callable[[float], object] | None = None
    link: RedisLink = field(init=False)
    keys: tuple[str, ...] = field(init=False, repr=False)
    slice_seconds: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.keys = keys_of(self.name)
        self.link = RedisLink(self.url, QueueUnavailable)
        self.slice_seconds = min(SLICE_SECONDS, self.link.timeout_seconds / 2)

    # ------------------------------------------------------------------ QueueConsumer
    def receive(self, limit: int, *, wait_seconds: float, visibility_seconds: float) -> Sequence[Delivery]:
        """Up to `limit` (and BATCH) messages, best priority first."""
        deadline = self.clock.monotonic() + wait_seconds
        while True:
            found, due = self.look(limit, visibility_seconds=visibility_seconds)
            left = deadline - self.clock.monotonic()
            if found or left <= 0:
                return found
            self.wait(min(left, due))

    def look(
        self, limit: int, *, visibility_seconds: float, most_bytes: int = RECEIVE_BYTES
    ) -> tuple[Sequence[Delivery], float]:
        """What is there, as `receive` takes it, and how long a wait may last until something else is due, in seconds. Raises
        QueueUnavailable."""
        # The token makes ids that no later message can have, even after a restart of the server.
        token = os.urandom(8).hex()
        found = self._run("receive", min(limit, BATCH), _micros(visibility_seconds), token, most_bytes)
        if len(found) > 1:
            return _deliveries(*found[1:]), 0.0
        return [], found[0] / MICROS if found[0] >= 0 else self.slice_seconds

    def wait(self, seconds: float) -> None:
        """Until somebody pushes, at most so long (and `slice_seconds`). The body is moved, not popped: the next receive of
        anybody takes it. Raises QueueUnavailable."""
        seconds = max(SHORTEST_SECONDS, min(seconds, self.slice_seconds))
        if self.pause is not None:
            self.pause(seconds)
            return
        inbox, claiming = self.keys[:2]
        self.link.ask(lambda client: client.blmove(inbox, claiming, seconds))  # type: ignore[arg-type]

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Remove those whose receipt still holds."""
        for some in _batches(deliveries):
            ours = [receipt for receipt in map(_receipt, some) if _ID.fullmatch(receipt[0]) and receipt[1].isdecimal()]
            if not ours:
                continue
            ids, counts, keys = zip(*ours, strict=True)
            lengths, texts = _texts(keys)
            self._run("ack", " ".join(ids), " ".join(counts), " ".join(map(str, lengths)), texts)

    def release(self, delivery: Delivery, *, delay_seconds: float) -> None:
        """Give back, if the receipt still holds."""
        self.release_all([delivery], delay_seconds=delay_seconds)

    def release_all(self, deliveries: Sequence[Delivery], *, delay_seconds: float) -> None:
        """Give back those whose receipt still holds."""
        for some in _batches(deliveries):
            self._run("release", _micros(delay_seconds), *_held(some))

    def extend(self, deliveries: Sequence[Delivery], *, visibility_seconds: float) -> None:
        """Hide those whose receipt still holds for longer."""
        for some in _batches(deliveries):
            self._run("extend", _micros(visibility_seconds), *_held(some))

    def close(self) -> None:
        """Let connections go."""
        self.link.close()

    # ------------------------------------------------------------------ QueuePublisher
    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Add in batches, each of them whole; a waiting message with the same key is brought forward instead."""
        for some in _batches(envelopes, size=lambda envelope: len(envelope.body)):
            # Two texts instead of five values each: the client writes value by value, and that would be most of the work.
            parts = list(map(_parts, some))
            told = "\n".join([head for head, _ in parts])
            self._run("publish", os.urandom(8).hex(), told, b"".join([text for _, text in parts]))

    # ------------------------------------------------------------------ QueueInspector
    def depth(self) -> QueueDepth:
        """Counts now. How long bodies from outside have been waiting is not known."""
        ready, delayed, in_flight, oldest = self._run("depth")
        return QueueDepth(
            ready=ready,
            delayed=delayed,
            in_flight=in_flight,
            oldest_ready_seconds=oldest / MICROS if oldest >= 0 else None,
        )

    # ------------------------------------------------------------------ Checkable
    def check(self) -> Sequence[str]:
        """One message goes all the way through a queue beside this one, which is gone afterwards."""
        return self.link.tried(self._check)

    def _check(self) -> Sequence[str]:
        self.depth()
        beside = keys_of(self.name)[1].removesuffix(PARTS[0]) + f"selftest-{uuid.uuid4().hex}"
        trial = RedisQueue(self.url, beside, self.clock)
        trial.link = self.link
        try:
            trial.publish([Envelope(body=b"{}", key="selftest")])
            trial.wait(SHORTEST_SECONDS)
            taken = trial.receive(1, wait_seconds=0, visibility_seconds=60)
            # A worker that is killed in its check leaves nothing for long.
            self.link.ask(lambda client: [client.expire(key, LEFT_SECONDS) for key in trial.keys])
            trial.extend(taken, visibility_seconds=60)
            trial.release_all(taken, delay_seconds=0)
            taken = trial.receive(1, wait_seconds=0, visibility_seconds=60)
            trial.ack(taken)
            if [delivery.body for delivery in taken] != [b"{}"]:
                raise QueueUnavailable(
                    f"Redis at {self.link.address.shown} did not give back a message that it was given",
                    fix="is its memory full, or do several servers answer at this address?",
                )
        finally:
            self.link.ask(lambda client: client.delete(*trial.keys))
        return facts(self.link, kept="messages", keeper="queue")

    # ------------------------------------------------------------------ inside
    def _run(self, name: str, *args: Any) -> Any:
        return self.link.run(script(name), self.keys, args)


def _deliveries(ids: bytes, counts: bytes, lengths: bytes, records: bytes) -> list[Delivery]:
    taken, start = [], 0
    for name, count, length in zip(
        ids.decode().split(" "), counts.decode().split(" "), lengths.split(b" "), strict=True
    ):
        end = start + int(length)
        taken.append(_delivery(name, count, records[start:end]))
        start = end
    return taken


def _delivery(name: str, count: str, record: bytes) -> Delivery:
    at, _priority, key_length, attributes_length, rest = record.split(b":", 4)
    # "~": when it was pushed is not known, only when it was first seen.
    enqueued = None if at.startswith(b"~") else int(at) / MICROS
    first = int(key_length)
    second = first + int(attributes_length)
    return Delivery(
        message_id=name,
        body=rest[second:],
        receipt=f"{count}:{name}:{rest[:first].decode() if first else ''}",
        receive_count=int(count),
        enqueued_at=enqueued,
        attributes=json.loads(rest[first:second]) if second > first else {},
    )


def _receipt(delivery: Delivery) -> tuple[str, str, str]:
    """Id, number of the receive, key."""
    count, _, rest = delivery.receipt.partition(":")
    name, _, key = rest.partition(":")
    return name, count, key


def _held(deliveries: Sequence[Delivery]) -> Iterator[str]:
    """Id and number of the receive, of each."""
    return (part for delivery in deliveries for part in _receipt(delivery)[:2])


def _texts(values: Sequence[str]) -> tuple[list[int], bytes]:
    """Lengths in bytes, and all of them in one."""
    encoded = [value.encode() for value in values]
    return [len(value) for value in encoded], b"".join(encoded)


def _parts(envelope: Envelope) -> tuple[str, bytes]:
    """What lua/publish.lua must know, and the message."""
    key = envelope.key.encode()
    attributes = json.dumps(dict(envelope.attributes)).encode() if envelope.attributes else b""
    priority = max(-PRIORITIES, min(PRIORITIES, envelope.priority))
    delay = _micros(envelope.delay_seconds)
    head = f"{len(key)} {len(attributes)} {len(envelope.body)} {delay} {priority}"
    return head, key + attributes + envelope.body


def _batches(items: Sequence[Item], size: Callable[[Item], int] | None = None) -> Iterator[Sequence[Item]]:
    """Up to BATCH of them, and up to PUBLISH_BYTES where they have a size; a larger one comes alone."""
    start, room = 0, PUBLISH_BYTES
    for end, item in enumerate(items):
        weight = size(item) if size is not None else 0
        if end > start and (end - start == BATCH or weight > room):
            yield items[start:end]
            start, room = end, PUBLISH_BYTES
        room -= weight
    if items:
        yield items[start:]


def _micros(seconds: float) -> int:
    return max(0, round(seconds * MICROS))
