"""SQS queues on the emulator, in the tests' time."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from src.application.ports.queue import Delivery, Envelope, QueueDepth
from src.infrastructure.sqs.connection import SqsConnection
from src.infrastructure.sqs.consumer import SqsConsumer
from src.infrastructure.sqs.publisher import SqsInspector, SqsPublisher
from tests.contracts.backends.state import QueueAbilities
from tests.fakes.clock import FrozenClock
from tests.servers.process import Server
from tests.servers.shared import shared

REGION = "us-east-1"
LOOK_SECONDS = 0.125
ABILITIES = QueueAbilities(priorities=False, merges=False, tells_age=False, whole_seconds=True)
FIFO_ABILITIES = dataclasses.replace(ABILITIES, in_turn=True, delays_at_sight=True, marks=frozenset({"MessageGroupId"}))
RETENTION = {"MessageRetentionPeriod": "1209600"}


@cache
def session() -> Any:
    """Credentials that the emulator takes; the machine's own are never asked for."""
    return boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)


def client(server: Server) -> Any:
    """For what no adapter does: making queues, looking behind them."""
    return session().client("sqs", endpoint_url=server.url)


class WaitingConnection(SqsConnection):
    """The emulator's clock stands still, so its long poll would never end: here a wait is many looks, and the tests' time
    passes between them. The long poll itself is tested in tests/adapters/test_sqs.py."""

    def call(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        if operation != "receive_message":
            return super().call(operation, **arguments)
        end = self.clock.monotonic() + arguments.pop("WaitTimeSeconds")
        while True:
            answer = super().call(operation, WaitTimeSeconds=0, **arguments)
            left = end - self.clock.monotonic()
            if answer.get("Messages") or left <= 0:
                return answer
            self.clock.sleep(min(left, LOOK_SECONDS))


@dataclass
class Sides:
    """The three roles in one object, as the suites want them."""

    consumer: SqsConsumer
    publisher: SqsPublisher
    inspector: SqsInspector

    def receive(self, limit: int, *, wait_seconds: float, visibility_seconds: float) -> Sequence[Delivery]:
        return self.consumer.receive(limit, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self.consumer.ack(deliveries)

    def release(self, delivery: Delivery, *, delay_seconds: float) -> None:
        self.consumer.release(delivery, delay_seconds=delay_seconds)

    def release_all(self, deliveries: Sequence[Delivery], *, delay_seconds: float) -> None:
        self.consumer.release_all(deliveries, delay_seconds=delay_seconds)

    def extend(self, deliveries: Sequence[Delivery], *, visibility_seconds: float) -> None:
        self.consumer.extend(deliveries, visibility_seconds=visibility_seconds)

    def close(self) -> None:
        self.consumer.close()
        self.publisher.close()

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.publisher.publish(envelopes)

    def depth(self) -> QueueDepth:
        return self.inspector.depth()


def sides(connection: SqsConnection) -> Sides:
    return Sides(SqsConsumer(connection), SqsPublisher(connection), SqsInspector(connection))


@dataclass
class SqsPlace:
    """Queues of one test on the process's emulator. A second handle has clients of its own."""

    clock: FrozenClock
    server: Server
    attributes: Mapping[str, str] = field(default_factory=dict)
    ending: str = ""
    opened: list[Sides] = field(default_factory=list)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    urls: dict[str, str] = field(default_factory=dict)
    abilities: QueueAbilities = ABILITIES

    def connection(self, name: str = "video") -> WaitingConnection:
        """To the queue of that name, which is made when it is new."""
        full = f"{self.mark}-{name}{self.ending}"
        if name not in self.urls:
            made = client(self.server).create_queue(QueueName=full, Attributes={**RETENTION, **self.attributes})
            self.urls[name] = made["QueueUrl"]
        return WaitingConnection(
            name=full, clock=self.clock, endpoint_url=self.server.url, region=REGION, make_session=session
        )

    def queue(self, name: str = "video") -> Sides:
        """A handle."""
        self.opened.append(sides(self.connection(name)))
        return self.opened[-1]

    def close(self) -> None:
        """Nothing of this test may be found by the next."""
        for opened in self.opened:
            opened.close()
        asking = client(self.server)
        for url in self.urls.values():
            asking.delete_queue(QueueUrl=url)
        asking.close()


def sqs_place(clock: FrozenClock, _folder: Path) -> SqsPlace:
    """Standard queues."""
    server = shared("sqs", set_clock=True)
    clock.followers.append(server.set_clock)
    server.set_clock(clock.now())
    return SqsPlace(clock, server)


def sqs_fifo_place(clock: FrozenClock, folder: Path) -> SqsPlace:
    """FIFO queues: a group is a job's messages, taken one at a time and in order."""
    made = sqs_place(clock, folder)
    made.attributes, made.ending, made.abilities = {"FifoQueue": "true"}, ".fifo", FIFO_ABILITIES
    return made
