"""AWS Batch on loopback: its wire format, and jobs that really run. In a thread of the tests, which then have its switches, or as a
process: `python -m tests.servers.batch --port 9000 --folder DIR`."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.servers.batch_api import QUEUE, BatchApi
from tests.servers.batch_jobs import Yard
from tests.servers.batch_model import Refused, client_error, paths, reply_faults, request_faults

ROOT = Path(__file__).parents[2]
SCOPE = "/batch/aws4_request"


@dataclass
class Fault:
    """What befalls the next calls of one kind."""

    times: int
    refused: Refused | None = None
    body: bytes | None = None
    """answered with status 200 in place of the reply"""
    works: bool = False
    """the work is done all the same"""
    skip: int = 0
    """calls of that kind that go well before"""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    operation: str
    body: Any
    headers: Mapping[str, str]


@dataclass
class BatchServer:
    """Start with `with`, or `start` and `close`. `pace` shortens AWS's times; `asked` is every request; `broken` are replies of the
    emulator that AWS would never send, which `close` complains of."""

    folder: Path
    port: int = 0
    cwd: Path = ROOT
    pace: float = 1.0
    now: Callable[[], float] = time.time
    asked: list[Asked] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _faults: dict[str, list[Fault]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.yard = Yard(self.folder, self.cwd, self.now, self.pace)
        self.api = BatchApi(self.yard)

    @property
    def url(self) -> str:
        """What a client is given."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Listening when this returns."""
        handler = type("Handler", (_Handler,), {"batch": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name="batch")
        self._thread.start()
        return self

    def close(self) -> None:
        """No thread that serves, no job, no process of one."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self.yard.close()
        assert self.broken == []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.close()

    # ------------------------------------------------------------------ switches
    def define(self, name: str, command: list[str], **more: Any) -> None:
        """Register a job definition as it should be: one attempt, a timeout."""
        container = {
            "image": "registry.example/worker:1.0.0",
            "command": command,
            **more.pop("containerProperties", {}),
        }
        self.api.answer(
            "RegisterJobDefinition",
            {
                "jobDefinitionName": name,
                "type": "container",
                "containerProperties": container,
                "retryStrategy": {"attempts": 1},
                "timeout": {"attemptDurationSeconds": 14_400},
                **more,
            },
        )

    def refuse(self, operation: str, status: int, code: str, *, times: int = 1_000_000, skip: int = 0) -> None:
        """Answer with an error, and do nothing."""
        self._fault(operation, Fault(times, refused=Refused(status, code), skip=skip))

    def drop_reply(self, operation: str, *, times: int = 1) -> None:
        """Do the work, then close the connection."""
        self._fault(operation, Fault(times, works=True))

    def answer_with(self, operation: str, body: bytes, *, times: int = 1_000_000) -> None:
        """A success that says this and nothing else."""
        self._fault(operation, Fault(times, body=body))

    def heal(self) -> None:
        """No more of that."""
        with self._lock:
            self._faults.clear()

    def bodies(self, operation: str) -> list[Any]:
        """What was asked with that operation."""
        return [each.body for each in self.asked if each.operation == operation]

    # ------------------------------------------------------------------ inside
    def serve(self, asked: Asked) -> bytes | None:
        """A reply's body; None: none is sent. Raises Refused."""
        operation = asked.operation
        with self._lock:
            self.asked.append(asked)
            fault = self._next_fault(operation)
        if fault is not None and fault.refused is not None:
            raise fault.refused
        if fault is not None and fault.body is not None:
            return fault.body
        if SCOPE not in asked.headers.get("Authorization", ""):
            raise Refused(403, "MissingAuthenticationTokenException", "not signed for batch")
        if faults := request_faults(operation, asked.body):
            raise client_error("; ".join(faults))
        reply = self.api.answer(operation, asked.body)
        if faults := reply_faults(operation, reply):
            self.broken += faults
            raise Refused(500, "ServerException", "; ".join(faults))
        return None if fault is not None and fault.works else json.dumps(reply).encode()

    def _fault(self, operation: str, fault: Fault) -> None:
        with self._lock:
            self._faults.setdefault(operation, []).append(fault)

    def _next_fault(self, operation: str) -> Fault | None:
        waiting = self._faults.get(operation, [])
        if not waiting:
            return None
        if waiting[0].skip:
            waiting[0].skip -= 1
            return None
        waiting[0].times -= 1
        return waiting[0] if waiting[0].times else waiting.pop(0)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    batch: BatchServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        try:
            reply = self._answer(body)
        except Refused as refused:
            self._send(refused.status, json.dumps({"message": refused.text}).encode(), refused.code)
            return
        if reply is None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(200, reply)

    def _answer(self, body: bytes) -> bytes | None:
        if self.path not in paths():
            raise Refused(404, "UnknownOperationException", f"{self.path} is not served here")
        try:
            document = json.loads(body)
        except ValueError as error:
            raise client_error("the request is not JSON") from error
        return self.batch.serve(Asked(paths()[self.path], document, dict(self.headers)))

    def do_GET(self) -> None:
        """For whoever waits until we are there."""
        self._send(200, b"{}")

    def _send(self, status: int, body: bytes, code: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("x-amzn-ErrorType", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Silent."""


def main() -> None:
    """Until SIGTERM or SIGINT. Its job queue is there; job definitions are registered over the wire."""
    parser = argparse.ArgumentParser(description=f"AWS Batch on loopback, with the job queue {QUEUE!r}")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--pace", type=float, default=1.0)
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with BatchServer(options.folder, options.port, Path.cwd(), options.pace):
        ended.wait()


if __name__ == "__main__":
    main()
