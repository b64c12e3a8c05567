"""How a worker's process ends."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import cast

import pytest

from src.application.ports.ledger import JobQueries
from src.application.ports.queue import QueueDepth, QueueInspector
from src.domain.errors import DatabaseUnavailable, QueueUnavailable
from src.domain.job import JobState
from src.interfaces.workers.runner import GARBAGE, leave, settle_memory, tell_left

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


class Counts:
    def __init__(self, answer: Mapping[tuple[str, JobState], int] | DatabaseUnavailable) -> None:
        self.answer = answer

    def counts(self) -> Mapping[tuple[str, JobState], int]:
        if isinstance(self.answer, DatabaseUnavailable):
            raise self.answer
        return self.answer


class Inspector:
    def __init__(self, delayed: int | None = 0) -> None:
        self.delayed = delayed

    def depth(self) -> QueueDepth:
        if self.delayed is None:
            raise QueueUnavailable("no answer")
        return QueueDepth(ready=0, delayed=self.delayed, in_flight=0)


def left(answer: Mapping[tuple[str, JobState], int] | DatabaseUnavailable, delayed: int | None = 0) -> None:
    tell_left(cast("JobQueries", Counts(answer)), cast("QueueInspector", Inspector(delayed)))


def test_a_drain_says_which_jobs_no_message_brought(caplog: pytest.LogCaptureFixture) -> None:
    left({("video", JobState.SUCCEEDED): 9, ("video", JobState.RUNNING): 1})
    assert not caplog.records
    left({("video", JobState.QUEUED): 2, ("video", JobState.RETRY_WAIT): 3, ("video", JobState.DEAD): 1})
    left(DatabaseUnavailable("away"))
    assert [record.message for record in caplog.records] == ["drain.jobs_left", "drain.unknown"]
    assert vars(caplog.records[0])["waiting"] == {"video": 5}
    assert "no message of this worker's" in vars(caplog.records[0])["then"]


@pytest.mark.parametrize(("delayed", "words"), [(1, "1 messages are in the queue"), (None, "could not be asked")])
def test_a_drain_that_was_stopped_does_not_call_the_queue_empty(
    caplog: pytest.LogCaptureFixture, delayed: int | None, words: str
) -> None:
    left({("video", JobState.RETRY_WAIT): 1}, delayed)
    assert words in vars(caplog.records[0])["then"]


@pytest.mark.parametrize("look", [True, False])
def test_f43_once_everything_is_loaded_the_collector_works_and_leaves_what_was_loaded_alone(look: bool) -> None:
    before = gc.get_threshold()
    gc.disable()
    try:
        settle_memory(look=look)
        assert gc.isenabled()
        assert gc.get_threshold()[0] == GARBAGE
        assert gc.get_freeze_count() > GARBAGE
    finally:
        gc.enable()
        gc.unfreeze()
        gc.set_threshold(*before)
