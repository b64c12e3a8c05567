"""Starts the probing process and talks with it: frames with a deadline, and a kill that always comes."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from types import TracebackType
from typing import Self

from src.domain.errors import FfmpegFailed
from src.infrastructure.ffmpeg.probe_template import Template, TemplateGone, Templates
from src.infrastructure.ffmpeg.sandbox import Sandbox

MOST_REPLY_BYTES = 1024 * 1024
MOST_LAST_WORDS = 800


class ChildGone(Exception):
    """The process ended, hung or broke the framing; says how."""


class TemplateLost(ChildGone):
    """Its template was killed, and it with it: nothing is said about the source by that. Once, anyway: what kills a template each
    time may be the source."""


class ProbeProcess:
    """One probing process, used in a `with` block at whose end it is dead."""

    def __init__(self, templates: Templates, sandbox: Sandbox, wall_seconds: float) -> None:
        ours, theirs = socket.socketpair()
        saying, said = os.pipe()
        try:
            self._template, self._pid = _started(templates, sandbox, theirs.fileno(), said)
        except BaseException:
            ours.close()
            os.close(saying)
            raise
        finally:
            theirs.close()
            os.close(said)
        self._socket = ours
        self._stderr = saying
        self._wall_seconds = wall_seconds
        self._deadline = time.monotonic() + wall_seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        os.close(self._stderr)
        # Its processes have ended with a template that is gone.
        with contextlib.suppress(TemplateGone):
            self._template.kill(self._pid)

    def grant(self, seconds: float) -> None:
        """Put the deadline off: time that storage took is not the process's."""
        self._deadline += seconds

    def renew(self) -> None:
        """The whole time again, for another order."""
        self._deadline = time.monotonic() + self._wall_seconds

    def send(self, body: bytes) -> None:
        """One frame."""
        self._socket.settimeout(self._left())
        try:
            self._socket.sendall(len(body).to_bytes(4) + body)
        except TimeoutError as error:
            raise self._hung() from error
        except OSError as error:
            raise self._gone() from error

    def receive(self) -> bytes:
        """The next frame. Raises ChildGone."""
        length = int.from_bytes(self._exactly(4))
        if length > MOST_REPLY_BYTES:
            raise ChildGone(f"it announced an answer of {length} bytes")
        return self._exactly(length)

    def last_words(self) -> str:
        """The end of what it wrote to standard error, on one line."""
        if not select.select([self._stderr], [], [], 0)[0]:
            return ""
        text = os.read(self._stderr, 65_536).decode("utf-8", "replace")
        return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[-MOST_LAST_WORDS:]

    def _exactly(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            self._socket.settimeout(self._left())
            try:
                part = self._socket.recv(length - len(parts))
            except TimeoutError as error:
                raise self._hung() from error
            except OSError as error:
                raise self._gone() from error
            if not part:
                raise self._gone()
            parts += part
        return bytes(parts)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._hung()
        return left

    def _hung(self) -> ChildGone:
        return ChildGone(f"it gave no answer within {self._wall_seconds:g} s and was killed")

    def _gone(self) -> ChildGone:
        try:
            code = self._template.wait(self._pid, 2.0)
        except TemplateGone as error:
            return TemplateLost(str(error))
        if code is None:
            return ChildGone("it closed its socket without an answer")
        return ChildGone(f"it was ended by signal {-code}" if code < 0 else f"it ended with exit code {code}")


def _started(templates: Templates, sandbox: Sandbox, stdin: int, stderr: int) -> tuple[Template, int]:
    """Raises FfmpegFailed. A template that is gone since it was last used gives way to a new one."""
    for is_last in (False, True):
        template = templates.get(sandbox)
        try:
            return template, template.start(stdin, stderr)
        except TemplateGone as error:
            template.close()
            if is_last:
                raise FfmpegFailed(f"no source can be probed: {error}", fix="see `mediaworker doctor`") from error
    raise AssertionError("unreachable")
