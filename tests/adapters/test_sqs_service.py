"""SQS over the wire: the emulator, and a service that refuses or fails as AWS does."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest

from src.application.ports.queue import Envelope
from src.domain.errors import ConfigError, QueueUnavailable
from src.infrastructure.clock import SystemClock
from src.infrastructure.sqs.connection import SqsConnection
from src.infrastructure.sqs.consumer import SqsConsumer
from src.infrastructure.sqs.publisher import SqsInspector, SqsPublisher
from tests.contracts.backends.sqs import REGION, client, session
from tests.servers.process import free_ports
from tests.servers.shared import shared


class Counting(SqsConnection):
    """Counts calls, and says when one begins."""

    def call(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        began.setdefault(self.name, threading.Event()).set()
        counts[self.name, operation] = counts.get((self.name, operation), 0) + 1
        return super().call(operation, **arguments)


counts: dict[tuple[str, str], int] = {}
began: dict[str, threading.Event] = {}


@pytest.fixture(scope="module")
def endpoint() -> str:
    return shared("sqs").url


def new_queue(*, fifo: bool = False, **attributes: str) -> str:
    """A queue's name."""
    name = f"q-{uuid.uuid4().hex}{'.fifo' if fifo else ''}"
    kind = {"FifoQueue": "true"} if fifo else {}
    client(shared("sqs")).create_queue(QueueName=name, Attributes={**kind, **attributes})
    return name


def connect(name: str, endpoint: str | None, **more: Any) -> Counting:
    arguments: dict[str, Any] = {"region": REGION, "make_session": session, **more}
    return Counting(name=name, clock=SystemClock(), endpoint_url=endpoint, **arguments)


def take(connection: SqsConnection, *, wait: float = 0, visibility: float = 30) -> list[str]:
    consumer = SqsConsumer(connection)
    taken = consumer.receive(10, wait_seconds=wait, visibility_seconds=visibility)
    for one in taken:
        consumer.release(one, delay_seconds=0)
    return [one.body.decode() for one in taken]


# ---------------------------------------------------------------------- the emulator
def test_v1_one_long_poll_waits_until_a_message_is_there(endpoint: str) -> None:
    name = new_queue()
    began[name] = threading.Event()
    connection = connect(name, endpoint)

    def publish() -> None:
        began[name].wait(30)
        SqsPublisher(connect(name, endpoint)).publish([Envelope(body=b"late", key="k")])

    publisher = threading.Thread(target=publish)
    publisher.start()
    taken = take(connection, wait=20)
    publisher.join()
    assert taken == ["late"]
    assert counts[name, "receive_message"] == 1


def test_a_queue_is_found_by_its_address_alone(endpoint: str) -> None:
    name = new_queue()
    url = client(shared("sqs")).get_queue_url(QueueName=name)["QueueUrl"]
    connection = connect("another name", None, url=url)
    SqsPublisher(connection).publish([Envelope(body=b"x", key="k")])
    assert take(connection) == ["x"]
    assert connection.shown == name


def test_the_native_redrive_goes_on_as_the_queue_says_and_the_check_warns_of_it(endpoint: str) -> None:
    aside = new_queue()
    target = f"arn:aws:sqs:{REGION}:000000000000:{aside}"
    policy = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 2})
    connection = connect(new_queue(RedrivePolicy=policy), endpoint)
    facts = SqsConsumer(connection).check()
    assert any(fact.startswith("warning: SQS moves messages aside after 2 receives") for fact in facts)
    SqsPublisher(connection).publish([Envelope(body=b"x", key="k")])
    assert [take(connection), take(connection), take(connection)] == [["x"], ["x"], []]
    assert take(connect(aside, endpoint)) == ["x"]


def test_the_check_leaves_messages_alone(endpoint: str) -> None:
    connection = connect(new_queue(), endpoint)
    consumer = SqsConsumer(connection)
    SqsPublisher(connection).publish([Envelope(body=b"x", key="k")])
    assert consumer.check() == ["standard queue", "no dead-letter queue of its own"]
    assert SqsPublisher(connection).check() == []
    assert SqsInspector(connection).depth().ready == 1
    (taken,) = consumer.receive(1, wait_seconds=0, visibility_seconds=30)
    assert taken.receive_count == 1


def test_the_check_warns_of_a_queue_that_takes_small_messages_only(endpoint: str) -> None:
    (fact,) = SqsPublisher(connect(new_queue(MaximumMessageSize="262144"), endpoint)).check()
    assert "262144" in fact


def test_a_fifo_queue_keeps_the_order_of_a_group(endpoint: str) -> None:
    connection = connect(new_queue(fifo=True), endpoint)
    consumer, publisher = SqsConsumer(connection), SqsPublisher(connection)
    publisher.publish([Envelope(body=b"first", key="job-1")])
    (first,) = consumer.receive(10, wait_seconds=0, visibility_seconds=30)
    publisher.publish([Envelope(body=b"second", key="job-1"), Envelope(body=b"other", key="job-2")])
    (other,) = consumer.receive(10, wait_seconds=0, visibility_seconds=30)
    consumer.ack([first, other])
    (second,) = consumer.receive(10, wait_seconds=0, visibility_seconds=30)
    assert (other.body, second.body) == (b"other", b"second")
    assert second.attributes == {"MessageGroupId": "job-1"}


def test_a_fifo_queue_keeps_a_delay(endpoint: str) -> None:
    connection = connect(new_queue(fifo=True), endpoint)
    SqsPublisher(connection).publish([Envelope(body=b"x", key="k", delay_seconds=3600)])
    assert take(connection) == []
    assert SqsInspector(connection).depth().in_flight == 1


