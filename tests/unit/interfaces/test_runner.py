"""How a worker's process ends."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from src.interfaces.workers.runner import leave

LINGERING = """
import logging, threading
from src.interfaces.workers import runner

logging.basicConfig(format="%(message)s")
before = set(threading.enumerate())
threading.Thread(target=threading.Event().wait, name="stuck in a backend").start()
print("buffered", end="")
runner.leave({code}, before)
print("never reached")
"""


@pytest.mark.parametrize("code", [0, 4])
def test_f24_a_thread_that_hangs_does_not_keep_the_process_after_its_drain(code: int) -> None:
    argv = [sys.executable, "-c", LINGERING.format(code=code)]
    ended = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (code, b"buffered")
    assert b"worker.threads_left" in ended.stderr


def test_threads_that_were_there_before_or_are_daemons_keep_nobody() -> None:
    over = threading.Event()
    old = threading.Thread(target=over.wait)
    old.start()
    before = set(threading.enumerate())
    threading.Thread(target=over.wait, daemon=True).start()
    leave(1, before)
    over.set()
    old.join()


def test_a_thread_that_ends_by_itself_is_waited_for() -> None:
    before = set(threading.enumerate())
    ending = threading.Thread(target=lambda: None)
    ending.start()
    leave(1, before)
    assert not ending.is_alive()
