"""`/healthz/live` and `/healthz/ready` on a port of their own: GET only, nothing but states in the answers.

It runs on a thread of its own and asks nobody: the answers are what the engine knows at that moment (mission.md O3). Clients
that say nothing, or too much, are cut off and keep nobody waiting (reliability.md T21).
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from src.application.engine.health import Health
from src.domain.errors import ConfigError

log = logging.getLogger(__name__)

CLIENT_SECONDS = 5.0
"""What one client gets for its request and the answer."""

HEAD_BYTES = 8 << 10
CLIENTS = 1000
"""At a time; more are turned away."""

OK, NOT_FOUND, NOT_ALLOWED, TOO_LARGE, UNAVAILABLE = 200, 404, 405, 431, 503


@dataclass
class HealthServer:
    """Answers from `start` until `close`."""

    health: Health
    host: str
    port: int
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop, init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)
    _clients: int = field(default=0, init=False, repr=False)

    def start(self) -> int:
        """The port in use. Raises ConfigError when it can't be had."""
        try:
            server = self._loop.run_until_complete(
                asyncio.start_server(self._client, self.host, self.port, limit=HEAD_BYTES)
            )
        except OSError as error:
            self._loop.close()
            raise ConfigError(
                f"health can't be served on {self.host}:{self.port}: {error.strerror or error}",
                fix="set WORKER_HEALTH__PORT and WORKER_HEALTH__HOST to a free port of this machine",
            ) from error
        self.port = int(server.sockets[0].getsockname()[1])
        self._thread = threading.Thread(target=self._run, args=(server,), name="health", daemon=True)
        self._thread.start()
        return self.port

    def close(self) -> None:
        """Answer no more."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=1)
            self._thread = None

    # ------------------------------------------------------------------ inside
    def _run(self, server: asyncio.Server) -> None:
        self._loop.run_forever()
        server.close()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left))
        self._loop.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= CLIENTS:
                await asyncio.wait_for(self._serve(reader, writer), CLIENT_SECONDS)
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError) as error:
            log.debug("health.client", extra={"error": type(error).__name__})
        finally:
            self._clients -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            status, body = self._refused(TOO_LARGE, "the request is too large")
        else:
            status, body = self._answer(head)
        content = json.dumps(body).encode() + b"\n"
        lines = (
            f"HTTP/1.1 {status} {'OK' if status == OK else 'No'}",
            "Content-Type: application/json",
            "Cache-Control: no-store",
            f"Content-Length: {len(content)}",
            "Connection: close",
            "",
            "",
        )
        writer.write("\r\n".join(lines).encode() + content)
        await writer.drain()

    def _answer(self, head: bytes) -> tuple[int, dict[str, object]]:
        method, _, rest = head.partition(b" ")
        if method != b"GET":
            return self._refused(NOT_ALLOWED, "GET only")
        asked: dict[bytes, Callable[[], tuple[int, dict[str, object]]]] = {
            b"/healthz/live": self._live,
            b"/healthz/ready": self._ready,
        }
        found = asked.get(rest.split(b" ", 1)[0].split(b"?", 1)[0])
        return found() if found else self._refused(NOT_FOUND, "ask /healthz/live or /healthz/ready")

    @staticmethod
    def _refused(status: int, why: str) -> tuple[int, dict[str, object]]:
        return status, {"error": why}

    def _live(self) -> tuple[int, dict[str, object]]:
        live = self.health.live()
        return (OK if live else UNAVAILABLE), {"live": live}

    def _ready(self) -> tuple[int, dict[str, object]]:
        ready = self.health.ready()
        return (OK if ready else UNAVAILABLE), {"ready": ready, "backends": dict(self.health.backends())}