def test_a_forked_process_makes_connections_of_its_own(endpoint: str) -> None:
    connection = connect(new_queue(), endpoint)
    SqsPublisher(connection).publish([Envelope(body=b"parent", key="p")])
    before = dict(connection._clients)
    child = os.fork()
    if not child:
        try:
            SqsPublisher(connection).publish([Envelope(body=b"child", key="c")])
            os._exit(0 if connection._clients["act"] is not before["act"] else 3)
        finally:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sorted(take(connection)) == ["child", "parent"]
    assert connection._clients["act"] is before["act"]


def test_a_closed_connection_opens_again(endpoint: str) -> None:
    connection = connect(new_queue(), endpoint)
    SqsPublisher(connection).publish([Envelope(body=b"x", key="k")])
    connection.close()
    assert take(connection) == ["x"]


def test_every_wait_has_an_end(endpoint: str) -> None:
    connection = connect(new_queue(), endpoint)
    take(connection)
    take(connection, wait=3)
    limits = {kind: made.meta.config for kind, made in connection._clients.items()}
    assert {kind: one.read_timeout for kind, one in limits.items()} == {"act": 5, "look": 7, "poll": 25}
    assert {kind: one.retries["total_max_attempts"] for kind, one in limits.items()} == {"act": 3, "look": 1, "poll": 1}
    assert {one.connect_timeout for one in limits.values()} == {3}


# ---------------------------------------------------------------------- what the start refuses
def test_e13_a_queue_that_does_not_exist(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="SQS queue no-such-queue") as raised:
        SqsConsumer(connect("no-such-queue", endpoint)).check()
    assert "create the queue" in str(raised.value.fix)
    with pytest.raises(QueueUnavailable, match="NonExistentQueue"):
        take(connect("no-such-queue", endpoint))


def test_e13_a_service_that_is_not_there() -> None:
    (port,) = free_ports()
    connection = connect("q", f"http://127.0.0.1:{port}")
    for ask in (SqsConsumer(connection).check, SqsPublisher(connection).check, SqsInspector(connection).depth):
        with pytest.raises(QueueUnavailable, match="got no answer"):
            ask()


def test_e13_an_address_and_a_region_that_contradict_each_other() -> None:
    url = "https://sqs.eu-west-1.amazonaws.com/123456789012/video"
    with pytest.raises(ConfigError, match="region eu-west-1, WORKER_AWS__REGION is us-east-1"):
        SqsConsumer(connect("video", None, url=url)).check()


def test_e13_no_credentials(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    with pytest.raises(ConfigError) as raised:
        SqsConsumer(connect("q", endpoint, make_session=boto3.session.Session)).check()
    assert "AWS's own chain" in str(raised.value.fix)


def test_e13_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(ConfigError) as raised:
        SqsConsumer(connect("q", None, region=None, make_session=boto3.session.Session)).check()
    assert raised.value.fix == "set WORKER_AWS__REGION"


def test_e13_an_endpoint_that_is_no_address() -> None:
    with pytest.raises(ConfigError) as raised:
        SqsConsumer(connect("q", "canary:nonsense")).check()
    assert "WORKER_AWS__ENDPOINT_URL" in str(raised.value.fix)
    assert "canary" not in str(raised.value)


# ---------------------------------------------------------------------- a service with a bad day
@dataclass
class Service:
    """Answers each action with (status, error code, body), else with an empty success."""

    url: str = ""
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            action = self.headers["X-Amz-Target"].removeprefix("AmazonSQS.")
            self.rfile.read(int(self.headers["Content-Length"]))
            made.asked.append(action)
            status, code = made.answers.get(action, (200, ""))
            body = json.dumps({"__type": code, "message": "no"} if code else {"QueueUrl": f"{made.url}/1/q"}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "action", ["GetQueueUrl", "GetQueueAttributes", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility"]
)
def test_e13_a_permission_that_is_missing(service: Service, action: str) -> None:
    nonsense = {"ReceiveMessage": "InvalidParameterValue", "DeleteMessage": "ReceiptHandleIsInvalid"}
    service.answers = {name: (400, code) for name, code in nonsense.items()}
    service.answers[action] = (403, "AccessDeniedException")
    with pytest.raises(ConfigError, match="AccessDenied") as raised:
        SqsConsumer(connect("q", service.url)).check()
    assert "ChangeMessageVisibility" in str(raised.value.fix)


def test_e13_a_role_that_may_not_send(service: Service) -> None:
    service.answers["SendMessageBatch"] = (403, "AccessDenied")
    with pytest.raises(ConfigError, match="send_message_batch was refused"):
        SqsPublisher(connect("q", service.url)).check()


@pytest.mark.parametrize(("status", "code"), [(400, "ThrottlingException"), (503, "ServiceUnavailable"), (500, "")])
def test_f31_a_service_that_is_overloaded_is_asked_a_few_times(service: Service, status: int, code: str) -> None:
    service.answers["SendMessageBatch"] = (status, code)
    service.answers["ReceiveMessage"] = (status, code)
    connection = connect("q", service.url)
    with pytest.raises(QueueUnavailable):
        SqsPublisher(connection).publish([Envelope(body=b"x", key="k")])
    with pytest.raises(QueueUnavailable):
        take(connection)
    assert service.asked.count("SendMessageBatch") == 3
    assert service.asked.count("ReceiveMessage") == 1, "the engine's own loop asks again"
