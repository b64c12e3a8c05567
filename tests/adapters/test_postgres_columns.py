"""Columns of values that go to PostgreSQL as one text."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest

from src.domain.errors import InvalidPayload
from src.infrastructure.db.columns import column, columns_of
from tests.servers.shared import shared


def there_and_back(values: Sequence[str | None], cast: str = "text") -> list[object]:
    statement = f"SELECT g FROM unnest({columns_of('values', cast=cast)}) WITH ORDINALITY AS u (g, n) ORDER BY n"  # noqa: S608 - constants
    with psycopg.connect(f"{shared('postgres').url}/postgres") as connection:
        rows = connection.execute(statement.encode(), {"values": column(values), "count": len(values)})
        return [value for (value,) in rows]


@pytest.mark.parametrize(
    "values",
    [["a"], [""], [None], ["", ""], [None, None, "x"], ["a,b", '{"k": "\\u001f"}', "'", '"', "\\", "é\n\t"]],
    ids=repr,
)
def test_values_come_back_as_they_were(values: list[str | None]) -> None:
    assert there_and_back(values) == values


def test_numbers_are_cast() -> None:
    assert there_and_back(["1", "-20", "300"], "bigint") == [1, -20, 300]


@pytest.mark.parametrize("value", ["a\x1fb", "\x1e", "\x1f"])
def test_a_value_that_holds_what_stands_between_values_is_refused(value: str) -> None:
    with pytest.raises(InvalidPayload):
        column(["x", value])
