"""Keeps a process that has PyAV loaded, so that each probing process is a fork (5 ms) and not a start (0.2 s of CPU)."""

from __future__ import annotations

import array
import os
import select
import socket
import subprocess
import sys
import sysconfig
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path

from src.infrastructure.ffmpeg.probe_fork import ANSWER, RUNS
from src.infrastructure.ffmpeg.sandbox import Limits, Sandbox

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "src"
IMPORT = """
import importlib.util as u, sys
spec = u.spec_from_file_location("src", sys.argv[1] + "/__init__.py", submodule_search_locations=[sys.argv[1]])
sys.modules["src"] = module = u.module_from_spec(spec)
spec.loader.exec_module(module)
from src.infrastructure.ffmpeg.probe_fork import main
"""
"""Imports our package without looking into the folder around it, which the sandbox hides: storage may lie there."""
BOOT = f"""{IMPORT}
from src.infrastructure.ffmpeg.probe_child import main as serve
main(serve, sys.argv[2:])
"""

LIMITS = Limits(address_space=2 << 30, cpu_seconds=30, file_bytes=0, open_files=64)
"""A probing process writes nothing at all; PyAV's libraries alone map 300 MB of address space."""
TEMPLATE_LIMITS = Limits(address_space=2 << 30, cpu_seconds=600, file_bytes=0, open_files=64)

MOST_STARTS = 200
"""After so many sources there is a new template: processes of one lie at the same addresses."""
ANSWER_SECONDS = 20.0
"""The first one waits until PyAV is loaded, which takes seconds on a machine that is overloaded."""
LAST_WORDS_BYTES = 65_536


class TemplateGone(Exception):
    """The template ended, or does not answer; says what it said last."""


class Template:
    """One such process. For one thread: the kernel ends it with the thread that made it."""

    def __init__(self, sandbox: Sandbox) -> None:
        ours, theirs = socket.socketpair()
        folders = python_folders()
        words = sandbox.words(read=folders, limits=LIMITS)
        try:
            self._process = subprocess.Popen(
                sandbox.command(
                    [sys.executable, "-I", "-B", "-c", BOOT, str(PACKAGE), *words],
                    read=folders,
                    limits=TEMPLATE_LIMITS,
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
        ours.settimeout(ANSWER_SECONDS)
        self._socket = ours
        self._maker = os.getpid()
        self._starts = 0
        self._alive = set[int]()
        self.close = weakref.finalize(self, _close, self._process, ours, self._maker)

    @property
    def is_usable(self) -> bool:
        """It is there, it is this process's own, and it has not served its time."""
        return (
            self.close.alive
            and self._maker == os.getpid()
            and self._process.poll() is None
            and (self._starts < MOST_STARTS or bool(self._alive))
        )

    def start(self, stdin: int, stderr: int) -> int:
        """A process with these descriptors: its pid, for `wait` and `kill`. Raises TemplateGone."""
        pid = self._asked(b"s" + bytes(8), [stdin, stderr])
        self._starts += 1
        self._alive.add(pid)
        return pid

    def wait(self, pid: int, seconds: float) -> int | None:
        """How it ended (minus the signal), or None: it did not. Raises TemplateGone."""
        code = self._asked(b"w" + pid.to_bytes(4) + round(seconds * 1000).to_bytes(4))
        if code == RUNS:
            return None
        self._alive.discard(pid)
        return code

    def kill(self, pid: int) -> None:
        """End it, and have it gone. Raises TemplateGone: then it is gone too."""
        if pid in self._alive:
            self._asked(b"k" + pid.to_bytes(4) + bytes(4))
            self._alive.discard(pid)

    def _asked(self, order: bytes, descriptors: list[int] | None = None) -> int:
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors or []))] if descriptors else []
        answer = b""
        try:
            self._socket.sendmsg([order], passed)
            while len(answer) < ANSWER and (part := self._socket.recv(ANSWER - len(answer))):
                answer += part
        except OSError as error:
            raise self._gone(f"{error}, ") from error
        except BaseException:
            # A signal's exception between question and answer: the next answer would be this one's.
            self.close()
            raise
        if len(answer) < ANSWER:
            raise self._gone("")
        return int.from_bytes(answer, signed=True)

    def _gone(self, why: str) -> TemplateGone:
        said = self._last_words()
        self.close()
        return TemplateGone(f"the process that probes are forked from is gone: {why}{said}")

    def _last_words(self) -> str:
        pipe = self._process.stderr
        if pipe is None or pipe.closed or not select.select([pipe], [], [], 0)[0]:
            return "it said nothing"
        said = os.read(pipe.fileno(), LAST_WORDS_BYTES).decode("utf-8", "replace")
        return said[-500:] or "it said nothing"


def _close(process: subprocess.Popen[bytes], control: socket.socket, maker: int) -> None:
    """Its processes end with it. A fork of the process that made it has nothing to end."""
    control.close()
    if os.getpid() == maker:
        process.kill()
        process.wait()
    if process.stderr is not None:
        process.stderr.close()


@dataclass(frozen=True, slots=True)
class Templates:
    """One for each thread that asks, begun when it first asks, ended with the thread or with this object."""

    _mine: threading.local = field(default_factory=threading.local)

    def get(self, sandbox: Sandbox) -> Template:
        """This thread's."""
        found: Template | None = getattr(self._mine, "template", None)
        if found is None or not found.is_usable:
            if found is not None:
                found.close()
            found = self._mine.template = Template(sandbox)
        return found


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
