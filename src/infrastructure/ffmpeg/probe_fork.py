"""The template of probing processes: has PyAV loaded, never sees a source, and forks one process for each.

Started by probe_template.py in the sandbox, with a socket as standard input. Orders are 9 bytes, a letter and two numbers; each is
answered with 8 bytes, a number:
    s 0 0       start a process; two descriptors come along, its standard input and its standard error. Answer: its pid
    w PID MS    wait until it has ended, at most so long. Answer: its exit code, minus its signal, or RUNS
    k PID 0     kill it and wait. Answer: how it ended
It ends when the socket is closed, and its processes end with it. A process gives up all rights once more before it begins, in a
domain of its own: it can't signal its template nor the others (where the kernel's Landlock knows of signals).
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

from src.infrastructure.ffmpeg.launcher import confine, die_with, spec_of

ORDER, ANSWER = 9, 8
RUNS = 1 << 32
LOOK_SECONDS = 0.005


def main(serve: Callable[[], object], words: list[str]) -> None:
    """Serve orders until nobody gives any. `words` are the launcher's: what a process may do."""
    control = socket.socket(fileno=0)
    # What is loaded stays where it is: a collection in a process would copy all of it.
    gc.freeze()
    while order := _received(control):
        body, descriptors = order
        kind, pid, milliseconds = body[:1], int.from_bytes(body[1:5]), int.from_bytes(body[5:])
        if kind == b"s":
            answer = _started(serve, words, control, descriptors)
        elif kind == b"w":
            answer = _ended(pid, milliseconds / 1000)
        else:
            os.kill(pid, signal.SIGKILL)
            answer = _ended(pid, None)
        control.sendall(answer.to_bytes(ANSWER, signed=True))


def _received(control: socket.socket) -> tuple[bytes, list[int]] | None:
    body, descriptors, _, _ = socket.recv_fds(control, ORDER, 2)
    while body and len(body) < ORDER:
        more = control.recv(ORDER - len(body))
        if not more:
            return None
        body += more
    return (body, descriptors) if body else None


def _started(serve: Callable[[], object], words: list[str], control: socket.socket, descriptors: list[int]) -> int:
    template = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(serve, words, control, descriptors, template)
    for descriptor in descriptors:
        os.close(descriptor)
    return pid


def _become(
    serve: Callable[[], object], words: list[str], control: socket.socket, descriptors: list[int], template: int
) -> NoReturn:
    """The probing process: standard input and error are its own, nothing else is open, and no right is left."""
    code = 1
    try:
        control.detach()
        for descriptor, number in zip(descriptors, (0, 2), strict=True):
            os.dup2(descriptor, number)
        os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        die_with(template)
        _give_up_rights(words)
        serve()
        code = 0
    except SystemExit as wanted:
        code = wanted.code if isinstance(wanted.code, int) else 1
    except BaseException:  # noqa: BLE001 - as at the end of any program: said on standard error
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _give_up_rights(words: list[str]) -> None:
    if missing := confine(spec_of(words)):
        raise PermissionError(f"this host gives no {', '.join(missing)}, and the sandbox is required")


def _ended(pid: int, seconds: float | None) -> int:
    """How it ended; RUNS if it did not within `seconds`. None waits as long as it takes."""
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, 0 if until is None else os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if until is not None and time.monotonic() >= until:
            return RUNS
        time.sleep(LOOK_SECONDS)
