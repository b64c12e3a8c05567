"""Batch jobs that really run: each one's command is a process with a group of its own, as a container is on its host."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.infrastructure.process.linux import die_with_parent

WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
ENDED = ("SUCCEEDED", "FAILED")
GRACE_SECONDS = 30.0
"""Between SIGTERM and SIGKILL (ECS stopTimeout)."""

WAIT_SECONDS = 60.0
EXITED = "Essential container in task exited"
TIMED_OUT = "Job attempt duration exceeded timeout"
REGION = "us-east-1"
ACCOUNT = "123456789012"


def arn(kind: str, name: str) -> str:
    """Of something in Batch."""
    return f"arn:aws:batch:{REGION}:{ACCOUNT}:{kind}/{name}"


@dataclass
class Job:
    """One batch job. Fields are changed under the yard's lock only."""

    name: str
    queue: str
    definition: Mapping[str, Any]
    parameters: Mapping[str, str]
    command: list[str]
    environment: Mapping[str, str]
    allowed: int
    timeout: float | None
    tags: Mapping[str, str]
    created: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "SUBMITTED"
    reason: str = ""
    started: int = 0
    stopped: int = 0
    attempts: list[dict[str, Any]] = field(default_factory=list)
    history: list[str] = field(default_factory=lambda: ["SUBMITTED"])
    instance: str = ""
    cancelled: bool = False
    terminated: bool = False
    ending: str | None = None
    """why it is being stopped, once it is"""
    host_lost: bool = False
    process: subprocess.Popen[bytes] | None = None
    timers: list[threading.Timer] = field(default_factory=list)


