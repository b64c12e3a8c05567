"""Redis servers of other kinds than one that stands alone, and queues on them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from src.application.ports.queue import Delivery, Envelope
from src.infrastructure.clock import SystemClock
from src.infrastructure.redis.queue import RedisQueue
from tests.servers.kinds import start_redis
from tests.servers.process import Server, free_ports, server_folder
from tests.servers.shared import shared

PATIENT = "?socket_timeout=60"


def url() -> str:
    """Of the process's server, with the machine's clock."""
    return shared("redis").url


def client(address: str = "") -> redis.Redis:
    return redis.Redis.from_url(address or url())


def new_queue(address: str = "", name: str = "", *, slice_seconds: float | None = None) -> RedisQueue:
    """On a list of its own. With `slice_seconds`, a receive looks again only so often, unless something wakes it."""
    queue = RedisQueue(address or url() + PATIENT, name or f"q-{uuid.uuid4().hex}", SystemClock())
    if slice_seconds is not None:
        queue.slice_seconds = slice_seconds
    return queue


def take(queue: RedisQueue, limit: int = 10, *, wait: float = 0.0, visibility: float = 60.0) -> Sequence[Delivery]:
    return queue.receive(limit, wait_seconds=wait, visibility_seconds=visibility)


def bodies(deliveries: Sequence[Delivery]) -> list[bytes]:
    return [delivery.body for delivery in deliveries]


def message(body: str, *, key: str = "", delay: float = 0.0, priority: int = 0) -> Envelope:
    return Envelope(body=body.encode(), key=key or body, delay_seconds=delay, priority=priority)


@contextmanager
def own_server(*options: str, durable: bool = False) -> Iterator[Server]:
    """One that the test may break."""
    server = start_redis(durable=durable, options=options)
    try:
        yield server
    finally:
        server.remove()


@contextmanager
def cluster() -> Iterator[tuple[str, Server]]:
    """A cluster of one server, and its address."""
    (bus,) = free_ports()
    with own_server("--cluster-enabled", "yes", "--cluster-port", str(bus)) as server:
        with client(server.url) as asking:
            asking.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            # A server that is the only one lets some seconds pass before it believes that.
            while asking.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                time.sleep(0.05)
        yield server.url.replace("redis://", "redis+cluster://").removesuffix("/0"), server


@contextmanager
def sentinel(watched: Server) -> Iterator[str]:
    """The address of a Sentinel that watches the server as `main`."""
    folder, (port,) = server_folder("sentinel"), free_ports()
    host, _, its_port = watched.url.removeprefix("redis://").removesuffix("/0").partition(":")
    settings = folder / "sentinel.conf"
    settings.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor main {host} {its_port} 1\n")
    asking = redis.Redis(port=port)

    def ready() -> bool:
        try:
            return bool(asking.ping())
        except redis.RedisError:
            return False

    server = Server(
        name="sentinel",
        url=f"redis+sentinel://127.0.0.1:{port}/main/0",
        command=[str(Path(watched.command[0])), str(settings), "--sentinel"],
        folder=folder,
        ready=ready,
    ).start()
    try:
        yield server.url
    finally:
        server.remove()
