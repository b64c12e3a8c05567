"""Events of other systems by Redis: Pub/Sub, which tells everybody who listens now, and a stream, which remembers."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from redis.exceptions import ResponseError

from src.application.ports.event_source import Heard
from src.domain.errors import NetworkError
from src.infrastructure.redis.address import RedisLink

log = logging.getLogger(__name__)

ORPHAN_SECONDS = 30.0
"""After this long without an answer an entry that another listener read is taken over."""

QUIET_SECONDS = 10.0
"""Without a word on a subscription; then the server is asked for one."""

MOST = 100
"""Entries of one read."""

FORGET_SECONDS = 3600.0
"""After this long without a question from a listener, and with nothing left that it has to answer for, the group forgets it. One that
lives asks every few seconds."""

TIDY_SECONDS = 3600.0
"""Between two looks for such."""

TYPE_FIELDS = ("event_type", "type", "event")
BODY_FIELDS = ("payload", "body", "data", "message")


@cache
def _tidying() -> str:
    return (Path(__file__).with_name("lua") / "stream_tidy.lua").read_text()


@dataclass
class RedisChannels:
    """EventSource that subscribes to `channels`. A channel is named after the event's type; what stands before the last colon
    (`block:content.created`) is a prefix. What is published while nobody listens is lost: that is Pub/Sub. Where nothing is said
    the server is asked whether it is there: a connection that broke without a word would be silent too. One thread."""

    url: str | None = field(repr=False)
    channels: Sequence[str]
    link: RedisLink = field(init=False, repr=False)
    remembers: bool = field(default=False, init=False)
    _subscribed: Any = field(default=None, init=False, repr=False)
    _said_at: float = field(default=0.0, init=False)
    """when (monotonic) the server last said something"""
    _pinged_at: float | None = field(default=None, init=False)
    """when it was asked, and has said nothing since"""

    def __post_init__(self) -> None:
        self.link = RedisLink(self.url, NetworkError)

    def receive(self, *, wait_seconds: float) -> Sequence[Heard]:
        """All that came by now."""
        found: list[Heard] = []
        while len(found) < MOST:
            message = self._message(0.0 if found else wait_seconds)
            if message is None:
                break
            channel = message["channel"].decode()
            found.append(Heard(source=channel, id=None, type=channel.rpartition(":")[2], body=bytes(message["data"])))
        return found

    def done(self, heard: Sequence[Heard]) -> None:
        """Nobody keeps them."""

    def check(self) -> None:
        """The server answers."""
        self.link.ask(lambda client: client.ping())

    def close(self) -> None:
        """Let connections go."""
        self._forget()
        self.link.close()

    def _message(self, wait_seconds: float) -> Mapping[str, Any] | None:
        def next_one(_client: Any) -> Mapping[str, Any] | None:
            listening = self._listening()
            while True:
                found: Mapping[str, Any] | None = listening.get_message(
                    ignore_subscribe_messages=True, timeout=wait_seconds
                )
                if found is None:
                    self._ask_whether_it_is_there(listening)
                    return None
                self._said_at, self._pinged_at = time.monotonic(), None
                if found["type"] != "pong":
                    return found

        try:
            found: Mapping[str, Any] | None = self.link.ask(next_one)
        except NetworkError:
            self._forget()
            raise
        return found

    def _ask_whether_it_is_there(self, listening: Any) -> None:
        """When there is nothing to read."""
        now = time.monotonic()
        if self._pinged_at is not None:
            if now - self._pinged_at > self.link.timeout_seconds:
                raise TimeoutError("the subscription's connection is silent")
        elif now - self._said_at > QUIET_SECONDS:
            listening.ping()
            self._pinged_at = now

    def _listening(self) -> Any:
        if self._subscribed is None:
            self._subscribed = self.link.ask(lambda client: client.pubsub())  # type: ignore[no-untyped-call]
            self._subscribed.subscribe(*self.channels)
            self._said_at, self._pinged_at = time.monotonic(), None
        return self._subscribed

    def _forget(self) -> None:
        subscribed, self._subscribed = self._subscribed, None
        if subscribed is not None:
            subscribed.close()


@dataclass
class RedisStream:
    """EventSource that reads the stream `name` as the consumer group `group`: nothing is lost while nobody listens, each entry
    goes to one listener, and one whose listener died goes to another after ORPHAN_SECONDS. An entry has the fields `type` (or
    `event_type`) and `payload` (or `body`, `data`), a payload in JSON; or plain fields, which then are the payload. One
    thread."""

    url: str | None = field(repr=False)
    name: str
    group: str
    consumer: str
    """of this process alone: what was read under this name before it started is taken again at once"""
    orphan_seconds: float = ORPHAN_SECONDS
    link: RedisLink = field(init=False, repr=False)
    remembers: bool = field(default=True, init=False)
    _joined: bool = field(default=False, init=False)
    _tidy_at: float = field(default=0.0, init=False)
    """monotonic"""
    _own: bool = field(default=True, init=False)
    """entries of this consumer's name that it was given before it started"""

    def __post_init__(self) -> None:
        self.link = RedisLink(self.url, NetworkError)

    def receive(self, *, wait_seconds: float) -> Sequence[Heard]:
        """What was left unanswered first, then what is new."""
        self._join()
        self._tidy()
        return self._orphans() or self._new(wait_seconds)

    def done(self, heard: Sequence[Heard]) -> None:
        """Answer for them."""
        if heard:
            self.link.ask(lambda client: client.xack(self.name, self.group, *(each.receipt for each in heard)))

    def check(self) -> None:
        """The server answers."""
        self.link.ask(lambda client: client.ping())

    def close(self) -> None:
        """Let connections go."""
        self.link.close()

    def _join(self) -> None:
        if self._joined:
            return

        def create(client: Any) -> None:
            try:
                client.xgroup_create(self.name, self.group, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

        self.link.ask(create)
        self._joined = True

    def _tidy(self) -> None:
        """Processes come and go, each under a name of its own."""
        if time.monotonic() < self._tidy_at:
            return
        self._tidy_at = time.monotonic() + TIDY_SECONDS
        millis = round(FORGET_SECONDS * 1000)
        try:
            gone = self.link.run(_tidying(), (self.name,), (self.group, self.consumer, millis))
        except NetworkError as error:
            # Hearing matters more: it says by itself whether the server is there.
            log.warning("listener.untidy", extra={"stream": self.name, "error": str(error)})
            return
        if gone:
            log.info("listener.forgot", extra={"stream": self.name, "consumers": [each.decode() for each in gone]})

    def _orphans(self) -> Sequence[Heard]:
        if self._own:
            read = self._asked(
                lambda client: client.xreadgroup(self.group, self.consumer, {self.name: "0"}, count=MOST)
            )
            mine = self._heard(read)
            self._own = len(mine) == MOST
            if mine:
                return mine
        idle = round(self.orphan_seconds * 1000)
        _next, entries, *_gone = self._asked(
            lambda client: client.xautoclaim(self.name, self.group, self.consumer, idle, count=MOST)
        )
        return [self._of(entry, fields) for entry, fields in entries if fields is not None]

    def _new(self, wait_seconds: float) -> Sequence[Heard]:
        block = max(1, round(wait_seconds * 1000)) if wait_seconds else None
        read = self._asked(
            lambda client: client.xreadgroup(self.group, self.consumer, {self.name: ">"}, count=MOST, block=block)
        )
        return self._heard(read)

    def _asked(self, question: Any) -> Any:
        try:
            return self.link.ask(question)
        except NetworkError:
            # A server that was emptied or restarted without its data knows no group any more.
            self._joined = False
            raise

    def _heard(self, read: Any) -> list[Heard]:
        if isinstance(read, Mapping):
            read = [(name, entries[0] if entries else []) for name, entries in read.items()]
        return [self._of(entry, fields) for _name, entries in read or [] for entry, fields in entries if fields]

    def _of(self, entry: bytes, fields: Mapping[bytes, bytes]) -> Heard:
        name = entry.decode()
        given = {key.decode(errors="replace"): value for key, value in fields.items()}
        kind = next((given[key].decode(errors="replace") for key in TYPE_FIELDS if key in given), None)
        body = next((given[key] for key in BODY_FIELDS if key in given), None)
        if body is None:
            plain = {key: value.decode(errors="replace") for key, value in given.items() if key not in TYPE_FIELDS}
            body = json.dumps(plain).encode()
        return Heard(source=self.name, id=name, type=kind, body=body, receipt=name)