@dataclass
class Yard:
    """Where jobs wait and run. `pace` shortens AWS's times (timeouts, grace) so that tests need not wait for them."""

    folder: Path
    cwd: Path
    now: Callable[[], float] = time.time
    pace: float = 1.0
    held: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    let_go: set[str] = field(default_factory=set)
    """jobs that start although the others are held"""
    changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))
    _threads: list[threading.Thread] = field(default_factory=list)
    _closed: bool = False

    def add(self, job: Job) -> None:
        """Its life begins."""
        thread = threading.Thread(target=self._live, args=(job,), name=f"batch-{job.id[:8]}", daemon=True)
        with self.changed:
            self.jobs[job.id] = job
            self._threads.append(thread)
        thread.start()

    def millis(self) -> int:
        """Now, as Batch tells times."""
        return int(self.now() * 1000)

    # ------------------------------------------------------------------ what the service may do
    def terminate(self, job_id: str, reason: str) -> None:
        """SIGTERM, and SIGKILL after the grace time; at once where nothing runs."""
        with self.changed:
            job = self.jobs.get(job_id)
            if job is None or job.status in ENDED:
                return
            job.terminated = True
            self._stop(job, reason)

    def cancel(self, job_id: str, reason: str) -> None:
        """Only what has not been started."""
        with self.changed:
            job = self.jobs.get(job_id)
            if job is not None and job.status in WAITING:
                job.cancelled = True
                self._stop(job, reason)

    # ------------------------------------------------------------------ what befalls it
    def hold(self) -> None:
        """No job starts from now on: no capacity."""
        with self.changed:
            self.held = True

    def release(self, *job_ids: str) -> None:
        """Let these start, or all that wait."""
        with self.changed:
            if job_ids:
                self.let_go |= set(job_ids)
            else:
                self.held = False
            self.changed.notify_all()

    def lose_host(self, job_id: str) -> None:
        """Power cut: everything of the running job is gone, and nobody saw how it ended."""
        with self.changed:
            job = self.jobs[job_id]
            assert job.process is not None, f"{job_id} is {job.status}: it has no host"
            job.host_lost = True
            self._kill(job)

    def forget(self, job_id: str) -> None:
        """As Batch does some time after the end; what runs goes on."""
        with self.changed:
            del self.jobs[job_id]

    def wait(self, job_id: str, *statuses: str) -> Job:
        """Until the job is in one of these."""
        with self.changed:
            job = self.jobs[job_id]
            if not self.changed.wait_for(lambda: job.status in statuses, WAIT_SECONDS):
                raise AssertionError(
                    f"{job_id} is {job.status} ({job.reason}), not {statuses}: {self.log(job_id)[-2000:]}"
                )
            return job

    def log(self, job_id: str) -> str:
        """What it wrote."""
        path = self.folder / f"{job_id}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        """Nothing of any job is left when this returns."""
        with self.changed:
            self._closed = True
            for job in self.jobs.values():
                if job.process is not None:
                    self._kill(job)
            self.changed.notify_all()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)
        alive = [thread.name for thread in self._threads if thread.is_alive()]
        assert not alive, f"still there: {alive}"

    # ------------------------------------------------------------------ a job's life
    def _live(self, job: Job) -> None:
        self._enter(job, "PENDING")
        for number in range(1, job.allowed + 1):
            self._enter(job, "RUNNABLE")
            if not self._may_start(job):
                return
            try:
                process = self._spawn(job, number)
            except OSError as error:
                self._end_attempt(job, None, f"CannotStartContainerError: {error}")
            else:
                # Not reaped yet: until the whole group is killed, its number must not become another's.
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
                self._end_attempt(job, process, EXITED)
            if self._settled(job, last=number == job.allowed):
                return

    def _enter(self, job: Job, status: str) -> None:
        with self.changed:
            if job.status not in ENDED and not self._closed:
                job.status = status
                job.history.append(status)
                self.changed.notify_all()

    def _may_start(self, job: Job) -> bool:
        with self.changed:
            self.changed.wait_for(lambda: self._closed or job.status in ENDED or not self.held or job.id in self.let_go)
            return not self._closed and job.status not in ENDED

    def _spawn(self, job: Job, number: int) -> subprocess.Popen[bytes]:
        parent = os.getpid()
        own = {"AWS_BATCH_JOB_ID": job.id, "AWS_BATCH_JQ_NAME": job.queue, "AWS_BATCH_JOB_ATTEMPT": str(number)}
        clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        with self.changed:
            if job.status in ENDED or self._closed:
                raise OSError("stopped before it was started")
            job.instance = f"i-{uuid.uuid4().hex[:17]}"
            self._enter(job, "STARTING")
            with (self.folder / f"{job.id}.log").open("ab") as log:
                job.process = subprocess.Popen(
                    job.command,
                    cwd=self.cwd,
                    env={**clean, **job.environment, **own},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509 - two system calls, no locks
                    start_new_session=True,
                )
            job.started = self.millis()
            if job.timeout is not None:
                self._after(job, job.timeout, self._expire)
            self._enter(job, "RUNNING")
            return job.process

    def _end_attempt(self, job: Job, process: subprocess.Popen[bytes] | None, reason: str) -> None:
        with self.changed:
            for timer in job.timers:
                timer.cancel()
            job.timers.clear()
            # The container is gone as a whole when its first process is.
            self._kill(job)
            code = process.wait() if process is not None else None
            job.process = None
            if job.host_lost:
                code, reason = None, f"Host EC2 (instance {job.instance}) terminated."
            job.stopped = self.millis()
            container: dict[str, Any] = {"taskArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{uuid.uuid4().hex}"}
            if code is not None:
                container["exitCode"] = code if code >= 0 else 128 - code
            attempt = {"container": container, "startedAt": job.started, "stoppedAt": job.stopped}
            job.attempts.append({**attempt, "statusReason": reason})
            job.reason = job.ending or reason

    def _settled(self, job: Job, *, last: bool) -> bool:
        """Whether the job has ended with this attempt."""
        with self.changed:
            good = job.attempts[-1]["container"].get("exitCode") == 0 and job.ending is None
            if not good and not last and job.ending is None and not self._closed:
                job.host_lost = False
                return False
            self._enter(job, "SUCCEEDED" if good else "FAILED")
            return True

    # ------------------------------------------------------------------ signals
    def _stop(self, job: Job, reason: str) -> None:
        if job.ending is not None:
            return
        job.ending = reason
        if job.process is None:
            job.reason, job.stopped = reason, self.millis()
            self._enter(job, "FAILED")
            return
        # To the first process alone, as to a container's; it passes it on or not.
        with contextlib.suppress(ProcessLookupError):
            os.kill(job.process.pid, signal.SIGTERM)
        self._after(job, GRACE_SECONDS, self._kill)

    def _expire(self, job: Job) -> None:
        self._stop(job, TIMED_OUT)

    def _after(self, job: Job, seconds: float, action: Callable[[Job], None]) -> None:
        process = job.process

        def act() -> None:
            with self.changed:
                if job.process is process and process is not None:
                    action(job)

        timer = threading.Timer(seconds * self.pace, act)
        timer.daemon = True
        job.timers.append(timer)
        timer.start()

    def _kill(self, job: Job) -> None:
        if job.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.process.pid, signal.SIGKILL)
            for pid in marked(job.id):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def marked(job_id: str) -> list[int]:
    """Processes of a job, whatever group or session they went to: a container has no way out, an environment is inherited."""
    wanted, found = f"AWS_BATCH_JOB_ID={job_id}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found
