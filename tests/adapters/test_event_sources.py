"""Ways of hearing of other systems, on real servers."""

from __future__ import annotations

import os
import signal
import time
import uuid

import pytest

from src.domain.errors import NetworkError
from src.infrastructure.redis import event_sources
from src.infrastructure.redis.event_sources import RedisChannels
from tests.adapters.redis_servers import client, own_server, url


def test_f46_a_subscription_whose_server_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_sources, "QUIET_SECONDS", 0.2)
    with own_server() as server:
        road = RedisChannels(server.url + "?socket_timeout=1", ["content.created"])
        assert road.receive(wait_seconds=0.1) == []
        os.kill(server.pid, signal.SIGSTOP)
        try:
            until = time.monotonic() + 10
            with pytest.raises(NetworkError, match="silent"):
                while time.monotonic() < until:
                    assert road.receive(wait_seconds=0.1) == []
        finally:
            os.kill(server.pid, signal.SIGCONT)
        road.receive(wait_seconds=0.1)
        with client(server.url) as sender:
            assert sender.publish("content.created", "{}") >= 1
        assert [heard.body for heard in road.receive(wait_seconds=5)] == [b"{}"]
        road.close()


def test_a_quiet_channel_is_none_that_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_sources, "QUIET_SECONDS", 0.1)
    channel = f"{uuid.uuid4().hex}:content.created"
    road = RedisChannels(url() + "?socket_timeout=0.3", [channel])
    until = time.monotonic() + 2
    while time.monotonic() < until:
        assert road.receive(wait_seconds=0.1) == []
    with client() as sender:
        sender.publish(channel, "{}")
    assert [(heard.type, heard.body) for heard in road.receive(wait_seconds=5)] == [("content.created", b"{}")]
    road.close()
