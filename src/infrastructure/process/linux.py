"""The two prctl calls that keep a process tree together. Linux only; elsewhere they report that they did nothing."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, argument: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None, use_errno=True)
    return bool(library.prctl(option, argument, 0, 0, 0) == 0)


def die_with_parent(parent: int) -> None:
    """Be killed when the thread that started this process ends. Exits at once if `parent` is already gone: the signal
    is only sent for deaths after the call."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> bool:
    """Become the parent of grandchildren whose parent dies, so that they can be waited for and never linger as zombies."""
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)
