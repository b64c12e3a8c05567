"""`/healthz/live`, `/healthz/ready` and other pages on a port of their own: GET only, nothing but states and numbers in the answers.

It runs on a thread of its own. Of health it asks nobody: the answers are what the engine knows at that moment (mission.md O3). Pages
that have to ask somebody are made on threads beside it. Clients that say nothing, or too much, are cut off and keep nobody waiting
(reliability.md T21).
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from src.application.engine.health import Health
from src.domain.errors import ConfigError

log = logging.getLogger(__name__)

CLIENT_SECONDS = 5.0
"""What one client gets for its request and the answer."""

HEAD_BYTES = 8 << 10
CLIENTS = 1000
"""At a time; more are turned away."""

OK, NOT_FOUND, NOT_ALLOWED, TOO_LARGE, BROKEN, UNAVAILABLE = 200, 404, 405, 431, 500, 503

JSON = "application/json"

PAGE_THREADS = 2
"""Pages that are made at a time; the others wait their turn, and health waits for none."""

Page = Callable[[], tuple[str, bytes]]
"""Makes (content type, body), within CLIENT_SECONDS."""

Answer = tuple[int, str, bytes]
"""Status, content type, body."""


@dataclass
class HealthServer:
    """Answers from `start` until `close`."""

    health: Health
    host: str
    port: int
    pages: Mapping[str, Page] = field(default_factory=dict)
    """{path: its page}"""
    _pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(PAGE_THREADS, thread_name_prefix="page"), init=False, repr=False
    )
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
        self._pool.shutdown(wait=False, cancel_futures=True)

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
            answer = self._refused(TOO_LARGE, "the request is too large")
        else:
            answer = await self._answer(head)
        status, kind, content = answer
        lines = (
            f"HTTP/1.1 {status} {'OK' if status == OK else 'No'}",
            f"Content-Type: {kind}",
            "Cache-Control: no-store",
            f"Content-Length: {len(content)}",
            "Connection: close",
            "",
            "",
        )
        writer.write("\r\n".join(lines).encode() + content)
        await writer.drain()

    async def _answer(self, head: bytes) -> Answer:
        method, _, rest = head.partition(b" ")
        if method != b"GET":
            return self._refused(NOT_ALLOWED, "GET only")
        asked: dict[str, Callable[[], Answer]] = {"/healthz/live": self._live, "/healthz/ready": self._ready}
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0].decode("latin-1")
        if path in asked:
            return asked[path]()
        if path not in self.pages:
            return self._refused(NOT_FOUND, f"ask {', '.join((*asked, *self.pages))}")
        try:
            kind, content = await self._loop.run_in_executor(self._pool, self.pages[path])
        except Exception:
            # Whoever asks is told no more than that; the reason is in the log.
            log.exception("page.broken", extra={"page": path})
            return self._refused(BROKEN, "this page is broken: see the worker's log")
        return OK, kind, content

    @staticmethod
    def _told(status: int, body: Mapping[str, object]) -> Answer:
        return status, JSON, json.dumps(body).encode() + b"\n"

    def _refused(self, status: int, why: str) -> Answer:
        return self._told(status, {"error": why})

    def _live(self) -> Answer:
        live = self.health.live()
        return self._told(OK if live else UNAVAILABLE, {"live": live})

    def _ready(self) -> Answer:
        ready = self.health.ready()
        return self._told(OK if ready else UNAVAILABLE, {"ready": ready, "backends": dict(self.health.backends())})
