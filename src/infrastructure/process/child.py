"""The executor process: takes orders, runs their handlers one after another on the main thread, reports back."""

from __future__ import annotations

import logging
import os
import queue
import resource
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from src.application.failpoints import failpoint
from src.application.outcome import Done, Handler, Outcome, Run, Snooze
from src.application.ports.executor import WorkOrder
from src.application.ports.scratch import Scratch
from src.domain.errors import Cancelled, ErrorReport, Interrupted, JobError, UnexpectedError
from src.domain.progress import ProgressReport
from src.infrastructure.process import wire
from src.infrastructure.process.mark import Mark
from src.infrastructure.process.outbox import Outbox, end_group

log = logging.getLogger(__name__)

STOP_SIGNAL = signal.SIGUSR1

NOBODY: Mapping[str, object] = {}
"""Whose lines are written between two jobs."""

Handled = dict[str, Any] | str
"""How a run ended: a frame, or for a success its result as JSON text."""


@dataclass(slots=True)
class _Room:
    """An attempt's scratch folder, made when it is asked for."""

    scratch: Scratch
    name: str
    lock: threading.Lock
    _path: Path | None = None

    def open(self) -> Path:
        with self.lock:
            if self._path is None:
                self._path = self.scratch.open(self.name)
            return self._path

    def discard(self) -> None:
        if self._path is not None:
            self.scratch.discard(self.name)


