"""The embedded database under trouble: locked, gone, replaced, read-only, full, forked."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.engine import URL

from src.application.ports.queue import Envelope
from src.domain.errors import ConfigError, DatabaseUnavailable, LockUnavailable, QueueUnavailable
from src.domain.job import JobDraft, JobState
from src.infrastructure.db import schema
from src.infrastructure.db.engine import TRIES, Database, database_now
from src.infrastructure.db.ledger import SqlLedger
from src.infrastructure.db.lock import SqlIdempotency
from src.infrastructure.db.queue import SqlQueue
from src.infrastructure.db.tables import jobs
from tests.fakes.clock import FrozenClock


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "worker.db"
    schema.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(file: Path, clock: FrozenClock) -> Iterator[Database]:
    made = Database(f"sqlite:///{file}", now=clock.now, sleep=clock.sleep, busy_seconds=0.01)
    yield made
    made.close()


@pytest.fixture
def ledger(database: Database) -> SqlLedger:
    made = SqlLedger(database)
    made.admit(JobDraft(id="job-1", type="work", tenant="t1", payload={}))
    made.change("job-1", lambda job, now: job.claim(now, owner="w1", lease_seconds=30)[0])
    return made


def complete(ledger: SqlLedger) -> JobState:
    return ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result={})).state


def test_f09_a_locked_database_is_tried_again_then_reported(ledger: SqlLedger, file: Path, clock: FrozenClock) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable, match="locked"):
        complete(ledger)
    assert len(clock.slept) == TRIES - 1
    other.execute("ROLLBACK")
    other.close()
    assert complete(ledger) is JobState.SUCCEEDED


def test_f09_a_lock_that_ends_in_time_is_not_noticed(ledger: SqlLedger, file: Path, database: Database) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database.sleep = lambda _seconds: other.rollback()
    assert complete(ledger) is JobState.SUCCEEDED
    other.close()


def test_readers_do_not_wait_for_a_writer(ledger: SqlLedger, file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert ledger.watch({"job-1": 1})["job-1"].held
    other.close()


def test_a_database_that_went_away_at_completion_is_not_made_anew(ledger: SqlLedger, file: Path) -> None:
    for part in file.parent.glob("worker.db*"):
        part.unlink()
    with pytest.raises(DatabaseUnavailable, match="removed or replaced"):
        complete(ledger)
    with pytest.raises(DatabaseUnavailable):
        complete(ledger)
    assert not file.exists()


def test_a_database_that_goes_away_inside_a_transaction_refuses_the_commit(database: Database, file: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="removed or replaced"):
        database.write(lambda _connection: file.unlink())


def test_a_database_that_was_replaced_is_not_mistaken_for_ours(ledger: SqlLedger, file: Path, tmp_path: Path) -> None:
    schema.upgrade(f"sqlite:///{tmp_path / 'other.db'}")
    (tmp_path / "other.db").replace(file)
    with pytest.raises(DatabaseUnavailable, match="removed or replaced"):
        complete(ledger)


def test_f10_a_database_that_comes_back_is_used_again(ledger: SqlLedger, file: Path, database: Database) -> None:
    database.write(lambda connection: connection.execute(text("SELECT 1")))
    file.rename(file.with_suffix(".away"))
    with pytest.raises(DatabaseUnavailable):
        complete(ledger)
    file.with_suffix(".away").rename(file)
    assert complete(ledger) is JobState.SUCCEEDED


def test_a_missing_database_says_how_to_make_it(tmp_path: Path) -> None:
    ledger = SqlLedger(Database(f"sqlite:///{tmp_path / 'nobody.db'}"))
    with pytest.raises(DatabaseUnavailable, match="mediaworker db upgrade"):
        ledger.to_wake(1)
    assert not (tmp_path / "nobody.db").exists()


def test_an_empty_database_says_how_to_fill_it(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(DatabaseUnavailable, match="mediaworker db upgrade"):
        SqlLedger(Database(f"sqlite:///{tmp_path / 'empty.db'}")).to_wake(1)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is not a database, but it is long enough to look like one" * 100)
    with pytest.raises(DatabaseUnavailable, match="not a database"):
        SqlLedger(Database(f"sqlite:///{tmp_path / 'text.db'}")).to_wake(1)


def test_f22_a_full_disk_is_named_and_passes(ledger: SqlLedger, database: Database) -> None:
    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.exec_driver_sql("INSERT INTO progress VALUES ('x', 1, ?, 0)", ('"' + "x" * 1_000_000 + '"',))

    with pytest.raises(DatabaseUnavailable, match=r"full.*free space"):
        database.write(fill)
    database.close()
    assert complete(ledger) is JobState.SUCCEEDED


def test_f10_a_read_only_database_is_named(ledger: SqlLedger, database: Database) -> None:
    def write(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only=ON")
        connection.execute(jobs.delete())

    with pytest.raises(DatabaseUnavailable, match="writable"):
        database.write(write)


def test_each_port_raises_its_own_kind_of_trouble(tmp_path: Path, clock: FrozenClock) -> None:
    gone = Database(f"sqlite:///{tmp_path / 'nobody.db'}")
    with pytest.raises(QueueUnavailable):
        SqlQueue(gone, "video", clock).receive(1, wait_seconds=0, visibility_seconds=1)
    with pytest.raises(QueueUnavailable):
        SqlQueue(gone, "video", clock).publish([Envelope(body=b"", key="k")])
    with pytest.raises(LockUnavailable):
        SqlIdempotency(gone).acquire("k", ttl_seconds=1)


def test_t22_an_error_names_no_values(database: Database) -> None:
    def leak(connection: Connection) -> None:
        connection.execute(text("INSERT INTO nothing VALUES (:secret)"), {"secret": "hunter2"})

    with pytest.raises(DatabaseUnavailable) as raised:
        database.write(leak)
    assert "hunter2" not in str(raised.value)


def test_lesson_21_connections_are_closed_at_job_boundaries(ledger: SqlLedger, database: Database, file: Path) -> None:
    def open_files() -> int:
        return sum(os.path.realpath(link).startswith(str(file)) for link in Path("/proc/self/fd").iterdir())

    ledger.to_wake(1)
    assert open_files() > 0
    database.close()
    assert open_files() == 0
    assert database.connection_count() == 0
    assert complete(ledger) is JobState.SUCCEEDED


def test_a_forked_child_opens_connections_of_its_own(ledger: SqlLedger, database: Database) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if complete(ledger) is JobState.SUCCEEDED else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    found = ledger.find("job-1")
    assert found is not None
    assert found.state is JobState.SUCCEEDED


def test_a_commit_is_on_disk_before_it_is_answered(database: Database) -> None:
    def settings(connection: Connection) -> tuple[object, ...]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return tuple(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names)

    full = 2
    assert database.read(settings) == ("wal", full, 1)


def test_a_killed_writer_leaves_the_last_commit(ledger: SqlLedger, database: Database) -> None:
    child = os.fork()
    if child == 0:

        def die(connection: Connection) -> None:
            connection.execute(jobs.delete())
            os.kill(os.getpid(), 9)

        database.write(die)
    os.waitpid(child, 0)
    assert database.read(lambda connection: len(connection.execute(select(jobs)).all())) == 1
    assert complete(ledger) is JobState.SUCCEEDED


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://h/db", "sqlite://", "sqlite:///:memory:"])
def test_e13_a_url_that_can_not_work_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError):
        Database(url).read(database_now)


@pytest.mark.parametrize("name", ["a b", "per%20cent", "hash#x", "é", "ques?mode=memory"])
def test_odd_file_names_are_only_names(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "worker.db"
    url = URL.create("sqlite", database=str(file)).render_as_string()
    assert schema.upgrade(url) == schema.HEAD
    assert file.exists()
    assert SqlLedger(Database(url)).admit(JobDraft(id="job-1", type="work", tenant="t1", payload={})).created
