"""Handlers in child processes: one session and process group each, reused between jobs, killed whole, reaped whole."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from src.application.ports.executor import ExecutorEvent, Failed, Progressed, Snoozed, Stopped, Succeeded, WorkOrder
from src.domain.errors import Crashed, ErrorReport
from src.domain.progress import ProgressReport
from src.infrastructure.process import wire
from src.infrastructure.process.linux import adopt_orphans

log = logging.getLogger(__name__)

REAP_SECONDS = 10.0
"""How long to wait for killed processes to be gone; SIGKILL needs milliseconds unless the kernel itself hangs."""


@dataclass(slots=True)
class _Child:
    """One executor process and what it is doing."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    run: str | None = None
    stopping: bool = False
    kill_at: float | None = None
    jobs: int = 0
    idle_since: float = 0.0
    retired: bool = False

    def take(self, run_id: str) -> None:
        """This run is the child's now."""
        self.run, self.stopping, self.kill_at = run_id, False, None
        self.jobs += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """When a child is replaced although nothing is wrong (slow leaks, reliability.md F43), and when an idle one goes."""

    after_jobs: int = 200
    above_rss_bytes: int = 1 << 30
    idle_seconds: float = 120.0


@dataclass(slots=True)
class ProcessExecutor:
    """Implements the Executor port. `argv` starts a child; the number of its channel's descriptor is appended.

    A thread of its own starts every child and lives until `close`: the kernel's parent-death signal is tied to the
    thread that forked, so children die with this process and never with a thread that merely ended.
    """

    argv: Sequence[str]
    discard_scratch: Callable[[str], None]
    stop_grace_seconds: float = 2.0
    recycling: Recycling = field(default_factory=Recycling)
    environment: Mapping[str, str] | None = None
    redact: Callable[[str], str] = str
    _events: queue.SimpleQueue[ExecutorEvent] = field(default_factory=queue.SimpleQueue)
    _commands: queue.SimpleQueue[Callable[[], None] | None] = field(default_factory=queue.SimpleQueue)
    _children: list[_Child] = field(default_factory=list)
    _thread: threading.Thread | None = None
    _readers: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closing: bool = False

    # ------------------------------------------------------------------ the port
    def start(self, order: WorkOrder) -> None:
        """Begin on an idle child, or a new one. After `close` the run is handed straight back."""
        if self._closing:
            self._events.put(Stopped(order.run_id))
            return
        if self._thread is None:
            adopt_orphans()
            self._thread = threading.Thread(target=self._command_loop, name="executor-parent", daemon=True)
            self._thread.start()
        self._commands.put(lambda: self._start(order))

    def stop(self, run_id: str, reason: str) -> None:
        """Tell the handler, then kill its group after the grace time."""
        self._commands.put(lambda: self._stop(run_id, reason))

    def events(self, timeout_seconds: float) -> Sequence[ExecutorEvent]:
        """All that waits, or what comes first within the timeout."""
        found: list[ExecutorEvent] = []
        with contextlib.suppress(queue.Empty):
            found.append(self._events.get(timeout=timeout_seconds))
            while True:
                found.append(self._events.get_nowait())
        return found

    def close(self) -> None:
        """Kill and reap everything."""
        if self._thread is None:
            return
        self._closing = True
        self._commands.put(None)
        self._thread.join()
        for reader in self._readers:
            reader.join(timeout=REAP_SECONDS)
        self._thread = None

    # ------------------------------------------------------------------ the parent thread
    def _command_loop(self) -> None:
        while True:
            try:
                command = self._commands.get(timeout=self._next_deadline())
            except queue.Empty:
                command = self._nothing
            if command is None:
                break
            try:
                command()
                self._kill_overdue()
                self._retire_idle()
            except Exception:
                # This thread is the parent of every child: it must outlive any single failure.
                log.exception("executor.command_failed")
        with self._lock:
            children = list(self._children)
        for child in children:
            _kill_group(child.process.pid)

    def _nothing(self) -> None:
        """A deadline passed without a command."""

    def _next_deadline(self) -> float:
        with self._lock:
            kills = [child.kill_at for child in self._children if child.kill_at is not None]
        return max(0.0, min(kills) - time.monotonic()) if kills else self.recycling.idle_seconds / 4

    def _start(self, order: WorkOrder) -> None:
        try:
            child = self._take_idle(order.run_id) or self._spawn(order.run_id)
        except Exception as error:
            # Whatever keeps us from having a process (limits of the machine, mostly): the run ends, and says why.
            log.exception("executor.spawn_failed", extra={"run": order.run_id})
            report = ErrorReport.of(Crashed(f"no executor process could be started: {error}"), self.redact)
            self._events.put(Failed(order.run_id, report))
            return
        try:
            wire.send(child.channel, {"order": asdict(order)})
        except (OSError, TypeError, ValueError) as error:
            log.warning("executor.channel", extra={"run": order.run_id, "error": str(error)})
            # Its reader sees the end of the process and reports the run's.
            _kill_group(child.process.pid)

    def _take_idle(self, run_id: str) -> _Child | None:
        with self._lock:
            for child in self._children:
                if child.run is None and not child.retired and child.process.poll() is None:
                    child.take(run_id)
                    return child
        return None

    def _spawn(self, run_id: str) -> _Child:
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(
                [*self.argv, str(theirs.fileno()), str(os.getpid())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=dict(self.environment) if self.environment is not None else None,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        child = _Child(process, ours)
        child.take(run_id)
        reader = threading.Thread(target=self._read, args=(child,), name=f"executor-{process.pid}", daemon=True)
        try:
            reader.start()
        except RuntimeError:
            _kill_group(process.pid)
            process.wait()
            ours.close()
            raise
        with self._lock:
            self._children.append(child)
        self._readers = [thread for thread in self._readers if thread.is_alive()] + [reader]
        return child

    def _stop(self, run_id: str, reason: str) -> None:
        with self._lock:
            child = next((one for one in self._children if one.run == run_id), None)
            if child is None or child.stopping:
                return
            child.stopping = True
            child.kill_at = time.monotonic() + self.stop_grace_seconds
        with contextlib.suppress(OSError):  # already dead: its reader says so
            wire.send(child.channel, {"stop": run_id, "reason": reason})

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        with self._lock:
            overdue = [child for child in self._children if child.kill_at is not None and child.kill_at <= now]
        for child in overdue:
            child.kill_at = None
            _kill_group(child.process.pid)

    def _retire_idle(self) -> None:
        now = time.monotonic()
        with self._lock:
            for child in self._children:
                if child.run is None and child.jobs and now - child.idle_since >= self.recycling.idle_seconds:
                    _retire(child)

    # ------------------------------------------------------------------ one reader thread per child
    def _read(self, child: _Child) -> None:
        try:
            while (frame := wire.receive(child.channel)) is not None:
                self._frame(child, frame)
        except (ValueError, KeyError, TypeError) as error:
            # A child that breaks the protocol is not trusted any further: its job may have corrupted it.
            log.warning("executor.protocol", extra={"pid": child.process.pid, "error": str(error)})
        except OSError as error:
            log.warning("executor.channel", extra={"pid": child.process.pid, "error": str(error)})
        self._gone(child)

    def _frame(self, child: _Child, frame: dict[str, Any]) -> None:
        run = str(frame["run"])
        if run != child.run:
            raise ValueError(f"frame for run {run!r} while {child.run!r} runs")
        if "progress" in frame:
            self._events.put(Progressed(run, ProgressReport.from_json(frame["progress"])))
            return
        if "result" in frame:
            event: ExecutorEvent = Succeeded(run, dict(frame["result"]))
        elif "snooze" in frame:
            event = Snoozed(run, float(frame["snooze"]), str(frame.get("reason", "")))
        else:
            event = Failed(run, ErrorReport.from_json(frame["error"]))
        fat = int(frame.get("rss", 0)) > self.recycling.above_rss_bytes
        with self._lock:
            child.kill_at = None
            child.run = None
            child.idle_since = time.monotonic()
            if fat or child.jobs >= self.recycling.after_jobs:
                _retire(child)
        self._events.put(event)

    def _gone(self, child: _Child) -> None:
        _kill_group(child.process.pid)
        code = child.process.wait()
        _reap_group(child.process.pid)
        with self._lock:
            if child in self._children:
                self._children.remove(child)
            child.kill_at = None
            run = child.run
        child.channel.close()
        if run is None:
            return
        try:
            self.discard_scratch(run)
        except Exception:
            # The run has ended whatever its folder does; what is left is swept at the next start of a worker.
            log.exception("scratch.left", extra={"run": run})
        if child.stopping or self._closing:
            self._events.put(Stopped(run))
        else:
            self._events.put(Failed(run, ErrorReport.of(Crashed(_how(code)))))


def _retire(child: _Child) -> None:
    child.retired = True
    with contextlib.suppress(OSError):
        child.channel.shutdown(socket.SHUT_WR)


def _how(code: int) -> str:
    if code >= 0:
        return f"the job's process exited with code {code} in the middle of the job"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    hint = "; out of memory?" if name == "SIGKILL" else ""
    return f"the job's process was killed by {name}{hint}"


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _reap_group(leader: int) -> None:
    """Wait until every process of the group is gone; as sub-reaper we inherit the orphans among them."""
    deadline = time.monotonic() + REAP_SECONDS
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-leader, os.WNOHANG)
        except ChildProcessError:
            break
        if pid == 0:
            time.sleep(0.005)
    while time.monotonic() < deadline:
        try:
            os.killpg(leader, 0)
        except (ProcessLookupError, PermissionError):
            return
        time.sleep(0.005)
    log.error("executor.unreaped", extra={"group": leader})
