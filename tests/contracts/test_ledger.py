"""JobLedger: admission, moves, leases, waking."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from src.application.catalog import Catalog, JobType
from src.application.decoders import Decoders, DecoderSettings
from src.application.decoders.decoded import Requests
from src.application.ports.ledger import DeadLetterFilter, Effect, Limits
from src.domain.errors import Conflict, DatabaseUnavailable, ErrorReport, InvalidPayload, LeaseLost, NotFound
from src.domain.history import HANDED_BACK, LOST
from src.domain.job import Claimed, Job, JobState
from tests.contracts.backends.state import AddVideo, LedgerPlace, State
from tests.contracts.moves import at_once, claim, draft, failing
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import AFTER, BEFORE, FlakyLedger, WholeLedger


@pytest.fixture
def ledger(ledgers: LedgerPlace) -> WholeLedger:
    return ledgers.ledger()


# ---------------------------------------------------------------------- admission
def test_an_admitted_job_reads_back_as_it_was_written(
    ledger: WholeLedger, ledgers: LedgerPlace, clock: FrozenClock
) -> None:
    admission = ledger.admit(draft(subject="v1"))
    assert (admission.created, admission.rejected) == (True, None)
    assert admission.job == Job.admitted(draft(subject="v1"), clock.now())
    assert ledgers.ledger().find("job-1") == admission.job


def test_every_field_survives_the_ledger(ledger: WholeLedger, ledgers: LedgerPlace) -> None:
    ledger.admit(draft())
    claim(ledger)
    error = ErrorReport("ffmpeg", "it broke: \x1b[0m\u0000 ü", True, "ffmpeg", "Traceback ...")
    failed = ledger.change("job-1", lambda job, now: job.fail(now, fence=1, error=error, dice=0.25))
    assert failed.state is JobState.RETRY_WAIT
    assert ledgers.ledger().find("job-1") == failed


def test_the_same_id_is_admitted_once(ledger: WholeLedger) -> None:
    first = ledger.admit(draft()).job
    again = ledger.admit(draft(tenant="t2"))
    assert (again.created, again.job) == (False, first)


def test_one_active_job_per_type_and_subject(ledger: WholeLedger) -> None:
    first = ledger.admit(draft("job-1", subject="v1")).job
    again = ledger.admit(draft("job-2", subject="v1"))
    assert (again.created, again.job) == (False, first)
    assert ledger.admit(draft("job-3", subject="v1", job_type="other")).created
    assert ledger.admit(draft("job-4")).created
    assert ledger.admit(draft("job-5")).created, "no subject, no limit"


def test_a_subject_is_free_again_when_its_job_has_ended(ledger: WholeLedger) -> None:
    ledger.admit(draft("job-1", subject="v1"))
    ledger.change("job-1", lambda job, now: job.request_cancel(now))
    assert ledger.admit(draft("job-2", subject="v1")).created


def test_reopening_is_refused_while_another_job_is_active_for_the_subject(ledger: WholeLedger) -> None:
    ledger.admit(draft("job-1", subject="v1"))
    ledger.change("job-1", lambda job, now: job.request_cancel(now))
    ledger.admit(draft("job-2", subject="v1"))
    with pytest.raises(Conflict):
        ledger.change("job-1", lambda job, now: job.reopen(now))
    found = ledger.find("job-1")
    assert found is not None
    assert found.state is JobState.CANCELLED


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(active_per_tenant=2), "tenant_limit"),
        (Limits(active_total=3), "global_limit"),
        (Limits(total_per_subject=2), "per_video_limit"),
        (Limits(active_per_tenant=3, active_total=4, total_per_subject=3), None),
        (Limits(), None),
    ],
)
def test_a_submission_over_a_limit_is_rejected_with_its_reason(
    ledger: WholeLedger, limits: Limits, reason: str | None
) -> None:
    for number in (1, 2):
        ledger.admit(draft(f"old-{number}", subject="v1"))
        ledger.change(f"old-{number}", lambda job, now: job.request_cancel(now))
    for number, tenant in enumerate(("t1", "t1", "t2")):
        ledger.admit(draft(f"active-{number}", tenant=tenant))
    admission = ledger.admit(draft("new", subject="v1"), limits)
    assert (admission.rejected, admission.created) == (reason, reason is None)
    assert (ledger.find("new") is None) == (reason is not None)


def test_a_job_that_exists_is_not_rejected(ledger: WholeLedger) -> None:
    ledger.admit(draft())
    assert ledger.admit(draft(), Limits(active_total=1)).rejected is None


def test_two_admissions_of_one_job_make_one_row(ledgers: LedgerPlace) -> None:
    created = at_once(6, lambda number: ledgers.ledger().admit(draft(f"job-{number}", subject="v1")).created)
    assert sorted(created) == [False] * 5 + [True]
    assert sum(ledgers.ledger().counts().values()) == 1


def test_two_admissions_of_one_id_make_one_row(ledgers: LedgerPlace) -> None:
    created = at_once(6, lambda _number: ledgers.ledger().admit(draft()).created)
    assert sorted(created) == [False] * 5 + [True]


@pytest.mark.parametrize("limits", [Limits(active_per_tenant=2), Limits(active_total=2), Limits(total_per_subject=2)])
def test_admissions_at_once_do_not_exceed_a_limit(ledgers: LedgerPlace, limits: Limits) -> None:
    def admit(number: int) -> bool:
        subject = None if limits.total_per_subject == 0 else "v1"
        made = ledgers.ledger().admit(draft(f"job-{number}", subject=subject), limits)
        if made.created and subject:
            ledgers.ledger().change(f"job-{number}", lambda job, now: job.request_cancel(now))
        return made.created

    created = sum(at_once(6, admit))
    assert created == 2 if limits.total_per_subject == 0 else created <= 2


# ---------------------------------------------------------------------- moves
def test_a_move_that_returns_the_same_row_writes_nothing(ledger: WholeLedger) -> None:
    before = ledger.admit(draft()).job
    assert ledger.change("job-1", lambda job, _now: job) == before
    assert list(ledger.attempts("job-1")) == []


def test_a_move_gets_the_databases_time(ledger: WholeLedger, clock: FrozenClock) -> None:
    ledger.admit(draft())
    seen: list[float] = []
    clock.advance(12.25)

    def look(job: Job, now: float) -> Job:
        seen.append(now)
        return job

    ledger.change("job-1", look)
    assert seen == [clock.now()]


def test_a_move_that_raises_writes_nothing(ledger: WholeLedger) -> None:
    before = ledger.admit(draft()).job

    def refuse(_job: Job, _now: float) -> Job:
        raise InvalidPayload("no")

    with pytest.raises(InvalidPayload):
        ledger.change("job-1", refuse)
    assert ledger.find("job-1") == before


def test_an_unknown_job_is_not_found(ledger: WholeLedger) -> None:
    with pytest.raises(NotFound):
        ledger.change("nobody", lambda job, _now: job)


def test_two_claims_of_one_job_give_one_winner(ledgers: LedgerPlace) -> None:
    ledgers.ledger().admit(draft())
    answers = at_once(8, lambda number: claim(ledgers.ledger(), owner=f"w{number}"))
    assert sum(isinstance(answer, Claimed) for answer in answers) == 1
    found = ledgers.ledger().find("job-1")
    assert found is not None
    assert (found.fence, found.attempts) == (1, 1)


def test_lower_fence_is_refused(ledger: WholeLedger, clock: FrozenClock) -> None:
    ledger.admit(draft())
    claim(ledger, owner="old")
    clock.advance(31)
    claim(ledger, owner="new")
    for move in (
        lambda job, now: job.succeed(now, fence=1, result={}),
        lambda job, now: job.beat(now, fence=1, lease_seconds=30),
        lambda job, now: job.hand_back(now, fence=1),
        failing(1, InvalidPayload("x")),
    ):
        with pytest.raises(LeaseLost):
            ledger.change("job-1", move)
    found = ledger.find("job-1")
    assert found is not None
    assert (found.state, found.fence, found.lease_owner) == (JobState.RUNNING, 2, "new")


def test_f08_commit_then_lost_reply_is_safe_to_repeat(ledger: WholeLedger) -> None:
    ledger.admit(draft())
    claim(ledger)
    flaky = FlakyLedger(ledger)
    flaky.script.plan("change", AFTER)

    def complete(job: Job, now: float) -> Job:
        return job.succeed(now, fence=1, result={"hls_path": "a"})

    with pytest.raises(DatabaseUnavailable):
        flaky.change("job-1", complete)
    assert flaky.change("job-1", complete).state is JobState.SUCCEEDED
    assert [attempt.outcome for attempt in ledger.attempts("job-1")] == ["SUCCEEDED"]


def test_f07_a_refused_commit_leaves_the_job_with_its_owner(ledger: WholeLedger) -> None:
    ledger.admit(draft())
    claim(ledger)
    flaky = FlakyLedger(ledger)
    flaky.script.plan("change", BEFORE)
    with pytest.raises(DatabaseUnavailable):
        flaky.change("job-1", lambda job, now: job.succeed(now, fence=1, result={}))
    assert ledger.watch({"job-1": 1})["job-1"].held


# ---------------------------------------------------------------------- history and dead letters
def test_history_keeps_every_execution(ledger: WholeLedger, clock: FrozenClock) -> None:
    ledger.admit(draft())
    claim(ledger, owner="w1")
    ledger.change("job-1", lambda job, now: job.hand_back(now, fence=1))
    claim(ledger, owner="w2")
    clock.advance(31)
    claim(ledger, owner="w3")
    clock.advance(5)
    ledger.change("job-1", failing(3, InvalidPayload("bad input")))
    history = ledger.attempts("job-1")
    assert [attempt.owner for attempt in history] == ["w1", "w2", "w3"]
    assert [attempt.outcome for attempt in history] == [HANDED_BACK, LOST, "FAILED"]
    assert [attempt.number for attempt in history] == [1, 1, 2]
    last = history[-1]
    assert last.error is not None
    assert (last.error.message, last.ended_at, last.started_at) == ("bad input", clock.now(), clock.now() - 5)


def test_a_job_that_ends_without_success_leaves_one_dead_letter(ledgers: LedgerPlace, clock: FrozenClock) -> None:
    ledger = ledgers.ledger()
    ledger.admit(draft())
    claim(ledger)
    ledger.change("job-1", failing(1, InvalidPayload("bad input")))
    (letter,) = ledgers.dead_letters().list(DeadLetterFilter())
    assert (letter.job_id, letter.type, letter.tenant, letter.attempts) == ("job-1", "work", "t1", 1)
    assert (letter.error.code, letter.created_at) == ("invalid_payload", clock.now())
    decoders = Decoders(
        Catalog([JobType(name="work", parse=lambda _tenant, _payload: None, handler="m:C")]), DecoderSettings()
    )
    # NUL is no text that a message may carry; all else comes back as it was.
    decoded = decoders.decode(letter.body.replace(b"\\u0000", b""), {})
    assert isinstance(decoded, Requests)
    (again,) = decoded.drafts
    assert (again.id, again.tenant, again.payload["n"], again.max_attempts) == ("job-1", "t1", 1.5, 3)
    assert letter.error.traceback


def test_a_successful_or_cancelled_job_leaves_no_dead_letter(ledgers: LedgerPlace) -> None:
    ledger = ledgers.ledger()
    for job_id in ("job-1", "job-2"):
        ledger.admit(draft(job_id))
    claim(ledger, "job-1")
    ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result={}))
    ledger.change("job-2", lambda job, now: job.request_cancel(now))
    assert ledgers.dead_letters().list(DeadLetterFilter()) == []


def test_a_new_generation_removes_the_letter_of_the_one_before(ledgers: LedgerPlace) -> None:
    ledger = ledgers.ledger()
    ledger.admit(draft())
    for fence in (1, 2):
        claim(ledger)
        ledger.change("job-1", failing(fence, InvalidPayload("bad input")))
        letters = ledgers.dead_letters().list(DeadLetterFilter())
        assert [letter.id for letter in letters] == [f"job-1.{fence}"]
        ledger.change("job-1", lambda job, now: job.reopen(now))
        assert list(ledgers.dead_letters().list(DeadLetterFilter())) == []


# ---------------------------------------------------------------------- effects
def effects(video_id: str) -> Callable[[Job | None, Job], Sequence[Effect]]:
    def of(old: Job | None, new: Job) -> Sequence[Effect]:
        return [AddVideo(f"of {new.id}"), AddVideo(video_id)] if new.state is JobState.SUCCEEDED or old is None else []

    return of


def test_effects_are_written_with_the_move(state: State) -> None:
    ledger = state.ledger(effects("more"))
    ledger.admit(draft())
    assert state.videos().find("of job-1") is not None
    assert state.videos().find("more") is not None


def test_a_failed_effect_undoes_the_move_and_the_other_effects(state: State) -> None:
    ledger = state.ledger(effects("refused"))
    with pytest.raises(Conflict):
        ledger.admit(draft())
    assert ledger.find("job-1") is None
    assert state.videos().find("of job-1") is None
