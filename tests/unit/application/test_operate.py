"""What operators do to jobs, and what they are told, on the memory adapters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from src.application.dispatch import QueueDispatch
from src.application.explain import explain
from src.application.operate import CancelJob, PurgeDeadLetters, RequeueDeadLetters, RetryJob
from src.application.ports.ledger import DeadLetter, DeadLetterFilter
from src.application.ports.queue import Envelope
from src.domain.errors import (
    Conflict,
    CrashLoop,
    ErrorReport,
    FileAccessError,
    InvalidMessage,
    JobError,
    NotFound,
    QueueUnavailable,
    StorageUnavailable,
    UnsupportedFormat,
)
from src.domain.job import Job, JobDraft, JobState
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.queue import MemoryQueue
from tests.fakes.clock import FrozenClock

ALL = DeadLetterFilter()


@dataclass
class BrokenPublisher:
    """A queue that is away."""

    tried: int = 0

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.tried += len(envelopes)
        raise QueueUnavailable("no queue")


@dataclass
class Backups:
    """Keeps pages; fails at the page it is told to."""

    fail_at: int = -1
    pages: list[Sequence[DeadLetter]] = field(default_factory=list)

    def __call__(self, letters: Sequence[DeadLetter]) -> None:
        if len(self.pages) == self.fail_at:
            raise FileAccessError("no space for the backup")
        self.pages.append(letters)


class Bench:
    """One ledger, its letters and its queue."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.letters = MemoryDeadLetters(self.clock)
        self.ledger = MemoryLedger(self.clock, self.letters)
        self.queue = MemoryQueue(self.clock)
        self.requeue = RequeueDeadLetters(self.ledger, self.letters, self.queue, QueueDispatch(self.queue), self.clock)

    def admit(self, job_id: str, *, subject: str | None = None) -> Job:
        job = self.ledger.admit(JobDraft(id=job_id, type="video", tenant="t1", payload={"n": 1}, subject=subject)).job
        assert job is not None
        return job

    def claim(self, job_id: str) -> Job:
        return self.ledger.change(job_id, lambda job, now: job.claim(now, owner="w1", lease_seconds=30)[0])

    def fail(self, job_id: str, error: JobError) -> Job:
        fence = self.claim(job_id).fence
        report = ErrorReport.of(error)
        return self.ledger.change(job_id, lambda job, now: job.fail(now, fence=fence, error=report, dice=0.5))

    def dead(self, job_id: str) -> Job:
        self.admit(job_id)
        return self.fail(job_id, UnsupportedFormat("text is not a video"))

    def messages(self) -> list[dict[str, object]]:
        found = self.queue.receive(100, wait_seconds=0, visibility_seconds=60)
        return [json.loads(delivery.body) for delivery in found]

    def undecodable(self) -> DeadLetter:
        error = ErrorReport.of(InvalidMessage("not JSON"))
        letter = DeadLetter(
            id="m-000001",
            job_id=None,
            type=None,
            tenant=None,
            queue="video",
            body=b"{nonsense",
            error=error,
            attempts=1,
            created_at=self.clock.now(),
            attributes={"a": "b"},
        )
        self.letters.add(letter)
        return letter

    def explained(self, job_id: str) -> str:
        job = self.ledger.find(job_id)
        assert job is not None
        return "\n".join(explain(job, self.ledger.attempts(job_id), self.clock.now()))


@pytest.fixture
def bench() -> Bench:
    return Bench()


# ---------------------------------------------------------------------- cancel and retry
def test_a_waiting_job_is_cancelled_at_once(bench: Bench) -> None:
    bench.admit("job-1")
    assert CancelJob(bench.ledger).cancel("job-1").state is JobState.CANCELLED


def test_a_running_job_is_asked_to_stop(bench: Bench) -> None:
    bench.admit("job-1")
    bench.claim("job-1")
    job = CancelJob(bench.ledger).cancel("job-1")
    assert (job.state, job.cancel_requested_at) == (JobState.RUNNING, bench.clock.now())


def test_an_ended_job_cannot_be_cancelled(bench: Bench) -> None:
    bench.dead("job-1")
    with pytest.raises(Conflict):
        CancelJob(bench.ledger).cancel("job-1")


