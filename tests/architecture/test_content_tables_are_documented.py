"""docs/content.md names every column of the content jobs' tables, as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import JSON, Boolean, Column, Float, Integer, String, Table

from src.infrastructure.db import content_tables as tables

DOCS = Path(__file__).resolve().parents[2] / "docs" / "content.md"
ROW = re.compile(r"^\| `(media_\w+\.\w+)` \| ([^|]+) \|", re.MULTILINE)
KINDS = {String: "text", Boolean: "boolean", Integer: "integer", Float: "number", JSON: "JSON"}
"""{SQLAlchemy's type: word of the docs}; Text, BigInteger and Double are kinds of these."""


def kind(column: Column[object]) -> str:
    (word,) = {word for type_, word in KINDS.items() if isinstance(column.type, type_)}
    return word + (", key" if column.primary_key else "" if column.nullable else ", never NULL")


@pytest.mark.parametrize(
    "table", [tables.media_contents, tables.media_sessions, tables.media_views, tables.media_daily_statistics], ids=str
)
def test_every_column_is_in_the_docs(table: Table) -> None:
    there = {name: said for name, said in ROW.findall(DOCS.read_text()) if name.startswith(f"{table.name}.")}
    assert there == {f"{table.name}.{column.name}": kind(column) for column in table.columns}
