"""Handlers in child processes: one session and process group each, reused between jobs, killed whole, reaped whole."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.application.ports.executor import (
    ExecutorEvent,
    Failed,
    Progressed,
    Returned,
    Stopped,
    WorkOrder,
)
from src.domain.errors import Crashed, ErrorReport
from src.domain.progress import ProgressReport
from src.infrastructure.process import wire
from src.infrastructure.process.group import kill_group, reap_group, said
from src.infrastructure.process.handle import BREACHES, ChildProcess, endings, untold_ends
from src.infrastructure.process.linux import adopt_orphans
from src.infrastructure.process.mark import Mark

log = logging.getLogger(__name__)

REAP_SECONDS = 10.0
"""How long to wait for killed processes to be gone; SIGKILL needs milliseconds unless the kernel itself hangs."""

READY_SECONDS = 30.0
"""A process that is not ready after this long is not waited for any more: a run in it will tell what is wrong."""

STUCK_SECONDS = 1.0
"""Runs that wait behind one that takes longer than this are taken back: others may do them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """When a child is replaced although nothing is wrong (slow leaks, reliability.md F43), and when an idle one goes."""

    after_jobs: int = 200
    after_batches: int = 20_000
    above_rss_bytes: int = 1 << 30
    idle_seconds: float = 120.0


