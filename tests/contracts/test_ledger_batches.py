"""JobLedger: many new jobs, many successes, in one commit."""

from __future__ import annotations

import pytest

from src.application.engine.pace import MOST
from src.application.ports.ledger import DeadLetterFilter
from src.domain.errors import DatabaseUnavailable, InvalidPayload
from src.domain.job import Claimed, Job, JobState
from tests.contracts.backends.state import LedgerPlace
from tests.contracts.moves import at_once, claim, draft, failing
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import AFTER, FlakyLedger, WholeLedger

MANY = 450
HELD = MOST + 10
"""Short jobs, and some long ones."""


@pytest.fixture
def ledger(ledgers: LedgerPlace) -> WholeLedger:
    return ledgers.ledger()


def begin(ledger: WholeLedger, *ids: str, owner: str = "w1", subject: str | None = None) -> set[str]:
    drafts = [draft(job_id, subject=subject) for job_id in ids]
    return set(ledger.begin(drafts, owner=owner, lease_seconds=30))


# ---------------------------------------------------------------------- begin
def test_new_jobs_are_admitted_and_claimed_as_one_by_one(
    ledger: WholeLedger, ledgers: LedgerPlace, clock: FrozenClock
) -> None:
    wanted = [draft("job-1", subject="v1"), draft("job-2", tenant="t2"), draft("job-3", job_type="other")]
    begun = ledger.begin(wanted, owner="w1", lease_seconds=30)
    for one in wanted:
        row, answer = Job.admitted(one, clock.now()).claim(clock.now(), owner="w1", lease_seconds=30)
        assert isinstance(answer, Claimed)
        assert begun[one.id] == row
        assert ledgers.ledger().find(one.id) == row
        assert [(attempt.number, attempt.owner, attempt.outcome) for attempt in ledger.attempts(one.id)] == [
            (1, "w1", None)
        ]


def test_jobs_that_are_there_already_are_left_alone(ledger: WholeLedger) -> None:
    ledger.admit(draft("queued"))
    ledger.admit(draft("running"))
    claim(ledger, "running", owner="other")
    before = {name: ledger.find(name) for name in ("queued", "running")}
    assert begin(ledger, "queued", "new", "running") == {"new"}
    assert {name: ledger.find(name) for name in before} == before


def test_a_subject_somebody_works_on_is_left_alone(ledger: WholeLedger) -> None:
    ledger.admit(draft("first", subject="v1"))
    assert begin(ledger, "second", subject="v1") == set()
    assert ledger.find("second") is None
    assert len(begin(ledger, "a", "b", subject="v2")) == 1, "two of one batch"
    ledger.change("first", lambda job, now: job.request_cancel(now))
    assert begin(ledger, "third", subject="v1") == {"third"}


@pytest.mark.parametrize("subjects", [("v1", None, None), (None, "v1", None)])
def test_jobs_with_a_subject_and_without_one_are_woken_alike(
    ledger: WholeLedger, clock: FrozenClock, subjects: tuple[str | None, ...]
) -> None:
    """A re-index of all, which is alone, and those of single contents come in one batch."""
    wanted = {f"job-{number}": subject for number, subject in enumerate(subjects)}
    begun = ledger.begin(
        [draft(name, subject=subject) for name, subject in wanted.items()], owner="w1", lease_seconds=30
    )
    assert begun.keys() == wanted.keys()
    assert ledger.counts() == {("work", JobState.RUNNING): len(wanted)}
    clock.advance(31)
    assert {job.id for job in ledger.to_wake(10)} == wanted.keys()


def test_workers_with_the_same_jobs_get_each_of_them_once(ledgers: LedgerPlace) -> None:
    ids = [f"job-{number}" for number in range(60)]
    handles = [ledgers.ledger() for _ in range(4)]
    taken = at_once(4, lambda number: begin(handles[number], *(ids if number % 2 else ids[::-1]), owner=f"w{number}"))
    assert sorted(name for some in taken for name in some) == sorted(ids)
    for number, some in enumerate(taken):
        assert all(row is not None and row.lease_owner == f"w{number}" for row in map(ledgers.ledger().find, some))


def test_nothing_asked_is_nothing_done(ledger: WholeLedger) -> None:
    assert dict(ledger.begin([], owner="w1", lease_seconds=30)) == {}
    assert list(ledger.succeed({})) == []


def test_as_many_as_a_worker_may_hold_are_renewed_and_watched_together(ledger: WholeLedger) -> None:
    ids = [f"job-{number}" for number in range(HELD)]
    begin(ledger, *ids)
    holds = dict.fromkeys(ids, 1) | {"job-7": 2}
    for beats in (ledger.beat(holds, lease_seconds=30), ledger.watch(holds)):
        assert [name for name in holds if not beats[name].held] == ["job-7"]


