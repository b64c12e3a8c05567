"""A worker that is stopped with all its processes, as a paused virtual machine is, and goes on later."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from tests.adapters.postgres import execute
from tests.functional.fleet import Fleet, Process

TRIES = 100
IN_A_TRANSACTION = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend' AND state <> 'idle'"
)


def freeze(fleet: Fleet, worker: Process) -> None:
    """SIGSTOP for the worker and everything below it, between two transactions: one that is stopped inside of one keeps its
    locks, in the embedded database the only one there is. That ends after a minute (PostgreSQL) or never (one machine's
    own file), and is not what the tests are about."""
    for _ in range(TRIES):
        _stop_all(worker.pid)
        if not _inside_a_transaction(fleet):
            return
        thaw(worker)
        time.sleep(0.03)
    raise AssertionError("the worker was inside a transaction every time")


def thaw(worker: Process, *, head_start_seconds: float = 0.0) -> None:
    """SIGCONT. With a head start, what the worker started goes on before the worker itself can learn that it is late."""
    below = descendants(worker.pid)
    for pid in below:
        _signal(pid, signal.SIGCONT)
    time.sleep(head_start_seconds)
    for pid in [worker.pid, *below]:
        _signal(pid, signal.SIGCONT)


def descendants(pid: int) -> list[int]:
    """Processes below a process, however deep."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                parent = int((entry / "stat").read_bytes().rsplit(b")", 1)[1].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _stop_all(pid: int) -> None:
    """Until a look finds nobody new: who runs can start others."""
    stopped: set[int] = set()
    while new := {pid, *descendants(pid)} - stopped:
        for one in new:
            _signal(one, signal.SIGSTOP)
        stopped |= new


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _inside_a_transaction(fleet: Fleet) -> bool:
    addresses = {fleet.settings.get(name) for name in ("WORKER_DATABASE__URL", "WORKER_QUEUE__URL")} - {None}
    servers = [address for address in addresses if address and address.startswith("postgresql:")]
    if any(execute(address, IN_A_TRANSACTION) != [(0,)] for address in servers):
        return True
    file = fleet.folder / "mediaworker.db"
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(file, timeout=0.2, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return True
    return False
