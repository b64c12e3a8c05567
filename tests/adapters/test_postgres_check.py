"""What a worker says of a PostgreSQL that it can't use: before the first receive, with what, why and how to fix."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from src.application.ports.queue import Envelope
from src.domain.errors import ConfigError, DatabaseUnavailable, QueueUnavailable
from src.infrastructure.clock import SystemClock
from src.infrastructure.db.check import DatabaseCheck
from src.infrastructure.db.engine import Database
from src.infrastructure.db.postgres_queue import PostgresQueue
from tests.adapters.postgres import as_user, execute, make_database
from tests.servers.kinds import start_postgres
from tests.servers.process import Server, free_ports

PASSWORD = "canary-secret"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that asks some of its users for a password."""
    made = start_postgres()
    rules = made.folder / "data" / "pg_hba.conf"
    rules.write_text(
        f"host all guarded 127.0.0.1/32 scram-sha-256\nhost all banned 127.0.0.1/32 reject\n{rules.read_text()}"
    )
    execute(f"{made.url}/postgres", "SELECT pg_reload_conf()")
    execute(f"{made.url}/postgres", f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'")
    for name in ("banned", "stranger"):
        execute(f"{made.url}/postgres", f"CREATE ROLE {name} LOGIN")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return make_database(server)


def check(url: str, **more: object) -> list[str]:
    database = Database(url)
    try:
        return list(DatabaseCheck(database, **more).check())  # type: ignore[arg-type]
    finally:
        database.close()


def test_a_good_database_says_what_it_is(url: str) -> None:
    facts = check(url)
    assert facts[0].startswith("PostgreSQL ")
    assert facts[1].startswith("schema ")
    assert len(facts) == 2, "no warnings"


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ("guarded:wrong-canary", "password"),
        ("guarded", "password"),
        ("nobody", "let this user in"),
        ("banned", "let this user in"),
        ("stranger", "queue_messages_id_seq: USAGE"),
    ],
)
def test_a_user_who_may_not_is_a_config_error(url: str, login: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check(as_user(url, login))
    assert words in raised.value.message
    assert raised.value.fix
    assert "canary" not in str(raised.value)


def test_granting_what_the_message_asks_for_is_enough(url: str) -> None:
    for what in ("SELECT, INSERT, UPDATE, DELETE ON ALL TABLES", "USAGE ON ALL SEQUENCES"):
        execute(url, f"GRANT {what} IN SCHEMA public TO guarded")
    granted = as_user(url, f"guarded:{PASSWORD}")
    assert check(granted)
    queue = PostgresQueue(Database(granted), "video", SystemClock())
    queue.publish([Envelope(body=b"x", key="k")])
    queue.ack(queue.receive(1, wait_seconds=0, visibility_seconds=30))
    queue.close()


@pytest.mark.parametrize(
    ("taken", "lacking"),
    [
        ("ALL ON SEQUENCE queue_messages_id_seq", "queue_messages_id_seq: USAGE"),
        ("EXECUTE ON FUNCTION worker_take", "worker_take: EXECUTE"),
        ("DELETE ON jobs", "jobs: DELETE"),
    ],
)
def test_each_lacking_privilege_is_named_with_the_grant_that_mends_it(server: Server, taken: str, lacking: str) -> None:
    url = make_database(server)
    for what in ("ALL ON ALL TABLES", "ALL ON ALL SEQUENCES", "ALL ON ALL FUNCTIONS"):
        execute(url, f"GRANT {what} IN SCHEMA public TO stranger")
    if taken.startswith("EXECUTE"):
        execute(url, f"REVOKE {taken} FROM public")
    execute(url, f"REVOKE {taken} FROM stranger")
    with pytest.raises(ConfigError) as raised:
        check(as_user(url, "stranger"))
    assert f"({lacking})" in raised.value.message
    assert raised.value.fix
    for statement in raised.value.fix.split("; "):
        execute(url, statement)
    assert check(as_user(url, "stranger"))


def test_a_database_that_is_not_there_is_a_config_error(server: Server) -> None:
    with pytest.raises(ConfigError, match="no such database"):
        check(f"{server.url}/nowhere")


def test_a_database_without_tables_is_a_config_error(server: Server) -> None:
    with pytest.raises(ConfigError, match="db upgrade"):
        check(make_database(server, migrate=False))


@pytest.mark.parametrize(("revision", "words"), [("0001", "db upgrade"), ("9999", "upgrade mediaworker")])
def test_f41_another_versions_tables_are_a_config_error(server: Server, revision: str, words: str) -> None:
    url = make_database(server)
    execute(url, f"UPDATE alembic_version SET version_num = '{revision}'")  # noqa: S608 - ours
    with pytest.raises(ConfigError, match=words):
        check(url)


def test_f10_a_read_only_server_is_a_config_error(server: Server) -> None:
    url = make_database(server)
    execute(url, f"ALTER DATABASE {url.rsplit('/', 1)[1]} SET default_transaction_read_only = on")
    with pytest.raises(ConfigError, match="read-only"):
        check(url)


@pytest.mark.parametrize("query", ["sslmode=require", "sslmode=nonsense", "no_such_option=1"])
def test_options_of_the_address_reach_the_driver(url: str, query: str) -> None:
    with pytest.raises(ConfigError, match="WORKER_DATABASE__URL"):
        check(f"{url}?{query}")


def test_what_the_address_says_wins_over_the_settings(url: str) -> None:
    database = Database(f"{url}?application_name=theirs&options=-c%20statement_timeout%3D1234")
    ask = "SELECT current_setting('application_name'), current_setting('statement_timeout'), current_setting('lock_timeout')"
    assert tuple(database.read(lambda connection: connection.exec_driver_sql(ask).one())) == ("theirs", "1234ms", "5s")
    database.close()


def test_a_server_that_is_away_is_no_config_error() -> None:
    (port,) = free_ports()
    with pytest.raises(DatabaseUnavailable) as raised:
        check(f"postgresql://postgres@127.0.0.1:{port}/x")
    assert "WORKER_DATABASE__URL" in str(raised.value.fix)
    with pytest.raises(QueueUnavailable):
        PostgresQueue(Database(f"postgresql://u@127.0.0.1:{port}/x"), "video", SystemClock()).check()


@pytest.mark.parametrize("ahead", [-10.0, 10.0])
def test_clocks_that_differ_are_told(url: str, ahead: float, caplog: pytest.LogCaptureFixture) -> None:
    facts = check(url, now=lambda: SystemClock().now() + ahead)
    assert "WARNING" in facts[-1]
    assert [record.message for record in caplog.records] == ["database.clock_skew"]


def test_the_queue_says_whether_it_is_woken(url: str) -> None:
    for listen, words in ((True, "is woken by NOTIFY"), (False, "polls")):
        queue = PostgresQueue(Database(url), "video", SystemClock(), listen=listen)
        assert list(queue.check())[-1] == words
        queue.close()