# ---------------------------------------------------------------------- succeed
def test_many_successes_are_those_of_one_by_one(ledger: WholeLedger, ledgers: LedgerPlace, clock: FrozenClock) -> None:
    ids = [f"job-{number}" for number in range(MANY)]
    assert begin(ledger, *ids) == set(ids)
    clock.advance(2)
    results = {name: (1, {"n": number, "text": "é\u0000"}) for number, name in enumerate(ids)}
    assert set(ledger.succeed(results)) == set(ids)
    for name in (ids[0], ids[-1]):
        row = ledgers.ledger().find(name)
        began = Job.begun(draft(name), clock.now() - 2, owner="w1", lease_seconds=30)
        assert row == began.succeed(clock.now(), fence=1, result=results[name][1])
        (attempt,) = ledger.attempts(name)
        assert (attempt.owner, attempt.outcome, attempt.ended_at) == ("w1", "SUCCEEDED", clock.now())
    assert ledger.counts() == {("work", JobState.SUCCEEDED): MANY}


def test_each_of_many_gets_its_own_result(ledger: WholeLedger) -> None:
    names = ["b", "B", "a-1", "a.1", "a1", "Z", "10", "9", "_x", "\u00e9", "\uffee", "\U0001f600", "a_1", "c:1@x"]
    begin(ledger, *names)
    results = {name: (1, {"was": name, "escaped": "\0\x1f"}) for name in names}
    assert set(ledger.succeed(results)) == set(names)
    assert {name: _result(ledger, name) for name in names} == {name: result for name, (_, result) in results.items()}


def test_fences_differ_within_a_batch(ledger: WholeLedger, clock: FrozenClock) -> None:
    begin(ledger, "a", "b", "c")
    clock.advance(31)
    claim(ledger, "b", owner="w2")
    assert set(ledger.succeed({"a": (1, {"n": 1}), "b": (2, {"n": 2}), "c": (2, {"n": 3})})) == {"a", "b"}
    assert [_result(ledger, name) for name in ("a", "b", "c")] == [{"n": 1}, {"n": 2}, None]


def test_lower_fence_is_refused_among_others_that_hold(ledger: WholeLedger, clock: FrozenClock) -> None:
    begin(ledger, "lost", "held")
    clock.advance(31)
    claim(ledger, "lost", owner="w2")
    before = ledger.find("lost")
    assert set(ledger.succeed({"lost": (1, {}), "held": (1, {}), "unknown": (1, {})})) == {"held"}
    assert ledger.find("lost") == before


def test_ended_jobs_stay_as_they_ended(ledger: WholeLedger) -> None:
    begin(ledger, "failed", "cancelled")
    ledger.change("failed", failing(1, InvalidPayload("bad input")))
    ledger.change("cancelled", lambda job, now: job.cancelled(now, fence=1))
    assert set(ledger.succeed({"failed": (1, {}), "cancelled": (1, {})})) == set()
    found = [ledger.find(name) for name in ("failed", "cancelled")]
    assert [row and row.state for row in found] == [JobState.FAILED, JobState.CANCELLED]


def test_one_that_has_ended_does_not_take_those_behind_it_along(ledger: WholeLedger) -> None:
    begin(ledger, "before", "ended", "after")
    ledger.change("ended", lambda job, now: job.cancelled(now, fence=1))
    assert set(ledger.succeed({name: (1, {}) for name in ("before", "ended", "after")})) == {"before", "after"}
    assert dict(ledger.counts()) == {("work", JobState.SUCCEEDED): 2, ("work", JobState.CANCELLED): 1}


def test_f08_a_lost_reply_to_many_successes_is_safe_to_repeat(ledger: WholeLedger, clock: FrozenClock) -> None:
    begin(ledger, "job-1", "job-2")
    flaky = FlakyLedger(ledger)
    flaky.script.plan("succeed", AFTER)
    results = {"job-1": (1, {"n": 1}), "job-2": (1, {"n": 2})}
    with pytest.raises(DatabaseUnavailable):
        flaky.succeed(results)
    before = ledger.find("job-1")
    clock.advance(1)
    assert set(flaky.succeed(results)) == {"job-1", "job-2"}
    assert ledger.find("job-1") == before


def test_a_success_after_a_retry_keeps_the_failures_history(ledgers: LedgerPlace, clock: FrozenClock) -> None:
    ledger = ledgers.ledger()
    begin(ledger, "job-1")
    retried = ledger.change("job-1", failing(1, RuntimeError("once")))
    assert retried.state is JobState.RETRY_WAIT
    clock.advance(retried.due_at - clock.now())
    claim(ledger, "job-1", owner="w2")
    assert set(ledger.succeed({"job-1": (2, {})})) == {"job-1"}
    row = ledger.find("job-1")
    assert row is not None
    assert row.error is None
    assert [(one.owner, one.outcome) for one in ledger.attempts("job-1")] == [("w1", "RETRY_WAIT"), ("w2", "SUCCEEDED")]
    assert list(ledgers.dead_letters().list(DeadLetterFilter())) == []


