"""The Redis adapters on a server whose clock is the tests'."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from src.infrastructure.redis.lock import RedisIdempotency
from src.infrastructure.redis.progress import RedisProgress
from src.infrastructure.redis.queue import RedisQueue
from tests.fakes.clock import FrozenClock
from tests.servers.process import Server
from tests.servers.shared import shared


@dataclass
class RedisPlace:
    """An emptied server; every handle has connections of its own. Its blocking waits would end by its clock, which moves
    only while somebody sleeps by the tests' one: so handles sleep instead."""

    clock: FrozenClock
    server: Server
    opened: list[RedisQueue | RedisIdempotency | RedisProgress] = field(default_factory=list)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def queue(self, name: str = "video") -> RedisQueue:
        """A handle."""
        queue = RedisQueue(self.server.url, f"{self.mark}-{name}", self.clock, pause=self.clock.sleep)
        self.opened.append(queue)
        return queue

    def lock(self) -> RedisIdempotency:
        """A handle."""
        lock = RedisIdempotency(self.server.url)
        self.opened.append(lock)
        return lock

    def progress(self) -> RedisProgress:
        """A handle."""
        progress = RedisProgress(self.server.url)
        self.opened.append(progress)
        return progress

    def close(self) -> None:
        """Nothing of this test may be found by the next."""
        for handle in self.opened:
            handle.close()
        with Redis.from_url(self.server.url) as client:
            client.flushdb()


def redis_place(clock: FrozenClock, _folder: Path) -> RedisPlace:
    """On the process's server."""
    server = shared("redis", set_clock=True)
    clock.followers.append(server.set_clock)
    server.set_clock(clock.now())
    return RedisPlace(clock, server)
