"""Workers that are lost as containers are: all their processes at the same moment, and their place is filled at once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from tests.functional.fleet import Fleet, Process, wait_for

REFUSED = 4
"""How a worker ends that is started while a server is away."""

LEAVE_SECONDS = 60.0
"""Twice the grace time: only a worker that hangs needs longer."""

BACKOFF_SECONDS = 0.5
"""After which a worker that ended by itself is started again."""


def descendants(pid: int) -> set[int]:
    """The process and all that it started, and so on."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parents[int(entry.name)] = int((entry / "stat").read_bytes().rsplit(b")", 1)[1].split()[1])
    found, more = {pid}, {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - found
        found |= more
    return found


def kill_tree(pid: int) -> None:
    """kill -9 of a process and all that it started: frozen first, so that none of them sees another one die or starts
    one more. They are gone when this returns; the caller waits for its own child."""
    frozen: set[int] = set()
    while more := descendants(pid) - frozen:
        _signal(more, signal.SIGSTOP)
        frozen |= more
    _signal(frozen, signal.SIGKILL)
    wait_for(lambda: not any(map(_runs, frozen)), 10, "killed processes are gone")


def _signal(pids: Collection[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class Seat:
    """One worker's place."""

    process: Process
    number: int
    """of its log"""
    started_at: float
    dies_at: float | None = None
    """known once it receives: a start that takes long is no life"""
    empty_until: float | None = None


@dataclass
class Crew:
    """`workers` places on a fleet; `life()` says how many seconds a worker lives from its first receive. Times are
    monotonic."""

    fleet: Fleet
    workers: int
    life: Callable[[], float]
    seats: list[Seat] = field(default_factory=list)
    kills: int = 0
    refused: int = 0
    """workers that ended by themselves, because a server was away when they were started"""
    odd_exits: list[int] = field(default_factory=list)
    start_seconds: list[float] = field(default_factory=list)

    def fill(self) -> None:
        """A worker in every place."""
        self.seats = [self._start() for _ in range(self.workers)]

    def turn(self, *, killing: bool = True) -> None:
        """Kill whose time has come, and fill what is empty."""
        now = time.monotonic()
        for place, seat in enumerate(self.seats):
            if seat.empty_until is not None:
                if now >= seat.empty_until:
                    self.seats[place] = self._start()
            elif (code := seat.process.poll()) is not None:
                self.refused += code == REFUSED
                self.odd_exits += [code] if code != REFUSED else []
                seat.empty_until = now + BACKOFF_SECONDS
            elif seat.dies_at is None:
                if b"worker.receiving" in (self.fleet.folder / f"worker-{seat.number}.log").read_bytes():
                    self.start_seconds.append(now - seat.started_at)
                    seat.dies_at = now + self.life()
            elif killing and now >= seat.dies_at:
                self._kill(seat)
                self.seats[place] = self._start()

    def kill_all(self) -> None:
        """Every worker at once; their places stay empty until the next turn."""
        for seat in self.seats:
            if seat.empty_until is None and seat.process.poll() is None:
                self._kill(seat)
                seat.empty_until = time.monotonic()

    def leave(self) -> list[int]:
        """SIGTERM to all; their exit codes."""
        running = [seat for seat in self.seats if seat.empty_until is None]
        for seat in running:
            seat.process.terminate()
        return [self._left(seat) for seat in running]

    def _left(self, seat: Seat) -> int:
        try:
            return seat.process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            # It is told by what its threads do (PYTHONFAULTHANDLER), in its log.
            seat.process.send_signal(signal.SIGABRT)
            seat.process.wait()
            raise AssertionError(f"SIGTERM did not end a worker: {self.fleet.log(seat.number)[-8000:]}") from None

    def _start(self) -> Seat:
        return Seat(self.fleet.start(), len(self.fleet.processes) - 1, time.monotonic())

    def _kill(self, seat: Seat) -> None:
        kill_tree(seat.process.pid)
        seat.process.wait()
        self.kills += 1


def between(dice: random.Random, bounds: tuple[float, float]) -> Callable[[], float]:
    """A number of seconds within the bounds, another one every time."""
    return lambda: dice.uniform(*bounds)
