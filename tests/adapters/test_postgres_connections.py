"""Connections to PostgreSQL: lost ones are replaced, every wait ends, there are few, and none of them remembers anything
where a pooler hands them round."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import Connection

from src.domain.errors import DatabaseUnavailable, InvalidPayload
from src.infrastructure.db import server as server_module
from src.infrastructure.db.engine import Database
from src.infrastructure.db.server import ServerOptions
from tests.adapters.postgres import execute, make_database
from tests.servers.kinds import start_postgres
from tests.servers.process import Server

Open = Callable[..., Database]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that the tests may kill."""
    made = start_postgres(durable=True)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return make_database(server)


@pytest.fixture
def database(url: str) -> Iterator[Open]:
    opened: list[Database] = []

    def make(**options: object) -> Database:
        opened.append(Database(url, sleep=lambda _seconds: None, server=ServerOptions(**options)))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def ask(database: Database, question: str) -> object:
    return database.read(lambda connection: connection.exec_driver_sql(question).scalar())


def put(database: Database, key: str) -> None:
    database.write(lambda connection: connection.exec_driver_sql("INSERT INTO locks VALUES (%s, 't', 1)", (key,)))


def end_all(url: str) -> None:
    """As an administrator, or a proxy that cuts idle connections, does."""
    execute(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mediaworker'")


def test_f10_a_read_does_not_notice_that_the_server_was_killed_and_came_back(
    database: Open, server: Server, url: str
) -> None:
    db = database()
    put(db, "kept")
    server.kill()
    server.start()
    assert ask(db, "SELECT count(*) FROM locks WHERE key = 'kept'") == 1


def test_f10_while_the_server_is_away_everything_is_unavailable_and_then_goes_on(
    database: Open, server: Server
) -> None:
    db = database()
    assert ask(db, "SELECT 1") == 1
    server.kill()
    try:
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                put(db, "away")
    finally:
        server.start()
    put(db, "back")


def test_lesson_17_a_connection_cut_while_idle_costs_no_write(
    database: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "IDLE_SECONDS", 0.0)
    db = database()
    assert ask(db, "SELECT 1") == 1
    end_all(url)
    put(db, "after the cut")


def test_a_write_whose_connection_is_cut_is_unavailable_and_not_done(database: Open, url: str) -> None:
    db = database()

    def cut(connection: object) -> None:
        connection.exec_driver_sql("INSERT INTO locks VALUES ('cut', 't', 1)")  # type: ignore[attr-defined]
        end_all(url)
        connection.exec_driver_sql("SELECT 1")  # type: ignore[attr-defined]

    with pytest.raises(DatabaseUnavailable):
        db.write(cut)
    assert ask(db, "SELECT count(*) FROM locks WHERE key = 'cut'") == 0


def test_a_statement_that_takes_too_long_ends(database: Open) -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        ask(database(statement_seconds=0.1), "SELECT pg_sleep(60)")
    assert "STATEMENT_SECONDS" in str(raised.value.fix)


def test_a_server_that_hangs_is_given_up_and_another_connection_is_used(
    database: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "SLACK_SECONDS", 0.3)
    db = database(statement_seconds=0.3)
    backend = int(str(ask(db, "SELECT pg_backend_pid()")))
    os.kill(backend, signal.SIGSTOP)
    try:
        with pytest.raises(DatabaseUnavailable, match="not answered"):
            put(db, "hangs")
    finally:
        os.kill(backend, signal.SIGCONT)
    assert ask(db, "SELECT count(*) FROM locks WHERE key = 'hangs'") == 0
    assert ask(db, "SELECT pg_backend_pid()") != backend


def test_a_read_is_not_begun_anew_after_a_server_that_hangs(database: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hang again, and whoever asked is kept for no longer than `ServerOptions.longest_seconds` (liveness goes by it)."""
    monkeypatch.setattr(server_module, "SLACK_SECONDS", 0.3)
    stopped: list[int] = []

    def hang(connection: Connection) -> None:
        stopped.append(int(str(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar())))
        os.kill(stopped[-1], signal.SIGSTOP)
        connection.exec_driver_sql("SELECT 1")

    try:
        with pytest.raises(DatabaseUnavailable, match="not answered"):
            database(statement_seconds=0.3, connect_seconds=0.5).read(hang)
    finally:
        for backend in stopped:
            os.kill(backend, signal.SIGCONT)
    assert len(stopped) == 1


def test_f09_waiting_for_a_row_ends(database: Open, url: str) -> None:
    put(database(), "held")
    with psycopg.connect(url) as holder:
        holder.execute("SELECT 1 FROM locks WHERE key = 'held' FOR UPDATE")
        with pytest.raises(DatabaseUnavailable) as raised:
            database(lock_seconds=0.1).write(
                lambda connection: connection.exec_driver_sql("UPDATE locks SET token = 'x' WHERE key = 'held'")
            )
    assert "LOCK_SECONDS" in str(raised.value.fix)


def test_f09_two_transactions_that_wait_for_each_other_both_end_well(database: Open) -> None:
    db = database(lock_seconds=60)
    for key in ("one", "two"):
        put(db, key)
    gate = threading.Barrier(2)

    def cross(first: str, second: str) -> None:
        tries: list[int] = []

        def work(connection: object) -> None:
            for key in (first, second):
                update = "UPDATE locks SET expires_at = expires_at + 1 WHERE key = %s"
                connection.exec_driver_sql(update, (key,))  # type: ignore[attr-defined]
                if key == first and not tries:
                    tries.append(1)
                    gate.wait()

        db.write(work)

    other = threading.Thread(target=cross, args=("two", "one"))
    other.start()
    cross("one", "two")
    other.join()
    assert ask(db, "SELECT sum(expires_at) FROM locks WHERE key IN ('one', 'two')") == 6


def test_lesson_21_a_process_has_no_more_connections_than_it_may(database: Open, url: str) -> None:
    db = database(pool_size=1, max_connections=2)
    seen: list[int] = []
    gate = threading.Barrier(6)

    def work() -> None:
        gate.wait()
        ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mediaworker' AND datname = current_database()"
        seen.extend(int(str(ask(db, ours))) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 30
    assert max(seen) <= 2
    db.close()
    assert not execute(url, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'mediaworker'")


def test_too_few_connections_is_said_so(database: Open) -> None:
    db = database(pool_size=1, max_connections=1, pool_seconds=0.1)

    def nested(_connection: object) -> object:
        return ask(db, "SELECT 1")

    with pytest.raises(DatabaseUnavailable) as raised:
        db.read(nested)
    assert "MAX_CONNECTIONS" in str(raised.value.fix)


def test_a_child_of_fork_uses_connections_of_its_own(database: Open) -> None:
    db = database()
    ours = ask(db, "SELECT pg_backend_pid()")
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writable, str(ask(db, "SELECT pg_backend_pid()")).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = int(os.read(readable, 100))
    assert theirs != ours
    assert ask(db, "SELECT pg_backend_pid()") == ours
    os.close(readable)
    os.close(writable)


def test_a_value_that_postgresql_can_not_keep_is_no_outage(database: Open) -> None:
    with pytest.raises(InvalidPayload):
        put(database(), "a\x00b")


# ---------------------------------------------------------------------- behind a pooler
LIMITS = "SELECT concat_ws(' ', current_setting('statement_timeout'), current_setting('lock_timeout'))"


def test_behind_a_pooler_nothing_is_left_in_a_connection(database: Open) -> None:
    db = database(transaction_pooler=True, pool_size=1, max_connections=1)
    for _ in range(8):
        assert ask(db, LIMITS) == "30s 5s"
    raw = db.dedicated()
    raw.close()
    with db._live().raw_connection() as connection:
        cursor = connection.cursor()
        cursor.execute(LIMITS)
        assert cursor.fetchone() == ("0 0",)
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone() == (0,)


def test_without_a_pooler_limits_cost_no_round_trip_and_statements_are_prepared(database: Open) -> None:
    db = database(pool_size=1, max_connections=1)
    for _ in range(8):
        assert ask(db, LIMITS) == "30s 5s"
    assert int(str(ask(db, "SELECT count(*) FROM pg_prepared_statements"))) > 0
