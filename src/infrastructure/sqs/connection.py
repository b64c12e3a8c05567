"""The way to one queue: address, clients with limits on every wait, and calls whose errors are the port's."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from src.application.ports.clock import Clock
from src.domain.errors import ConfigError, QueueUnavailable
from src.infrastructure.aws.answers import refuse_cut_answers
from src.infrastructure.sqs.errors import NONSENSE, SDK_ERRORS, at_start, code_of, failed_entries, unavailable

Answer = TypeVar("Answer")

CONNECT_SECONDS = 3
ANSWER_SECONDS = 5.0
"""For everything but the long poll. Three tries of it stay within a lease of 30 s, so that a silent queue never keeps the
heartbeat of the ledger waiting for too long; shorter leases need shorter answers."""

LONGEST_POLL_SECONDS = 20
SHORT_POLL_SECONDS = 2
TRIES = {"act": 3, "look": 1, "poll": 1}
"""{kind of call: tries}. A receive is not repeated in here: the message of an answer that got lost is hidden, so trying again
finds others; and the engine's receive loop has its own pace."""

WAITS = {"act": 0, "look": SHORT_POLL_SECONDS, "poll": LONGEST_POLL_SECONDS}
"""{kind of call: seconds that the service may wait itself before it answers}"""

BATCH = 10
"""Entries that SQS takes in one call."""

AT_ONCE = 8
"""Calls under way at a time: 80 messages per round trip keep a process busy."""

CALM_SECONDS = (0.2, 0.6)
"""Pauses before the entries that a batch's answer calls failed, through no fault of ours, are sent again."""

AWS_HOST = re.compile(r"(?:sqs\.(?P<new>[a-z0-9-]+)|(?P<old>[a-z0-9-]+)\.queue)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)")
EMULATOR_REGION = "us-east-1"
"""Where an endpoint of its own is given and no region: emulators take any."""

MAKING = threading.Lock()
"""Clients are thread-safe, a session that makes them is not."""


