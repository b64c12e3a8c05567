"""Ways of telling other systems, at real receivers."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from src.application.events.body import BodyFormat, body
from src.application.ports.outbox import JobEvent
from src.domain.errors import ConfigError, EventRefused, NetworkError
from src.infrastructure.clock import SystemClock
from src.infrastructure.events.signed_post import SignedPost
from src.infrastructure.events.webhook import WebhookSink
from src.infrastructure.redis.event_sinks import RedisChannelSink, RedisStreamSink
from tests.adapters.redis_servers import client, url
from tests.functional.receivers import Received, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT = JobEvent(
    id="job-1.1.worker.thumbnail_ready",
    type="worker.thumbnail_ready",
    at=1_700_000_000.5,
    job_id="job-1",
    tenant="acme",
    subject="content-123",
    data={"content_id": "content-123", "path": "/cache/thumbnails/é.jpg"},
    trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


@contextmanager
def dripping(status: int, pause: float) -> Iterator[str]:
    """The address of a receiver that goes on answering for as long as somebody reads (and 30 s)."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.end_headers()
            until = time.monotonic() + 30
            with suppress(OSError):
                while time.monotonic() < until:
                    self.wfile.write(b"x" * 1000)
                    time.sleep(pause)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver() -> Iterator[Received]:
    with receiving() as made:
        yield made


def sink(receiver: Received, form: BodyFormat = BodyFormat.PLAIN) -> WebhookSink:
    return WebhookSink(receiver.address, SECRET, form, "mediaworker", SystemClock())


def test_a_webhook_is_signed_and_verified_by_the_standards_library(receiver: Received) -> None:
    sink(receiver).send(EVENT)
    ((headers, content),) = receiver.posts
    assert Webhook(SECRET).verify(content, headers) == {**EVENT.data, "event_id": EVENT.id}
    assert headers["webhook-id"] == EVENT.id
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(content.replace(b"123", b"124"), headers)


@pytest.mark.parametrize("pieces", [b"x-more: 1\r\n", b""])
def test_headers_without_an_end_keep_nobody(pieces: bytes) -> None:
    """One line after the other, each well within the time that a single wait may take; or nothing at all. The relay that sends has
    its sink for 15 s; after that another one sends, and the order is lost."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def answer() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                until = time.monotonic() + 10
                while time.monotonic() < until:
                    connection.sendall(pieces)
                    time.sleep(0.05)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        post = SignedPost(f"http://127.0.0.1:{server.getsockname()[1]}/", SECRET, SystemClock(), "events", seconds=0.5)
        began = time.monotonic()
        with pytest.raises(NetworkError, match="Timeout"):
            post.send("1", b"{}")
        assert 0.4 < time.monotonic() - began < 5
        post.close()


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 408, 410, 429, 500, 503])
def test_a_receiver_that_does_not_take_it_now_gets_it_again(receiver: Received, status: int) -> None:
    receiver.answers.append(status)
    made = sink(receiver)
    with pytest.raises(NetworkError, match=str(status)):
        made.send(EVENT)
    made.send(EVENT)
    assert [headers["webhook-id"] for headers, _ in receiver.posts] == [EVENT.id, EVENT.id]


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_an_answer_without_an_end_keeps_nobody(status: int, pause: float) -> None:
    with dripping(status, pause) as address:
        made = WebhookSink(address, SECRET, BodyFormat.PLAIN, "mediaworker", SystemClock())
        began = time.monotonic()
        with nullcontext() if status == 200 else pytest.raises(NetworkError, match="503: xxx"):
            made.send(EVENT)
        assert time.monotonic() - began < 5
        made.close()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_receiver_that_refuses_the_event_itself_is_believed(receiver: Received, status: int) -> None:
    receiver.answers.append(status)
    with pytest.raises(EventRefused, match=str(status)):
        sink(receiver).send(EVENT)


def test_a_receiver_that_is_away_gets_it_later() -> None:
    made = WebhookSink("http://127.0.0.1:1/", SECRET, BodyFormat.PLAIN, "mediaworker", SystemClock())
    with pytest.raises(NetworkError, match="ConnectError"):
        made.send(EVENT)


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("ftp://x", SECRET),
        ("http://", SECRET),
        ("http://x:port/", SECRET),
        ("http://x", ""),
        ("http://x", "whsec_é"),
        ("http://x", "aGk="),
    ],
)
def test_e13_an_address_or_a_secret_that_can_not_be_used_is_refused(address: str, secret: str) -> None:
    with pytest.raises(ConfigError) as refused:
        WebhookSink(address, secret, BodyFormat.PLAIN, "mediaworker", SystemClock())
    assert SECRET not in str(refused.value)


def test_c4_a_listener_on_the_seeds_channel_hears_the_seeds_payload() -> None:
    prefix = f"{uuid.uuid4().hex}:"
    made = RedisChannelSink(url(), BodyFormat.PLAIN, "worker", prefix)
    with client() as listening:
        heard = listening.pubsub()
        heard.subscribe(f"{prefix}worker.thumbnail_ready")
        heard.get_message(timeout=10)
        made.send(EVENT)
        message = heard.get_message(timeout=10)
    assert message is not None
    assert json.loads(message["data"]) == {**EVENT.data, "event_id": EVENT.id}
    made.close()


def test_c4_a_reader_of_the_stream_that_was_away_finds_everything_up_to_its_length() -> None:
    name = uuid.uuid4().hex
    made = RedisStreamSink(url(), name, 1000, BodyFormat.CLOUDEVENTS, "worker")
    for _ in range(3):
        made.send(EVENT)
    with client() as reader:
        entries = reader.xrange(name)
        reader.delete(name)
    assert isinstance(entries, list)
    assert [(fields[b"id"].decode(), fields[b"type"].decode()) for _, fields in entries] == [(EVENT.id, EVENT.type)] * 3
    made.close()


@pytest.mark.parametrize("made", [RedisChannelSink, RedisStreamSink])
def test_a_redis_that_is_away_is_a_network_error(made: type[Any]) -> None:
    away = "redis://127.0.0.1:1/0"
    given = (away, "s", 10) if made is RedisStreamSink else (away,)
    with pytest.raises(NetworkError):
        made(*given, form=BodyFormat.PLAIN, source="worker").send(EVENT)


@pytest.mark.parametrize("form", BodyFormat)
def test_f37_half_a_surrogate_pair_in_an_errors_text_is_no_obstacle(form: BodyFormat) -> None:
    odd = replace(EVENT, data={"error": "no such file caf\udce9.mp4"})
    assert b"no such file caf?.mp4" in body(odd, form)


def test_the_three_forms_of_a_body() -> None:
    plain, envelope, cloud = (json.loads(body(EVENT, form, "worker")) for form in BodyFormat)
    assert plain == {"content_id": "content-123", "path": "/cache/thumbnails/é.jpg", "event_id": EVENT.id}
    assert envelope == {
        "event_id": EVENT.id,
        "event_type": EVENT.type,
        "source_block": "worker",
        "target_block": None,
        "payload": dict(EVENT.data),
        "correlation_id": "job-1",
        "timestamp": "2023-11-14T22:13:20.500000Z",
    }
    assert cloud == {
        "specversion": "1.0",
        "id": EVENT.id,
        "source": "/worker",
        "type": EVENT.type,
        "subject": "content-123",
        "time": "2023-11-14T22:13:20.500000Z",
        "datacontenttype": "application/json",
        "tenantid": "acme",
        "traceparent": EVENT.trace,
        "data": dict(EVENT.data),
    }
