"""Whole processes, timed from outside with the kernel's own account of them and of everything they waited for."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on the wall and on the processors."""

    wall: float
    cpu: float


def run_all(commands: Sequence[list[str]], parallel: int, cwd: Path | None = None) -> Cost:
    """Run commands, at most `parallel` at a time, in order. Raises RuntimeError when one fails."""
    todo, cpu = list(commands), 0.0
    live: dict[int, subprocess.Popen[bytes]] = {}
    began = time.perf_counter()
    while todo or live:
        while todo and len(live) < parallel:
            process = subprocess.Popen(
                todo.pop(0), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            live[process.pid] = process
        pid, status, usage = os.wait4(-1, 0)
        process = live.pop(pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"exit {process.returncode}: {process.args!r:.500}")
        cpu += usage.ru_utime + usage.ru_stime
    return Cost(time.perf_counter() - began, cpu)


def run_one(command: list[str], environment: dict[str, str], log: Path) -> Cost:
    """One command whose children it waits for itself; its output goes to `log`."""
    began = time.perf_counter()
    with log.open("ab") as sink:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"exit {process.returncode}: {command!r:.200}; see {log.name}")
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime)


def rounds(count: int, *runs: Callable[[], Result]) -> list[list[Result]]:
    """A B C, A B C, ...: side by side, because the machine's speed drifts. One list per run."""
    results: list[list[Result]] = [[] for _ in runs]
    for _ in range(count):
        for row, run in zip(results, runs, strict=True):
            row.append(run())
    return results


def ratio(above: Sequence[float], below: Sequence[float]) -> tuple[float, float, float]:
    """(smallest, median, largest) of the ratios pair by pair."""
    pairs = [one / other for one, other in zip(above, below, strict=True)]
    return min(pairs), statistics.median(pairs), max(pairs)
