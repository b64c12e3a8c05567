"""What SQLite does for the questions that are asked most: it must not read all jobs to find the active one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from src.application.ports.ledger import Limits
from src.domain.job import ACTIVE_STATES, JobDraft
from src.infrastructure.db import schema
from src.infrastructure.db.ended_jobs import SqlEndedJobs
from src.infrastructure.db.engine import Database
from src.infrastructure.db.ledger import SqlLedger
from src.infrastructure.db.outbox import SqlOutbox
from src.infrastructure.db.queries import ACTIVE
from src.infrastructure.db.videos import SqlVideos

DRAFT = JobDraft(id="job-1", type="video", tenant="t1", subject="video:v1", payload={})

QUESTIONS: dict[str, Callable[[Database], object]] = {
    "waiting videos": lambda database: SqlVideos(database).waiting(limit=10),
    "the active job of a subject": lambda database: SqlLedger(database).admit(DRAFT, Limits(total_per_subject=10**6)),
    "jobs that ended long ago": lambda database: SqlEndedJobs(database).outdated(1e9, 10),
    "the next page of them": lambda database: SqlEndedJobs(database).outdated(1e9, 10, (1.0, "a")),
    "jobs to wake": lambda database: SqlLedger(database).to_wake(10),
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    schema.upgrade(url := f"sqlite:///{tmp_path / 'worker.db'}")
    made = Database(url)
    SqlLedger(made).admit(DRAFT)
    yield made
    made.close()


def plans(database: Database, ask: Callable[[Database], object]) -> list[tuple[str, list[str]]]:
    """(statement, the lines of its plan) of everything that the question reads."""
    asked: list[tuple[str, object]] = []
    ask(database)
    engine = database._live()

    @event.listens_for(engine, "before_cursor_execute")
    def remember(*arguments: object) -> None:
        asked.append((str(arguments[2]), arguments[3]))

    ask(database)
    event.remove(engine, "before_cursor_execute", remember)
    with engine.connect() as connection:
        return [
            (statement, [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)])  # type: ignore[arg-type]
            for statement, given in asked
            if statement.startswith("SELECT") and "FROM jobs" in statement and "count(" not in statement
        ]


@pytest.mark.parametrize("question", sorted(QUESTIONS))
def test_the_active_job_is_found_by_an_index(database: Database, question: str) -> None:
    found = plans(database, QUESTIONS[question])
    assert found, "nothing was asked"
    for statement, plan in found:
        assert not any(line.startswith("SCAN jobs") for line in plan), (statement, plan)


def test_the_states_that_count_as_active_are_the_domains() -> None:
    assert set(ACTIVE.value or ()) == {state.value for state in ACTIVE_STATES}


def test_f37_what_is_parked_makes_no_look_longer(tmp_path: Path) -> None:
    schema.upgrade(url := f"sqlite:///{tmp_path / 'worker.db'}")
    database = Database(url)
    asked: list[tuple[str, object]] = []

    @event.listens_for(database._live(), "before_cursor_execute")
    def remember(*arguments: object) -> None:
        asked.append((str(arguments[2]), arguments[3]))

    assert SqlOutbox(database).unsent("a", 1) == []
    statement, given = asked[-1]
    with database._live().connect() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)]  # type: ignore[arg-type]
    database.close()
    assert "SEARCH outbox USING INDEX outbox_in_turn (sink=?)" in plan
    assert any("USING INDEX outbox_held" in line or "USING COVERING INDEX outbox_held" in line for line in plan), plan
    assert not any("TEMP B-TREE" in line for line in plan)
