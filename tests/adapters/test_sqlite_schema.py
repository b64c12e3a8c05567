"""Migrations: they make the tables that the code uses, once, and nothing else is needed to run them."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.schema import CreateIndex, CreateTable

from src.domain.errors import ConfigError
from src.infrastructure.db import schema
from src.infrastructure.db.engine import Database
from src.infrastructure.db.indexes import INDEXES, complete_metadata


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'data' / 'worker.db'}"


def definitions(database: Database) -> dict[str, str]:
    """{table or index: its statement, in one spelling}."""
    query = text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
    rows = database.read(lambda connection: connection.execute(query).all())
    return {name: spelled(statement) for name, statement in rows if name != "alembic_version"}


def spelled(statement: str) -> str:
    return " ".join(statement.replace('"', "").replace("(", " ( ").replace(")", " ) ").split())


def test_the_migrations_make_exactly_the_tables_of_the_code(url: str, tmp_path: Path) -> None:
    schema.upgrade(url)
    engine = create_engine(f"sqlite:///{tmp_path / 'tables.db'}")
    complete_metadata().create_all(engine)
    engine.dispose()
    made = definitions(Database(f"sqlite:///{tmp_path / 'tables.db'}"))
    migrated = definitions(Database(url))
    assert migrated == made
    assert len(made) == len(complete_metadata().tables) + len(INDEXES)


def test_the_newest_migration_is_the_one_this_version_needs() -> None:
    from alembic.script import ScriptDirectory

    assert ScriptDirectory.from_config(schema._config()).get_current_head() == schema.HEAD


def test_a_database_that_does_not_exist_has_no_version(url: str) -> None:
    assert schema.schema_version(url) is None
    assert not Path(url.removeprefix("sqlite:///")).exists(), "asking makes nothing"


def test_upgrading_again_changes_nothing(url: str) -> None:
    assert schema.upgrade(url) == schema.HEAD
    assert schema.upgrade(url) == schema.HEAD
    assert schema.schema_version(url) == schema.HEAD


def test_workers_that_start_together_migrate_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _number: schema.upgrade(url), range(4))) == [schema.HEAD] * 4


def test_f41_a_newer_database_is_refused(url: str) -> None:
    schema.upgrade(url)
    Database(url).write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(ConfigError, match="upgrade mediaworker"):
        schema.upgrade(url)


def test_a_folder_that_can_not_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="WORKER_DATA_DIR"):
        schema.upgrade(f"sqlite:///{tmp_path / 'file' / 'worker.db'}")


def test_only_the_owner_may_read_the_database(url: str) -> None:
    schema.upgrade(url)
    assert Path(url.removeprefix("sqlite:///")).stat().st_mode & 0o777 == 0o600


def test_the_statements_can_be_printed_for_every_database() -> None:
    lite, postgres = schema.sql("sqlite:///nobody.db"), schema.sql("postgresql://host/db")
    for statements in (lite, postgres):
        assert "CREATE TABLE jobs" in statements
        assert "CREATE UNIQUE INDEX one_active_job_per_subject" in statements
        assert "INSERT INTO alembic_version" in statements
    assert "CREATE FUNCTION worker_now()" in postgres
    assert "worker_now" not in lite
    assert not Path("nobody.db").exists()


def test_the_tables_can_be_written_for_postgresql() -> None:
    from sqlalchemy.dialects import postgresql

    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in complete_metadata().tables.values():
        assert str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=dialect))


def test_e14_a_database_that_is_up_to_date_imports_no_alembic_and_no_other_driver(url: str) -> None:
    schema.upgrade(url)
    code = (
        "import sys; from src.infrastructure.db import schema, ledger, queue, videos, lock, progress, dead_letters;"
        f"assert schema.upgrade({url!r}) == schema.HEAD;"
        "unwanted = {'alembic', 'mako', 'psycopg', 'boto3', 'sqlalchemy.dialects.postgresql', 'sqlalchemy.orm'};"
        "loaded = sorted(set(sys.modules) & unwanted);"
        "assert not loaded, loaded"
    )
    root = Path(schema.__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
