"""The Redis adapters on a server whose clock is the tests'."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis

from src.application.catalog import no_effects
from src.application.ports.ledger import Effects
from src.infrastructure.redis.cron import RedisCronTicks
from src.infrastructure.redis.dead_letters import RedisDeadLetters
from src.infrastructure.redis.lanes import RedisLanes
from src.infrastructure.redis.ledger import RedisLedger
from src.infrastructure.redis.ledger_store import LedgerStore, script
from src.infrastructure.redis.lock import RedisIdempotency
from src.infrastructure.redis.outbox import RedisOutbox
from src.infrastructure.redis.progress import RedisProgress
from src.infrastructure.redis.queue import RedisQueue
from tests.fakes.clock import FrozenClock
from tests.servers.process import Server
from tests.servers.shared import shared

TIME = "local time = redis.call('TIME')\n"
STEADY = "local ticks = math.floor((time[1] * 1000000 + time[2]) / 50000 + 0.5)\n"
STEADY += "time = { math.floor(ticks / 20), ticks % 20 * 50000 }\n"


class SteadyStore(LedgerStore):
    """The server reckons the time of a call from a clock of its own beside the one that stands still: some microseconds
    more, now and then fewer. Here its time is rounded to twentieths of a second."""

    def run(self, name: str, *args: Any) -> Any:
        text = script(name)
        assert text.count(TIME) == 1
        return self.link.run(text.replace(TIME, TIME + STEADY), (self.base,), args)


@dataclass
class RedisPlace:
    """An emptied server; every handle has connections of its own. Its blocking waits would end by its clock, which moves
    only while somebody sleeps by the tests' one: so handles sleep instead."""

    clock: FrozenClock
    server: Server
    opened: list[
        RedisQueue | RedisLanes | RedisIdempotency | RedisProgress | RedisLedger | RedisDeadLetters | RedisOutbox
    ] = field(default_factory=list)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def queue(self, name: str = "video") -> RedisQueue:
        """A handle."""
        queue = RedisQueue(self.server.url, f"{self.mark}-{name}", self.clock, pause=self.clock.sleep)
        self.opened.append(queue)
        return queue

    def lanes(self, name: str = "video") -> RedisLanes:
        """A handle on three lists."""
        lists = [f"{self.mark}-{name}:{lane}" for lane in ("high", "normal", "low")]
        lanes = RedisLanes(self.server.url, lists, self.clock, pause=self.clock.sleep)
        self.opened.append(lanes)
        return lanes

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

    def ledger(self, effects: Effects = no_effects) -> RedisLedger:
        """A handle; of effects there is nothing but events that could be written."""
        ledger = RedisLedger(self.server.url, self.mark, effects=effects)
        ledger.store = SteadyStore(self.server.url, self.mark)
        self.opened.append(ledger)
        return ledger

    def outbox(self) -> RedisOutbox:
        """A handle on the events of the same ledger."""
        outbox = RedisOutbox(self.server.url, self.mark)
        outbox.store = SteadyStore(self.server.url, self.mark)
        self.opened.append(outbox)
        return outbox

    def dead_letters(self) -> RedisDeadLetters:
        """A handle on the letters of the same ledger."""
        letters = RedisDeadLetters(self.server.url, self.mark)
        letters.store = SteadyStore(self.server.url, self.mark)
        self.opened.append(letters)
        return letters

    def cron_ticks(self) -> RedisCronTicks:
        """A handle."""
        return RedisCronTicks(self.ledger())

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


@dataclass
class LanesPlace:
    """The same server, for queues of several lists."""

    place: RedisPlace

    def queue(self, name: str = "video") -> RedisLanes:
        """A handle."""
        return self.place.lanes(name)

    def close(self) -> None:
        """All handles, and what they left."""
        self.place.close()


def redis_lanes_place(clock: FrozenClock, folder: Path) -> LanesPlace:
    """On the process's server."""
    return LanesPlace(redis_place(clock, folder))
