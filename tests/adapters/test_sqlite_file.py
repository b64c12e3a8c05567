"""Files of SQLite that several processes make at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from src.domain.errors import ConfigError
from src.infrastructure.sqlite_file import write_ahead


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    """The first has the file for itself; the second is turned away at once."""
    path = tmp_path / "a.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as first,
        closing(sqlite3.connect(path, isolation_level=None, timeout=0.0)) as second,
    ):
        first.execute("BEGIN EXCLUSIVE")
        yield first, second


def test_who_is_turned_away_tries_again(two: tuple[sqlite3.Connection, sqlite3.Connection]) -> None:
    first, second = two
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            first.execute("COMMIT")

    write_ahead(second, seconds=30.0, sleep=sleep)
    assert len(slept) == 3
    assert first.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_who_is_turned_away_for_too_long_hears_of_it(two: tuple[sqlite3.Connection, sqlite3.Connection]) -> None:
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write_ahead(two[1], seconds=0.0)


def test_a_file_that_can_not_write_ahead_is_refused() -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(ConfigError, match="WORKER_DATA_DIR"):
        write_ahead(connection, seconds=0.0)
