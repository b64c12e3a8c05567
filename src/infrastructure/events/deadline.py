"""An end for a whole HTTP exchange. httpx limits each wait by itself: a receiver that is slow to connect, to agree on a key and to
answer takes several limits, and one that drips its headers takes any time."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx


@dataclass
class Deadline(httpcore.NetworkBackend):
    """The network as httpcore uses it, until the moment that `begin` set. One exchange at a time."""

    seconds: float
    network: httpcore.NetworkBackend = field(default_factory=httpcore.SyncBackend)
    _until: float = 0.0

    def begin(self) -> None:
        """From now on."""
        self._until = time.monotonic() + self.seconds

    def left(self, timeout: float | None) -> float:
        """Of a wait that may last for `timeout`. Raises httpcore.ReadTimeout when the time is over."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout(f"not done after {self.seconds:g} s")
        return left if timeout is None else min(left, timeout)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """See httpcore."""
        made = self.network.connect_tcp(host, port, self.left(timeout), local_address, socket_options)
        return _Stream(made, self)


@dataclass
class _Stream(httpcore.NetworkStream):
    inner: httpcore.NetworkStream
    deadline: Deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, self.deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, self.deadline.left(timeout))

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, self.deadline.left(timeout)), self.deadline)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)


def bounded_client(deadline: Deadline) -> httpx.Client:
    """A client all of whose waits end by the deadline, proxies of the environment included."""
    client = httpx.Client(timeout=deadline.seconds)
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - httpx has no way of its own to say so
        if isinstance(transport, httpx.HTTPTransport):
            pool = transport._pool  # noqa: SLF001
            # Read first: another version that has it elsewhere must not leave the client without an end in silence.
            deadline.network, pool._network_backend = pool._network_backend, deadline  # noqa: SLF001
    return client
