"""The proxy itself, with real clients and servers: what it does at its point, and that it changes nothing elsewhere."""

from __future__ import annotations

import http.client
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.adapters.postgres import execute, make_database
from tests.servers.framing import Http, Resp
from tests.servers.proxy import Act, Proxy
from tests.servers.shared import shared


def client(proxy: Proxy, **options: object) -> redis.Redis:
    """One that asks once: the library's own would repeat what was lost."""
    return redis.Redis.from_url(proxy.url, **{"socket_timeout": 10, "retry": Retry(NoBackoff(), 0), **options})


def heard(proxy: Proxy, asked: bytes) -> bytes:
    """All that comes until the connection is cut."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        sock.sendall(asked)
        answer = b""
        while piece := sock.recv(100):
            answer += piece
    return answer


@pytest.fixture
def key() -> str:
    return f"proxy-{uuid.uuid4().hex}"


# ---------------------------------------------------------------------- Redis
@pytest.mark.parametrize("protocol", [2, 3])
def test_what_meets_no_fault_passes_as_it_is(key: str, protocol: int) -> None:
    with Proxy.to(shared("redis")) as proxy:
        there = client(proxy, protocol=protocol)
        big = b"x" * 1_000_000 + b"\r\n*1\r\n"
        with there.pipeline(transaction=True) as pipe:
            for number in range(50):
                pipe.hset(key, f"f{number}", big if number == 7 else str(number))
            pipe.hgetall(key)
            pipe.get("nobody's")
            answers = pipe.execute()
        assert answers[:50] == [1] * 50
        assert answers[50][b"f7"] == big
        assert answers[51] is None
        assert there.eval("return {1, {2, 'x'}, false}", 0) == [1, [2, b"x"], None]
        assert proxy.done["request"] >= 52
        there.close()


def test_a_lost_request_was_never_carried_out_and_a_lost_reply_was(key: str) -> None:
    with Proxy.to(shared("redis")) as proxy:
        there = client(proxy)
        with proxy.fault(Act.LOSE_REQUEST, b"^INCRBY ") as fault:
            with pytest.raises(redis.ConnectionError):
                there.incr(key)
            assert fault.hits == 1
            assert there.get(key) is None
        with proxy.fault(Act.LOSE_REPLY, b"^INCRBY "):
            with pytest.raises(redis.ConnectionError):
                there.incr(key)
            assert there.get(key) == b"1"
        assert proxy.done["lose request"] == proxy.done["lose reply"] == 1
        assert proxy.asked(b"^INCRBY ") == 2
        there.close()


def test_the_nth_is_met_and_as_many_as_were_asked_for(key: str) -> None:
    with Proxy.to(shared("redis")) as proxy:
        there = client(proxy)
        seen: list[object] = []
        with proxy.fault(Act.LOSE_REQUEST, b"^INCRBY ", nth=2, times=2) as fault:
            for _ in range(4):
                try:
                    seen.append(there.incr(key))
                except redis.ConnectionError:
                    seen.append("lost")
        assert seen == [1, "lost", "lost", 2]
        assert fault.hits == 2
        there.close()


def test_of_pipelined_requests_the_replies_before_the_lost_one_arrive(key: str) -> None:
    with Proxy.to(shared("redis")) as proxy, proxy.fault(Act.LOSE_REPLY, b"^SET b"):
        asked = b"".join(b"*3\r\n$3\r\nSET\r\n$1\r\n" + name + b"\r\n$1\r\n1\r\n" for name in (b"a", b"b", b"c"))
        assert heard(proxy, asked) == b"+OK\r\n"


def test_a_reply_is_cut_in_its_middle_or_where_asked(key: str) -> None:
    with Proxy.to(shared("redis")) as proxy:
        for after, wanted in ((None, b"$4\r\na"), (2, b"$4")):
            with proxy.fault(Act.CUT_REPLY, b"^ECHO", after_bytes=after):
                assert heard(proxy, b"*2\r\n$4\r\nECHO\r\n$4\r\nabcd\r\n") == wanted


def test_a_stalled_reply_comes_late_or_finds_nobody(key: str) -> None:
    with Proxy.to(shared("redis")) as proxy:
        patient, hasty = client(proxy), client(proxy, socket_timeout=0.1)
        with proxy.fault(Act.STALL, b"^INCRBY ", seconds=0.5, times=2) as fault:
            assert patient.incr(key) == 1
            with pytest.raises(redis.TimeoutError):
                hasty.incr(key)
            fault.wait()
        assert patient.get(key) == b"2"
        patient.close()
        hasty.close()


def test_a_fault_that_is_never_reached_fails_its_test() -> None:
    with Proxy.to(shared("redis")) as proxy, pytest.raises(AssertionError, match="never reached"):  # noqa: SIM117
        with proxy.fault(Act.LOSE_REPLY, b"^NOBODY ASKS"):
            client(proxy).ping()


def test_a_server_that_is_away_looks_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with Proxy(f"redis://127.0.0.1:{port}/0", Resp) as proxy, pytest.raises(redis.ConnectionError):
        client(proxy).ping()


def test_connections_can_be_cut_and_are_made_anew() -> None:
    with Proxy.to(shared("redis")) as proxy:
        there = client(proxy)
        assert there.ping()
        proxy.cut()
        assert there.ping()
        assert proxy.done["connection"] == 2
        there.close()


# ---------------------------------------------------------------------- PostgreSQL
def test_a_commit_whose_reply_is_lost_has_happened_and_one_that_is_lost_has_not() -> None:
    url = make_database(shared("postgres"), migrate=False)
    execute(url, "CREATE TABLE seen (n int)")
    with Proxy.to(shared("postgres")) as proxy:
        for number, act in ((1, Act.LOSE_REPLY), (2, Act.LOSE_REQUEST), (3, Act.CUT_REPLY)):
            connection = psycopg.connect(proxy.in_front(url))
            connection.execute("INSERT INTO seen VALUES (%s)", (number,))
            with proxy.fault(act, b"COMMIT"), pytest.raises(psycopg.OperationalError):
                connection.commit()
            connection.close()
    assert execute(url, "SELECT n FROM seen ORDER BY n") == [(1,), (3,)]


def test_postgres_replies_of_every_kind_pass() -> None:
    url = make_database(shared("postgres"), migrate=False)
    with Proxy.to(shared("postgres")) as proxy, psycopg.connect(proxy.in_front(url), autocommit=True) as connection:
        connection.execute("CREATE TABLE many (n int, t text)")
        with connection.pipeline():
            for number in range(100):
                connection.execute("INSERT INTO many VALUES (%s, %s)", (number, "x" * 10_000))
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        rows = connection.execute("SELECT n, t FROM many ORDER BY n").fetchall()
        assert [n for n, _ in rows] == list(range(100))
        connection.execute("LISTEN there")
        execute(url, "NOTIFY there, 'hello'")
        assert [heard.payload for heard in connection.notifies(timeout=10, stop_after=1)] == ["hello"]
        # A transaction goes on after a notification came in between.
        assert connection.execute("SELECT 1").fetchone() == (1,)


# ---------------------------------------------------------------------- HTTP
class Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent; /chunked in chunks, /length with a length."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0))) or self.path.encode() * 100
        self.send_response(200)
        if self.path.startswith("/chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for start in range(0, len(content), 7):
                piece = content[start : start + 7]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815 - the library's names

    def log_message(self, *args: object) -> None:
        """Silent."""


@contextmanager
def echo() -> Iterator[Proxy]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Proxy(f"http://127.0.0.1:{server.server_port}", Http) as proxy:
            yield proxy
        server.shutdown()


def ask(link: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    link.request(method, path, body)
    answer = link.getresponse()
    return answer.status, answer.read()


def test_a_kept_http_connection_goes_on_after_an_answer_of_the_proxys_own() -> None:
    with echo() as proxy:
        link = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        with proxy.fault(Act.ANSWER, b"^PUT /b", times=2) as fault:
            assert ask(link, "PUT", "/a", b"1" * 100_000) == (200, b"1" * 100_000)
            assert ask(link, "PUT", "/b", b"2" * 100_000)[0] == 503
            assert ask(link, "GET", "/chunked") == (200, b"/chunked" * 100)
            assert ask(link, "HEAD", "/a") == (200, b"")
            assert ask(link, "PUT", "/b", b"3")[0] == 503
            assert ask(link, "PUT", "/b", b"4") == (200, b"4")
        assert fault.hits == 2
        assert proxy.done["connection"] == 1
        assert proxy.done["request"] == 6
        link.close()


def test_an_http_reply_is_cut_at_a_byte() -> None:
    with echo() as proxy, proxy.fault(Act.CUT_REPLY, b"^GET /long"):
        link = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        with pytest.raises(http.client.IncompleteRead) as raised:
            ask(link, "GET", "/long" + "g" * 100)
        assert 0 < len(raised.value.partial) < 10_500
        link.close()


def test_a_client_that_waits_to_be_told_to_go_on_is_answered_at_once() -> None:
    with echo() as proxy, proxy.fault(Act.ANSWER, b"^PUT /b"):
        for path, wanted in (("/b", b"503"), ("/a", b"100")):
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
                head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
                sock.sendall(head.encode())
                assert sock.recv(12).split()[1] == wanted
                if wanted == b"100":
                    sock.sendall(b"abc")
                    heard = b""
                    while not heard.endswith(b"abc"):
                        heard += sock.recv(1000)
                    assert b"HTTP/1.1 200" in heard
