"""DeadLetters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.application.ports.ledger import DeadLetter, DeadLetterFilter, DeadLetters
from src.domain.errors import Conflict, ErrorReport, InvalidPayload
from tests.contracts.backends.state import LedgerPlace
from tests.contracts.moves import claim, draft, failing
from tests.fakes.clock import FrozenClock


@pytest.fixture
def letters(ledgers: LedgerPlace) -> DeadLetters:
    return ledgers.dead_letters()


def letter(
    letter_id: str,
    *,
    code: str = "invalid_message",
    job_type: str | None = None,
    tenant: str | None = None,
    at: float = 0,
) -> DeadLetter:
    return DeadLetter(
        id=letter_id,
        job_id=None,
        type=job_type,
        tenant=tenant,
        queue="video",
        body=b"\x00\xff not json",
        error=ErrorReport(code, "why", False, "none", "trace"),
        attempts=0,
        created_at=at,
        attributes={"MessageId": "1"},
    )


def ids(letters: DeadLetters, **criteria: object) -> list[str]:
    return [found.id for found in letters.list(DeadLetterFilter(**criteria))]  # type: ignore[arg-type]


@pytest.fixture
def three(letters: DeadLetters) -> DeadLetters:
    letters.add(letter("letter-1", at=1))
    letters.add(letter("letter-2", at=2, code="crash_loop", job_type="video", tenant="t1"))
    letters.add(letter("LETTER-3", at=3, code="crash_loop", job_type="video", tenant="t2"))
    return letters


def test_a_letter_reads_back_as_it_was_written(letters: DeadLetters) -> None:
    letters.add(letter("letter-1"))
    assert letters.get("letter-1") == letter("letter-1")


def test_f28_adding_the_same_letter_again_changes_nothing(letters: DeadLetters) -> None:
    letters.add(letter("letter-1"))
    letters.notified(["letter-1"])
    letters.add(replace(letter("letter-1"), body=b"other"))
    found = letters.get("letter-1")
    assert found is not None
    assert found.body == letter("letter-1").body
    assert letters.unnotified(9) == []


def test_letters_are_listed_newest_first_and_paged(three: DeadLetters) -> None:
    assert ids(three) == ["LETTER-3", "letter-2", "letter-1"]
    assert ids(three, limit=1, offset=1) == ["letter-2"]


def test_a_list_is_narrowed_by_ids_group_type_and_tenant(three: DeadLetters) -> None:
    assert ids(three, ids=["letter-1", "nobody"]) == ["letter-1"]
    assert ids(three, ids=[]) == []
    assert ids(three, group="crash_loop") == ["LETTER-3", "letter-2"]
    assert ids(three, type="video", tenant="t1") == ["letter-2"]


def test_a_letter_is_found_by_a_unique_beginning(three: DeadLetters) -> None:
    found = three.get("LETTER")
    assert found is not None
    assert found.id == "LETTER-3"
    assert three.get("lette") is None
    with pytest.raises(Conflict):
        three.get("letter")


def test_groups_are_job_type_and_error_class(three: DeadLetters) -> None:
    assert dict(three.groups()) == {(None, "invalid_message"): 1, ("video", "crash_loop"): 2}


def test_removing_counts_what_was_there(three: DeadLetters) -> None:
    assert three.remove(["letter-1", "nobody"]) == 1
    assert three.remove(["letter-1"]) == 0
    assert three.remove([]) == 0
    assert ids(three) == ["LETTER-3", "letter-2"]


def test_each_letter_is_told_once_oldest_first(three: DeadLetters, clock: FrozenClock) -> None:
    assert [found.id for found in three.unnotified(2)] == ["letter-1", "letter-2"]
    three.notified(["letter-1", "letter-2"])
    told = three.get("letter-1")
    assert told is not None
    assert told.notified_at == clock.now()
    assert [found.id for found in three.unnotified(9)] == ["LETTER-3"]


def test_telling_again_keeps_the_first_time(three: DeadLetters, clock: FrozenClock) -> None:
    three.notified(["letter-1"])
    clock.advance(100)
    three.notified(["letter-1"])
    told = three.get("letter-1")
    assert told is not None
    assert told.notified_at == clock.now() - 100


def test_letters_are_found_by_the_job_that_they_name(three: DeadLetters) -> None:
    three.add(replace(letter("letter-4", at=4, job_type="video"), job_id="j-1"))
    assert ids(three, job_id="j-1") == ["letter-4"]
    assert ids(three, job_id="j-") == []


def test_a_messages_letter_outlives_a_new_generation_of_the_job_that_it_names(
    letters: DeadLetters, ledgers: LedgerPlace
) -> None:
    ledger = ledgers.ledger()
    letters.add(replace(letter("letter-1"), job_id="job-1"))
    ledger.admit(draft())
    claim(ledger)
    ledger.change("job-1", failing(1, InvalidPayload("bad input")))
    assert set(ids(letters, job_id="job-1")) == {"letter-1", "job-1.1"}
    ledger.change("job-1", lambda job, now: job.reopen(now))
    assert ids(letters) == ["letter-1"]
