"""A queue's answer is lost on the wire after the server did what it was asked: nothing is lost, nothing is held for ever, the
error is the port's, and the next call works."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from src.application.ports.queue import Delivery, Envelope, QueueConsumer, QueueInspector, QueuePublisher
from src.domain.errors import QueueUnavailable
from src.infrastructure.clock import SystemClock
from src.infrastructure.db.engine import Database
from src.infrastructure.db.postgres_queue import PostgresQueue
from src.infrastructure.redis.queue import RedisQueue, script
from src.infrastructure.sqs.connection import SqsConnection
from src.infrastructure.sqs.consumer import SqsConsumer
from src.infrastructure.sqs.publisher import SqsInspector, SqsPublisher
from tests.adapters.postgres import make_database
from tests.contracts.backends.sqs import REGION, client, session
from tests.servers.proxy import Act, Proxy
from tests.servers.shared import shared

HIDDEN_SECONDS = 1.0
BOUND_SECONDS = 30.0
"""Only so that a broken test ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """One queue behind a proxy, and how its commands look on the wire."""

    proxy: Proxy
    consumer: QueueConsumer
    publisher: QueuePublisher
    inspector: QueueInspector
    commands: dict[str, bytes]
    repeats: bool = False
    """the SDK itself asks again: a lost answer may be no error at all"""
    merges: bool = True
    """a key that waits already is not doubled"""

    def take(self) -> Sequence[Delivery]:
        """What can be received within a while."""
        deadline = time.monotonic() + BOUND_SECONDS
        while time.monotonic() < deadline:
            if taken := self.consumer.receive(10, wait_seconds=1, visibility_seconds=60):
                return taken
        return []

    def send(self, key: str) -> None:
        self.publisher.publish([Envelope(body=key.encode(), key=key)])

    def lost(self, act: Act, command: str, work: Callable[[], object]) -> None:
        """Do it with one answer lost. Where nobody asks again, it must be the port's error; the SDK asks again, but not when
        an answer breaks off inside its headers."""
        with self.proxy.fault(act, self.commands[command]):
            if self.repeats and act is not Act.CUT_REPLY:
                work()
            else:
                with pytest.raises(QueueUnavailable):
                    work()


def redis_wired(stack: ExitStack) -> Wired:
    proxy = stack.enter_context(Proxy.to(shared("redis")))
    queue = RedisQueue(proxy.url, f"wire-{uuid.uuid4().hex}", SystemClock())
    stack.callback(queue.close)
    names = ("receive", "ack", "publish", "extend", "release")
    commands = {name: b"EVALSHA " + hashlib.sha1(script(name).encode()).hexdigest().encode() for name in names}  # noqa: S324
    return Wired(proxy=proxy, consumer=queue, publisher=queue, inspector=queue, commands=commands)


def postgres_wired(stack: ExitStack) -> Wired:
    server = shared("postgres")
    proxy = stack.enter_context(Proxy.to(server))
    database = Database(proxy.in_front(make_database(server)))
    queue = PostgresQueue(database, "video", SystemClock())
    stack.callback(database.close)
    commands = {
        "receive": rb"worker_take",
        "ack": rb"worker_ack",
        "publish": rb"INSERT INTO queue_messages",
        "extend": rb"PUPDATE|\x00UPDATE queue_messages SET visible_at",
        "release": rb"WITH freed",
    }
    return Wired(proxy=proxy, consumer=queue, publisher=queue, inspector=queue, commands=commands)


def sqs_wired(stack: ExitStack) -> Wired:
    server = shared("sqs")
    proxy = stack.enter_context(Proxy.to(server))
    name = f"wire-{uuid.uuid4().hex}"
    asking = client(server)
    asking.create_queue(QueueName=name)
    asking.close()
    connection = SqsConnection(
        name=name, clock=SystemClock(), endpoint_url=proxy.url, region=REGION, make_session=session
    )
    stack.callback(connection.close)
    return Wired(
        proxy=proxy,
        consumer=SqsConsumer(connection),
        publisher=SqsPublisher(connection),
        inspector=SqsInspector(connection),
        commands={
            "receive": rb"AmazonSQS\.ReceiveMessage",
            "ack": rb"AmazonSQS\.DeleteMessageBatch",
            "publish": rb"AmazonSQS\.SendMessageBatch",
            "extend": rb"AmazonSQS\.ChangeMessageVisibilityBatch",
            "release": rb"AmazonSQS\.ChangeMessageVisibilityBatch",
        },
        repeats=True,
        merges=False,
    )