def test_a_retried_job_gets_a_new_generation_and_a_message(bench: Bench) -> None:
    bench.dead("job-1")
    job = RetryJob(bench.ledger, QueueDispatch(bench.queue)).retry("job-1")
    assert (job.state, job.generation, job.attempts) == (JobState.QUEUED, 2, 0)
    assert bench.messages() == [{"job_id": "job-1", "type": "video"}]


def test_a_running_job_cannot_be_retried(bench: Bench) -> None:
    bench.admit("job-1")
    bench.claim("job-1")
    with pytest.raises(Conflict):
        RetryJob(bench.ledger, QueueDispatch(bench.queue)).retry("job-1")
    assert bench.messages() == []


def test_lesson_7_a_retry_whose_message_is_lost_is_woken(bench: Bench) -> None:
    bench.dead("job-1")
    with pytest.raises(QueueUnavailable):
        RetryJob(bench.ledger, QueueDispatch(BrokenPublisher())).retry("job-1")
    assert [job.id for job in bench.ledger.to_wake(10)] == ["job-1"]


def test_a_job_that_does_not_exist_is_said_so(bench: Bench) -> None:
    with pytest.raises(NotFound):
        CancelJob(bench.ledger).cancel("job-1")


# ---------------------------------------------------------------------- requeue
def test_a_requeued_letter_reopens_its_job_and_goes(bench: Bench) -> None:
    bench.dead("job-1")
    assert [answer.done for answer in bench.requeue.requeue(ALL)] == [True]
    assert bench.letters.list(ALL) == []
    job = bench.ledger.find("job-1")
    assert job is not None
    assert (job.state, job.generation) == (JobState.QUEUED, 2)
    assert bench.messages() == [{"job_id": "job-1", "type": "video"}]


def test_a_message_that_names_a_job_goes_back_as_a_message_and_outlives_the_jobs_own_letters(bench: Bench) -> None:
    letter = replace(bench.undecodable(), id="m-000002", job_id="job-1", type="test")
    bench.letters.add(letter)
    bench.dead("job-1")
    bench.ledger.change("job-1", lambda job, now: job.reopen(now))
    assert [kept.id for kept in bench.letters.list(DeadLetterFilter(job_id="job-1"))] == ["m-000002"]
    (answer,) = bench.requeue.requeue(DeadLetterFilter(job_id="job-1"))
    assert (answer.done, bench.letters.get("m-000002")) == (True, None)


def test_an_undecodable_message_goes_back_byte_for_byte(bench: Bench) -> None:
    letter = bench.undecodable()
    assert [answer.done for answer in bench.requeue.requeue(ALL)] == [True]
    (delivery,) = bench.queue.receive(1, wait_seconds=0, visibility_seconds=60)
    assert (delivery.body, delivery.attributes) == (letter.body, letter.attributes)


def test_a_dry_run_changes_nothing(bench: Bench) -> None:
    bench.dead("job-1")
    assert [answer.done for answer in bench.requeue.requeue(ALL, dry_run=True)] == [False]
    assert len(bench.letters.list(ALL)) == 1
    assert bench.messages() == []


def test_a_group_is_requeued_alone(bench: Bench) -> None:
    bench.dead("job-1")
    bench.undecodable()
    answers = list(bench.requeue.requeue(DeadLetterFilter(group="invalid_message")))
    assert [answer.letter.id for answer in answers] == ["m-000001"]
    assert [letter.job_id for letter in bench.letters.list(ALL)] == ["job-1"]


def test_more_letters_than_a_page_are_all_requeued_once(bench: Bench) -> None:
    for number in range(450):
        bench.dead(f"job-{number:04}")
    assert sum(answer.done for answer in bench.requeue.requeue(ALL)) == 450
    assert bench.letters.list(ALL) == []


def test_requeueing_keeps_to_its_rate(bench: Bench) -> None:
    for number in range(5):
        bench.dead(f"job-{number}")
    assert len(list(bench.requeue.requeue(ALL, per_second=2))) == 5
    assert bench.clock.slept == [0.5] * 4


