"""One server of each kind for all tests of a process that don't break it, started when first asked for."""

from __future__ import annotations

import atexit
from functools import cache

from tests.fakes.clock import FrozenClock
from tests.servers.kinds import KINDS
from tests.servers.process import Server


@cache
def shared(kind: str, *, set_clock: bool = False) -> Server:
    """The process's server of that kind. Whoever uses it takes a database, bucket prefix, queue name or key prefix of
    its own."""
    server = KINDS[kind](set_clock=set_clock)
    atexit.register(server.remove)
    return server


class ServerClock(FrozenClock):
    """The tests' frozen time, followed by a server's own clock."""

    def __init__(self, server: Server, now: float = 1_700_000_000.0) -> None:
        super().__init__(now)
        self.server = server
        server.set_clock(self.now())

    def advance(self, seconds: float) -> None:
        """Let time pass, here and there."""
        super().advance(seconds)
        self.server.set_clock(self.now())

    def step(self, seconds: float) -> None:
        """Set the wall clock, here and there."""
        super().step(seconds)
        self.server.set_clock(self.now())
