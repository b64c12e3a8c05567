"""Job types for tests of the engine: WORKER_JOBS__MODULES=tests.jobs. Each leaves a line in the file its payload names."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.application.catalog import JobType
from src.application.events.announce import Announcement
from src.application.outcome import Done, Outcome, Run, Snooze
from src.application.ports.storage import Storage
from src.domain.errors import FileAccessError, InvalidPayload, UnsupportedFormat
from src.domain.job import Job
from src.domain.progress import ProgressReport


@dataclass(frozen=True, slots=True)
class Act:
    """What to do, for how many seconds, and where to write that it was done."""

    action: str
    seconds: float
    diary: Path | None


def parse(_tenant: str, payload: Mapping[str, Any]) -> Act:
    if not isinstance(payload.get("action"), str):
        raise InvalidPayload("action must be a string")
    diary = payload.get("diary")
    return Act(payload["action"], float(payload.get("seconds", 0)), Path(diary) if diary else None)


@dataclass(frozen=True, slots=True)
class ActHandler:
    """Does what it is told."""

    def handle(self, request: Act, run: Run) -> Outcome:
        _write(request, f"start {run.job_id} {run.attempt} {os.getpid()}")
        outcome = getattr(self, request.action)(request, run) or Done({"attempt": run.attempt, "fence": run.fence})
        _write(request, f"end {run.job_id} {run.attempt} {os.getpid()}")
        return outcome

    def noop(self, request: Act, run: Run) -> None:
        """Nothing."""

    def sleep(self, request: Act, run: Run) -> None:
        time.sleep(request.seconds)

    def spin(self, request: Act, run: Run) -> None:
        until = time.monotonic() + request.seconds
        while time.monotonic() < until:
            pass

    def hold_the_interpreter(self, request: Act, run: Run) -> None:
        """A C call that keeps the interpreter lock: no other thread of this process runs meanwhile."""
        ctypes.PyDLL(None).usleep(int(request.seconds * 1_000_000))

    def progress(self, request: Act, run: Run) -> None:
        steps = int(request.seconds * 10)
        for step in range(steps):
            run.report(
                ProgressReport(
                    percent=100 * step / steps,
                    step="stepping",
                    step_index=1,
                    step_total=1,
                    eta_seconds=(steps - step) / 10,
                )
            )
            time.sleep(0.1)

    def repeat_itself(self, request: Act, run: Run) -> None:
        """Beats, but never gets further (lesson 9)."""
        while True:
            run.report(ProgressReport(percent=75.0, step="stuck", step_index=1, step_total=1))
            time.sleep(0.05)

    def tick(self, request: Act, run: Run) -> None:
        """Stuck, but its estimate ticks."""
        began = time.monotonic()
        while True:
            left = 1000 - (time.monotonic() - began)
            run.report(ProgressReport(percent=75.0, step="stuck", step_index=1, step_total=1, eta_seconds=left))
            time.sleep(0.05)

    def report_nonsense(self, request: Act, run: Run) -> None:
        run.report(ProgressReport(percent=float("nan"), step="odd", step_index=1, step_total=1))
        odd: Any = object()
        run.report(ProgressReport(percent=50.0, step="odd", step_index=1, step_total=1, eta_seconds=odd))

    def abort(self, request: Act, run: Run) -> None:
        os.abort()

    def fill_memory(self, request: Act, run: Run) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def leave_a_grandchild(self, request: Act, run: Run) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        _write(request, f"grandchild {run.job_id} {child.pid}")
        time.sleep(request.seconds)

    def refuse(self, request: Act, run: Run) -> None:
        raise UnsupportedFormat("this is not a film", fix="upload a film")

    def be_unlucky(self, request: Act, run: Run) -> None:
        raise FileAccessError("the file is busy")

    def blow_up(self, request: Act, run: Run) -> None:
        raise RuntimeError("nobody foresaw this")

    def snooze_once(self, request: Act, run: Run) -> Outcome | None:
        return Snooze(0.2, "not yet") if run.fence == 1 else None

    def answer_nonsense(self, request: Act, run: Run) -> Outcome:
        return Done({"when": object()})

    def fail_with_scratch(self, request: Act, run: Run) -> None:
        (run.scratch / "big").write_bytes(b"x" * 1000)
        raise FileAccessError("broke off half-way")

    def use_scratch(self, request: Act, run: Run) -> None:
        (run.scratch / "big").write_bytes(b"x" * 1000)
        time.sleep(request.seconds)


@dataclass(frozen=True, slots=True)
class KeepHandler:
    """Writes to the storage and reads it back: a job that needs it."""

    storage: Storage

    def handle(self, request: Act, run: Run) -> Outcome:
        _write(request, f"start {run.job_id} {run.attempt} {os.getpid()}")
        time.sleep(request.seconds)
        key, content = f"tenants/{run.tenant}/kept/{run.job_id}", f"{run.job_id} {run.fence}".encode()
        self.storage.put_bytes(key, content, content_type="text/plain", cache_control="no-cache")
        if self.storage.read(key, 0, 1000) != content:
            raise RuntimeError(f"{key} is not what was written")
        _write(request, f"end {run.job_id} {run.attempt} {os.getpid()}")
        return Done({"key": key})


def _write(request: Act, line: str) -> None:
    """One line, whole, from any number of processes."""
    if request.diary is None:
        return
    descriptor = os.open(request.diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def told(job: Job) -> Sequence[Announcement]:
    """What a success of `tell` gives others to know."""
    return [Announcement("worker.told", {"content_id": job.id, "attempt": (job.result or {})["attempt"]})]


JOB_TYPES = [
    JobType(name="act", parse=parse, handler="tests.jobs:ActHandler"),
    JobType(name="quick", parse=parse, handler="tests.jobs:ActHandler", short=True),
    JobType(name="tell", parse=parse, handler="tests.jobs:ActHandler", announces=told),
    JobType(name="keep", parse=parse, handler="tests.jobs:KeepHandler"),
]
