"""BatchService."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from src.application.ports.batch import BatchService, BatchState
from src.domain.errors import BatchDenied, BatchRefused, BatchUnavailable, InvalidPayload
from tests.contracts.backends.batch import BATCHES, BatchPlace
from tests.fakes.clock import FrozenClock

JOB = "0190a5e2-7c1d-7f3a-9b3e-1a2b3c4d5e6f"
UNKNOWN = "11111111-2222-3333-4444-555555555555"
WAITING = {state for state in BatchState if state.waiting}
EVERY = set(BatchState)


@pytest.fixture(params=sorted(BATCHES))
def place(request: pytest.FixtureRequest, clock: FrozenClock, tmp_path: Path) -> Iterator[BatchPlace]:
    made = BATCHES[request.param](clock, tmp_path)
    yield made
    made.close()


@pytest.fixture
def batch(place: BatchPlace) -> BatchService:
    return place.service


def submit(batch: BatchService, job_id: str = JOB) -> str:
    return batch.submit(job_id, name="video", tenant="academy")


CALLS: dict[str, Callable[[BatchService], object]] = {
    "submit": submit,
    "describe": lambda batch: batch.describe([UNKNOWN]),
    "listing": lambda batch: list(batch.listing(EVERY)),
    "of_job": lambda batch: batch.of_job(JOB, name="video"),
    "terminate": lambda batch: batch.terminate(UNKNOWN, "why"),
}


# ---------------------------------------------------------------------- one job's life
def test_a_submitted_job_waits_and_names_ours(batch: BatchService) -> None:
    made = submit(batch)
    job = batch.describe([made])[made]
    assert (job.batch_id, job.job_id, job.name) == (made, JOB, "video-0190a5e2")
    assert job.state in WAITING
    assert job.created_at is not None
    assert (job.started_at, job.stopped_at, job.exit_code, job.attempts) == (None, None, None, 0)


@pytest.mark.parametrize(("code", "state"), [(0, BatchState.SUCCEEDED), (1, BatchState.FAILED), (7, BatchState.FAILED)])
def test_its_exit_code_decides(place: BatchPlace, code: int, state: BatchState) -> None:
    made = submit(place.service)
    place.start(made)
    running = place.service.describe([made])[made]
    assert running.state is BatchState.RUNNING
    assert running.started_at is not None
    assert running.exit_code is None
    place.end(made, code)
    job = place.service.describe([made])[made]
    assert (job.state, job.exit_code, job.attempts) == (state, code, 1)
    assert job.created_at is not None and job.started_at is not None and job.stopped_at is not None
    assert job.created_at <= job.started_at <= job.stopped_at


def test_f35_a_host_that_goes_away_fails_the_job_without_an_exit_code(place: BatchPlace) -> None:
    made = submit(place.service)
    place.start(made)
    place.lose_host(made)
    job = place.service.describe([made])[made]
    assert (job.state, job.exit_code, job.attempts) == (BatchState.FAILED, None, 1)
    assert job.status_reason.startswith("Host EC2 (instance i-")


def test_b3_a_job_that_failed_is_not_run_again_by_batch(place: BatchPlace) -> None:
    made = submit(place.service)
    place.start(made)
    place.end(made, 1)
    job = place.service.describe([made])[made]
    assert job.state is BatchState.FAILED
    assert job.attempts == 1


def test_f34_a_second_submission_is_a_second_batch_job(batch: BatchService) -> None:
    first, second = submit(batch), submit(batch)
    assert first != second
    assert {job.job_id for job in batch.describe([first, second]).values()} == {JOB}


# ---------------------------------------------------------------------- describe
def test_unknown_ids_are_absent(batch: BatchService) -> None:
    made = submit(batch)
    assert set(batch.describe([UNKNOWN, made])) == {made}
    assert batch.describe([]) == {}


def test_f35_a_forgotten_job_is_absent(place: BatchPlace) -> None:
    made = submit(place.service)
    place.start(made)
    place.end(made, 0)
    place.forget(made)
    assert place.service.describe([made]) == {}


def test_more_ids_than_one_call_takes(batch: BatchService) -> None:
    made = submit(batch)
    others = [f"11111111-2222-3333-4444-{number:012d}" for number in range(250)]
    assert set(batch.describe([*others[:130], made, *others[130:], made])) == {made}


def test_a_job_of_another_definition_is_nobody_of_ours(place: BatchPlace) -> None:
    foreign = place.foreign()
    assert place.service.describe([foreign])[foreign].job_id is None
    assert list(place.service.listing(EVERY)) == []


# ---------------------------------------------------------------------- listing
def test_a_listing_is_whole_however_many_pages_it_takes(batch: BatchService) -> None:
    made = {submit(batch, f"job-{number}") for number in range(7)}
    listed = list(batch.listing(WAITING))
    assert {one.batch_id for one in listed} == made
    assert all(one.state in WAITING and one.name.startswith("video-job-") and one.created_at for one in listed)


def test_a_listing_has_the_states_that_were_asked_for(place: BatchPlace) -> None:
    waiting, running, done = (submit(place.service, name) for name in ("waiting", "running", "done"))
    place.start(running)
    place.start(done)
    place.end(done, 0)
    seen = {one.batch_id: one.state for one in place.service.listing({BatchState.RUNNING, BatchState.SUCCEEDED})}
    assert seen == {running: BatchState.RUNNING, done: BatchState.SUCCEEDED}
    assert {one.batch_id for one in place.service.listing(WAITING)} == {waiting}
    assert list(place.service.listing([])) == []


def test_f34_the_batch_jobs_of_one_job_are_found_whatever_became_of_them(place: BatchPlace) -> None:
    first = submit(place.service)
    place.start(first)
    place.end(first, 1)
    second, third = submit(place.service), submit(place.service)
    place.start(second)
    # Same name, which has the first characters of the id only.
    submit(place.service, f"{JOB[:8]}-another")
    place.foreign()
    found = place.service.of_job(JOB, name="video")
    assert {job.batch_id for job in found} == {first, second, third}
    assert found[0].batch_id == first
    assert [job.state.ended for job in found] == [True, False, False]
    assert place.service.of_job("nobody-s", name="video") == []
    assert place.service.of_job(JOB, name="other") == []


# ---------------------------------------------------------------------- terminate
def test_a_waiting_job_that_is_terminated_never_runs(place: BatchPlace) -> None:
    made = submit(place.service)
    place.service.terminate(made, "stuck for 45 minutes")
    job = place.ended(made)
    assert (job.state, job.status_reason, job.attempts) == (BatchState.FAILED, "stuck for 45 minutes", 0)
    assert job.started_at is None


def test_a_running_job_that_is_terminated_ends_as_failed(place: BatchPlace) -> None:
    made = submit(place.service)
    place.start(made)
    place.service.terminate(made, "stuck")
    job = place.ended(made)
    assert (job.state, job.status_reason, job.attempts) == (BatchState.FAILED, "stuck", 1)


def test_terminate_is_idempotent(place: BatchPlace) -> None:
    made = submit(place.service)
    place.service.terminate(made, "first")
    place.service.terminate(made, "second")
    assert place.ended(made).status_reason == "first"
    place.service.terminate(UNKNOWN, "nobody's")


def test_what_ended_well_stays_so(place: BatchPlace) -> None:
    made = submit(place.service)
    place.start(made)
    place.end(made, 0)
    place.service.terminate(made, "too late")
    assert place.service.describe([made])[made].state is BatchState.SUCCEEDED


def test_a_long_reason_is_cut(place: BatchPlace) -> None:
    made = submit(place.service)
    place.service.terminate(made, "x" * 5000)
    assert place.ended(made).status_reason == "x" * 1024


# ---------------------------------------------------------------------- trouble
@pytest.mark.parametrize("call", sorted(CALLS))
def test_lesson_11_no_answer_is_never_an_empty_one(place: BatchPlace, call: str) -> None:
    place.away(call)
    with pytest.raises(BatchUnavailable):
        CALLS[call](place.service)


@pytest.mark.parametrize("call", sorted(CALLS))
def test_lesson_11_a_missing_permission_is_never_an_empty_answer(place: BatchPlace, call: str) -> None:
    place.denied(call)
    with pytest.raises(BatchDenied):
        CALLS[call](place.service)


def test_b1_a_refused_submission_leaves_nothing(place: BatchPlace) -> None:
    place.refused()
    with pytest.raises(BatchRefused):
        submit(place.service)
    assert list(place.service.listing(EVERY)) == []


def test_f34_a_lost_reply_leaves_one_batch_job_and_not_several(place: BatchPlace) -> None:
    place.lose_reply("submit")
    with pytest.raises(BatchUnavailable):
        submit(place.service)
    (left,) = place.service.listing(EVERY)
    assert place.service.describe([left.batch_id])[left.batch_id].job_id == JOB


@pytest.mark.parametrize("name", ["--help", "", "a b", "a\nb", "../x", "x" * 129])
def test_t12_what_is_no_id_is_not_submitted(batch: BatchService, name: str) -> None:
    with pytest.raises(InvalidPayload):
        batch.submit(name, name="video", tenant="academy")
    with pytest.raises(InvalidPayload):
        batch.submit(JOB, name="video", tenant=name)
    assert list(batch.listing(EVERY)) == []
