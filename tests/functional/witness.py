"""A witness inside the database: triggers count every commit that makes a job SUCCEEDED or a video READY.

They know nothing of fences and attempts, so what the engine takes for impossible shows all the same: two commits for one job
are two rows.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.adapters.postgres import execute

SEEN = {"jobs": "NEW.state = 'SUCCEEDED'", "videos": "NEW.status = 'READY'"}
"""{table: when a write to it is the effect}"""

TABLE = "CREATE TABLE witness (about TEXT NOT NULL, id TEXT NOT NULL, fence BIGINT NOT NULL)"


@dataclass(frozen=True, slots=True)
class Witness:
    """`address` is a PostgreSQL address, or the path of the embedded database; its tables are there already."""

    address: str | Path

    def call(self) -> None:
        """From here on every effect is seen."""
        self._ask(TABLE)
        for table, when in SEEN.items():
            insert = f"INSERT INTO witness VALUES ('{table}', NEW.id, NEW.fence)"  # noqa: S608 - our own words
            for event in ("INSERT", "UPDATE"):
                name = f"witness_{table}_{event.lower()}"
                if isinstance(self.address, Path):
                    self._ask(f"CREATE TRIGGER {name} AFTER {event} ON {table} WHEN {when} BEGIN {insert}; END")
                else:
                    self._ask(
                        f"CREATE FUNCTION {name}() RETURNS trigger AS $$ BEGIN {insert}; RETURN NEW; END $$ LANGUAGE plpgsql"
                    )
                    self._ask(
                        f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()"
                    )

    def commits(self, table: str) -> Mapping[tuple[str, int], int]:
        """{(id, fence): commits}"""
        rows = self._ask("SELECT about, id, fence FROM witness")
        return Counter((str(name), int(str(fence))) for about, name, fence in rows if about == table)

    def _ask(self, statement: str) -> list[tuple[object, ...]]:
        if not isinstance(self.address, Path):
            return execute(self.address, statement)
        with closing(sqlite3.connect(self.address, timeout=30, isolation_level=None)) as database:
            return database.execute(statement).fetchall()
