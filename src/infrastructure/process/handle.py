"""The supervisor's side of one executor process: what it was told to do, and what its frames mean."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from src.application.ports.executor import ExecutorEvent, Failed, Returned, Snoozed, Stopped, Succeeded, WorkOrder
from src.domain.errors import ErrorReport
from src.infrastructure.process import wire
from src.infrastructure.process.mark import Mark

log = logging.getLogger(__name__)

TELL_SECONDS = 0.1
"""How long others may be about to send something before `tell` gives up."""

TURN_SECONDS = 10.0
"""How long orders wait for those before them: a moment, or as long as a process reads nothing."""

BREACHES = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What reading may raise that no child of ours would say, whatever its job made of it."""


@dataclass(slots=True)
class ChildProcess:
    """One executor process and what it is doing."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    mark: Mark
    runs: dict[str, int] = field(default_factory=dict)
    """{run: number of its order}, in the order in which they begin"""
    short: bool = False
    """what it holds are short runs, and more of them may be added"""
    stopping: dict[str, float] = field(default_factory=dict)
    """{run: monotonic time at which the process is killed for it}"""
    jobs: int = 0
    """frames of orders so far"""
    orders: int = 0
    idle_since: float = 0.0
    starting: bool = True
    """its first orders are on their way; later ones must not overtake them"""
    ready: bool = False
    """it has said so: what it needs is loaded"""
    leaving: bool = False
    """takes no more orders; retired when it holds nothing"""
    retired: bool = False
    seen: tuple[int, float] = (0, 0.0)
    """(number that was begun last, monotonic time since when that is so)"""
    freed: int = 0
    """number of the run behind which others waited for too long: they were taken back. 0: there was none"""
    sending: threading.Lock = field(default_factory=threading.Lock)
    sent: int = 0
    """number of the last order that was sent"""
    _turn: threading.Condition = field(default_factory=threading.Condition)

    def add(self, orders: Sequence[WorkOrder], *, short: bool) -> int:
        """These runs are the child's now; the number of the first of them."""
        self.short = short
        self.jobs += 1
        if not self.runs:
            # What was begun last has ended long ago, perhaps; these have only just come.
            self.seen, self.freed = (self.seen[0], time.monotonic()), 0
        first = self.orders + 1
        self.orders += len(orders)
        self.runs.update(zip([order.run_id for order in orders], count(first), strict=False))
        return first

    @contextlib.contextmanager
    def in_turn(self, first: int, count: int) -> Iterator[None]:
        """Around the sending of so many orders: those with lower numbers come first, whoever sends them. By the number that was begun
        last it is told which runs a process that died had begun."""
        with self._turn:
            self._turn.wait_for(lambda: self.sent >= first - 1, TURN_SECONDS)
        try:
            yield
        finally:
            with self._turn:
                self.sent = max(self.sent, first + count - 1)
                self._turn.notify_all()

    def send(self, frame: bytes) -> None:
        """One frame, whole. Raises OSError when the process is gone."""
        with self.sending:
            self.channel.sendall(frame)

    def tell(self, text: str) -> bool:
        """One small frame, soon or not at all: False when the process does not read what it was sent before (its job holds
        the interpreter), which whoever has to end it must not wait for. Raises OSError when the process is gone."""
        if not self.sending.acquire(timeout=TELL_SECONDS):
            return False
        try:
            return wire.send_now(self.channel, text)
        finally:
            self.sending.release()

    @property
    def stuck(self) -> bool:
        """Whether that run still goes on."""
        return bool(self.freed) and self.mark.read() == self.freed

    @property
    def usable(self) -> bool:
        """Whether it may be given orders."""
        return not (self.starting or self.leaving or self.retired) and self.process.poll() is None

    def retire(self) -> None:
        """Let it end by itself: it holds nothing, and will be told nothing more."""
        self.retired = True
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_WR)


def endings(frame: Mapping[str, Any]) -> Iterator[ExecutorEvent]:
    """How runs ended, by what a child says. Raises one of BREACHES for what it can't say."""
    if "done" in frame:
        for run, result in frame["done"]:
            yield Succeeded(str(run), dict(result))
    elif "returned" in frame:
        for run in frame["returned"]:
            yield Returned(str(run))
    elif "stopped" in frame:
        yield Stopped(str(frame["stopped"]))
    elif "snooze" in frame:
        yield Snoozed(str(frame["run"]), float(frame["snooze"]), str(frame.get("reason", "")))
    else:
        yield Failed(str(frame["run"]), ErrorReport.from_json(frame["error"]))


def untold_ends(mark: Mark) -> list[ExecutorEvent]:
    """Successes that a dead child had no time to tell of."""
    try:
        return list(endings({"done": json.loads(mark.ends())}))
    except BREACHES as error:
        # A job wrote over them; their runs count as unfinished.
        log.warning("executor.protocol", extra={"error": str(error)})
        return []
