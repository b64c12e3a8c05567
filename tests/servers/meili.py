"""Meilisearch as its official client knows it, on loopback, in a thread of the test's process: routes, documents of answers,
codes of errors, and tasks that take their time.

No package ships the server, so this is written from the API's own description (OpenAPI 1.41 to 1.53) and from what the client
sends and takes. How well a hit fits is not the server's here: it judges by our own rules.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.meili_index import DEFAULT_SETTINGS, Index, Refused, error_document, search

MASTER, SEARCH_KEY = "meili-master-key-0123456789", "meili-search-key-0123456789"

LIMIT = 100 * 2**20
"""Bytes of a body (the server's own default)."""


@dataclass
class Task:
    """`run` does it when its turn comes; `turns`: looks at the queue that it stays in processing."""

    uid: int
    type: str
    index_uid: str | None
    run: Callable[[], dict[str, Any]]
    turns: int
    status: str = "enqueued"
    details: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    enqueued_at: str = ""
    started_at: str | None = None
    finished_at: str | None = None


@dataclass
class MeiliServer:
    """`answers`: (status, document) to give instead, first first; a status of 0 cuts the connection after the request was done,
    -1 before. `failing`: (type of task, code, type of error) of tasks that will fail. `slow`: turns that a task takes, each
    request being one. `before`: called with (method, path) before each request. `seen`: (method, path, authorization, body)."""

    indexes: dict[str, Index] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    answers: list[tuple[int, Any]] = field(default_factory=list)
    failing: list[tuple[str, str, str]] = field(default_factory=list)
    slow: int = 1
    before: Callable[[str, str], None] = lambda _method, _path: None
    seen: list[tuple[str, str, str | None, bytes]] = field(default_factory=list)
    keys: dict[str, frozenset[str]] = field(
        default_factory=lambda: {MASTER: frozenset({"*"}), SEARCH_KEY: frozenset({"search"})}
    )
    """{key: actions}"""
    locked: bool = True
    """whether a key is asked for"""
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Its root."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> MeiliServer:
        """Listen; returns itself."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def close(self) -> None:
        """Stop."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    # ------------------------------------------------------------------ requests
    def answer(self, method: str, target: str, key: str | None, body: bytes, kind: str | None) -> tuple[int, Any]:
        """(status, document). One request is one turn of the queue of tasks."""
        self.before(method, target)
        with self._lock:
            self.seen.append((method, target, key, body))
            scripted = self.answers.pop(0) if self.answers else None
            if scripted is not None and scripted[0] != 0:
                return scripted
            self._turn()
            try:
                given = self._route(method, urlsplit(target).path, parse_qs(urlsplit(target).query), key, body, kind)
            except Refused as error:
                given = error.status, error_document(str(error), error.code, error.type)
            return scripted if scripted is not None else given

    def _route(  # noqa: PLR0912 - one branch per route
        self, method: str, path: str, query: dict[str, list[str]], key: str | None, body: bytes, kind: str | None
    ) -> tuple[int, Any]:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts == ["health"]:
            return 200, {"status": "available"}
        self._authorize(key, _action(method, parts))
        if len(body) > LIMIT:
            raise Refused(413, "payload_too_large", "The provided payload reached the limit.")
        first = {name: values[0] for name, values in query.items()}
        match method, parts:
            case "GET", ["tasks"]:
                shown = [self._task_view(str(task.uid)) for task in reversed(self.tasks)][: int(first["limit"])]
                return 200, {"results": shown, "total": len(self.tasks), "limit": 1, "from": None, "next": None}
            case "GET", ["tasks", uid]:
                return 200, self._task_view(uid)
            case "POST", ["swap-indexes"]:
                return 202, self._swap(_json(body, kind))
            case "GET", ["indexes"]:
                return 200, self._listing(first)
            case "POST", ["indexes"]:
                return 202, self._create(_json(body, kind))
            case "DELETE", ["indexes", uid]:
                return 202, self._enqueue("indexDeletion", uid, lambda: self._drop(uid))
            case "GET", ["indexes", uid]:
                return 200, self._index(uid).view()
            case "GET", ["indexes", uid, "settings"]:
                return 200, self._index(uid).settings
            case "PATCH", ["indexes", uid, "settings"]:
                return 202, self._settings(uid, _json(body, kind))
            case "POST", ["indexes", uid, "documents"]:
                return 202, self._add(uid, _json(body, kind), first.get("primaryKey"))
            case "POST", ["indexes", uid, "documents", "delete-batch"]:
                return 202, self._delete(uid, _json(body, kind))
            case "POST", ["indexes", uid, "documents", "fetch"]:
                return 200, self._index(uid).page(_json(body, kind))
            case "POST", ["indexes", uid, "search"]:
                return 200, search(self._index(uid), _json(body, kind))
        return 404, None

    def _authorize(self, key: str | None, action: str) -> None:
        """Before anything else is looked at, the body too."""
        if not self.locked:
            return
        if key is None:
            raise Refused(401, "missing_authorization_header", "The Authorization header is missing.", "auth")
        allowed = self.keys.get(key.removeprefix("Bearer "), frozenset())
        if not allowed & {"*", action}:
            raise Refused(403, "invalid_api_key", "The provided API key is invalid.", "auth")

    def _index(self, uid: str) -> Index:
        if uid not in self.indexes:
            raise Refused(404, "index_not_found", f"Index `{uid}` not found.")
        return self.indexes[uid]

    def _listing(self, query: dict[str, str]) -> dict[str, Any]:
        offset, limit = int(query.get("offset", 0)), int(query.get("limit", 20))
        views = [self.indexes[uid].view() for uid in sorted(self.indexes)]
        return {"results": views[offset : offset + limit], "offset": offset, "limit": limit, "total": len(views)}

    # ------------------------------------------------------------------ tasks
    def _enqueue(self, kind: str, uid: str | None, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if uid is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,400}", uid):
            raise Refused(400, "invalid_index_uid", f"`{uid}` is not a valid index uid.")
        task = Task(len(self.tasks), kind, uid, run, self.slow, enqueued_at=_now())
        self.tasks.append(task)
        return {
            "taskUid": task.uid,
            "indexUid": uid,
            "status": "enqueued",
            "type": kind,
            "enqueuedAt": task.enqueued_at,
        }

    def _turn(self) -> None:
        """The oldest task that has not ended moves on by one step."""
        task = next((each for each in self.tasks if each.status in ("enqueued", "processing")), None)
        if task is None:
            return
        if task.status == "enqueued":
            task.status, task.started_at = "processing", _now()
            return
        task.turns -= 1
        if task.turns > 0:
            return
        task.finished_at = _now()
        try:
            self._fail(task)
            task.details = task.run()
            task.status = "succeeded"
        except Refused as error:
            task.status, task.error = "failed", error_document(str(error), error.code, error.type)

    def _fail(self, task: Task) -> None:
        scripted = next((each for each in self.failing if each[0] == task.type), None)
        if scripted is not None:
            self.failing.remove(scripted)
            raise Refused(400, scripted[1], f"scripted {scripted[1]}", scripted[2])

    def _task_view(self, uid: str) -> dict[str, Any]:
        if not uid.isdigit() or int(uid) >= len(self.tasks):
            raise Refused(404, "task_not_found", f"Task `{uid}` not found.")
        task = self.tasks[int(uid)]
        return {
            "uid": task.uid,
            "batchUid": None if task.status == "enqueued" else task.uid,
            "indexUid": task.index_uid,
            "status": task.status,
            "type": task.type,
            "canceledBy": None,
            "details": task.details,
            "error": task.error,
            "duration": "PT0.010083S" if task.finished_at else None,
            "enqueuedAt": task.enqueued_at,
            "startedAt": task.started_at,
            "finishedAt": task.finished_at,
        }

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        uid, key = asked["uid"], asked.get("primaryKey")

        def run() -> dict[str, Any]:
            if uid in self.indexes:
                raise Refused(409, "index_already_exists", f"Index `{uid}` already exists.")
            self.indexes[uid] = Index(uid, key, _now())
            return {"primaryKey": key}

        return self._enqueue("indexCreation", uid, run)

    def _drop(self, uid: str) -> dict[str, Any]:
        count = len(self._index(uid).documents)
        del self.indexes[uid]
        return {"deletedDocuments": count}

    def _settings(self, uid: str, asked: dict[str, Any]) -> dict[str, Any]:
        for name in asked:
            if name not in DEFAULT_SETTINGS:
                raise Refused(400, "bad_request", f"Unknown field `{name}`")

        def run() -> dict[str, Any]:
            self._made(uid, None).settings.update(asked)
            return asked

        return self._enqueue("settingsUpdate", uid, run)

    def _made(self, uid: str, key: str | None) -> Index:
        """Writing to an index that is not there makes it."""
        index = self.indexes.setdefault(uid, Index(uid, key, _now()))
        index.primary_key = index.primary_key or key
        return index

    def _add(self, uid: str, documents: Any, key: str | None) -> dict[str, Any]:
        if not isinstance(documents, list):
            raise Refused(400, "malformed_payload", "The `json` payload provided is malformed.")
        return self._enqueue("documentAdditionOrUpdate", uid, lambda: self._made(uid, key).add(documents))

    def _delete(self, uid: str, ids: list[str]) -> dict[str, Any]:
        def run() -> dict[str, Any]:
            documents = self._index(uid).documents
            gone = [each for each in ids if documents.pop(each, None) is not None]
            return {"providedIds": len(ids), "deletedDocuments": len(gone), "originalFilter": None}

        return self._enqueue("documentDeletion", uid, run)

    def _swap(self, pairs: Any) -> dict[str, Any]:
        for pair in pairs:
            if len(pair.get("indexes", ())) != 2:
                raise Refused(400, "invalid_swap_indexes", "Two indexes must be given for each swap.")

        def run() -> dict[str, Any]:
            for pair in pairs:
                one, other = (self._index(uid) for uid in pair["indexes"])
                self.indexes[one.uid], self.indexes[other.uid] = other, one
                one.uid, other.uid = other.uid, one.uid
            return {"swaps": pairs}

        return self._enqueue("indexSwap", None, run)


def _action(method: str, parts: list[str]) -> str:
    """What a key must permit (OpenAPI, `security` of each route)."""
    match method, parts:
        case _, ["tasks", *_]:
            return "tasks.get"
        case _, ["swap-indexes"]:
            return "indexes.swap"
        case _, ["indexes", _, "search"]:
            return "search"
        case _, ["indexes", _, "settings"]:
            return "settings.get" if method == "GET" else "settings.update"
        case _, ["indexes", _, "documents"]:
            return "documents.add"
        case _, ["indexes", _, "documents", what]:
            return "documents.get" if what == "fetch" else "documents.delete"
    return {"GET": "indexes.get", "POST": "indexes.create", "DELETE": "indexes.delete"}.get(method, "unknown")


def _json(body: bytes, kind: str | None) -> Any:
    if kind != "application/json":
        raise Refused(415, "missing_content_type" if kind is None else "invalid_content_type", "Content-Type?")
    if not body:
        raise Refused(400, "missing_payload", "A json payload is missing.")
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refused(400, "malformed_payload", "The `json` payload provided is malformed.") from error


def _now() -> str:
    # Nine digits, as the server's times have.
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"


def _handler(server: MeiliServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked = self.headers.get("authorization"), body, self.headers.get("content-type")
            status, said = server.answer(self.command, self.path, *asked)
            if status <= 0:
                self.close_connection = True
                self.connection.close()
                return
            text = said if isinstance(said, bytes) else b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PATCH = do_DELETE = do_POST = do_PUT = _serve  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quiet."""

        def finish(self) -> None:
            """A connection that was cut has nothing to flush."""
            try:
                super().finish()
            except (OSError, ValueError):
                self.close_connection = True

    return Handler
