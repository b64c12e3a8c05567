"""Stands before the real S3 server and refuses to remove some objects, as a bucket with a legal hold on them does: the rest of
the same DeleteObjects is done by the server, and the answer names the others. The server of the tests has no such rule of its own.

What is not a DeleteObjects goes through as it came, signature and all.
"""

from __future__ import annotations

import http.client
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, unescape

import boto3
from botocore.config import Config

from tests.servers.kinds import S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY

REFUSED = "<Error><Key>{}</Key><Code>AccessDenied</Code><Message>the object is under a legal hold</Message></Error>"
KEY = re.compile("<Key>(.*?)</Key>", re.DOTALL)
HOP = frozenset({"connection", "transfer-encoding", "content-length", "expect", "keep-alive"})


class LockedS3:
    """`locked` are ends of keys; change it at any time. `asked` are the sizes of the DeleteObjects that came."""

    def __init__(self, server: str) -> None:
        self.locked: set[str] = set()
        self.asked: list[int] = []
        self.server = urlsplit(server).netloc
        self.client: Any = boto3.session.Session(
            aws_access_key_id=S3_ACCESS_KEY, aws_secret_access_key=S3_SECRET_KEY, region_name="us-east-1"
        ).client("s3", endpoint_url=server, config=Config(s3={"addressing_style": "path"}))

    def __enter__(self) -> Self:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"gate": self}))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, name="locked-s3", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)
        self.client.close()

    @property
    def url(self) -> str:
        """What a client is given as the storage's address."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def delete(self, body: bytes) -> bytes:
        """Do what is allowed, and answer as S3 does."""
        keys = [unescape(found) for found in KEY.findall(body.decode())]
        self.asked.append(len(keys))
        held = [key for key in keys if key.endswith(tuple(self.locked))] if self.locked else []
        if free := [{"Key": key} for key in keys if key not in held]:
            answer = self.client.delete_objects(Bucket=S3_BUCKET, Delete={"Objects": free, "Quiet": True})
            assert not answer.get("Errors")
        errors = "".join(REFUSED.format(escape(key)) for key in held)
        return f'<?xml version="1.0" encoding="UTF-8"?><DeleteResult>{errors}</DeleteResult>'.encode()


class _Handler(BaseHTTPRequestHandler):
    gate: LockedS3
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command == "POST" and self.path.endswith("?delete"):
            self._answer(200, [("Content-Type", "application/xml")], self.gate.delete(body))
            return
        onward = http.client.HTTPConnection(self.gate.server, timeout=30)
        onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                onward.putheader(name, value)
        onward.endheaders(body or None)
        answer = onward.getresponse()
        content = answer.read()
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP]
        self._answer(answer.status, headers, content, length)
        onward.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, length: str | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the library's names

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002 - the library's name
        """Quiet."""