def test_a_letter_of_an_older_generation_never_restarts_a_job(bench: Bench) -> None:
    bench.dead("job-1")
    (letter,) = bench.letters.list(ALL)
    (old,) = bench.letters.list(ALL)
    RetryJob(bench.ledger, QueueDispatch(bench.queue)).retry("job-1")
    fence = bench.claim("job-1").fence
    bench.letters.add(old)
    bench.ledger.change("job-1", lambda job, now: job.succeed(now, fence=fence, result={}))
    (answer,) = bench.requeue.requeue(ALL)
    assert (answer.letter.id, answer.done) == (letter.id, False)
    assert "generation 2, SUCCEEDED" in answer.reason


def test_a_job_whose_subject_is_busy_keeps_its_letter(bench: Bench) -> None:
    bench.admit("job-1", subject="v1")
    bench.fail("job-1", UnsupportedFormat("text"))
    bench.admit("job-2", subject="v1")
    (answer,) = bench.requeue.requeue(ALL)
    assert not answer.done
    assert len(bench.letters.list(ALL)) == 1


def test_a_requeued_job_whose_message_is_refused_is_left_to_the_waker(bench: Bench) -> None:
    bench.dead("job-1")
    use_case = RequeueDeadLetters(
        bench.ledger, bench.letters, BrokenPublisher(), QueueDispatch(BrokenPublisher()), bench.clock
    )
    with pytest.raises(QueueUnavailable):
        list(use_case.requeue(ALL))
    job = bench.ledger.find("job-1")
    assert job is not None
    assert (job.state, job.wake_at) == (JobState.QUEUED, bench.clock.now())


# ---------------------------------------------------------------------- purge
def test_a_purge_keeps_a_backup(bench: Bench) -> None:
    for number in range(450):
        bench.dead(f"job-{number:04}")
    backups = Backups()
    assert PurgeDeadLetters(bench.letters).purge(ALL, backups) == 450
    assert sorted(letter.job_id or "" for page in backups.pages for letter in page) == [
        f"job-{n:04}" for n in range(450)
    ]
    assert bench.letters.list(ALL) == []


def test_a_backup_that_fails_loses_no_letter(bench: Bench) -> None:
    for number in range(300):
        bench.dead(f"job-{number:04}")
    backups = Backups(fail_at=1)
    with pytest.raises(FileAccessError):
        PurgeDeadLetters(bench.letters).purge(ALL, backups)
    assert len(bench.letters.list(DeadLetterFilter(limit=1000))) + len(backups.pages[0]) == 300


def test_a_dry_purge_only_counts(bench: Bench) -> None:
    bench.dead("job-1")
    backups = Backups()
    assert PurgeDeadLetters(bench.letters).purge(ALL, backups, dry_run=True) == 1
    assert backups.pages == []
    assert len(bench.letters.list(ALL)) == 1


# ---------------------------------------------------------------------- explain
def test_every_state_says_what_comes_next(bench: Bench) -> None:
    bench.admit("job-1")
    assert "No message is known to have been sent for it" in bench.explained("job-1")
    assert "The waker of any worker publishes one" in bench.explained("job-1")
    bench.ledger.change("job-1", lambda job, now: job.published(now))
    assert "a free worker receives its message from the queue" in bench.explained("job-1")
    assert "No message is known" not in bench.explained("job-1")
    bench.claim("job-1")
    assert "belongs to w1 (fence 1)" in bench.explained("job-1")
    bench.clock.advance(31)
    assert "the worker is lost" in bench.explained("job-1")
    bench.claim("job-1")
    CancelJob(bench.ledger).cancel("job-1")
    assert "its cancellation was asked for" in bench.explained("job-1")
    bench.ledger.change("job-1", lambda job, now: job.cancelled(now, fence=2))
    assert "mediaworker jobs retry job-1" in bench.explained("job-1")


def test_a_retry_names_its_time_and_what_is_left(bench: Bench) -> None:
    bench.admit("job-1")
    bench.fail("job-1", StorageUnavailable("no bucket"))
    text = bench.explained("job-1")
    assert "storage_unavailable: no bucket" in text
    assert "attempt 2 of at most 5 is due in" in text
    assert "ended RETRY_WAIT" in text


def test_a_permanent_error_says_why_it_was_not_retried(bench: Bench) -> None:
    bench.dead("job-1")
    assert "the same input would fail again" in bench.explained("job-1")
    assert "upload a mended source" in bench.explained("job-1")
    assert "jobs retry" not in bench.explained("job-1")


