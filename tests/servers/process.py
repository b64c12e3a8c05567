"""One server process: a folder of its own, a port, a clock that the tests can set, and an end that always comes."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from src.infrastructure.process.linux import die_with_parent

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / ".venv" / "services"
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
CLOCK_SLACK = 0.01
"""Seconds by which a server's frozen time may differ from the tests'."""


class NoServer(RuntimeError):
    """A server that the tests need can't be had; says how to get it."""


def package(name: str) -> Path:
    """The folder of a Python package in the services' environment. Raises NoServer."""
    found = sorted(SERVICES.glob(f"lib/python3*/site-packages/{name}"))
    if not found:
        raise NoServer(f"the test servers are not installed ({name} is missing): run `make services`")
    return found[0]


def program(name: str) -> Path:
    """A program of the services' environment. Raises NoServer."""
    found = SERVICES / "bin" / name
    if not found.exists():
        raise NoServer(f"the test servers are not installed ({name} is missing): run `make services`")
    return found


def free_ports(count: int = 1, *, beside: int = 0) -> list[int]:
    """Ports that nobody listens on; with `beside`, the port that much above each is free as well."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            with contextlib.ExitStack() as pair:
                one = pair.enter_context(socket.socket())
                one.bind(("127.0.0.1", 0))
                port = int(one.getsockname()[1])
                if beside:
                    other = pair.enter_context(socket.socket())
                    try:
                        other.bind(("127.0.0.1", port + beside))
                    except (OSError, OverflowError):
                        continue
                found.append(port)
                # Held until all are found, so that no port is found twice.
                held.enter_context(pair.pop_all())
    return found


def answers(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@dataclass
class Server:
    """A running server. `url` is what a client is given."""

    name: str
    url: str
    command: Sequence[str]
    folder: Path
    ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: int = signal.SIGTERM
    user: str | None = None
    clock: Path | None = None
    """the file that sets its clock, when the tests asked for that"""
    clock_runs: bool = False
    clock_seen: Callable[[], float] | None = None
    """what the server says of its time, where it looks at its clock only now and then"""
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        """Start, or start again on the same data and port; ready when this returns."""
        clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        environment = {**clean, "TMPDIR": str(self.folder), "TZ": "UTC", **self.environment, **self._faked()}
        owner = pwd.getpwnam(self.user) if self.user else None
        parent = os.getpid()
        log = (self.folder / f"{self.name}.log").open("ab")
        self._process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509 - two system calls, no locks
            start_new_session=True,
            **({"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}),  # type: ignore[call-overload]
        )
        log.close()
        deadline = time.monotonic() + READY_SECONDS
        while not self.ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / f"{self.name}.log").read_text(errors="replace")[-2000:]
                self.kill()
                raise NoServer(f"{self.name} did not start: {said}")
            time.sleep(0.02)
        return self

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def stop(self) -> None:
        """End it as its operator would."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, self.stop_signal)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"{self.name} did not stop in {STOP_SECONDS:g} s", file=sys.stderr)
        self.kill()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """End it and its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def set_clock(self, epoch: float) -> None:
        """Put the server's time of day there: frozen, or running on from there for a server whose own waiting looks at
        it. Only a server that was started with `set_clock` can."""
        assert self.clock is not None, f"{self.name} was started with the machine's clock"
        if self.clock_runs:
            shown = f"{epoch - time.time():+.6f}"
        else:
            shown = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        # Renamed into place: the server reads the file at every look at its clock.
        written = self.clock.with_suffix(".new")
        written.write_text(shown)
        written.chmod(0o644)
        written.rename(self.clock)
        deadline = time.monotonic() + STOP_SECONDS
        while self.clock_seen is not None and abs(self.clock_seen() - epoch) > CLOCK_SLACK:
            if time.monotonic() > deadline:
                raise NoServer(f"{self.name} does not follow the tests' clock")

    def _faked(self) -> Mapping[str, str]:
        if self.clock is None:
            return {}
        library = package("libfaketime") / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


def server_folder(name: str, user: str | None = None) -> Path:
    """A fresh folder outside pytest's own, which only its owner may enter."""
    folder = Path(tempfile.mkdtemp(prefix=f"mw-{name}-"))
    if user is not None:
        owner = pwd.getpwnam(user)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    return folder


def clock_file(folder: Path) -> Path:
    """Starts at the machine's time, running."""
    made = folder / "clock"
    made.write_text("+0\n")
    made.chmod(0o644)
    return made
