"""The engine as processes: what happens when they are killed, frozen, told to go, or given poison."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from src.application.failpoints import NAMES
from src.application.ports.ledger import DeadLetterFilter
from src.domain.job import JobState
from tests.functional.fleet import Fleet, kill, wait_for

SUPERVISOR_POINTS = [
    "message.received",
    "message.decoded",
    "lock.acquired",
    "claim.committed",
    "complete.before",
    "complete.committed",
    "lock.released",
    "message.acked",
]
AFTER_THE_COMMIT = {"complete.committed", "lock.released", "message.acked"}


def test_a_job_is_done_and_nothing_is_left(fleet: Fleet) -> None:
    fleet.submit("job-1", "use_scratch")
    assert fleet.drain() == 0
    job = fleet.job("job-1")
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)
    assert job.result == {"attempt": 1, "fence": 1}
    assert fleet.scratch_folders() == []
    assert fleet.left_running() == []


@pytest.mark.parametrize("point", SUPERVISOR_POINTS)
def test_k_matrix_kill_9_of_the_worker_at(fleet: Fleet, point: str) -> None:
    """K01-K14 of reliability.md, as far as they are the worker's: nothing lost, nothing committed twice."""
    fleet.submit("job-1", "noop")
    worker = fleet.start(MEDIAWORKER_FAILPOINTS=f"{point}=kill")
    assert worker.wait(30) == -signal.SIGKILL
    wait_for(lambda: fleet.left_running() == [], 5, "the killed worker's processes are gone")
    assert fleet.drain() == 0
    job = fleet.job("job-1")
    assert job.state is JobState.SUCCEEDED
    assert [attempt.outcome for attempt in fleet.adapters.ledger().attempts("job-1")].count("SUCCEEDED") == 1
    ends = len(fleet.entries("end", "job-1"))
    assert ends == (1 if point != "complete.before" else 2)
    if point in AFTER_THE_COMMIT:
        assert job.attempts == 1
    assert fleet.scratch_folders() == []


@pytest.mark.parametrize("point", ["handler.started"])
def test_k_matrix_kill_9_of_the_worker_while_the_handler_is_at(fleet: Fleet, point: str) -> None:
    fleet.submit("job-1", "noop")
    assert fleet.start(MEDIAWORKER_FAILPOINTS=f"{point}=kill").wait(30) == -signal.SIGKILL
    wait_for(lambda: fleet.left_running() == [], 5, "the executor died with its worker")
    assert fleet.drain() == 0
    job = fleet.job("job-1")
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert [attempt.outcome for attempt in fleet.adapters.ledger().attempts("job-1")] == ["LOST", "SUCCEEDED"]


def test_k14_killed_after_the_failure_was_committed_the_row_drives_the_retry(fleet: Fleet) -> None:
    fleet.settings = {"WORKER_RETRY__DELAY_SCALE": "0.02"}
    fleet.submit("job-1", "be_unlucky", max_attempts=2)
    assert fleet.start(MEDIAWORKER_FAILPOINTS="fail.committed=kill").wait(30) == -signal.SIGKILL
    assert fleet.job("job-1").state is JobState.RETRY_WAIT
    assert fleet.drain() == 0
    assert (fleet.job("job-1").state, fleet.job("job-1").attempts) == (JobState.DEAD, 2)
    assert len(fleet.entries("start", "job-1")) == 2


def test_kill_9_in_the_middle_leaves_no_process_and_another_worker_finishes(fleet: Fleet) -> None:
    fleet.submit("job-1", "leave_a_grandchild", seconds=1)
    worker = fleet.start()
    wait_for(lambda: fleet.entries("grandchild"), 30, "the job runs")
    kill(worker)
    wait_for(lambda: [line for line in fleet.left_running() if "executor" in line] == [], 5, "the executor is gone")
    assert fleet.drain() == 0
    assert fleet.job("job-1").state is JobState.SUCCEEDED
    for entry in fleet.entries("grandchild"):
        # A grandchild without the launcher's death pact outlives kill -9 of the worker; it is the handler's to avoid.
        if _alive(int(entry[2])):
            os.kill(int(entry[2]), signal.SIGKILL)


