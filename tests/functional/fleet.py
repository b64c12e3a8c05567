"""Real worker processes on one embedded data directory, and the questions the tests ask about them."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from src.application.engine.waker import reference
from src.application.ports.ledger import JobFilter
from src.application.ports.queue import Envelope
from src.domain.job import Job, JobDraft, JobState
from src.infrastructure.db import schema
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.environment import load
from tests.functional import zygote

ROOT = Path(__file__).resolve().parents[2]

Process: TypeAlias = subprocess.Popen[bytes] | zygote.Copy

WORKER = "src.interfaces.workers.video.main"

OURS_ALONE = ("werkzeug", "yaml")
"""Packages that the tests' own tools bring, and that a library of the worker's would load because they are there."""


@cache
def once() -> Path:
    """A folder of this process for what its tests share."""
    folder = Path(tempfile.mkdtemp(prefix="mw-once-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def as_installed() -> Path:
    """For PYTHONPATH: there a worker's environment looks as it does where no tests are run."""
    folder = once() / "as_installed"
    folder.mkdir()
    for name in OURS_ALONE:
        (folder / f"{name}.py").write_text(f"raise ImportError({name!r})\n")
    return folder


@cache
def empty_database() -> Path:
    """What the first worker on a data directory makes: a file with every table and no row."""
    file = once() / "mediaworker.db"
    schema.upgrade(f"sqlite:///{file}")
    return file


