"""A claim whose commit may have happened is read back, and costs no attempt."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from src.application.engine.uncertain import UncertainClaims
from src.domain.job import Claimed, Job, JobDraft, JobState
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from tests.fakes.clock import FrozenClock


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def ledger(clock: FrozenClock) -> MemoryLedger:
    made = MemoryLedger(clock, MemoryDeadLetters(clock))
    made.admit(JobDraft(id="job-1", type="test", tenant="acme", payload={}))
    return made


@pytest.fixture
def claim(ledger: MemoryLedger) -> Callable[..., Job]:
    """Claims the job; with `commit` the row says so."""

    def make(*, commit: bool, owner: str = "w1") -> Job:
        found: list[Job] = []

        def move(job: Job, now: float) -> Job:
            after, answer = job.claim(now, owner=owner, lease_seconds=30)
            assert isinstance(answer, Claimed)
            found.append(after)
            return after if commit else job

        ledger.change("job-1", move)
        return found[0]

    return make


def row(ledger: MemoryLedger) -> Job:
    found = ledger.find("job-1")
    assert found is not None
    return found


def test_one_that_went_through_is_given_back_untried(ledger: MemoryLedger, claim: Callable[..., Job]) -> None:
    uncertain = UncertainClaims(ledger)
    uncertain.note(claim(commit=True))
    assert uncertain.settle() == 1
    assert (row(ledger).state, row(ledger).attempts) == (JobState.QUEUED, 0)
    before = row(ledger)
    assert uncertain.settle() == 0
    assert row(ledger) == before


def test_one_that_did_not_changes_nothing(ledger: MemoryLedger, claim: Callable[..., Job]) -> None:
    uncertain, before = UncertainClaims(ledger), row(ledger)
    uncertain.note(claim(commit=False))
    assert uncertain.settle() == 0
    assert row(ledger) == before


@pytest.mark.parametrize("owner", ["w1", "w2"])
def test_another_workers_claim_is_left_alone_even_under_our_name(
    ledger: MemoryLedger, claim: Callable[..., Job], clock: FrozenClock, owner: str
) -> None:
    uncertain = UncertainClaims(ledger)
    uncertain.note(claim(commit=False))
    clock.advance(1)
    theirs = claim(commit=True, owner=owner)
    assert uncertain.settle() == 0
    assert row(ledger) == theirs


def test_a_row_that_is_gone_is_forgotten(claim: Callable[..., Job], clock: FrozenClock) -> None:
    uncertain = UncertainClaims(MemoryLedger(clock, MemoryDeadLetters(clock)))
    uncertain.note(claim(commit=True))
    assert uncertain.settle() == 0
