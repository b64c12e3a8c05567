"""What the health port answers, and to whom."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from src.application.engine.health import WEDGED_SECONDS, Health
from src.domain.errors import ConfigError
from src.interfaces.http.health import HealthServer
from tests.fakes.clock import FrozenClock


@pytest.fixture
def health() -> Health:
    return Health(FrozenClock())


@pytest.fixture
def port(health: Health) -> Iterator[int]:
    server = HealthServer(health, "127.0.0.1", 0)
    yield server.start()
    server.close()


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, object]]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request(method, path, headers=headers)
        answer = link.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        link.close()


def test_o3_ready_says_which_backend_is_away(port: int, health: Health) -> None:
    assert ask(port, "/healthz/ready") == (503, {"ready": False, "backends": {}})
    health.backend("queue", reachable=True)
    health.backend("database", reachable=True)
    assert ask(port, "/healthz/ready") == (200, {"ready": True, "backends": {"queue": True, "database": True}})
    health.backend("database", reachable=False)
    assert ask(port, "/healthz/ready") == (503, {"ready": False, "backends": {"queue": True, "database": False}})
    health.backend("database", reachable=True)
    health.draining()
    assert ask(port, "/healthz/ready")[0] == 503


def test_o3_live_needs_loops_that_turn_and_no_backend(port: int, health: Health) -> None:
    health.turned("receiver")
    health.backend("database", reachable=False)
    assert ask(port, "/healthz/live?verbose=1") == (200, {"live": True})
    assert isinstance(health.clock, FrozenClock)
    health.clock.advance(WEDGED_SECONDS - 1)
    assert ask(port, "/healthz/live")[0] == 200, "a database that hangs keeps a turn for 55 s"
    health.clock.advance(1)
    assert ask(port, "/healthz/live") == (503, {"live": False})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_t21_only_get_is_answered(port: int, method: str) -> None:
    assert ask(port, "/healthz/ready", method)[0] == 405


def test_t21_nothing_else_is_told(port: int) -> None:
    for path in ("/", "/env", "/healthz", "/healthz/ready/../live"):
        assert ask(port, path)[0] == 404


def test_t21_slow_and_loud_clients_keep_nobody_waiting(port: int) -> None:
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
    for one in slow:
        one.sendall(b"GET /healthz/live HTTP/1.1\r\nX-")
    loud = socket.create_connection(("127.0.0.1", port))
    with pytest.raises(OSError, match=r"reset|[Bb]roken|aborted"):
        for _ in range(1000):
            loud.sendall(b"x" * 100_000)
    assert ask(port, "/healthz/live")[0] == 200
    for one in (*slow, loud):
        one.close()


def test_e13_a_port_that_is_taken_is_an_error_of_the_configuration(port: int, health: Health) -> None:
    with pytest.raises(ConfigError) as raised:
        HealthServer(health, "127.0.0.1", port).start()
    assert "WORKER_HEALTH__PORT" in str(raised.value.fix)
