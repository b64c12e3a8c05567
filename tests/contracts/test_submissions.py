"""Submissions: what was handed to AWS Batch."""

from __future__ import annotations

import threading

import pytest

from src.application.ports.batch import BatchState
from src.application.ports.submissions import BatchSubmission, Submissions, asked_id
from src.domain.errors import NotFound
from tests.contracts.backends.state import State
from tests.fakes.clock import FrozenClock


@pytest.fixture
def submissions(state: State) -> Submissions:
    return state.submissions()


def made(batch_id: str = "b1", job_id: str = "job-1", *, attempt: int = 1) -> BatchSubmission:
    return BatchSubmission(batch_id=batch_id, job_id=job_id, generation=1, attempt=attempt, fence=attempt - 1)


def ids(found: object) -> list[str]:
    assert isinstance(found, list | tuple)
    return [each.batch_id for each in found]


def test_a_submission_reads_back_with_the_time_at_which_it_was_kept(
    submissions: Submissions, state: State, clock: FrozenClock
) -> None:
    kept = submissions.add(made(attempt=3))
    assert kept == BatchSubmission(
        batch_id="b1", job_id="job-1", generation=1, attempt=3, fence=2, submitted_at=clock.now()
    )
    assert state.submissions().latest("job-1") == kept


def test_the_same_batch_job_twice_is_one_row(submissions: Submissions, clock: FrozenClock) -> None:
    first = submissions.add(made())
    clock.advance(5)
    assert submissions.add(made(attempt=2)) == first
    assert list(submissions.of_job("job-1")) == [first]


def test_the_newest_submission_of_a_job_comes_first_when_asked_for_it(
    submissions: Submissions, clock: FrozenClock
) -> None:
    for number, batch_id in enumerate(["z", "b", "a"], start=1):
        submissions.add(made(batch_id, attempt=number))
        clock.advance(1)
    submissions.add(made("other", "job-2"))
    latest = submissions.latest("job-1")
    assert latest is not None
    assert latest.batch_id == "a"
    assert ids(submissions.of_job("job-1")) == ["z", "b", "a"]
    many = submissions.latest_of(["job-1", "job-2", "job-3"])
    assert {job: submission.batch_id for job, submission in many.items()} == {"job-1": "a", "job-2": "other"}
    assert submissions.latest("job-3") is None
    assert submissions.latest_of([]) == {}


def test_open_submissions_are_paged_without_gap_or_repetition(submissions: Submissions, clock: FrozenClock) -> None:
    for number in range(7):
        submissions.add(made(f"b{number}", f"job-{number}"))
        # Some are of the same moment.
        clock.advance(number % 2)
    submissions.count("b2")
    found: list[str] = []
    place = None
    while page := submissions.open(2, place):
        assert len(page) <= 2
        found += ids(list(page))
        place = (page[-1].submitted_at, page[-1].batch_id)
    assert found == ["b0", "b1", "b3", "b4", "b5", "b6"]


def test_lesson_12_an_ended_batch_job_is_counted_once(state: State) -> None:
    state.submissions().add(made())
    gate, answers = threading.Barrier(4), list[bool]()

    def count() -> None:
        submissions = state.submissions()
        gate.wait()
        answers.append(submissions.count("b1"))

    counters = [threading.Thread(target=count) for _ in range(4)]
    for counter in counters:
        counter.start()
    for counter in counters:
        counter.join()
    assert sorted(answers) == [False, False, False, True]
    assert list(state.submissions().open(10)) == []


def test_what_batch_says_of_it_is_kept_and_open_until_it_is_counted(
    submissions: Submissions, state: State, clock: FrozenClock
) -> None:
    submissions.add(made())
    submissions.seen("b1", BatchState.RUNNING, "")
    submissions.seen("b1", BatchState.FAILED, "Host EC2 \x00 (instance i-1) terminated." + "x" * 2000)
    (row,) = state.submissions().open(10)
    assert row.state is BatchState.FAILED
    assert row.reason.startswith("Host EC2 ")
    assert len(row.reason) <= 1024
    clock.advance(3)
    assert submissions.count("b1")
    after = submissions.latest("job-1")
    assert after is not None
    assert after.counted_at == clock.now()
    assert after.state is BatchState.FAILED


def test_lesson_11_missing_is_counted_in_a_row_with_its_beginning(submissions: Submissions, clock: FrozenClock) -> None:
    submissions.add(made())
    began = clock.now()
    assert submissions.missing("b1").missing_times == 1
    clock.advance(60)
    again = submissions.missing("b1")
    assert (again.missing_times, again.missing_since) == (2, began)
    back = submissions.seen("b1", BatchState.RUNNABLE, "")
    assert (back.missing_times, back.missing_since) == (0, None)
    clock.advance(60)
    anew = submissions.missing("b1")
    assert (anew.missing_times, anew.missing_since) == (1, clock.now())


def asked(*, fence: int = 0) -> BatchSubmission:
    return BatchSubmission(
        batch_id=asked_id("job-1", 1, fence), job_id="job-1", generation=1, attempt=fence + 1, fence=fence
    )


def test_f34_a_submission_is_there_before_batch_is_asked_and_once(submissions: Submissions, clock: FrozenClock) -> None:
    began = clock.now()
    assert submissions.begin(asked())
    clock.advance(1)
    assert not submissions.begin(asked()), "somebody is asking"
    assert submissions.begin(asked(fence=1)), "another execution"
    (first, second) = submissions.open(10)
    assert (first.answered, first.submitted_at, second.fence) == (False, began, 1)
    named = submissions.answered(first, "b1")
    assert (named.batch_id, named.answered, named.submitted_at, named.fence) == ("b1", True, began, 0)
    assert ids(list(submissions.of_job("job-1"))) == ["b1", second.batch_id]
    assert submissions.begin(asked()), "a container may be sent again for the same execution"


def test_f34_an_answer_that_comes_late_or_twice_is_one_row(submissions: Submissions, clock: FrozenClock) -> None:
    submissions.begin(asked())
    assert submissions.forget(asked().batch_id)
    assert not submissions.forget(asked().batch_id)
    clock.advance(9)
    late = submissions.answered(asked(), "b1")
    assert late.submitted_at == clock.now()
    submissions.begin(asked())
    assert submissions.answered(asked(), "b1") == late
    assert ids(list(submissions.open(10))) == ["b1"]


def test_only_what_was_not_answered_can_be_forgotten(submissions: Submissions) -> None:
    submissions.add(made())
    assert not submissions.forget("b1")
    assert ids(list(submissions.of_job("job-1"))) == ["b1"]


def test_f34_of_several_who_begin_one_asks(state: State) -> None:
    state.submissions()
    gate, answers = threading.Barrier(4), list[bool]()

    def begin() -> None:
        submissions = state.submissions()
        gate.wait()
        answers.append(submissions.begin(asked()))

    askers = [threading.Thread(target=begin) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert sorted(answers) == [False, False, False, True]


def test_a_batch_job_that_nobody_submitted_here_is_not_found(submissions: Submissions) -> None:
    for ask in (submissions.count, submissions.missing):
        with pytest.raises(NotFound):
            ask("nobodys")
    with pytest.raises(NotFound):
        submissions.seen("nobodys", BatchState.RUNNING, "")
