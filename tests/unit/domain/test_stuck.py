"""What recovery does, for every state of a job and every state of its batch job, answers that say nothing included (F35)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest

from src.domain.batch import BatchState
from src.domain.job import Job, JobState
from src.domain.stuck import (
    Around,
    Closing,
    Patience,
    Sighting,
    Step,
    asked_step,
    holder,
    owner_of,
    stuck_step,
    submission_step,
)

NOW = 1_000_000.0
PATIENCE = Patience()
LIVE, OVER, LONG_OVER = NOW + 10, NOW - 10, NOW - 5000
BATCH = [*BatchState, "unknown once", "gone", "no answer", "never submitted", "counted"]
JOBS = ["QUEUED", "QUEUED young", "RUNNING live", "RUNNING over", "RUNNING silent", "RETRY_WAIT", "RETRY_WAIT early"]
ENDED = ["SUCCEEDED", "FAILED", "DEAD", "CANCELLED"]
WAITS = {"SUBMITTED", "PENDING", "RUNNABLE"}
RUNS = {"STARTING", "RUNNING"}


def job(kind: str, **more: object) -> Job:
    name = kind.partition(" ")[0]
    lease = {"RUNNING live": LIVE, "RUNNING over": OVER, "RUNNING silent": LONG_OVER}.get(kind)
    due = {"QUEUED young": NOW - 5, "RETRY_WAIT early": NOW + 5}.get(kind, NOW - 4000)
    # A claim has raised the fence of a RUNNING row since its submission.
    fence = 1 if name == "RUNNING" else 0
    fields = {
        "id": "j1",
        "type": "video",
        "tenant": "t",
        "payload": {},
        "attempts": fence,
        "fence": fence,
        "due_at": due,
    }
    owner = owner_of("b1") if lease else None
    return Job(**{**fields, "state": JobState(name), "lease_until": lease, "lease_owner": owner, **more})  # type: ignore[arg-type]


def sighting(kind: str, **more: object) -> Sighting:
    known = {"unknown once": (None, 1), "gone": (None, 3), "counted": (BatchState.FAILED, 0)}
    state, missing = known[kind] if kind in known else (BatchState(kind), 0)
    fields = {"batch_id": "b1", "generation": 1, "fence": 0, "submitted_at": NOW - 300, "started_at": NOW - 200}
    return Sighting(**{**fields, "state": state, "missing_times": missing, "counted": kind == "counted", **more})  # type: ignore[arg-type]


def seen(kind: str) -> Sequence[Sighting] | None:
    if kind == "no answer":
        return None
    return [] if kind == "never submitted" else [sighting(kind)]


def wanted(state: str, batch: str) -> Step:
    """Said once more, in other words than the code's."""
    if (
        state in (*ENDED, "RUNNING live", "RETRY_WAIT early")
        or batch in ("no answer", "unknown once")
        or batch in WAITS
    ):
        return Step.LEAVE
    if batch in RUNS:
        return Step.TERMINATE if state == "RUNNING silent" else Step.LEAVE
    if batch == "never submitted":
        return {"QUEUED young": Step.LEAVE, "RUNNING over": Step.LEAVE, "RUNNING silent": Step.RESCUE}.get(
            state, Step.SUBMIT
        )
    if state in ("RUNNING over", "RUNNING silent"):
        return Step.RESCUE
    # Ended before anybody claimed it: counted first, submitted then.
    return Step.SUBMIT if batch == "counted" and state != "QUEUED young" else Step.LEAVE


def test_f35_the_table_has_every_state_there_is() -> None:
    assert {kind.partition(" ")[0] for kind in [*JOBS, *ENDED]} == {state.value for state in JobState}
    assert {str(state) for state in BatchState} == WAITS | RUNS | {"SUCCEEDED", "FAILED"}
    assert {str(state) for state in BatchState} <= set(map(str, BATCH))


@pytest.mark.parametrize(("state", "batch"), list(product([*JOBS, *ENDED], map(str, BATCH))))
def test_f35_every_state_of_a_job_and_of_its_batch_job_has_one_answer(state: str, batch: str) -> None:
    assert stuck_step(job(state), seen(batch), NOW, PATIENCE).step is wanted(state, batch)


def test_f33_a_live_lease_is_never_touched_whatever_batch_says_and_however_old_the_job_is() -> None:
    for batch in map(str, BATCH):
        old = job("RUNNING live", created_at=0.0, started_at=0.0, due_at=0.0)
        assert stuck_step(old, seen(batch), NOW, PATIENCE).step is Step.LEAVE