def test_f20_grandchildren_die_with_a_cancelled_run(fleet: Fleet) -> None:
    fleet.submit("job-1", "leave_a_grandchild", seconds=60)
    fleet.start()
    wait_for(lambda: fleet.entries("grandchild"), 30, "the job runs")
    grandchild = int(fleet.entries("grandchild")[0][2])
    fleet.adapters.ledger().change("job-1", lambda job, now: job.request_cancel(now))
    wait_for(lambda: fleet.job("job-1").state is JobState.CANCELLED, 10, "cancelled")
    wait_for(lambda: not _alive(grandchild), 5, "the grandchild is gone")
    assert fleet.scratch_folders() == []


def test_f27_a_poison_job_is_quarantined_and_its_neighbour_is_done(fleet: Fleet) -> None:
    fleet.settings = {"WORKER_RETRY__DELAY_SCALE": "0.02"}
    fleet.submit("poison", "abort")
    fleet.submit("good", "noop")
    assert fleet.drain() == 0
    poison = fleet.job("poison")
    assert (poison.state, poison.attempts) == (JobState.DEAD, 3)
    assert poison.error is not None
    assert poison.error.code == "crash_loop"
    assert fleet.job("good").state is JobState.SUCCEEDED
    (letter,) = fleet.adapters.dead_letters().list(DeadLetterFilter())
    assert letter.job_id == "poison"


def test_an_exception_nobody_foresaw_is_kept_with_its_traceback(fleet: Fleet) -> None:
    fleet.settings = {"WORKER_RETRY__DELAY_SCALE": "0"}
    fleet.submit("job-1", "blow_up", max_attempts=2)
    assert fleet.drain() == 0
    job = fleet.job("job-1")
    assert (job.state, job.attempts) == (JobState.DEAD, 2)
    assert job.error is not None
    assert "RuntimeError: nobody foresaw this" in job.error.message
    assert "in blow_up" in job.error.traceback


def test_a_permanent_error_ends_the_job_at_once(fleet: Fleet) -> None:
    fleet.submit("job-1", "refuse")
    assert fleet.drain() == 0
    job = fleet.job("job-1")
    assert (job.state, job.attempts) == (JobState.FAILED, 1)
    assert job.error is not None
    assert job.error.code == "unsupported_format"


def test_lesson_22_a_failed_attempt_leaves_no_scratch(fleet: Fleet) -> None:
    fleet.settings = {"WORKER_RETRY__DELAY_SCALE": "0"}
    fleet.submit("job-1", "fail_with_scratch", max_attempts=2)
    assert fleet.drain() == 0
    assert len(fleet.entries("start", "job-1")) == 2
    assert fleet.scratch_folders() == []


def test_lesson_31_an_error_is_never_reported_as_a_success(fleet: Fleet) -> None:
    fleet.submit("job-1", "refuse")
    assert fleet.drain() == 0
    job = fleet.job("job-1")
    assert (job.state, job.result) == (JobState.FAILED, None)
    assert fleet.cli("submit", "video", "no-such-key", "--wait").returncode != 0


def test_a_snoozed_job_comes_back_without_a_counted_attempt(fleet: Fleet) -> None:
    fleet.submit("job-1", "snooze_once")
    assert fleet.drain() == 0
    job = fleet.job("job-1")
    assert (job.state, job.attempts, job.fence) == (JobState.SUCCEEDED, 1, 2)


def test_a_result_that_is_not_json_is_an_error_not_a_hang(fleet: Fleet) -> None:
    fleet.settings = {"WORKER_RETRY__DELAY_SCALE": "0"}
    fleet.submit("job-1", "answer_nonsense", max_attempts=1)
    assert fleet.drain() == 0
    job = fleet.job("job-1")
    assert job.state is JobState.DEAD
    assert job.error is not None
    assert "not JSON" in job.error.message


@pytest.mark.parametrize("action", ["repeat_itself", "sleep", "tick"])
def test_f02_lesson_9_lesson_19_a_run_without_progress_is_killed_and_tried_again(fleet: Fleet, action: str) -> None:
    fleet.settings = {"WORKER_VIDEO__STALL_SECONDS": "1.5", "WORKER_RETRY__DELAY_SCALE": "0"}
    fleet.submit("job-1", action, seconds=60, max_attempts=2)
    assert fleet.drain() == 0
    job = fleet.job("job-1")
    assert (job.state, job.attempts) == (JobState.DEAD, 2)
    assert job.error is not None
    assert job.error.code == "stalled"
    assert fleet.left_running() == []


def test_e10_progress_that_cannot_be_sent_does_not_hurt_the_job(fleet: Fleet) -> None:
    fleet.submit("job-1", "report_nonsense")
    assert fleet.drain() == 0
    assert (fleet.job("job-1").state, fleet.job("job-1").attempts) == (JobState.SUCCEEDED, 1)


