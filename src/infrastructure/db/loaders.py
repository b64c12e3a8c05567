"""How values of PostgreSQL become Python's, where psycopg's own way is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.abc import Buffer, Loader
from psycopg.types.datetime import (
    DateLoader,
    IntervalLoader,
    TimeLoader,
    TimestampLoader,
    TimestamptzLoader,
    TimetzLoader,
)


class _Text:
    """A time that Python can't hold (`infinity`, before the year 1, after 9999, 24:00) as PostgreSQL writes it: one such in a row,
    perhaps in a column that nobody asks for, must not make the row unreadable."""

    def load(self, data: Buffer) -> Any:
        """See psycopg's Loader."""
        try:
            return super().load(data)  # type: ignore[misc]
        except (psycopg.DataError, OverflowError):
            return bytes(data).decode()


class AnyDate(_Text, DateLoader):
    """Of the type date."""


class AnyTime(_Text, TimeLoader):
    """Of the type time."""


class AnyTimetz(_Text, TimetzLoader):
    """Of the type time with time zone."""


class AnyTimestamp(_Text, TimestampLoader):
    """Of the type timestamp."""


class AnyTimestamptz(_Text, TimestamptzLoader):
    """Of the type timestamp with time zone."""


class AnyInterval(_Text, IntervalLoader):
    """Of the type interval."""


LOADERS: Mapping[str, type[Loader]] = {
    "date": AnyDate,
    "time": AnyTime,
    "timetz": AnyTimetz,
    "timestamp": AnyTimestamp,
    "timestamptz": AnyTimestamptz,
    "interval": AnyInterval,
}


def read_any_time(connection: psycopg.Connection[Any]) -> None:
    """From now on, on this connection."""
    for kind, loader in LOADERS.items():
        connection.adapters.register_loader(kind, loader)
