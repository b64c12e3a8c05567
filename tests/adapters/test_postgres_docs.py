"""The statements of docs/postgresql.md, run as they stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from src.infrastructure.clock import SystemClock
from src.infrastructure.db import schema
from src.infrastructure.db.check import DatabaseCheck
from src.infrastructure.db.engine import Database
from src.infrastructure.db.postgres_queue import PostgresQueue
from tests.adapters.postgres import as_user, execute
from tests.servers.kinds import start_postgres
from tests.servers.process import Server

PAGE = Path(__file__).resolve().parents[2] / "docs" / "postgresql.md"
ROLES, DEFAULTS, GRANTS, PUBLISH = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run(url: str, statements: str) -> None:
    """One after the other, each on its own (some may not be in a transaction)."""
    for statement in re.split(r";\n", statements.strip()):
        execute(url, statement)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = start_postgres()
    run(f"{made.url}/postgres", ROLES)
    yield made
    made.remove()


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """The workers' address of a database that the owner makes the tables in."""
    yield as_user(f"{server.url}/media", "mediaworker")
    execute(f"{server.url}/postgres", "DROP DATABASE media WITH (FORCE)")
    execute(f"{server.url}/postgres", "CREATE DATABASE media OWNER media_owner")


def check(url: str) -> None:
    database = Database(url)
    assert DatabaseCheck(database).check()
    database.close()


def test_the_default_privileges_are_all_that_workers_need(server: Server, url: str) -> None:
    owner = as_user(f"{server.url}/media", "media_owner")
    run(owner, DEFAULTS)
    schema.upgrade(owner)
    check(url)


def test_the_grants_mend_tables_that_were_made_without(server: Server, url: str) -> None:
    owner = as_user(f"{server.url}/media", "media_owner")
    schema.upgrade(owner)
    run(owner, GRANTS)
    check(url)


def test_a_message_of_another_program_is_received_and_wakes_a_worker(server: Server, url: str) -> None:
    owner = as_user(f"{server.url}/media", "media_owner")
    run(owner, DEFAULTS)
    schema.upgrade(owner)
    execute(f"{server.url}/postgres", "CREATE ROLE api LOGIN")
    execute(owner, "GRANT INSERT ON queue_messages TO api")
    execute(owner, "GRANT USAGE ON SEQUENCE queue_messages_id_seq TO api")
    queue = PostgresQueue(Database(url), "video", SystemClock(), listen=True)
    heard: list[str] = []
    with psycopg.connect(url, autocommit=True) as ears:
        ears.execute(f"LISTEN {queue.channel}".encode())
        run(as_user(f"{server.url}/media", "api"), PUBLISH)
        heard += [told.channel for told in ears.notifies(timeout=10, stop_after=1)]
    assert heard == [queue.channel]
    [delivery] = queue.receive(5, wait_seconds=0, visibility_seconds=30)
    assert b'"video_id": "7"' in delivery.body
    queue.ack([delivery])
    queue.close()