def test_t12_the_longest_id_there_is_runs_like_any_other(fleet: Fleet) -> None:
    fleet.submit("j" * 128, "use_scratch")
    assert fleet.drain() == 0
    assert fleet.job("j" * 128).state is JobState.SUCCEEDED
    assert fleet.scratch_folders() == []


def test_sigterm_on_an_idle_worker_exits_zero(fleet: Fleet) -> None:
    worker = fleet.start_python()
    wait_for(lambda: "worker.receiving" in fleet.log(), 20, "the worker receives")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0


def test_f24_sigterm_hands_back_what_does_not_fit_and_the_attempt_is_not_burnt(fleet: Fleet) -> None:
    fleet.submit("job-1", "progress", seconds=60)
    worker = fleet.start_python(WORKER_SHUTDOWN__GRACE_SECONDS="6")
    wait_for(lambda: fleet.entries("start", "job-1"), 30, "the job runs")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    job = fleet.job("job-1")
    assert (job.state, job.attempts, job.lease_owner) == (JobState.QUEUED, 0, None)
    assert fleet.adapters.queue_inspector().depth().ready == 1
    assert fleet.scratch_folders() == []
    assert fleet.left_running() == []


def test_f24_sigterm_lets_a_job_finish_that_fits(fleet: Fleet) -> None:
    fleet.submit("job-1", "progress", seconds=2)
    worker = fleet.start(WORKER_SHUTDOWN__GRACE_SECONDS="15")
    wait_for(lambda: fleet.entries("start", "job-1"), 30, "the job runs")
    time.sleep(0.5)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert fleet.job("job-1").state is JobState.SUCCEEDED


def test_a_second_sigterm_stops_now(fleet: Fleet) -> None:
    fleet.submit("job-1", "progress", seconds=20)
    worker = fleet.start(WORKER_SHUTDOWN__GRACE_SECONDS="60")
    wait_for(lambda: fleet.entries("start", "job-1"), 30, "the job runs")
    worker.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert fleet.job("job-1").state is JobState.QUEUED


def test_f04_the_same_message_many_times_to_many_workers_runs_once(fleet: Fleet) -> None:
    fleet.submit("job-1", "sleep", seconds=2)
    for number in range(8):
        fleet.publish(b'{"job_id":"job-1"}', key=f"copy-{number}")
    for _ in range(3):
        fleet.start("--drain")
    assert [worker.wait(60) for worker in fleet.processes] == [0, 0, 0]
    assert fleet.job("job-1").state is JobState.SUCCEEDED
    assert len(fleet.entries("start", "job-1")) == 1


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"{}", b'{"job_id": [5]}', b"[" * 5000, b'{"id":"x","type":"__import__","payload":{}}']
)
def test_f28_lesson_6_poison_messages_are_quarantined_at_first_sight(fleet: Fleet, body: bytes) -> None:
    fleet.publish(body)
    fleet.submit("job-1", "noop")
    assert fleet.drain() == 0
    (letter,) = fleet.adapters.dead_letters().list(DeadLetterFilter())
    assert letter.body == body
    assert not letter.error.retryable
    assert fleet.job("job-1").state is JobState.SUCCEEDED


def test_f07_a_database_locked_at_completion_delays_the_outcome_and_loses_nothing(fleet: Fleet) -> None:
    fleet.submit("job-1", "sleep", seconds=1)
    worker = fleet.start("--drain")
    wait_for(lambda: fleet.entries("start", "job-1"), 30, "the job runs")
    holder = sqlite3.connect(fleet.folder / "mediaworker.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    wait_for(lambda: fleet.entries("end", "job-1"), 30, "the handler is done")
    time.sleep(4)
    holder.execute("ROLLBACK")
    holder.close()
    assert worker.wait(60) == 0
    job = fleet.job("job-1")
    assert job.state is JobState.SUCCEEDED
    assert len(fleet.entries("end", "job-1")) == 1


def test_every_failpoint_is_reached_by_some_test() -> None:
    """A new step without a crash test fails here."""
    pipeline = {"download.started", "probed", "ffmpeg.running", "output.verified", "segment.uploaded", "uploaded.all"}
    elsewhere = {"fail.committed", "beat.before", "wake.published", "handler.started", "cron.admitted"}
    assert set(NAMES) == {*SUPERVISOR_POINTS, *pipeline, *elsewhere}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()[0] != b"Z"