@pytest.fixture(params=[redis_wired, postgres_wired, sqs_wired], ids=["redis", "postgres", "sqs"])
def wired(request: pytest.FixtureRequest) -> Iterator[Wired]:
    with ExitStack() as stack:
        made: Wired = request.param(stack)
        # Once through everything: scripts are loaded, addresses looked up, connections made.
        made.send("first")
        taken = made.take()
        made.consumer.extend(taken, visibility_seconds=60)
        made.consumer.release(taken[0], delay_seconds=0)
        made.consumer.ack(made.take())
        yield made


@pytest.mark.parametrize("act", [Act.LOSE_REPLY, Act.CUT_REPLY])
def test_a_receive_whose_answer_is_lost_gives_the_message_again(wired: Wired, act: Act) -> None:
    wired.send("a")
    with wired.proxy.fault(act, wired.commands["receive"]), pytest.raises(QueueUnavailable):
        # A receive is never repeated below the engine, on any queue: the message that went with the answer is hidden.
        wired.consumer.receive(1, wait_seconds=0, visibility_seconds=HIDDEN_SECONDS)
    again = wired.take()
    assert [one.body for one in again] == [b"a"]
    assert again[0].receive_count == 2
    wired.consumer.ack(again)
    assert wired.inspector.depth().in_flight == 0


@pytest.mark.parametrize("act", [Act.LOSE_REPLY, Act.CUT_REPLY])
def test_an_ack_whose_answer_is_lost_has_removed_the_message_and_may_be_repeated(wired: Wired, act: Act) -> None:
    wired.send("a")
    taken = wired.consumer.receive(1, wait_seconds=5, visibility_seconds=HIDDEN_SECONDS)
    wired.lost(act, "ack", lambda: wired.consumer.ack(taken))
    wired.consumer.ack(taken)
    wired.send("b")
    time.sleep(2 * HIDDEN_SECONDS)
    assert [one.body for one in wired.take()] == [b"b"]


def test_an_ack_that_never_arrived_removes_nothing(wired: Wired) -> None:
    wired.send("a")
    taken = wired.consumer.receive(1, wait_seconds=5, visibility_seconds=HIDDEN_SECONDS)
    with wired.proxy.fault(Act.LOSE_REQUEST, wired.commands["ack"], times=None), pytest.raises(QueueUnavailable):
        wired.consumer.ack(taken)
    assert [one.body for one in wired.take()] == [b"a"]


@pytest.mark.parametrize("act", [Act.LOSE_REPLY, Act.LOSE_REQUEST])
def test_a_publish_whose_fate_is_unknown_may_be_repeated_and_loses_nothing(wired: Wired, act: Act) -> None:
    wired.lost(act, "publish", lambda: wired.send("a"))
    wired.send("a")
    bodies = [one.body for one in wired.take()]
    assert set(bodies) == {b"a"}
    if wired.merges:
        assert bodies == [b"a"]


def test_an_extend_whose_answer_is_lost_may_be_repeated_and_holds(wired: Wired) -> None:
    wired.send("a")
    taken = wired.consumer.receive(1, wait_seconds=5, visibility_seconds=3)
    wired.lost(Act.LOSE_REPLY, "extend", lambda: wired.consumer.extend(taken, visibility_seconds=60))
    wired.consumer.extend(taken, visibility_seconds=60)
    time.sleep(4)
    assert wired.consumer.receive(1, wait_seconds=0, visibility_seconds=60) == []
    wired.consumer.ack(taken)
    assert wired.inspector.depth().in_flight == 0


def test_a_release_whose_answer_is_lost_has_given_the_message_back(wired: Wired) -> None:
    wired.send("a")
    taken = wired.consumer.receive(1, wait_seconds=5, visibility_seconds=60)
    wired.lost(Act.LOSE_REPLY, "release", lambda: wired.consumer.release(taken[0], delay_seconds=0))
    again = wired.take()
    assert [one.body for one in again] == [b"a"]
    # The receipt of the first receive is stale: it neither gives back nor removes what somebody else holds now.
    wired.consumer.release(taken[0], delay_seconds=0)
    wired.consumer.ack(taken)
    assert wired.inspector.depth().in_flight == 1
    wired.consumer.ack(again)
    assert wired.inspector.depth().in_flight == 0
