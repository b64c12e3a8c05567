"""Named places where a crash would hurt. In production `failpoint` is one attribute test; tests arm it.

Arming needs two things at once: the environment says it is a test (`WORKER_ENVIRONMENT=test`), and MEDIAWORKER_FAILPOINTS
names points and actions, e.g. `complete.committed=kill@2` (the second time it is reached). See interfaces/workers/failpoints.py.
"""

from __future__ import annotations

from collections.abc import Callable

NAMES = (
    # the worker (supervisor), in the order of reliability.md 3a
    "message.received",
    "message.decoded",
    "lock.acquired",
    "claim.committed",
    "complete.before",
    "complete.committed",
    "fail.committed",
    "lock.released",
    "message.acked",
    "beat.before",
    "wake.published",
    # the scheduler
    "cron.admitted",
    # the executor
    "handler.started",
    "download.started",
    "probed",
    "ffmpeg.running",
    "output.verified",
    "segment.uploaded",
    "uploaded.all",
)
"""Every failpoint there is; a test walks them all, and calling an unknown one is an error in tests."""

Hook = Callable[[str], None]
_hook: Hook | None = None


def failpoint(name: str) -> None:
    """Reached the place called `name`."""
    if _hook is not None:
        _hook(name)


def arm(hook: Hook | None) -> None:
    """Install (or remove, with None) what happens at failpoints in this process."""
    global _hook  # noqa: PLW0603 - one process-wide switch is the point: production code carries no dependency on it
    _hook = hook