def test_age_alone_proves_nothing() -> None:
    old = job("RUNNING silent", created_at=0.0)
    assert stuck_step(old, [sighting("RUNNABLE")], NOW, PATIENCE).step is Step.LEAVE
    assert stuck_step(job("QUEUED", due_at=0.0), [sighting("RUNNABLE")], NOW, PATIENCE).step is Step.LEAVE


def test_gone_for_good_is_three_answers_in_a_row_or_half_an_hour() -> None:
    for times, seconds, step in ((2, 1800.0, Step.LEAVE), (3, 0.0, Step.RESCUE), (1, 1801.0, Step.RESCUE)):
        one = sighting("unknown once", missing_times=times, missing_seconds=seconds)
        assert stuck_step(job("RUNNING over"), [one], NOW, PATIENCE).step is step


def test_a_retry_whose_container_has_ended_after_its_claim_is_submitted_when_due() -> None:
    failed = [sighting("FAILED")]
    assert stuck_step(job("RETRY_WAIT", fence=1, attempts=1), failed, NOW, PATIENCE).step is Step.SUBMIT
    assert stuck_step(job("RETRY_WAIT early", fence=1, attempts=1), failed, NOW, PATIENCE).step is Step.LEAVE


def test_one_that_is_on_its_way_spares_a_second_one() -> None:
    both = [sighting("FAILED"), sighting("SUBMITTED", batch_id="b2", fence=1)]
    for state in ("RUNNING over", "RUNNING silent", "RETRY_WAIT"):
        assert stuck_step(job(state, fence=1), both, NOW, PATIENCE).step is Step.LEAVE


def test_containers_are_not_sent_without_end() -> None:
    many = [sighting("counted", batch_id=f"b{number}") for number in range(15)]
    assert stuck_step(job("RETRY_WAIT"), many[1:], NOW, PATIENCE).step is Step.SUBMIT
    assert stuck_step(job("RETRY_WAIT"), many, NOW, PATIENCE).step is Step.GIVE_UP
    assert stuck_step(job("RETRY_WAIT", attempts=5), [], NOW, PATIENCE).step is Step.GIVE_UP
    # Those of an earlier generation say nothing about this one.
    assert stuck_step(job("RETRY_WAIT", generation=2), many, NOW, PATIENCE).step is Step.SUBMIT


# ---------------------------------------------------------------------- submissions
def closing(state: str, batch: str) -> Closing:
    if batch in ("no answer", "unknown once", "counted"):
        return Closing.LEAVE
    if batch in WAITS or batch in RUNS:
        return Closing.LEAVE
    if state in ENDED:
        return Closing.CLOSE
    if state.startswith("RUNNING"):
        if batch == "gone" and state == "RUNNING live":
            return Closing.LEAVE
        return Closing.DESYNC if batch == "SUCCEEDED" and state != "RUNNING live" else Closing.CLOSE
    return Closing.DESYNC if batch == "SUCCEEDED" else Closing.COUNT


STATES = [each for each in map(str, BATCH) if each != "never submitted"]


@pytest.mark.parametrize(("state", "batch"), list(product([*JOBS, *ENDED], STATES)))
def test_every_submission_has_one_ruling(state: str, batch: str) -> None:
    one = None if batch == "no answer" else sighting(batch)
    assert submission_step(job(state), one, NOW, Around(), PATIENCE).step is closing(state, batch)


@pytest.mark.parametrize("batch", STATES)
def test_a_job_that_is_gone_or_went_on_takes_no_harm(batch: str) -> None:
    one = None if batch == "no answer" else sighting(batch)
    for row in (None, job("QUEUED", generation=2), job("DEAD")):
        step = submission_step(row, one, NOW, Around(), PATIENCE).step
        assert step is (Closing.CLOSE if batch in ("SUCCEEDED", "FAILED", "gone") else Closing.LEAVE)


