"""Starts the probing process and talks with it: frames with a deadline, and a kill that always comes."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from src.infrastructure.ffmpeg.sandbox import Limits, Sandbox

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "src"
BOOT = """
import importlib.util as u, sys
spec = u.spec_from_file_location("src", sys.argv[1] + "/__init__.py", submodule_search_locations=[sys.argv[1]])
sys.modules["src"] = module = u.module_from_spec(spec)
spec.loader.exec_module(module)
from src.infrastructure.ffmpeg.probe_child import main
sys.exit(main())
"""
"""Imports our package without looking into the folder around it, which the sandbox hides: storage may lie there."""

MOST_REPLY_BYTES = 1024 * 1024
MOST_LAST_WORDS = 800
LIMITS = Limits(address_space=2 << 30, cpu_seconds=30, file_bytes=0, open_files=64)
"""The process writes nothing at all; PyAV's libraries alone map 300 MB of address space."""


class ChildGone(Exception):
    """The process ended, hung or broke the framing; says how."""


class ProbeProcess:
    """One probing process, used in a `with` block at whose end it is dead."""

    def __init__(self, sandbox: Sandbox, wall_seconds: float) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                sandbox.command(
                    [sys.executable, "-I", "-B", "-c", BOOT, str(PACKAGE)], read=python_folders(), limits=LIMITS
                ),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={},
                cwd="/",
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._socket = ours
        self._wall_seconds = wall_seconds
        self._deadline = time.monotonic() + wall_seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

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
        pipe = self._process.stderr
        if pipe is None or not select.select([pipe], [], [], 0)[0]:
            return ""
        text = os.read(pipe.fileno(), 65_536).decode("utf-8", "replace")
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
            code = self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            return ChildGone("it closed its socket without an answer")
        return ChildGone(f"it was ended by signal {-code}" if code < 0 else f"it ended with exit code {code}")


def python_folders() -> list[str]:
    """What this interpreter reads to start and to import PyAV, and our own code: nothing that belongs to a tenant."""
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    library = sysconfig.get_config_var("LIBDIR")
    return sorted(
        {
            *folders,
            *([library] if library else []),
            os.path.realpath(sys.executable),
            str(Path(sys.prefix) / "pyvenv.cfg"),
            str(PACKAGE),
        }
    )
