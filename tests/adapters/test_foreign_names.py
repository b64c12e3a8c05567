"""Names of tables and columns that an operator chose: what is wrong with them is found at the start, and is no outage in a job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from src.domain.errors import ConfigError
from src.infrastructure.db import schema
from src.infrastructure.db.contents import SqlContents
from src.infrastructure.db.engine import Database
from src.infrastructure.db.foreign import NoTable
from src.infrastructure.db.sessions import SqlSessions
from src.infrastructure.db.statistics import SqlStatistics
from tests.adapters.postgres import make_database
from tests.servers.shared import shared


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = make_database(shared("postgres")) if request.param == "postgres" else f"sqlite:///{tmp_path / 'x.db'}"
    schema.upgrade(url)
    made = Database(url)
    yield made
    made.close()


def execute(database: Database, statement: str) -> None:
    database.write(lambda connection: connection.execute(text(statement)))


def test_our_own_tables_are_as_wanted(database: Database) -> None:
    assert SqlContents(database=database).check() == ["records in table media_contents"]
    assert SqlSessions(database=database).check() == ["sessions in table media_sessions"]
    assert SqlStatistics(database=database, platform=database).check() == ["views in table media_views"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"nosuch": "x"}, "maps nosuch"),
        ({"id": ""}, '"" for id'),
        ({"title": "titel"}, r"no column titel \(for title\); it has id, file_path, title"),
        ({"duration_seconds": "dur"}, r"no column dur \(for duration_seconds\)"),
    ],
)
def test_a_wrong_mapping_is_found_before_the_first_job(database: Database, columns: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        SqlContents(database=database, columns=columns).check()
    assert "WORKER_CONTENT__COLUMNS" in str(caught.value)


def test_a_table_that_lacks_what_jobs_write_says_how_to_do_without(database: Database) -> None:
    execute(
        database,
        "CREATE TABLE films (no bigint PRIMARY KEY, video_codec text, resolution text, file_size bigint, len numeric)",
    )
    columns = {"id": "no", "duration_seconds": "len"}
    with pytest.raises(ConfigError, match="no column audio_codec; it has no, ") as caught:
        SqlContents(database=database, table="films", columns=columns).check()
    assert '""' in str(caught.value.fix)
    SqlContents(database=database, table="films", columns={**columns, "audio_codec": ""}).check()


@pytest.mark.parametrize("table", ["nope", "app.nope"])
def test_a_table_that_is_not_there_is_named_with_its_setting(database: Database, table: str) -> None:
    for made, setting in (
        (SqlContents(database=database, table=table), "WORKER_CONTENT__TABLE"),
        (SqlSessions(database=database, table=table), "WORKER_CONTENT__SESSIONS_TABLE"),
        (SqlStatistics(database=database, platform=database, table=table), "WORKER_CONTENT__VIEWS_TABLE"),
    ):
        with pytest.raises(NoTable, match=setting):
            made.check()


@pytest.mark.parametrize(
    ("sessions", "views"),
    [
        ({"key": "nope"}, {"columns": {"viewed_at": "nope"}}),
        ({"expires": "nope"}, {"columns": {"content_id": ""}}),
        ({"times": "timestamp"}, {"times": "timestamp"}),
        ({"times": "timestamp"}, {"columns": {"nosuch": "x"}}),
    ],
)
def test_columns_of_sessions_and_views_are_tried(
    database: Database, sessions: dict[str, Any], views: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="WORKER_CONTENT__SESSIONS_KEY"):
        SqlSessions(database=database, **sessions).check()
    with pytest.raises(ConfigError, match="WORKER_CONTENT__VIEWS_COLUMNS"):
        SqlStatistics(database=database, platform=database, **views).check()


def test_time_stamps_are_not_epoch_seconds(database: Database) -> None:
    kind = "timestamptz" if database.file is None else "DATETIME"
    execute(database, f"CREATE TABLE logins (id text, expires_at {kind})")
    execute(database, "INSERT INTO logins VALUES ('a', '2025-01-01 00:00:00+00:00')")
    with pytest.raises(ConfigError, match="WORKER_CONTENT__TIMES"):
        SqlSessions(database=database, table="logins").check()
    assert SqlSessions(database=database, table="logins", times="timestamp").check()


def test_in_a_job_wrong_names_are_no_outage(database: Database) -> None:
    statistics = SqlStatistics(database=database, platform=database, table="nope")
    from datetime import date

    for ask, setting in (
        (lambda: SqlContents(database=database, table="nope").get("a"), "TABLE"),
        (lambda: SqlContents(database=database, table="nope").page(None, 1), "TABLE"),
        (
            lambda: SqlContents(database=database, columns={"file_size": "nope"}).update_metadata(
                "a", {"file_size": 1}
            ),
            "COLUMNS",
        ),
        (lambda: SqlSessions(database=database, table="nope").cleanup_expired_sessions(), "SESSIONS_TABLE"),
        (lambda: statistics.of_day(date(2025, 1, 1), begins=0, ends=1), "VIEWS_TABLE"),
    ):
        with pytest.raises(ConfigError, match=f"WORKER_CONTENT__{setting}"):
            ask()


def test_a_column_beside_the_one_that_is_mapped_is_not_taken_for_it(database: Database) -> None:
    columns = "no bigint PRIMARY KEY, id text, title text, name text"
    execute(database, f"CREATE TABLE films ({columns})")
    execute(database, "INSERT INTO films VALUES (1, 'x', 'Sir', 'Film')")
    mapping = {"id": "no", "title": "name"}
    assert SqlContents(database=database, table="films", columns=mapping).get("1") == {"id": "1", "title": "Film"}
