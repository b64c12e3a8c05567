"""Rows of a platform's own table with values that PostgreSQL knows and Python does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from src.application.ports.content import ContentMissing
from src.domain.errors import InvalidPayload
from src.infrastructure.db import loaders
from src.infrastructure.db.contents import SqlContents
from tests.contracts.backends.postgres import PostgresState, postgres_clock, postgres_state

KINDS = ("timestamptz", "timestamp", "date", "time", "timetz", "interval", "numeric", "tstzrange")
ODD = [
    ("timestamptz", "infinity"),
    ("timestamp", "-infinity"),
    ("date", "0044-03-15 BC"),
    ("timestamptz", "20000-01-01 00:00:00+00"),
    ("time", "24:00:00"),
    ("timetz", "24:00:00+00"),
    ("interval", "2000000000 days"),
    ("numeric", "Infinity"),
    ("numeric", "NaN"),
    ("tstzrange", "[2024-01-01,infinity)"),
]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[PostgresState]:
    made = postgres_state(postgres_clock(), tmp_path)
    columns = ", ".join(f'"a_{kind}" {kind}' for kind in KINDS)
    execute(made, f"CREATE TABLE films (id bigint PRIMARY KEY, file_path text, title text, {columns})")
    yield made
    made.close()


def execute(state: PostgresState, statement: str) -> None:
    state.database().write(lambda connection: connection.execute(text(statement)))


def add(state: PostgresState, number: int, kind: str, value: str) -> None:
    values = f"({number}, 'f.mp4', 'Film', '{value}')"
    execute(state, f"INSERT INTO films (id, file_path, title, a_{kind}) VALUES {values}")  # noqa: S608 - constants


def test_a_row_is_there_whatever_else_is_in_it(state: PostgresState) -> None:
    """A value in a column that no job reads made "there is no content" of it, so that its document left the search index; and every
    full re-index failed for good."""
    for number, (kind, value) in enumerate(ODD):
        add(state, number, kind, value)
    contents = SqlContents(database=state.database(), table="films")
    for number, (kind, value) in enumerate(ODD):
        record = contents.get(str(number))
        assert (record["file_path"], record["title"]) == ("f.mp4", "Film")
        if kind != "tstzrange":
            assert record[f"a_{kind}"] == value
    assert [record["id"] for record in contents.page(None, 100)] == [str(number) for number in range(len(ODD))]


def test_a_row_that_can_not_be_read_is_not_one_that_is_missing(
    state: PostgresState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaders, "LOADERS", {})
    add(state, 1, "timestamptz", "infinity")
    contents = SqlContents(database=state.database(), table="films")
    with pytest.raises(InvalidPayload):
        contents.get("1")
    for name in ("2", "no-number"):
        with pytest.raises(ContentMissing):
            contents.get(name)
