"""What an executor process tells its supervisor: readings of progress, and how runs ended."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from src.domain.progress import ProgressReport
from src.infrastructure.process import wire
from src.infrastructure.process.mark import Mark

log = logging.getLogger(__name__)

HOLD_SECONDS = 0.01
"""Successes of short runs are told together, this late at most: a frame for each would cost more than the work."""


@dataclass(slots=True)
class Outbox:
    """`report` never blocks: a thread of its own writes, and of several unsent readings only the newest is kept. Ends are
    written by the thread that runs the jobs, after what was reported before them."""

    channel: socket.socket
    mark: Mark
    """keeps the ends that are held, should this process die first"""
    extra: Callable[[], str]
    """more members of a frame of ends, as JSON text (", ..."): the process's memory"""
    _readings: list[dict[str, Any]] = field(default_factory=list)
    _ends: list[str] = field(default_factory=list)
    _guard: threading.RLock = field(default_factory=threading.RLock)
    """held by itself and not by way of `_wake`: a signal that ends a job can't come between the taking and the block"""
    _wake: threading.Condition = field(init=False)
    _sending: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._wake = threading.Condition(self._guard)

    def progress(self, run: str, report: ProgressReport) -> None:
        """A reading; sent soon."""
        frame = {"run": run, "progress": report.to_json()}
        try:
            wire.text_of(frame)
        except (TypeError, ValueError) as error:
            # A reading that can't be sent is lost; the job goes on (E10).
            log.warning("progress.unusable", extra={"error": str(error)})
            return
        with self._guard:
            if self._readings:
                self._readings.pop()
            self._readings.append(frame)
            self._wake.notify()

    def succeeded(self, end: str, *, more_to_come: bool) -> None:
        """A run's success, as JSON text; held for a moment while others run."""
        with self._guard:
            self._ends.append(end)
            if self.mark.add(end.encode()) and more_to_come:
                if len(self._ends) == 1:
                    self._wake.notify()
                return
        self.flush()

    def tell(self, frame: dict[str, Any]) -> None:
        """Anything else, now."""
        self._send([wire.text_of(frame)])

    def flush(self) -> None:
        """What is held, now."""
        self._send([])

    def pump(self) -> None:
        """Write what nobody else does: call in a thread of its own."""
        while True:
            with self._guard:
                self._wake.wait_for(lambda: bool(self._readings or self._ends))
                held = not self._readings
            if held:
                # The run that began meanwhile may take long; the ends before it must not wait for it.
                time.sleep(HOLD_SECONDS)
            self.flush()

    def _send(self, frames: list[str]) -> None:
        with self._sending:
            with self._guard:
                readings, self._readings = self._readings, []
                ends, self._ends = self._ends, []
            told = [wire.text_of(reading) for reading in readings]
            if ends:
                told.append(f'{{"done":[{",".join(ends)}]{self.extra()}}}')
            try:
                for text in (*told, *frames):
                    wire.send_text(self.channel, text)
            except (OSError, ValueError):
                # The supervisor is gone, or would never learn the outcome: it finds a dead process and counts a crash.
                end_group()
            if ends:
                with self._guard:
                    self.mark.clear()
                    for end in self._ends:
                        self.mark.add(end.encode())


def end_group() -> None:
    """Die with everything this process started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