def test_a_permanent_error_that_is_not_the_sources_may_be_retried(bench: Bench) -> None:
    bench.admit("job-1")
    bench.fail("job-1", CrashLoop("it killed its process"))
    assert "jobs retry job-1" in bench.explained("job-1")


def test_an_operators_retry_stands_between_the_attempts(bench: Bench) -> None:
    bench.dead("job-1")
    RetryJob(bench.ledger, QueueDispatch(bench.queue)).retry("job-1")
    assert "generation 2, which has had no attempt yet" in bench.explained("job-1")
    bench.claim("job-1")
    text = bench.explained("job-1")
    assert (
        text.index("ended FAILED") < text.index("an operator opened it again, as generation 2") < text.index("and runs")
    )


def test_a_used_up_policy_is_named(bench: Bench) -> None:
    bench.admit("job-1")
    for _ in range(4):
        bench.clock.advance(4000)
        job = bench.fail("job-1", FileAccessError("no such disk"))
    assert job.state is JobState.DEAD
    assert "are retried 3 times; those are used up" in bench.explained("job-1")


def test_an_attempt_that_was_handed_back_says_why_the_next_one_has_its_number(bench: Bench) -> None:
    bench.admit("job-1")
    fence = bench.claim("job-1").fence
    bench.ledger.change("job-1", lambda job, now: job.hand_back(now, fence=fence))
    assert bench.claim("job-1").attempts == 1
    text = bench.explained("job-1")
    assert text.count("attempt 1 began") == 2
    assert "handed back after" in text
    assert "not counted: the next one has its number" in text


def test_a_success_is_the_end(bench: Bench) -> None:
    bench.admit("job-1")
    fence = bench.claim("job-1").fence
    bench.ledger.change("job-1", lambda job, now: job.succeed(now, fence=fence, result={}))
    assert bench.explained("job-1").endswith("succeeded. Nothing more happens.")


def test_retrying_a_job_that_waits_for_its_retry_makes_it_due_now_without_costing_an_attempt() -> None:
    bench = Bench()
    bench.admit("job-1")
    waiting = bench.fail("job-1", StorageUnavailable("away"))
    assert waiting.state is JobState.RETRY_WAIT
    assert any("jobs retry job-1" in line for line in explain(waiting, [], bench.clock.now()))
    job = RetryJob(bench.ledger, QueueDispatch(bench.queue)).retry("job-1")
    assert (job.state, job.generation, job.attempts) == (JobState.RETRY_WAIT, 1, 1)
    assert job.error_counts == waiting.error_counts
    assert job.due_at == bench.clock.now() < waiting.due_at
    assert len(bench.messages()) == 1
    assert bench.claim("job-1").attempts == 2


def test_retrying_a_queued_job_replaces_its_lost_message_and_changes_nothing_else(bench: Bench) -> None:
    bench.admit("job-1")
    bench.ledger.change("job-1", lambda job, now: job.published(now))
    assert bench.ledger.to_wake(10) == []
    before = bench.ledger.change("job-1", lambda job, _now: job)
    assert "`mediaworker jobs retry job-1` publishes it now" in bench.explained("job-1")
    job = RetryJob(bench.ledger, QueueDispatch(bench.queue)).retry("job-1")
    assert job == before
    assert bench.messages() == [{"job_id": "job-1", "type": "video"}]
    assert bench.claim("job-1").attempts == 1


def test_a_queued_job_whose_message_is_refused_again_is_woken_at_once(bench: Bench) -> None:
    bench.admit("job-1")
    bench.ledger.change("job-1", lambda job, now: job.published(now))
    with pytest.raises(QueueUnavailable):
        RetryJob(bench.ledger, QueueDispatch(BrokenPublisher())).retry("job-1")
    assert [job.id for job in bench.ledger.to_wake(10)] == ["job-1"]


def test_a_reopened_job_leaves_no_old_dead_letter_and_others_stay() -> None:
    bench = Bench()
    bench.dead("job-1")
    bench.dead("job-2")
    RetryJob(bench.ledger, QueueDispatch(bench.queue)).retry("job-1")
    assert [letter.job_id for letter in bench.letters.list(ALL)] == ["job-2"]
    assert [requeued.done for requeued in bench.requeue.requeue(ALL)] == [True]
    assert list(bench.letters.list(ALL)) == []
