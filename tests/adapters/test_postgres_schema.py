"""Migrations on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import create_engine

from src.domain.errors import ConfigError
from src.infrastructure.db import schema
from src.infrastructure.db.engine import parsed
from src.infrastructure.db.indexes import complete_metadata
from tests.adapters.postgres import as_user, execute, make_database
from tests.servers.process import Server
from tests.servers.shared import shared

COLUMNS = """SELECT table_name, column_name, data_type, is_nullable, is_identity FROM information_schema.columns
WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY 1, 2"""
INDEXES = """SELECT tablename, indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1, 2"""


@pytest.fixture
def server() -> Server:
    return shared("postgres")


@pytest.fixture
def empty(server: Server) -> str:
    return make_database(server, migrate=False)


def shape(url: str) -> list[tuple[object, ...]]:
    return [*execute(url, COLUMNS), *execute(url, INDEXES)]


def test_the_migrations_make_exactly_the_tables_of_the_code(server: Server, empty: str) -> None:
    engine = create_engine(parsed(empty))
    complete_metadata().create_all(engine)
    engine.dispose()
    made = shape(make_database(server))
    assert made == shape(empty)
    assert len(made) > 50


def test_the_printed_statements_make_the_same_tables(server: Server, empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute(schema.sql(empty).encode())
    assert schema.schema_version(empty) == schema.HEAD
    assert shape(empty) == shape(make_database(server))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_the_address_is_understood(empty: str, scheme: str) -> None:
    assert schema.upgrade(empty.replace("postgresql://", f"{scheme}://")) == schema.HEAD


def test_workers_that_start_together_migrate_once(empty: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _number: schema.upgrade(empty), range(4))) == [schema.HEAD] * 4
    assert execute(empty, "SELECT version_num FROM alembic_version") == [(schema.HEAD,)]


def test_f41_a_newer_database_is_refused(empty: str) -> None:
    schema.upgrade(empty)
    execute(empty, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="upgrade mediaworker"):
        schema.upgrade(empty)


def test_rows_of_the_revision_before_survive_the_upgrade(empty: str) -> None:
    schema.upgrade(empty)
    execute(empty, "INSERT INTO locks VALUES ('k', 't', 1)")
    _downgrade(empty, "0001")
    assert schema.schema_version(empty) == "0001"
    schema.upgrade(empty)
    assert execute(empty, "SELECT * FROM locks") == [("k", "t", 1.0)]


def test_a_user_who_may_not_make_tables_hears_so(server: Server, empty: str) -> None:
    execute(empty, "DROP ROLE IF EXISTS reader")
    execute(empty, "CREATE ROLE reader LOGIN")
    with pytest.raises(ConfigError, match="lacks a privilege") as raised:
        schema.upgrade(as_user(empty, "reader"))
    assert "as the role that owns the tables" in str(raised.value.fix)
    assert "docs/postgresql.md" in str(raised.value.fix)
    assert schema.schema_version(empty) is None


def test_vacuum_of_the_queue_keeps_up_with_it(server: Server) -> None:
    url = make_database(server)
    ((options,),) = execute(url, "SELECT reloptions::text FROM pg_class WHERE relname = 'queue_messages'")
    assert "autovacuum_vacuum_scale_factor=0.01" in str(options)


def _downgrade(url: str, revision: str) -> None:
    from alembic import command

    engine = create_engine(parsed(url))
    config = schema._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    engine.dispose()
