"""The executor process: takes one order at a time, runs its handler on the main thread, reports back."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import resource
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from src.application.failpoints import failpoint
from src.application.outcome import Done, Handler, Outcome, Run, Snooze
from src.application.ports.executor import WorkOrder
from src.application.ports.scratch import Scratch
from src.domain.errors import Cancelled, ErrorReport, Interrupted, JobError, UnexpectedError
from src.domain.progress import ProgressReport
from src.infrastructure.process import wire

log = logging.getLogger(__name__)

STOP_SIGNAL = signal.SIGUSR1


@dataclass(slots=True)
class _Outbox:
    """Frames to the supervisor, written by a thread of their own so that `report` never blocks; of several unsent
    progress readings only the newest is kept."""

    channel: socket.socket
    _frames: list[dict[str, Any]] = field(default_factory=list)
    _condition: threading.Condition = field(default_factory=threading.Condition)
    _busy: bool = False

    def progress(self, run: str, report: ProgressReport) -> None:
        frame = {"run": run, "progress": report.to_json()}
        try:
            json.dumps(frame, allow_nan=False)
        except (TypeError, ValueError) as error:
            # A reading that can't be sent is lost; the job goes on (E10).
            log.warning("progress.unusable", extra={"error": str(error)})
            return
        with self._condition:
            if self._frames and "progress" in self._frames[-1]:
                self._frames.pop()
            self._frames.append(frame)
            self._condition.notify()

    def final(self, frame: dict[str, Any]) -> None:
        """Returns when the frame is written."""
        with self._condition:
            self._frames.append(frame)
            self._condition.notify_all()
            self._condition.wait_for(lambda: not self._frames and not self._busy)

    def pump(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: bool(self._frames))
                frames, self._frames = self._frames, []
                self._busy = True
            try:
                for frame in frames:
                    wire.send(self.channel, frame)
            except (OSError, ValueError, TypeError):
                # The supervisor is gone, or would never learn the outcome: it finds a dead process and counts a crash.
                _end_group()
            with self._condition:
                self._busy = False
                self._condition.notify_all()


@dataclass(slots=True)
class Child:
    """`prepare` gives (parse, a new handler) of a job type; `redact` takes secrets out of an error's texts, which are
    stored and shown; `bind` says whose job the process's log lines belong to ({} after it)."""

    channel: socket.socket
    scratch: Scratch
    prepare: Callable[[str], tuple[Callable[[str, Any], Any], Handler]]
    redact: Callable[[str], str] = str
    bind: Callable[[Mapping[str, object]], object] = dict
    _orders: queue.SimpleQueue[WorkOrder | None] = field(default_factory=queue.SimpleQueue)
    _current: str | None = None
    _reason: str | None = None
    _interruptible: bool = False
    _outbox: _Outbox = field(init=False)

    def __post_init__(self) -> None:
        self._outbox = _Outbox(self.channel)

    def run(self) -> None:
        """Serve orders until the supervisor closes the channel. Call on the main thread: a stop is a signal to it."""
        signal.signal(STOP_SIGNAL, self._on_stop)
        for harmless in (signal.SIGINT, signal.SIGTERM):
            # The supervisor decides about stopping; a handler function (not SIG_IGN) is not inherited by ffmpeg.
            signal.signal(harmless, lambda _number, _frame: None)
        threading.Thread(target=self._outbox.pump, name="outbox", daemon=True).start()
        threading.Thread(target=self._control, name="control", daemon=True).start()
        while (order := self._orders.get()) is not None:
            self._serve(order)

    # ------------------------------------------------------------------ control thread
    def _control(self) -> None:
        try:
            while (frame := wire.receive(self.channel)) is not None:
                if "order" in frame:
                    self._orders.put(WorkOrder(**frame["order"]))
                elif frame.get("stop") == self._current:
                    self._reason = str(frame["reason"])
                    os.kill(os.getpid(), STOP_SIGNAL)
        except (OSError, ValueError) as error:
            log.warning("executor.channel", extra={"error": str(error)})
        # End of stream: retired while idle, or the supervisor is gone and nothing we do can count any more.
        if self._current is not None:
            _end_group()
        self._orders.put(None)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        if not self._interruptible or self._reason is None:
            return
        self._interruptible = False
        if self._reason == "cancelled":
            raise Cancelled("the job was cancelled")
        raise Interrupted(f"the worker stops this attempt: {self._reason}")

    # ------------------------------------------------------------------ main thread
    def _serve(self, order: WorkOrder) -> None:
        self._reason = None
        self._current = order.run_id
        self.bind({"job": order.job_id, "tenant": order.tenant, "attempt": order.attempt, "trace": order.trace})
        frame = self._frame(order)
        self._interruptible = False
        try:
            self.scratch.discard(order.run_id)
        except JobError as error:
            # The outcome counts; what is left is swept at the next start of a worker.
            log.warning("scratch.left", extra={"run": order.run_id, "error": str(error)})
        self.bind({})
        if self._told_to_stop() and "error" in frame:
            # Stopped as told: the supervisor settles by its own reason, and kills what might be left.
            _end_group()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        # _current is cleared first: from here on a stop for this run comes too late, its outcome counts.
        self._current = None
        self._outbox.final({"run": order.run_id, **frame, "rss": usage.ru_maxrss * 1024})

    def _told_to_stop(self) -> bool:
        """The control thread may have set it at any time."""
        return self._reason is not None

    def _frame(self, order: WorkOrder) -> dict[str, Any]:
        try:
            outcome = self._handle(order)
        except BaseException as error:  # noqa: BLE001 - the one place where a handler's end is turned into a report
            self._interruptible = False
            if not isinstance(error, Exception):
                error = UnexpectedError(f"{type(error).__name__} left the handler: {error}")
            return {"error": ErrorReport.of(error, self.redact).to_json()}
        if isinstance(outcome, Snooze):
            return {"snooze": outcome.seconds, "reason": outcome.reason}
        try:
            json.dumps(result := dict(outcome.result), allow_nan=False)
        except (TypeError, ValueError) as error:
            wrong = UnexpectedError(f"the handler's result is not JSON: {error}")
            return {"error": ErrorReport.of(wrong, self.redact).to_json()}
        return {"result": result}

    def _handle(self, order: WorkOrder) -> Outcome:
        parse, handler = self.prepare(order.type)
        request = parse(order.tenant, order.payload)
        run = Run(
            job_id=order.job_id,
            tenant=order.tenant,
            generation=order.generation,
            fence=order.fence,
            attempt=order.attempt,
            max_attempts=order.max_attempts,
            scratch=self.scratch.open(order.run_id),
            report=lambda report: self._outbox.progress(order.run_id, report),
            trace=order.trace,
        )
        self._interruptible = True
        failpoint("handler.started")
        outcome = handler.handle(request, run)
        self._interruptible = False
        if not isinstance(outcome, (Done, Snooze)):
            raise UnexpectedError(f"handler returned {type(outcome).__name__}, not Done or Snooze")
        return outcome


def _end_group() -> None:
    """Die with everything this process started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