def test_a_reopened_success_stays_in_history(ledger: WholeLedger) -> None:
    begin(ledger, "job-1")
    ledger.succeed({"job-1": (1, {})})
    ledger.change("job-1", lambda job, now: job.reopen(now))
    claim(ledger, "job-1", owner="w2")
    history = ledger.attempts("job-1")
    assert [(one.generation, one.owner, one.outcome) for one in history] == [(1, "w1", "SUCCEEDED"), (2, "w2", None)]


# ---------------------------------------------------------------------- change_many
def test_many_moves_are_those_of_one_by_one(ledger: WholeLedger, ledgers: LedgerPlace, clock: FrozenClock) -> None:
    ids = [f"job-{number}" for number in range(MANY)]
    begin(ledger, *ids)
    ledger.admit(draft("queued"))
    clock.advance(31)
    rows = ledger.change_many([*ids, "queued", "unknown"], lambda job, now: _claimed(job, now, "w2"))
    assert set(rows) == {*ids, "queued"}
    for name in (ids[0], ids[-1]):
        began = Job.begun(draft(name), clock.now() - 31, owner="w1", lease_seconds=30)
        assert rows[name] == ledgers.ledger().find(name) == _claimed(began, clock.now(), "w2")
        assert [(one.number, one.owner, one.ended_at, one.outcome) for one in ledger.attempts(name)] == [
            (1, "w1", clock.now(), "LOST"),
            (2, "w2", None, None),
        ]
    assert ledger.counts() == {("work", JobState.RUNNING): MANY + 1}
    assert ledger.to_wake(MANY) == []


def test_what_a_move_leaves_as_it_is_is_not_written(ledger: WholeLedger, clock: FrozenClock) -> None:
    begin(ledger, "job-1", "job-2")
    before = ledger.find("job-1")
    clock.advance(5)
    rows = ledger.change_many(
        ["job-1", "job-2"],
        lambda job, now: job if job.id == "job-1" else job.beat(now, fence=1, lease_seconds=30),
    )
    assert rows["job-1"] == before == ledger.find("job-1")
    assert rows["job-2"] == ledger.find("job-2") != before
    assert ledger.change_many([], lambda job, _now: job) == {}


def test_many_ends_leave_their_letters(ledger: WholeLedger, ledgers: LedgerPlace) -> None:
    begin(ledger, "job-1", "job-2")
    end = failing(1, InvalidPayload("never"))
    rows = ledger.change_many(["job-1", "job-2"], end)
    assert {row.state for row in rows.values()} == {JobState.FAILED}
    letters = ledgers.dead_letters().list(DeadLetterFilter())
    assert {letter.job_id for letter in letters} == {"job-1", "job-2"}
    reopened = ledger.change_many(["job-1", "job-2"], lambda job, now: job.reopen(now))
    assert {row.generation for row in reopened.values()} == {2}
    assert ledgers.dead_letters().list(DeadLetterFilter()) == []


def test_of_many_a_second_active_job_about_a_subject_is_left_alone(ledger: WholeLedger) -> None:
    for name, subject in (("old", "v1"), ("other", "v2")):
        begin(ledger, name, subject=subject)
        ledger.change(name, failing(1, InvalidPayload("never")))
    begin(ledger, "new", subject="v1")
    before = ledger.find("old")
    rows = ledger.change_many(["old", "other"], lambda job, now: job.reopen(now))
    assert set(rows) == {"other"}
    assert ledger.find("old") == before
    other = ledger.find("other")
    assert other is not None
    assert other.state is JobState.QUEUED


def test_two_that_claim_the_same_many_share_them(ledgers: LedgerPlace, clock: FrozenClock) -> None:
    ids = [f"job-{number}" for number in range(60)]
    one, other = ledgers.ledger(), ledgers.ledger()
    begin(one, *ids)
    clock.advance(31)

    def take(number: int) -> set[str]:
        owner = f"claimer-{number}"
        rows = (other if number else one).change_many(
            ids[:: -1 if number else 1], lambda job, now: _claimed(job, now, owner)
        )
        return {name for name, row in rows.items() if row.lease_owner == owner}

    taken = at_once(2, take)
    assert set.union(*taken) <= set(ids)
    assert set.intersection(*taken) == set()
    left = one.change_many(ids, lambda job, now: _claimed(job, now, "last"))
    assert {row.fence for row in left.values()} == {2}, "each was claimed once more, by somebody"


