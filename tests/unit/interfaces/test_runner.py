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


def ended(program: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=20, check=False)


@pytest.mark.parametrize("code", [0, 4])
def test_f24_a_thread_that_hangs_does_not_keep_the_process_after_its_drain(code: int) -> None:
    told = ended(LINGERING.format(code=code))
    assert (told.returncode, told.stdout) == (code, b"buffered")
    assert b"worker.threads_left" in told.stderr


HOLDING = """
import threading
from src.interfaces.workers import runner

class Connections:
    lock = threading.Lock()

    def __del__(self):
        self.lock.acquire()

def work():
    with kept.lock:
        busy.set()
        threading.Event().wait()

kept, busy, before = Connections(), threading.Event(), set(threading.enumerate())
threading.Thread(target=work, daemon=True).start()
busy.wait()
runner.leave(4, before)
"""


def test_f24_a_lock_that_a_daemon_holds_does_not_keep_the_process() -> None:
    assert ended(HOLDING).returncode == 4


def test_threads_that_were_there_before_keep_nobody() -> None:
    over = threading.Event()
    old = threading.Thread(target=over.wait)
    old.start()
    leave(1, set(threading.enumerate()))
    over.set()
    old.join()


def test_a_thread_that_ends_by_itself_is_waited_for() -> None:
    before = set(threading.enumerate())
    ending = threading.Thread(target=lambda: None)
    ending.start()
    leave(1, before)
    assert not ending.is_alive()