@dataclass
class SqsConnection:
    """Thread-safe; a forked process makes clients of its own. Nothing is connected before the first call."""

    name: str
    clock: Clock
    url: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    answer_seconds: float = ANSWER_SECONDS
    make_session: Callable[[], Any] = boto3.session.Session
    """where credentials come from: AWS's own chain"""
    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _session: Any = field(default=None, init=False, repr=False)
    """kept, because it keeps the description of SQS that every client is made from"""
    _address: str | None = field(default=None, init=False, repr=False)
    _pool: ThreadPoolExecutor | None = field(default=None, init=False, repr=False)
    _owner: int = field(default=0, init=False, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)

    @property
    def shown(self) -> str:
        """The queue's name, for people."""
        return urlsplit(self.url).path.rsplit("/", 1)[-1] if self.url else self.name

    @property
    def fifo(self) -> bool:
        """SQS tells the kinds apart by this ending."""
        return self.shown.endswith(".fifo")

    def call(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        """Ask SQS about the queue. Raises QueueUnavailable after the SDK's own tries."""
        try:
            client = self._client(_kind(operation, arguments))
            answer: Mapping[str, Any] = getattr(client, operation)(QueueUrl=self._queue_url(), **arguments)
        except SDK_ERRORS as error:
            raise unavailable(error, self.shown, operation) from error
        return answer

    def batch(self, operation: str, entries: Sequence[Mapping[str, Any]], *, passed_over: Collection[str] = ()) -> None:
        """Ask for all entries, ten at a time. Those that fail through no fault of ours are sent again a few times, and those
        whose failure has a code of `passed_over` are well. Raises QueueUnavailable when others are left."""
        self.batches(
            operation, [entries[start : start + BATCH] for start in range(0, len(entries), BATCH)], passed_over
        )

    def batches(
        self, operation: str, batches: Sequence[Sequence[Mapping[str, Any]]], passed_over: Collection[str] = ()
    ) -> None:
        """As `batch`, of batches that are packed already. What has an order (FIFO) is sent one after another."""
        if self.fifo:
            for entries in batches:
                self._one_batch(operation, entries, passed_over)
            return
        for answer in self.together([partial(self._one_batch, operation, some, passed_over) for some in batches]):
            if isinstance(answer, QueueUnavailable):
                raise answer

    def together(self, calls: Sequence[Callable[[], Answer]]) -> list[Answer | QueueUnavailable]:
        """Make calls, AT_ONCE at a time: an answer of AWS takes ten milliseconds and more, most of which is waiting. All of
        them are made; what failed stands in its place."""
        if len(calls) < 2:
            return [_outcome(call) for call in calls]
        return list(self._threads().map(_outcome, calls))

    def probe(self, operation: str, **arguments: Any) -> None:
        """Ask for something that SQS refuses as nonsense when it permits it at all. Raises ConfigError or QueueUnavailable."""
        try:
            self.call(operation, **arguments)
        except QueueUnavailable as error:
            if code_of(error.__cause__) not in NONSENSE:
                raise at_start(error) from error

    def attributes(self) -> Mapping[str, str]:
        """What SQS says of the queue. Raises QueueUnavailable."""
        answer = self.call("get_queue_attributes", AttributeNames=["All"])
        return {str(name): str(value) for name, value in answer.get("Attributes", {}).items()}

    def check(self) -> Mapping[str, str]:
        """The queue's attributes; it exists and may be looked at. Raises ConfigError or QueueUnavailable."""
        there = _region_of(self.url)
        if there and self.region and there != self.region:
            raise ConfigError(
                f"the queue's URL is in region {there}, WORKER_AWS__REGION is {self.region}",
                fix="make them agree, or leave WORKER_AWS__REGION empty",
            )
        try:
            return self.attributes()
        except QueueUnavailable as error:
            raise at_start(error) from error

    def close(self) -> None:
        """Let connections go; a later call makes new ones."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)
        for client in clients:
            client.close()

    # ------------------------------------------------------------------ clients
    def _one_batch(self, operation: str, entries: Sequence[Mapping[str, Any]], passed_over: Collection[str]) -> None:
        left = {str(number): entry for number, entry in enumerate(entries)}
        for pause in (*CALM_SECONDS, None):
            answer = self.call(operation, Entries=[{"Id": key, **entry} for key, entry in left.items()])
            failed = [one for one in failed_entries(answer) if one.code not in passed_over]
            if not failed:
                return
            if pause is None or not all(one.may_pass for one in failed):
                worst = min(failed, key=lambda one: one.may_pass)
                raise QueueUnavailable(
                    f"SQS queue {self.shown}: {operation} failed for {len(failed)} of {len(entries)} messages:"
                    f" {worst.code}: {worst.text}"
                )
            left = {one.key: left[one.key] for one in failed}
            self.clock.sleep(pause)

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            self._check_owner()
            if self._pool is None:
                self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sqs")
            return self._pool

    def _check_owner(self) -> None:
        if self._owner != os.getpid():
            # Sockets that a fork copied belong to the other process, and threads it copies none.
            self._clients, self._pool, self._owner = {}, None, os.getpid()

    def _client(self, kind: str) -> Any:
        with self._lock:
            self._check_owner()
            if kind not in self._clients:
                self._clients[kind] = self._make(kind)
            return self._clients[kind]

    def _make(self, kind: str) -> Any:
        if self._session is None:
            self._session = self.make_session()
        session = self._session
        endpoint = self.endpoint_url or _endpoint_of(self.url)
        region = self.region or _region_of(self.url) or session.region_name or (EMULATOR_REGION if endpoint else None)
        limits = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=WAITS[kind] + self.answer_seconds,
            retries={"mode": "standard", "total_max_attempts": TRIES[kind]},
            # What we send is checked by our own tests; checking each call's costs a tenth of it.
            parameter_validation=False,
            max_pool_connections=32,
            tcp_keepalive=True,
        )
        with MAKING:
            made = session.client("sqs", endpoint_url=endpoint, region_name=region, config=limits)
        return refuse_cut_answers(made)

    def _queue_url(self) -> str:
        with self._lock:
            if self._address is None:
                self._address = self.url or self._client("act").get_queue_url(QueueName=self.name)["QueueUrl"]
            return self._address


def _outcome(call: Callable[[], Answer]) -> Answer | QueueUnavailable:
    try:
        return call()
    except QueueUnavailable as error:
        return error


def _kind(operation: str, arguments: Mapping[str, Any]) -> str:
    if operation != "receive_message":
        return "act"
    return "poll" if arguments.get("WaitTimeSeconds", 0) > SHORT_POLL_SECONDS else "look"


def _region_of(url: str | None) -> str | None:
    found = AWS_HOST.fullmatch(urlsplit(url).hostname or "") if url else None
    return (found["new"] or found["old"]) if found else None


def _endpoint_of(url: str | None) -> str | None:
    """An address that is not AWS's own is the emulator's, too."""
    if not url or _region_of(url):
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None