@dataclass(slots=True)
class Child:
    """`prepare` gives (parse, a new handler) of a job type; `redact` takes secrets out of an error's texts, which are
    stored and shown; `bind` says whose job the process's log lines belong to ({} after it); `mark` is shared with the
    supervisor."""

    channel: socket.socket
    mark: Mark
    scratch: Scratch
    prepare: Callable[[str], tuple[Callable[[str, Any], Any], Handler]]
    redact: Callable[[str], str] = str
    bind: Callable[[Mapping[str, object]], object] = dict
    _waiting: deque[tuple[int, WorkOrder]] = field(default_factory=deque)
    _wake: queue.SimpleQueue[bool] = field(default_factory=queue.SimpleQueue)
    """True for each frame of orders, False at the end"""
    _current: str | None = None
    _to_stop: dict[str, str] = field(default_factory=dict)
    """{run: reason} of what must stop, whether it has begun or not"""
    _interruptible: bool = False
    _opening: threading.Lock = field(default_factory=threading.Lock)
    """held while a scratch folder is made: a handler may ask for its own in several threads"""
    _outbox: Outbox = field(init=False)

    def __post_init__(self) -> None:
        self._outbox = Outbox(self.channel, self.mark, _memory)

    def run(self) -> None:
        """Serve orders until the supervisor closes the channel. Call on the main thread: a stop is a signal to it."""
        signal.signal(STOP_SIGNAL, self._on_stop)
        for harmless in (signal.SIGINT, signal.SIGTERM):
            # The supervisor decides about stopping; a handler function (not SIG_IGN) is not inherited by ffmpeg.
            signal.signal(harmless, lambda _number, _frame: None)
        threading.Thread(target=self._outbox.pump, name="outbox", daemon=True).start()
        threading.Thread(target=self._control, name="control", daemon=True).start()
        self._outbox.tell({"ready": True})
        while self._wake.get():
            while self._waiting:
                try:
                    number, order = self._waiting.popleft()
                except IndexError:  # taken back meanwhile
                    break
                self._serve(number, order)

    # ------------------------------------------------------------------ control thread
    def _control(self) -> None:
        try:
            while (frame := wire.receive(self.channel)) is not None:
                if "orders" in frame:
                    self._waiting.extend(wire.orders_of(frame["orders"]))
                    self._wake.put(True)
                elif "stop" in frame:
                    self._stop(str(frame["stop"]), str(frame["reason"]))
                else:
                    self._outbox.tell({"returned": [order.run_id for _, order in self._take_back()]})
        except (OSError, ValueError, TypeError) as error:
            log.warning("executor.channel", extra={"error": str(error)})
        # End of stream: retired while idle, or the supervisor is gone and nothing we do can count any more.
        if self._current is not None:
            end_group()
        self._wake.put(False)

    def _stop(self, run: str, reason: str) -> None:
        # Remembered first: the main thread may be just about to begin it, and looks after it has said so.
        self._to_stop[run] = reason
        if run == self._current:
            os.kill(os.getpid(), STOP_SIGNAL)
            return
        taken = self._take_back()
        others = [entry for entry in taken if entry[1].run_id != run]
        if len(others) < len(taken):
            self._to_stop.pop(run, None)
            self._outbox.tell({"stopped": run})
        if others:
            self._waiting.extendleft(reversed(others))
            self._wake.put(True)

    def _take_back(self) -> list[tuple[int, WorkOrder]]:
        """What has not begun, out of the main thread's reach."""
        taken: list[tuple[int, WorkOrder]] = []
        try:
            while True:
                taken.append(self._waiting.pop())
        except IndexError:
            return taken[::-1]

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._interruptible and self._current in self._to_stop:
            self._interruptible = False
            self._interrupt(self._to_stop[self._current])

    def _interrupt(self, reason: str) -> None:
        if reason == "cancelled":
            raise Cancelled("the job was cancelled")
        raise Interrupted(f"the worker stops this attempt: {reason}")

    # ------------------------------------------------------------------ main thread
    def _serve(self, number: int, order: WorkOrder) -> None:
        run = order.run_id
        self._current = run
        self.mark.write(number)
        self.bind({"job": order.job_id, "tenant": order.tenant, "attempt": order.attempt, "trace": order.trace})
        room = _Room(self.scratch, run, self._opening)
        ended = self._handled(order, room)
        self._interruptible = False
        try:
            room.discard()
        except JobError as error:
            # The outcome counts; what is left is swept at the next start of a worker.
            log.warning("scratch.left", extra={"run": run, "error": str(error)})
        self.bind(NOBODY)
        if run in self._to_stop and isinstance(ended, dict) and "error" in ended:
            # Stopped as told: the supervisor settles by its own reason, and kills what might be left.
            self._outbox.flush()
            end_group()
        # _current is cleared first: from here on a stop for this run comes too late, its outcome counts.
        self._current = None
        self._to_stop.pop(run, None)
        if isinstance(ended, str):
            # A run's name is safe as a folder's: it needs no escapes.
            self._outbox.succeeded(f'["{run}",{ended}]', more_to_come=bool(self._waiting))
        else:
            self._outbox.tell({"run": run, **ended})

    def _handled(self, order: WorkOrder, room: _Room) -> Handled:
        try:
            outcome = self._handle(order, room)
        except BaseException as error:  # noqa: BLE001 - the one place where a handler's end is turned into a report
            self._interruptible = False
            if not isinstance(error, Exception):
                error = UnexpectedError(f"{type(error).__name__} left the handler: {error}")
            return {"error": ErrorReport.of(error, self.redact).to_json()}
        try:
            if isinstance(outcome, Snooze):
                return {"snooze": float(outcome.seconds), "reason": str(outcome.reason)}
            return wire.text_of(dict(outcome.result)) if outcome.result else "{}"
        except (TypeError, ValueError) as error:
            wrong = UnexpectedError(f"the handler's result is not JSON: {error}")
            return {"error": ErrorReport.of(wrong, self.redact).to_json()}

    def _handle(self, order: WorkOrder, room: _Room) -> Outcome:
        parse, handler = self.prepare(order.type)
        request = parse(order.tenant, order.payload)

        def report(reading: ProgressReport) -> None:
            self._outbox.progress(order.run_id, reading)

        run = Run(
            job_id=order.job_id,
            tenant=order.tenant,
            generation=order.generation,
            fence=order.fence,
            attempt=order.attempt,
            max_attempts=order.max_attempts,
            open_scratch=room.open,
            report=report,
            trace=order.trace,
        )
        self._interruptible = True
        if order.run_id in self._to_stop:
            self._interruptible = False
            self._interrupt(self._to_stop[order.run_id])
        failpoint("handler.started")
        outcome = handler.handle(request, run)
        self._interruptible = False
        if not isinstance(outcome, (Done, Snooze)):
            raise UnexpectedError(f"handler returned {type(outcome).__name__}, not Done or Snooze")
        return outcome


def _memory() -> str:
    return f',"rss":{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}'
