"""Process groups: killed whole, reaped whole."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time

log = logging.getLogger(__name__)


def said(code: int) -> str:
    """In words, how a job's process ended."""
    if code >= 0:
        return f"the job's process exited with code {code} in the middle of the job"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    hint = "; out of memory?" if name == "SIGKILL" else ""
    return f"the job's process was killed by {name}{hint}"


def kill_group(leader: int) -> None:
    """SIGKILL to all of it; that it is gone already is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def reap_group(leader: int, within_seconds: float) -> None:
    """Wait until every process of the group is gone; as sub-reaper we inherit the orphans among them."""
    deadline = time.monotonic() + within_seconds
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
