"""The platform's API as content jobs know it, on loopback, in a thread of the test's process."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "platform-token-1"


@dataclass
class PlatformApi:
    """Records and sessions. `answers`: statuses to give instead, first first; `seen`: (method, path, authorization)."""

    contents: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: dict[str, float] = field(default_factory=dict)
    now: float = 0.0
    answers: list[int] = field(default_factory=list)
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    ignores_after: bool = False
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Its root."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}/api"

    def start(self) -> PlatformApi:
        """Listen; returns itself."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def close(self) -> None:
        """Stop."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, document: Any) -> tuple[int, Any]:
        """(status, JSON)."""
        if self.answers:
            return self.answers.pop(0), {"error": "scripted"}
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if method == "DELETE" and parts == ["api", "sessions", "expired"]:
            gone = [name for name, expires in self.sessions.items() if expires < self.now]
            for name in gone:
                del self.sessions[name]
            return 200, {"deleted": len(gone)}
        if method == "GET" and urlsplit(path).path == "/api/contents":
            asked = parse_qs(urlsplit(path).query)
            after, limit = asked.get("after", [""])[0], int(asked["limit"][0])
            found = sorted(each for each in self.contents if each > after or self.ignores_after)[:limit]
            return 200, {"contents": [{**self.contents[each], "id": each} for each in found]}
        if parts[:2] != ["api", "contents"] or len(parts) != 3 or parts[2] not in self.contents:
            return 404, {"error": "not found"}
        record = self.contents[parts[2]]
        if method == "PATCH":
            record.update(document)
        return 200, record


def _handler(api: PlatformApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            authorization = self.headers.get("authorization")
            api.seen.append((self.command, self.path, authorization))
            length = int(self.headers.get("content-length") or 0)
            document = json.loads(self.rfile.read(length)) if length else None
            status, said = 401, {"error": "who are you?"}
            if authorization == f"Bearer {TOKEN}":
                status, said = api.answer(self.command, self.path, document)
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PATCH = do_DELETE = do_POST = _serve  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

    return Handler
