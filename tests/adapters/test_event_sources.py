"""Ways of hearing of other systems, on real servers."""

from __future__ import annotations

import os
import signal
import time
import uuid

import pytest
import redis

from src.domain.errors import NetworkError
from src.infrastructure.redis import event_sources
from src.infrastructure.redis.event_sources import RedisChannels, RedisStream
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


def consumers(sender: redis.Redis, stream: str) -> dict[str, int]:
    """{name: entries that it has to answer for}."""
    return {each["name"].decode(): each["pending"] for each in sender.xinfo_consumers(stream, "group")}


def test_dead_listeners_are_forgotten_once_what_they_left_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = f"{uuid.uuid4().hex}.events"
    monkeypatch.setattr(event_sources, "FORGET_SECONDS", 0.3)
    monkeypatch.setattr(event_sources, "TIDY_SECONDS", 0.0)

    def road(consumer: str) -> RedisStream:
        return RedisStream(url(), stream, "group", consumer, orphan_seconds=600)

    with client() as sender:
        dead, heir = road("dead"), road("heir")
        sender.xadd(stream, {"type": "content.created", "payload": "{}"})
        (read,) = dead.receive(wait_seconds=0.1)
        for number in range(3):
            assert road(f"idle-{number}").receive(wait_seconds=0) == []
        time.sleep(0.4)
        assert heir.receive(wait_seconds=0) == []
        assert consumers(sender, stream) == {"dead": 1, "heir": 0}, "who has something to answer for stays"
        heir.orphan_seconds = 0.1
        (taken,) = heir.receive(wait_seconds=0)
        assert taken == read
        assert heir.receive(wait_seconds=0) == []
        assert consumers(sender, stream) == {"heir": 1}
        heir.done([taken])
        assert [heard.id for heard in dead.receive(wait_seconds=0)] == [], "who was only slow is there again by asking"
        sender.xadd(stream, {"type": "content.created", "payload": "{}"})
        assert len(dead.receive(wait_seconds=0.1)) == 1
        sender.delete(stream)
        for each in (dead, heir):
            each.close()


def test_a_group_that_may_not_be_tidied_is_heard_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with own_server() as server, client(server.url) as master:
        master.acl_setuser("listener", enabled=True, nopass=True, keys=["*"], categories=["+@all"], commands=["-xinfo"])
        master.xadd("content.events", {"type": "content.created", "payload": "{}"})
        road = RedisStream(server.url.replace("redis://", "redis://listener:x@"), "content.events", "group", "one")
        assert len(road.receive(wait_seconds=0.1)) == 1
        road.close()
    assert "listener.untidy" in [record.message for record in caplog.records]
