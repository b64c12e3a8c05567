"""The fake of AWS Batch, beyond what every BatchService does (tests/contracts/test_batch.py): what tests drive it with."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from src.application.ports.batch import BatchState
from src.domain.errors import BatchDenied, BatchUnavailable
from src.infrastructure.memory.batch import MemoryBatch
from tests.fakes.clock import FrozenClock


@pytest.fixture
def batch() -> MemoryBatch:
    numbers = itertools.count(1)
    return MemoryBatch(FrozenClock(1000.0), ids=lambda: f"batch-{next(numbers)}")


def submit(batch: MemoryBatch, job_id: str = "job-1") -> str:
    return batch.submit(job_id, name="video", tenant="t1")


def test_nothing_moves_by_itself(batch: MemoryBatch) -> None:
    assert submit(batch) == "batch-1"
    batch.clock.sleep(86_400)
    (job,) = batch.known()
    assert (job.state, job.created_at) == (BatchState.SUBMITTED, 1000.0)


def test_times_are_the_clocks(batch: MemoryBatch) -> None:
    made = submit(batch)
    for state in (BatchState.PENDING, BatchState.RUNNABLE, BatchState.STARTING, BatchState.RUNNING):
        batch.clock.sleep(10)
        batch.move(made, state)
    batch.clock.sleep(10)
    batch.end(made, 0)
    (job,) = batch.known()
    assert (job.created_at, job.started_at, job.stopped_at) == (1000.0, 1040.0, 1050.0)


def test_a_terminated_job_that_lingers_fails_whatever_its_exit_code(batch: MemoryBatch) -> None:
    batch.lingers = True
    running, waiting = submit(batch), submit(batch, "job-2")
    batch.move(running, BatchState.RUNNING)
    batch.terminate(running, "first")
    batch.terminate(running, "second")
    batch.terminate(waiting, "never ran")
    assert [job.state for job in batch.known()] == [BatchState.RUNNING, BatchState.FAILED]
    batch.end(running, 0)
    job = batch.describe([running])[running]
    assert (job.state, job.status_reason, job.exit_code) == (BatchState.FAILED, "first", 0)


def test_what_ended_is_not_driven_on(batch: MemoryBatch) -> None:
    made = submit(batch)
    batch.lose_host(made)
    drives: list[Callable[[], None]] = [
        lambda: batch.end(made, 0),
        lambda: batch.lose_host(made),
        lambda: batch.move(made, BatchState.RUNNING),
    ]
    for drive in drives:
        with pytest.raises(ValueError, match="has ended"):
            drive()
    with pytest.raises(ValueError, match="end jobs"):
        batch.move(submit(batch), BatchState.SUCCEEDED)


def test_calls_fail_as_often_as_was_said_and_in_that_order(batch: MemoryBatch) -> None:
    batch.fail("describe", times=2)
    batch.fail("describe", BatchDenied("no"))
    for error in (BatchUnavailable, BatchUnavailable, BatchDenied):
        with pytest.raises(error):
            batch.describe(["batch-1"])
    assert batch.describe(["batch-1"]) == {}
    with pytest.raises(ValueError, match="none of"):
        batch.fail("descirbe")


def test_before_nothing_is_done_and_afterwards_all_of_it(batch: MemoryBatch) -> None:
    batch.fail("submit")
    with pytest.raises(BatchUnavailable):
        submit(batch)
    assert batch.known() == []
    batch.fail("submit", after=True)
    with pytest.raises(BatchUnavailable):
        submit(batch)
    (job,) = batch.known()
    batch.fail("terminate", after=True)
    with pytest.raises(BatchUnavailable):
        batch.terminate(job.batch_id, "why")
    assert batch.known()[0].state is BatchState.FAILED


def test_a_listing_may_break_off_half_way(batch: MemoryBatch) -> None:
    made = [submit(batch, f"job-{number}") for number in range(4)]
    batch.fail("listing", after=True)
    listing = batch.listing(set(BatchState))
    assert [next(listing).batch_id, next(listing).batch_id] == made[:2]
    with pytest.raises(BatchUnavailable):
        next(listing)


def test_every_call_is_remembered(batch: MemoryBatch) -> None:
    made = submit(batch)
    batch.describe([made, "x"])
    list(batch.listing({BatchState.RUNNING, BatchState.RUNNABLE}))
    batch.terminate(made, "why")
    assert batch.calls == [
        ("submit", "job-1"),
        ("describe", "batch-1,x"),
        ("listing", "RUNNABLE,RUNNING"),
        ("terminate", "batch-1"),
    ]
