"""JobQueries."""

from __future__ import annotations

import pytest

from src.application.ports.ledger import JobFilter
from src.domain.errors import Conflict
from src.domain.job import JobDraft, JobState
from tests.contracts.backends.state import LedgerPlace
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import WholeLedger


@pytest.fixture
def ledger(ledgers: LedgerPlace, clock: FrozenClock) -> WholeLedger:
    made = ledgers.ledger()
    for job_id, job_type, tenant in (("abcdef-1", "a", "t1"), ("abcdef-2", "b", "t1"), ("ABCDEF-3", "a", "t2")):
        made.admit(JobDraft(id=job_id, type=job_type, tenant=tenant, payload={}))
        clock.advance(1)
    made.change("abcdef-2", lambda job, now: job.request_cancel(now))
    return made


def ids(ledger: WholeLedger, **criteria: object) -> list[str]:
    return [job.id for job in ledger.list(JobFilter(**criteria))]  # type: ignore[arg-type]


def test_jobs_are_listed_newest_first(ledger: WholeLedger) -> None:
    assert ids(ledger) == ["ABCDEF-3", "abcdef-2", "abcdef-1"]


def test_a_list_is_narrowed_by_state_type_and_tenant(ledger: WholeLedger) -> None:
    assert ids(ledger, state=JobState.CANCELLED) == ["abcdef-2"]
    assert ids(ledger, type="a") == ["ABCDEF-3", "abcdef-1"]
    assert ids(ledger, tenant="t1", type="a") == ["abcdef-1"]
    assert ids(ledger, tenant="t1' OR 1=1 --") == []


def test_ended_jobs_are_listed_by_their_end_however_old_they_are(ledger: WholeLedger, clock: FrozenClock) -> None:
    first = clock.now()
    clock.advance(10)
    second = clock.now()
    ledger.change("abcdef-1", lambda job, now: job.request_cancel(now))
    assert ids(ledger, ended_from=first - 100) == ["abcdef-2", "abcdef-1"]
    assert ids(ledger, ended_from=first - 100, limit=1) == ["abcdef-2"]
    assert ids(ledger, ended_from=second) == ["abcdef-1"]
    assert ids(ledger, ended_to=second - 1) == ["abcdef-2"]
    assert ids(ledger, ended_from=second, ended_to=second, type="a") == ["abcdef-1"]
    assert ids(ledger, ended_from=second + 1) == []
    assert ids(ledger, ended_to=second, state=JobState.QUEUED) == []


def test_a_list_is_paged(ledger: WholeLedger) -> None:
    assert ids(ledger, limit=1, offset=1) == ["abcdef-2"]
    assert ids(ledger, limit=5, offset=3) == []


@pytest.mark.parametrize(
    ("given", "found"), [("abcdef-1", "abcdef-1"), ("ABCDEF", "ABCDEF-3"), ("abcde", None), ("zzzzzz", None)]
)
def test_a_job_is_found_by_its_id_or_a_unique_beginning(ledger: WholeLedger, given: str, found: str | None) -> None:
    job = ledger.find(given)
    assert (job and job.id) == found


@pytest.mark.parametrize("wildcard", ["abcdef%", "%%%%%%%%", "______-1", "abcdef_1"])
def test_t16_wildcards_in_an_id_are_plain_letters(ledger: WholeLedger, wildcard: str) -> None:
    assert ledger.find(wildcard) is None


def test_an_ambiguous_beginning_is_a_conflict(ledger: WholeLedger) -> None:
    with pytest.raises(Conflict):
        ledger.find("abcdef")


def test_counts_are_by_type_and_state(ledger: WholeLedger) -> None:
    assert dict(ledger.counts()) == {
        ("a", JobState.QUEUED): 2,
        ("b", JobState.CANCELLED): 1,
    }


def test_counts_of_what_ended_since_leave_out_the_rest(ledger: WholeLedger, clock: FrozenClock) -> None:
    clock.advance(10)
    since = clock.now()
    ledger.change("abcdef-1", lambda job, now: job.request_cancel(now))
    assert dict(ledger.counts(ended_from=since)) == {("a", JobState.CANCELLED): 1}
    assert dict(ledger.counts(ended_from=since - 100)) == {("a", JobState.CANCELLED): 1, ("b", JobState.CANCELLED): 1}
    assert dict(ledger.counts(ended_from=since + 1)) == {}


def test_an_unknown_job_has_no_history(ledger: WholeLedger) -> None:
    assert list(ledger.attempts("nobody")) == []
