"""A receiver of webhooks on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """What came, as (headers in lower case, body), and what is answered: to a message what `refuses` says of its id (0: the
    connection is cut), else `answers` in turn, then 204."""

    address: str = ""
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    refuses: dict[str, int] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """Of the events, in the order of their coming."""
        return [headers["webhook-id"] for headers, _ in self.posts]


@contextmanager
def receiving(received: Received | None = None) -> Iterator[Received]:
    """Listens until the end."""
    kept = received or Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            kept.posts.append((headers, self.rfile.read(int(self.headers["content-length"]))))
            status = kept.refuses.get(headers.get("webhook-id", ""), -1)
            if not status:
                self.close_connection = True
                return
            if status < 0:
                status = kept.answers.pop(0) if kept.answers else 204
            self.send_response(status)
            if status in (301, 307):
                self.send_header("location", "http://127.0.0.1:1/")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    kept.address = f"http://127.0.0.1:{server.server_port}/hooks"
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
