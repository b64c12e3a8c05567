"""Words for tables whose names and columns an operator chose: the platform's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, text

from src.domain.errors import ConfigError, DatabaseUnavailable
from src.infrastructure.db.engine import Database
from src.infrastructure.db.errors import misnamed

NUMBERS = re.compile("INT|REAL|FLOA|DOUB", re.IGNORECASE)
"""In a type of SQLite's that is meant for numbers."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")

Answer = TypeVar("Answer")

SHOWN = 40
"""Columns of a table that an error names."""

OUR_OWN = "the worker's own tables are made by `mediaworker db upgrade`"

PG_COLUMNS = text(
    "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
    " WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
COLUMNS = text("SELECT name, type FROM pragma_table_xinfo(:table)")
IN_SCHEMA = text("SELECT name, type FROM pragma_table_xinfo(:table, :schema)")
"""From the catalogue: that needs no right to the table, which may be given column by column."""


class NoTable(ConfigError):
    """There is no table of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A table whose names are settings: `table_setting` names it, `columns_setting` the columns that are called otherwise
    (`columns`: {ours: theirs}, "" for one that they don't have).

    What is wrong with the names is an error of these settings, at the start and in a job alike: the database is well, and waiting
    mends nothing."""

    table: str
    table_setting: str
    columns_setting: str
    columns: Mapping[str, str] = field(default_factory=dict)

    def asked(
        self, run: Callable[[Callable[[Connection], Answer]], Answer], work: Callable[[Connection], Answer]
    ) -> Answer:
        """What `run` (a database's `read`, `write` or `single`) makes of `work`. Raises ConfigError beside what that raises."""
        try:
            return run(work)
        except DatabaseUnavailable as error:
            if (words := misnamed(error)) is None:
                raise
            raise ConfigError(
                f"the table {self.table} is not as {self.table_setting} and {self.columns_setting} say: {words}",
                fix=f"correct them, or this user's rights; {OUR_OWN}",
            ) from error

    def check(
        self, database: Database, *, known: Collection[str], needed: Collection[str], optional: Collection[str] = ()
    ) -> Mapping[str, str]:
        """{column: its type} as the database has them. Raises NoTable, and ConfigError for a mapping of what is none of ours
        (`known`), for a column of `needed` that is not there or is mapped to "" (unless it is `optional`), and for any other that is mapped
        and not there."""
        if unknown := sorted(set(self.columns) - set(known)):
            raise ConfigError(
                f"{self.columns_setting.partition(',')[0]} maps {', '.join(unknown)}, which no job asks for",
                fix=f"the names on the left are ours ({', '.join(sorted(known))}), those on the right the table's",
            )
        if left_out := sorted(name for name in set(needed) - set(optional) if self.columns.get(name) == ""):
            raise ConfigError(
                f'{self.columns_setting.partition(",")[0]} has "" for {", ".join(left_out)}, which no job can do without',
                fix="name the column of the table",
            )
        try:
            there = database.read(self._there)
        except DatabaseUnavailable as error:
            if (words := misnamed(error)) is None:
                raise
            # The schema is not there, or not this user's.
            raise NoTable(f"there is no table {self.table}: {words}", fix=f"correct {self.table_setting}") from error
        same = str if database.file is None else str.casefold
        held = {same(name) for name in there}
        wanted = {name: name for name in needed} | dict(self.columns)
        if lacking := {ours: theirs for ours, theirs in wanted.items() if theirs and same(theirs) not in held}:
            said = ", ".join(
                f"{theirs} (for {ours})" if ours != theirs else ours for ours, theirs in sorted(lacking.items())
            )
            whole = ", ".join(list(there)[:SHOWN]) + (" ..." if len(there) > SHOWN else "")
            without = '; "" is for one that the table does not have' if set(lacking) <= set(optional) else ""
            raise ConfigError(
                f"the table {self.table} has no column {said}; it has {whole}",
                fix=f"correct {self.columns_setting}{without}",
            )
        return there

    def tried(self, database: Database, statement: Callable[[Connection], str], given: Mapping[str, Any]) -> None:
        """Raises ConfigError for a statement that this table refuses: columns of another type, rights. Nothing is run: the
        database only says how it would."""
        self.asked(
            database.read,
            lambda connection: connection.execute(text(f"EXPLAIN {statement(connection)}"), given).close(),
        )

    def _there(self, connection: Connection) -> Mapping[str, str]:
        schema, _, name = quoted(self.table).replace('"', "").rpartition(".")
        if connection.dialect.name == "postgresql":
            query, given = PG_COLUMNS, {"table": quoted(self.table)}
        else:
            query, given = (IN_SCHEMA, {"table": name, "schema": schema}) if schema else (COLUMNS, {"table": name})
        found = {str(row[0]): str(row[1]) for row in connection.execute(query, given)}
        if not found:
            raise NoTable(f"there is no table {self.table}", fix=f"set {self.table_setting} to yours; {OUR_OWN}")
        return found


def check_times(
    database: Database, table: str, column: str, types: Mapping[str, str], times: str, settings: str
) -> None:
    """Raises ConfigError where SQLite keeps times in another way than said: it compares a number with a text without a word, and
    no row is ever old. PostgreSQL refuses such statements itself."""
    if database.file is None:
        return
    one = text(f"SELECT typeof({quoted(column)}) FROM {quoted(table)} WHERE {quoted(column)} IS NOT NULL LIMIT 1")  # noqa: S608
    kind = database.read(lambda connection: connection.execute(one).scalar())
    declared = next((kind for name, kind in types.items() if name.casefold() == column.casefold()), "")
    numbers = kind in ("integer", "real") or (kind is None and NUMBERS.search(declared) is not None)
    if numbers and times == "timestamp":
        raise ConfigError(f"the column {column} of {table} has numbers, not time stamps", fix=f"correct {settings}")
    if kind == "text" and times == "epoch":
        raise ConfigError(f"the column {column} of {table} has texts, not epoch seconds", fix=f"correct {settings}")


def quoted(name: str) -> str:
    """A table or column, `schema.table` too, as SQL wants it. Raises ConfigError for anything that is no plain name."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name[:80]!r} is no name of a table or column", fix="letters, digits, _ and one dot")
    return ".".join(f'"{part}"' for part in name.split("."))


def plain(value: Any) -> Any:
    """A value of any column as JSON knows it."""
    match value:
        case None | bool() | int() | float() | str() | list() | dict():
            return value
        case Decimal() if value.is_finite():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date():
            return value.isoformat()
        case UUID():
            return str(value)
        case _:
            return str(value)


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """{their column: value}; a field that is mapped to "" is one that they don't have."""
    return {names.get(ours, ours): value for ours, value in values.items() if names.get(ours, ours)}