@dataclass
class Fleet:
    """Workers share `folder` as their data directory. Everything they start dies with `close`.

    Processes are forked from one that has the program loaded (zygote.py): the start of Python is most of what a short one costs,
    and under many kills more of the machine than what a test looks at.
    """

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    _adapters: Adapters | None = None

    # ------------------------------------------------------------------ processes
    def environ(self, **more: str) -> dict[str, str]:
        """What a worker sees; nothing of this process's own WORKER_ variables."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("WORKER_", "MEDIAWORKER_"))}
        # Compiled once, like an installed worker: else every start compiles everything, which is most of its work.
        clean.pop("PYTHONDONTWRITEBYTECODE", None)
        return {
            **clean,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{as_installed()}",
            # To look for some reads about every package that is there: the tests' tools are most of them.
            "PYDANTIC_DISABLE_PLUGINS": "__all__",
            "WORKER_DATA_DIR": str(self.folder),
            "WORKER_ENVIRONMENT": "test",
            "WORKER_JOBS__MODULES": "tests.jobs",
            "WORKER_LEASE__TTL_SECONDS": "3",
            "WORKER_LEASE__SCAN_SECONDS": "1",
            "WORKER_LOG__FORMAT": "json",
            **self.settings,
            **more,
        }

    def start(self, *arguments: str, **environment: str) -> Process:
        """A worker process; its log goes to worker-N.log."""
        return self._spawn(WORKER, arguments, environment)

    def start_python(self, *arguments: str, **environment: str) -> Process:
        """The same, started as an operator's is."""
        return self._spawn(WORKER, arguments, environment, anew=True)

    def run(self, module: str, *arguments: str, **environment: str) -> Process:
        """A process of any of our modules; its log goes where a worker's would."""
        return self._spawn(module, arguments, environment)

    def container(self, *arguments: str, **environment: str) -> Process:
        """A process for one job, as AWS Batch starts a container; its log goes where a worker's would."""
        return self._spawn("src.interfaces.workers.batch.main", arguments, environment)

    def scheduler(self, **environment: str) -> Process:
        """A process that fires cron's entries."""
        return self._spawn("src.interfaces.workers.scheduler.main", (), environment)

    def _spawn(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], *, anew: bool = False
    ) -> Process:
        environ = self.environ(**environment)
        if not anew:
            self._lay_database(environ)
        with self._log() as sink, Path(os.devnull).open("rb") as nothing:
            if anew or not zygote.can_copy(environ):
                command = [sys.executable, "-m", module, *arguments]
                process: Process = subprocess.Popen(
                    command, cwd=ROOT, env=environ, stdin=nothing, stdout=sink, stderr=sink
                )
            else:
                process = zygote.Copy(module, arguments, environ, [nothing.fileno(), sink.fileno(), sink.fileno()])
        self.processes.append(process)
        return process

    def _lay_database(self, environ: Mapping[str, str]) -> None:
        """Where the embedded database would be made first, it is there. `start_python` and the command line make theirs."""
        file = Path(environ["WORKER_DATA_DIR"]) / "mediaworker.db"
        if not file.exists() and not {"WORKER_DATABASE__URL", "WORKER_LEDGER__BACKEND"} & environ.keys():
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(empty_database(), file)

    def _log(self) -> BinaryIO:
        self.folder.mkdir(parents=True, exist_ok=True)
        return (self.folder / f"worker-{len(self.processes)}.log").open("ab")

    def drain(self, timeout: float = 90, **environment: str) -> int:
        """Run one worker until the queue is empty; its exit code."""
        return self.start("--drain", **environment).wait(timeout)

    def cli(self, *arguments: str, timeout: float = 90, **environment: str) -> subprocess.CompletedProcess[str]:
        """The command line, as an operator types it."""
        return zygote.run("src.interfaces.cli.app", arguments, self.environ(**environment), timeout)

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        if self._adapters is not None:
            self._adapters.database().close()

    def log(self, number: int = -1) -> str:
        """What a worker wrote."""
        index = number % len(self.processes)
        return (self.folder / f"worker-{index}.log").read_text()

    def events(self, number: int = -1) -> list[dict[str, Any]]:
        """A worker's log lines."""
        return [json.loads(line) for line in self.log(number).splitlines() if line.startswith("{")]

    # ------------------------------------------------------------------ jobs
    @property
    def adapters(self) -> Adapters:
        """This process's own view of the same data directory."""
        if self._adapters is None:
            from src.interfaces.wiring.checks import check_backends

            self._lay_database(self.environ())
            settings = load(self.environ())
            catalog = build_catalog(settings)
            self._adapters = build(settings, catalog)
            check_backends(settings, self._adapters)
        return self._adapters

    def submit(self, name: str, action: str, *, seconds: float = 0, max_attempts: int = 5) -> str:
        """A job of tests/jobs.py, published."""
        payload = {"action": action, "seconds": seconds, "diary": str(self.diary)}
        draft = JobDraft(id=name, type="act", tenant="acme", payload=payload, max_attempts=max_attempts)
        row = self.adapters.ledger().admit(draft).job
        assert row is not None
        self.adapters.queue_publisher().publish([reference(row)])
        self.adapters.ledger().change(name, lambda job, now: job.published(now))
        return name

    def publish(self, body: bytes, key: str = "raw") -> None:
        """Any message."""
        self.adapters.queue_publisher().publish([Envelope(body=body, key=key)])

    def job(self, name: str) -> Job:
        """The row."""
        row: Job | None = self.adapters.ledger().find(name)
        assert row is not None, f"no job {name}"
        return row

    def states(self) -> dict[str, JobState]:
        """{job id: state}"""
        return {row.id: row.state for row in self.adapters.ledger().list(JobFilter(limit=10_000))}

    # ------------------------------------------------------------------ what really happened
    def story(self) -> str:
        """Rows, executions and logs, for the message of a test that failed."""
        ledger = self.adapters.ledger()
        lines = []
        for row in ledger.list(JobFilter(limit=10)):
            lines += [str(row), *map(str, ledger.attempts(row.id))]
        return "\n".join([*lines, *(self.log(number) for number in range(len(self.processes)))])

    @property
    def diary(self) -> Path:
        """Where the jobs write."""
        return self.folder / "diary.txt"

    def entries(self, word: str, name: str | None = None) -> list[list[str]]:
        """Diary lines that begin with `word` (and are about a job)."""
        if not self.diary.exists():
            return []
        lines = [line.split() for line in self.diary.read_text().splitlines()]
        return [line for line in lines if line[0] == word and (name is None or line[1] == name)]

    def scratch_folders(self) -> list[str]:
        """Working folders that are left."""
        scratch = self.folder / "scratch"
        return sorted(path.name for path in scratch.iterdir()) if scratch.exists() else []

    def left_running(self) -> list[str]:
        """Command lines of processes that mention this data directory, or whose environment does, workers of ours aside."""
        own = {process.pid for process in self.processes if process.poll() is None} | {os.getpid()}
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in own:
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                environment = (entry / "environ").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            mark = str(self.folder).encode()
            if command and (mark in command or b"WORKER_DATA_DIR=" + mark + b"\0" in environment):
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
        return found


def wait_for(condition: Callable[[], object], seconds: float = 30, what: str = "condition") -> None:
    """Poll until true; the bound is only there so that a broken test ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def kill(process: Process) -> None:
    """kill -9."""
    process.send_signal(signal.SIGKILL)
    process.wait()