def test_f08_a_lost_reply_to_many_moves_is_safe_to_repeat(ledger: WholeLedger, clock: FrozenClock) -> None:
    begin(ledger, "job-1", "job-2")
    clock.advance(31)
    flaky = FlakyLedger(ledger)
    flaky.script.plan("change_many", AFTER)
    with pytest.raises(DatabaseUnavailable):
        flaky.change_many(["job-1", "job-2"], lambda job, now: _claimed(job, now, "w2"))
    before = {name: ledger.find(name) for name in ("job-1", "job-2")}
    assert flaky.change_many(list(before), lambda job, now: _claimed(job, now, "w2")) == before


def _claimed(job: Job, now: float, owner: str) -> Job:
    return job.claim(now, owner=owner, lease_seconds=30)[0]


# ---------------------------------------------------------------------- hand_back
def test_many_given_back_are_those_of_one_by_one(ledger: WholeLedger, ledgers: LedgerPlace, clock: FrozenClock) -> None:
    ids = [f"job-{number}" for number in range(MANY)]
    begin(ledger, *ids)
    clock.advance(2)
    assert set(ledger.hand_back(dict.fromkeys(ids, 1))) == set(ids)
    for name in (ids[0], ids[-1]):
        began = Job.begun(draft(name), clock.now() - 2, owner="w1", lease_seconds=30)
        assert ledgers.ledger().find(name) == began.hand_back(clock.now(), fence=1)
        assert [(one.number, one.owner, one.ended_at, one.outcome, one.error) for one in ledger.attempts(name)] == [
            (1, "w1", clock.now(), "HANDED_BACK", None)
        ]
    assert ledger.counts() == {("work", JobState.QUEUED): MANY}
    assert len(ledger.to_wake(MANY)) == MANY
    assert isinstance(claim(ledger, ids[0], owner="w2"), Claimed)
    row = ledger.find(ids[0])
    assert row is not None
    assert (row.fence, row.attempts) == (2, 1), "the attempt that was given back is not counted"


def test_only_what_is_held_is_given_back(ledger: WholeLedger, clock: FrozenClock) -> None:
    begin(ledger, "held", "lost", "done", "cancelled", "failed")
    ledger.change("failed", failing(1, RuntimeError("once")))
    ledger.succeed({"done": (1, {})})
    ledger.change("cancelled", lambda job, now: job.request_cancel(now))
    clock.advance(31)
    claim(ledger, "lost", owner="w2")
    ledger.admit(draft("new"))
    others = ("lost", "done", "cancelled", "failed", "new")
    before = {name: ledger.find(name) for name in others}
    fences = {"held": 1, "lost": 1, "done": 1, "cancelled": 1, "failed": 1, "new": 1, "unknown": 1}
    assert set(ledger.hand_back(fences)) == {"held"}
    assert {name: ledger.find(name) for name in others} == before
    assert list(ledger.hand_back({})) == []


def test_f08_a_lost_reply_to_many_given_back_is_safe_to_repeat(ledger: WholeLedger, clock: FrozenClock) -> None:
    begin(ledger, "job-1", "job-2")
    flaky = FlakyLedger(ledger)
    flaky.script.plan("hand_back", AFTER)
    with pytest.raises(DatabaseUnavailable):
        flaky.hand_back({"job-1": 1, "job-2": 1})
    before = ledger.find("job-1")
    claim(ledger, "job-2", owner="w2")
    clock.advance(1)
    assert set(flaky.hand_back({"job-1": 1, "job-2": 1})) == {"job-1"}
    assert ledger.find("job-1") == before
    assert len(ledger.attempts("job-1")) == 1


def test_what_is_given_back_after_a_retry_keeps_its_error(ledger: WholeLedger, clock: FrozenClock) -> None:
    begin(ledger, "job-1")
    retried = ledger.change("job-1", failing(1, RuntimeError("once")))
    clock.advance(retried.due_at - clock.now())
    claim(ledger, "job-1", owner="w2")
    assert set(ledger.hand_back({"job-1": 2})) == {"job-1"}
    row = ledger.find("job-1")
    assert row is not None
    assert (row.error, row.attempts) == (retried.error, 1)
    assert [(one.outcome, one.error is None) for one in ledger.attempts("job-1")] == [
        ("RETRY_WAIT", False),
        ("HANDED_BACK", True),
    ]


def test_a_job_is_given_back_or_succeeds_but_not_both(ledgers: LedgerPlace) -> None:
    ids = [f"job-{number}" for number in range(60)]
    one, other = ledgers.ledger(), ledgers.ledger()
    begin(one, *ids)
    given, done = at_once(
        2,
        lambda number: set(
            other.succeed({name: (1, {}) for name in ids[::-1]}) if number else one.hand_back(dict.fromkeys(ids, 1))
        ),
    )
    assert given | done == set(ids)
    assert given & done == set()


def _result(ledger: WholeLedger, job_id: str) -> object:
    job = ledger.find(job_id)
    assert job is not None
    return job.result