@pytest.mark.parametrize("state", [*JOBS, *ENDED])
@pytest.mark.parametrize("found", [True, False, None])
@pytest.mark.parametrize("age", [119.0, 120.0])
def test_f34_what_batch_did_not_answer_has_one_ruling(state: str, found: bool | None, age: float) -> None:
    one = sighting("unknown once", asked=True, missing_times=0, submitted_at=NOW - age)
    step = asked_step(job(state), one, NOW, PATIENCE, found=found).step
    if found is None:
        assert step is Closing.LEAVE, "no answer changes nothing"
    elif found:
        assert step is Closing.ADOPT
    else:
        may_come = state.startswith(("QUEUED", "RETRY_WAIT")) and age < 120
        assert step is (Closing.LEAVE if may_come else Closing.FORGET)
    assert asked_step(None, one, NOW, PATIENCE, found=False).step is Closing.FORGET


@pytest.mark.parametrize("state", [*JOBS, *ENDED])
def test_f34_no_second_container_is_sent_while_the_first_may_be_on_its_way(state: str) -> None:
    one = sighting("unknown once", asked=True, missing_times=0, submitted_at=NOW - 90_000)
    assert stuck_step(job(state), [one], NOW, PATIENCE).step is not Step.SUBMIT
    after = job("RETRY_WAIT", fence=1, attempts=1)
    assert stuck_step(after, [one], NOW, PATIENCE).step is Step.SUBMIT, "it was claimed since"


def test_lesson_12_what_was_claimed_since_counts_nothing() -> None:
    for batch in ("FAILED", "SUCCEEDED", "gone"):
        for state in ("QUEUED", "RETRY_WAIT"):
            ruling = submission_step(job(state, fence=1), sighting(batch), NOW, Around(), PATIENCE)
            assert ruling.step is Closing.CLOSE


def test_of_two_that_wait_the_newest_stays() -> None:
    for state, step in (("RUNNABLE", Closing.DUPLICATE), ("SUBMITTED", Closing.DUPLICATE), ("RUNNING", Closing.LEAVE)):
        around = Around(newer_alive=True, other_alive=True)
        assert submission_step(job("QUEUED"), sighting(state), NOW, around, PATIENCE).step is step
    around = Around(other_alive=True)
    assert submission_step(job("QUEUED"), sighting("RUNNABLE"), NOW, around, PATIENCE).step is Closing.LEAVE
    assert submission_step(job("QUEUED"), sighting("FAILED"), NOW, around, PATIENCE).step is Closing.CLOSE


@pytest.mark.parametrize(
    ("batch", "age", "capacity", "step"),
    [
        ("RUNNABLE", 901.0, True, Closing.ORPHAN),
        ("RUNNABLE", 900.0, True, Closing.LEAVE),
        ("RUNNABLE", 90_000.0, False, Closing.LEAVE),
        ("SUBMITTED", 90_000.0, True, Closing.LEAVE),
        ("STARTING", 90_000.0, True, Closing.LEAVE),
        ("RUNNING", 90_000.0, True, Closing.LEAVE),
    ],
)
def test_an_orphan_is_terminated_only_when_it_waits_while_others_get_hosts(
    batch: str, age: float, capacity: bool, step: Closing
) -> None:
    one = sighting(batch, submitted_at=NOW - age)
    for row in (None, job("SUCCEEDED"), job("QUEUED", generation=2)):
        assert submission_step(row, one, NOW, Around(capacity=capacity), PATIENCE).step is step
    assert submission_step(job("QUEUED"), one, NOW, Around(capacity=capacity), PATIENCE).step is not Closing.ORPHAN


def test_one_that_waits_too_long_for_a_host_is_told_and_left_alone() -> None:
    for age, step in ((3600.0, Closing.LEAVE), (3601.0, Closing.ALARM)):
        one = sighting("RUNNABLE", submitted_at=NOW - age)
        assert submission_step(job("QUEUED"), one, NOW, Around(capacity=True), PATIENCE).step is step


def test_a_container_that_runs_and_claims_nothing_is_ended() -> None:
    for runs, step in ((900.0, Closing.LEAVE), (901.0, Closing.TERMINATE)):
        one = sighting("RUNNING", started_at=NOW - runs)
        assert submission_step(job("QUEUED"), one, NOW, Around(), PATIENCE).step is step
        assert submission_step(job("RUNNING live"), one, NOW, Around(), PATIENCE).step is Closing.LEAVE
        assert submission_step(job("RETRY_WAIT", fence=1), one, NOW, Around(), PATIENCE).step is Closing.LEAVE


def test_the_holder_of_a_job_is_read_from_its_lease() -> None:
    assert holder(job("RUNNING live")) == "b1"
    assert holder(job("RUNNING live", lease_owner="host:12")) is None
    assert holder(job("QUEUED")) is None