@dataclass(slots=True)
class ProcessExecutor:
    """Implements the Executor port. `argv` starts a child; the numbers of its channel's descriptor, of this process and of
    the mark's descriptor are appended.

    A thread of its own starts every child and lives until `close`: the kernel's parent-death signal is tied to the
    thread that forked, so children die with this process and never with a thread that merely ended.
    """

    argv: Sequence[str]
    discard_scratch: Callable[[str], None]
    stop_grace_seconds: float = 2.0
    recycling: Recycling = field(default_factory=Recycling)
    environment: Mapping[str, str] | None = None
    redact: Callable[[str], str] = str
    # No SimpleQueue: when a signal comes as its `get` is about to time out, it waits for ever (Python 3.11).
    _events: queue.Queue[Sequence[ExecutorEvent]] = field(default_factory=queue.Queue)
    _commands: queue.Queue[Callable[[], None] | None] = field(default_factory=queue.Queue)
    _children: list[ChildProcess] = field(default_factory=list)
    _thread: threading.Thread | None = None
    _readers: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closing: bool = False
    _keep_warm: bool = False
    _unready_until: float = 0.0
    """monotonic; the process that `warm` asked for is starting, and is waited for until then"""

    # ------------------------------------------------------------------ the port
    def start(self, order: WorkOrder) -> None:
        """Begin on an idle child, or a new one. After `close` the run is handed straight back."""
        if self._open([order]):
            self._commands.put(lambda: self._start([order], processes=0))

    def start_short(self, orders: Sequence[WorkOrder], *, processes: int) -> None:
        """Begin on children that are there, from the caller's thread; or else on new ones. Spread evenly."""
        if not self._open(orders):
            return
        size = -(-len(orders) // processes)
        for some in (orders[start : start + size] for start in range(0, len(orders), size)):
            with self._lock:
                found = self._take(some, processes=processes)
            if found is None:
                self._commands.put(lambda some=some: self._start(some, processes=processes))  # type: ignore[misc]
                continue
            self._send(*found, some)
            if len(found[0].runs) > 1:
                # The parent thread has to look whether they get stuck.
                self._commands.put(self._nothing)

    def warm(self) -> None:
        """Start a child now, and keep one from now on."""
        if self._keep_warm:
            return
        self._keep_warm = True
        if self._open(()):
            self._unready_until = time.monotonic() + READY_SECONDS
            self._commands.put(self._warmed)

    def ready(self) -> bool:
        """Looks at the clock alone."""
        return time.monotonic() >= self._unready_until

    def stop(self, run_id: str, reason: str) -> None:
        """Tell the handler, then kill its group after the grace time."""
        self._commands.put(lambda: self._stop(run_id, reason))

    def events(self, timeout_seconds: float) -> Sequence[ExecutorEvent]:
        """All that waits, or what comes first within the timeout."""
        found: list[ExecutorEvent] = []
        with contextlib.suppress(queue.Empty):
            found += self._events.get(timeout=timeout_seconds)
            while True:
                found += self._events.get_nowait()
        return found

    def close(self) -> None:
        """Kill and reap everything."""
        if self._thread is None:
            return
        self._closing = True
        self._commands.put(None)
        deadline = time.monotonic() + REAP_SECONDS
        self._thread.join(timeout=REAP_SECONDS)
        if self._thread.is_alive():
            # The worker must end all the same: its children die with it.
            log.error("executor.stuck")
        for reader in self._readers:
            reader.join(timeout=max(0.0, deadline - time.monotonic()))
        self._thread = None

    def _open(self, orders: Sequence[WorkOrder]) -> bool:
        if self._closing:
            self._events.put([Stopped(order.run_id) for order in orders])
            return False
        if self._thread is None:
            adopt_orphans()
            self._thread = threading.Thread(target=self._command_loop, name="executor-parent", daemon=True)
            self._thread.start()
        return True

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
                self._free_the_stuck()
                self._retire_idle()
            except Exception:
                # This thread is the parent of every child: it must outlive any single failure.
                log.exception("executor.command_failed")
        with self._lock:
            children = list(self._children)
        for child in children:
            kill_group(child.process.pid)

    def _nothing(self) -> None:
        """A deadline passed without a command."""

    def _next_deadline(self) -> float:
        with self._lock:
            kills = [at for child in self._children for at in child.stopping.values()]
            waiting = any(len(child.runs) > 1 for child in self._children)
        soon = [STUCK_SECONDS / 2] if waiting else [self.recycling.idle_seconds / 4]
        return max(0.0, min([at - time.monotonic() for at in kills] + soon))

    def _start(self, orders: Sequence[WorkOrder], *, processes: int) -> None:
        with self._lock:
            found = self._take(orders, processes=processes)
        try:
            found = found or self._spawn(orders, short=processes > 0)
        except Exception as error:
            # Whatever keeps us from having a process (limits of the machine, mostly): the run ends, and says why.
            log.exception("executor.spawn_failed", extra={"runs": len(orders)})
            report = ErrorReport.of(Crashed(f"no executor process could be started: {error}"), self.redact)
            self._events.put([Failed(order.run_id, report) for order in orders])
            return
        self._send(*found, orders)

    def _take(self, orders: Sequence[WorkOrder], *, processes: int) -> tuple[ChildProcess, int] | None:
        """A child for these and the number of the first of them, under the lock: where so many have short runs already, the child
        that has fewest, and none that is stuck if another goes on; else an idle one."""
        usable = [child for child in self._children if child.usable]
        busy = [child for child in usable if child.runs and child.short and not child.stopping]
        if 0 < processes <= len(busy):
            child = min(busy, key=lambda one: (one.stuck, len(one.runs)))
        elif idle := [child for child in usable if not child.runs]:
            child = idle[0]
        else:
            return None
        return child, child.add(orders, short=processes > 0)

    def _send(self, child: ChildProcess, first: int, orders: Sequence[WorkOrder]) -> None:
        try:
            with child.in_turn(first, len(orders)):
                for frame in wire.order_frames(orders, first):
                    child.send(frame)
            child.starting = False
        except (OSError, ValueError, TypeError) as error:
            log.warning("executor.channel", extra={"pid": child.process.pid, "error": str(error)})
            # Its reader sees the end of the process and reports the runs'.
            kill_group(child.process.pid)

    def _spawn(self, orders: Sequence[WorkOrder], *, short: bool) -> tuple[ChildProcess, int]:
        mark = Mark()
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(
                [*self.argv, str(theirs.fileno()), str(os.getpid()), str(mark.descriptor)],
                pass_fds=(theirs.fileno(), mark.descriptor),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=dict(self.environment) if self.environment is not None else None,
            )
        except OSError:
            ours.close()
            mark.close()
            raise
        finally:
            theirs.close()
        child = ChildProcess(process, ours, mark, idle_since=time.monotonic())
        reader = threading.Thread(target=self._read, args=(child,), name=f"executor-{process.pid}", daemon=True)
        first = child.add(orders, short=short) if orders else 0
        try:
            reader.start()
        except RuntimeError:
            kill_group(process.pid)
            process.wait()
            ours.close()
            mark.close()
            raise
        with self._lock:
            self._children.append(child)
        self._readers = [thread for thread in self._readers if thread.is_alive()] + [reader]
        return child, first

    def _warmed(self) -> None:
        """Have a child, if there is none."""
        if self._children:
            self._unready_until = 0.0
            return
        try:
            child, _ = self._spawn([], short=False)
        except Exception:
            self._unready_until = 0.0
            raise
        child.starting = False

    def _stop(self, run_id: str, reason: str) -> None:
        with self._lock:
            child = next((one for one in self._children if run_id in one.runs), None)
            if child is None or run_id in child.stopping:
                return
            child.stopping[run_id] = time.monotonic() + self.stop_grace_seconds
        with contextlib.suppress(OSError):  # already dead: its reader says so
            # One that does not listen is killed when the time is over.
            child.tell(wire.text_of({"stop": run_id, "reason": reason}))

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        with self._lock:
            overdue = [child for child in self._children if any(at <= now for at in child.stopping.values())]
        for child in overdue:
            kill_group(child.process.pid)

    def _free_the_stuck(self) -> None:
        """Take back what waits behind a run that takes long."""
        now = time.monotonic()
        stuck: list[ChildProcess] = []
        with self._lock:
            for child in self._children:
                number = child.mark.read()
                if number != child.seen[0] or len(child.runs) < 2:
                    child.seen = number, now
                elif now - child.seen[1] >= STUCK_SECONDS and number:
                    child.seen, child.freed = (number, now), number
                    stuck.append(child)
        for child in stuck:
            with contextlib.suppress(OSError):  # already dead: its reader says so
                child.tell(wire.text_of({"return": True}))

    def _retire_idle(self) -> None:
        now = time.monotonic()
        with self._lock:
            living = [child for child in self._children if child.usable]
            for child in living[1 if self._keep_warm else 0 :]:
                if not child.runs and child.jobs and now - child.idle_since >= self.recycling.idle_seconds:
                    child.retire()

    # ------------------------------------------------------------------ one reader thread per child
    def _read(self, child: ChildProcess) -> None:
        try:
            while (frame := wire.receive(child.channel)) is not None:
                self._frame(child, frame)
        except BREACHES as error:
            # A child that breaks the protocol is not trusted any further: its job may have corrupted it.
            log.warning("executor.protocol", extra={"pid": child.process.pid, "error": str(error)})
        except OSError as error:
            log.warning("executor.channel", extra={"pid": child.process.pid, "error": str(error)})
        self._gone(child)

    def _frame(self, child: ChildProcess, frame: dict[str, Any]) -> None:
        if "ready" in frame:
            child.ready = True
            self._unready_until = 0.0
            return
        if "progress" in frame:
            run = str(frame["run"])
            if run not in child.runs:
                raise ValueError(f"progress of run {run!r}, which is not the child's")
            self._events.put([Progressed(run, ProgressReport.from_json(frame["progress"]))])
            return
        events = list(endings(frame))
        with self._lock:
            # All or none: what is taken out of `runs` must be told.
            if len(ended := {event.run_id for event in events}) < len(events) or not ended <= child.runs.keys():
                raise ValueError(f"ends of runs that are not the child's, of {len(events)}")
            for event in events:
                del child.runs[event.run_id]
                child.stopping.pop(event.run_id, None)
            most = self.recycling.after_batches if child.short else self.recycling.after_jobs
            if child.jobs >= most or int(frame.get("rss", 0)) > self.recycling.above_rss_bytes:
                child.leaving = True
            if not child.runs:
                child.idle_since = time.monotonic()
                if child.leaving:
                    child.retire()
        self._events.put(events)

    def _gone(self, child: ChildProcess) -> None:
        self._unready_until = 0.0
        kill_group(child.process.pid)
        code = child.process.wait()
        reap_group(child.process.pid, REAP_SECONDS)
        with self._lock:
            if child in self._children:
                self._children.remove(child)
            runs, child.runs, last = child.runs, {}, child.mark.read()
        untold = untold_ends(child.mark)
        child.channel.close()
        child.mark.close()
        for event in untold:
            # One that was told with its last breath may stand here as well.
            if runs.pop(event.run_id, None) is not None:
                self._events.put([event])
        # A process that dies before it begins anything has a fault too; were nobody's attempt counted, it would go on for ever.
        last = max(last, min(runs.values(), default=0))
        for run, number in runs.items():
            if number > last and not self._closing:
                # Also when it was to be stopped: whatever the reason was, it was none of its own doing.
                self._events.put([Returned(run)])
                continue
            try:
                self.discard_scratch(run)
            except Exception:
                # The run has ended whatever its folder does; what is left is swept at the next start of a worker.
                log.exception("scratch.left", extra={"run": run})
            if run in child.stopping or self._closing:
                self._events.put([Stopped(run)])
            else:
                self._events.put([Failed(run, ErrorReport.of(Crashed(said(code))))])
        if self._keep_warm and child.ready and not self._closing:
            # One that died before it was ready would be followed by another such, for ever; the next run tells what is wrong.
            self._commands.put(self._warmed)
