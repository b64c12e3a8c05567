"""Programs of this project from a process that has them loaded: most of what a short command line costs is its imports.

`run` asks a process of its own (one per test process) to fork; the copy gets its own arguments, environment and streams and
then does what `python -m MODULE` does. It is a real process, with a real exit; only the imports are not repeated. What is
about imports, interpreter settings or terminals starts Python itself instead.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import importlib.util
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = (
    "src.interfaces.cli.app",
    *(
        f"src.interfaces.cli.{name}"
        for name in (
            "config",
            "db",
            "delete",
            "dlq",
            "doctor",
            "events",
            "jobs",
            "plan",
            "publish",
            "queues",
            "recover",
            "run",
            "status",
            "submit",
            "version",
        )
    ),
    "src.interfaces.wiring.adapters",
    "src.interfaces.wiring.checks",
    "src.interfaces.wiring.worker",
    "src.interfaces.workers.runner",
    "src.interfaces.workers.video.main",
    "src.infrastructure.db.schema",
    "alembic.command",
    "alembic.config",
    "imageio_ffmpeg.binaries",
    "src.infrastructure.clock",
    "src.infrastructure.ffmpeg.binary",
    "src.interfaces.workers.failpoints",
    "logging.config",
    "rich.console",
    "rich.table",
    "sqlalchemy.dialects.sqlite",
    "boto3",
    "psycopg",
    "psycopg_pool",
    "redis",
)
PRELOADED_WHOLE = (
    "src.domain",
    "src.application",
    "src.infrastructure.db",
    "src.infrastructure.notify",
    "src.infrastructure.observability",
    "src.infrastructure.process",
    "src.infrastructure.storage",
    "src.interfaces.wiring",
)
"""Packages with all that is in them; migrations are read anew by whoever runs them."""

LARGEST = 1 << 20


class Zygote:
    """The process that forks; ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.functional.zygote", str(theirs.fileno())],
            cwd=ROOT,
            env={**environ, "PYTHONPATH": str(ROOT)},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self.line = ours
        atexit.register(self.close)

    def fork(self, request: Mapping[str, Any], streams: Sequence[int]) -> socket.socket:
        """Where the copy's pid, and later its exit status, come from."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, self._lock:
            socket.send_fds(self.line, [json.dumps(request).encode()], [*streams, theirs.fileno()])
        return ours

    def close(self) -> None:
        """The copies are on their own."""
        self.line.close()
        self.process.wait(10)


_zygotes: dict[int, Zygote] = {}


def _zygote() -> Zygote:
    if os.getpid() not in _zygotes:
        _zygotes[os.getpid()] = Zygote()
    return _zygotes[os.getpid()]


class Copy:
    """A forked copy, asked as one asks a subprocess.Popen."""

    def __init__(
        self, module: str, arguments: Sequence[str], environ: Mapping[str, str], streams: Sequence[int]
    ) -> None:
        self.args = [sys.executable, "-m", module, *arguments]
        request = {"module": module, "arguments": list(arguments), "environ": dict(environ)}
        self._line = _zygote().fork(request, streams)
        self.pid = int(self._line.recv(64))
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self._line.settimeout(timeout)
            try:
                self.returncode = int(self._line.recv(64))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._line.close()
        return self.returncode

    def poll(self) -> int | None:
        """Its exit code, once there is one."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """While it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """As whoever runs it would end it."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """At once."""
        self.send_signal(signal.SIGKILL)


def run(
    module: str, arguments: Sequence[str], environ: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Like subprocess.run of `python -m module arguments` with captured text. Raises subprocess.TimeoutExpired."""
    command = [sys.executable, "-m", module, *arguments]
    if not can_copy(environ):
        return subprocess.run(
            command, cwd=ROOT, env=dict(environ), capture_output=True, text=True, timeout=timeout, check=False
        )
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open("rb") as nothing:
        copy = Copy(module, arguments, environ, [nothing.fileno(), out.fileno(), err.fileno()])
        try:
            code = copy.wait(timeout)
        except subprocess.TimeoutExpired:
            copy.kill()
            copy.wait()
            raise subprocess.TimeoutExpired(command, timeout, _read(out), _read(err)) from None
        return subprocess.CompletedProcess(command, code, _read(out).decode(), _read(err).decode())


def can_copy(environ: Mapping[str, str]) -> bool:
    """Whether a copy can be what Python would be with this environment."""
    return not any(environ.get(name) != os.environ.get(name) for name in {*environ, *os.environ} if _of_python(name))


def _of_python(name: str) -> bool:
    """Whether it changes the interpreter itself, which a copy can't do any more."""
    return name.startswith(("PYTHON", "LC_", "LANG")) and name not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")


def _read(file: Any) -> bytes:
    file.seek(0)
    return bytes(file.read())


# ---------------------------------------------------------------------- in the process that forks
def serve(line: socket.socket) -> int:
    """Fork for every request until the other side is gone; the exit code (of the copy, in the copy)."""
    for name in (*PRELOADED, *_modules_of(PRELOADED_WHOLE)):
        importlib.import_module(name)
    assert threading.active_count() == 1, "a fork would lose these threads"
    gc.collect()
    gc.freeze()
    children: dict[int, socket.socket] = {}
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([line.fileno(), wake_read], [], [])
        if wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
            _reap(children)
        if line.fileno() not in ready:
            continue
        message, fds, _flags, _address = socket.recv_fds(line, LARGEST, 4)
        if not message:
            return 0
        request = json.loads(message)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            line.close()
            for each in (wake_read, wake_write, *(child.fileno() for child in children.values())):
                os.close(each)
            return _become(request, fds)
        for each in fds[:3]:
            os.close(each)
        children[pid] = socket.socket(fileno=fds[3])
        children[pid].send(str(pid).encode())


def _modules_of(packages: Sequence[str]) -> list[str]:
    roots = [ROOT / name.replace(".", "/") for name in packages]
    files = [path for root in roots for path in sorted(root.rglob("*.py")) if "migrations" not in path.parts]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files]


def _reap(children: dict[int, socket.socket]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with children.pop(pid) as line, contextlib.suppress(OSError):
            line.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: Mapping[str, Any], fds: Sequence[int]) -> int:
    for number, each in enumerate(fds[:3]):
        os.dup2(each, number)
        os.close(each)
    os.close(fds[3])
    os.environ.clear()
    os.environ.update(request["environ"])
    sys.path[1:1] = [part for part in request["environ"].get("PYTHONPATH", "").split(os.pathsep) if part != str(ROOT)]
    found = importlib.util.find_spec(request["module"])
    sys.argv = [(found and found.origin) or "", *request["arguments"]]
    # What python does at its start: lines at once for errors, blocks for output that is no terminal.
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", "backslashreplace", line_buffering=True
    )
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    if request["module"] == "src.interfaces.cli.app":
        # Loaded already; to run it as a main module would load it once more.
        importlib.import_module(request["module"]).main()
    else:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(serve(socket.socket(fileno=int(sys.argv[1]))))
