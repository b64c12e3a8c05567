"""What a worker needs of its database, tried before the first receive (lessons 26, 27, 32)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from src.domain.errors import ConfigError, DatabaseUnavailable
from src.infrastructure.db.engine import Database, database_now
from src.infrastructure.db.errors import setup_error
from src.infrastructure.db.schema import HEAD, newer, schema_at
from src.infrastructure.db.tables import metadata

log = logging.getLogger(__name__)

SKEW_SECONDS = 2.0
"""By which a worker's clock may differ from the database's before somebody is told."""

GRANTS = {
    "table": "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}",
    "sequence": "GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {user}",
    "function": "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {user}",
}
"""{kind of what a privilege is lacking on: the statement for the owner of the tables}"""

LACKING = text("""
WITH ours AS (SELECT to_regclass(name) AS id, name FROM unnest(CAST(:tables AS text[])) AS wanted (name))
SELECT 'table' AS kind, ours.name || ': ' || privilege.name AS what FROM ours,
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege (name)
WHERE NOT has_table_privilege(ours.id, privilege.name)
UNION ALL
SELECT 'sequence', counter.relname || ': USAGE' FROM ours
    JOIN pg_depend ON pg_depend.refobjid = ours.id AND pg_depend.refclassid = 'pg_class'::regclass
        AND pg_depend.classid = 'pg_class'::regclass AND pg_depend.deptype = 'a'
    JOIN pg_class AS counter ON counter.oid = pg_depend.objid
-- A CASE, because the order of a WHERE is the planner's, and asking this of anything but a sequence is an error.
WHERE CASE counter.relkind WHEN 'S' THEN NOT has_sequence_privilege(counter.oid, 'USAGE, UPDATE') ELSE false END
UNION ALL
SELECT 'function', function.proname || ': EXECUTE' FROM pg_proc AS function
WHERE starts_with(function.proname, 'worker_') AND pg_function_is_visible(function.oid)
    AND NOT has_function_privilege(function.oid, 'EXECUTE')
ORDER BY 1, 2
""")
"""Rows are numbered by sequences of the tables, which have privileges of their own: who lacks those can read everything and
insert nothing."""

WHO = text("SELECT quote_ident(current_user), quote_ident(current_schema())")

ROOM = text("""
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    current_setting('server_version'), pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean
""")


@dataclass
class DatabaseCheck:
    """Checkable. `now` is this machine's clock, to be compared with the database's."""

    database: Database
    now: Callable[[], float] = time.time

    def check(self) -> Sequence[str]:
        """The server, the schema, the privileges and the clocks. Raises ConfigError, DatabaseUnavailable."""
        try:
            return self.database.read(self._facts)
        except DatabaseUnavailable as error:
            if (mistake := setup_error(error)) is None:
                raise
            raise mistake from error

    def _facts(self, connection: Connection) -> list[str]:
        facts = []
        if connection.dialect.name == "postgresql":
            facts = _server(connection)
            _allowed(connection)
        version = schema_at(connection)
        if newer(version):
            raise ConfigError(
                f"the database's schema is {version}, this version knows {HEAD}", fix="upgrade mediaworker"
            )
        if version != HEAD:
            raise ConfigError(
                f"the database's schema is {version or 'empty'}, this version needs {HEAD}",
                fix="run `mediaworker db upgrade`",
            )
        return [*facts, f"schema {version}", *self._clocks(connection)]

    def _clocks(self, connection: Connection) -> list[str]:
        before = self.now()
        there = database_now(connection)
        apart = max(before - there, there - self.now(), 0.0)
        if apart <= SKEW_SECONDS:
            return []
        log.warning("database.clock_skew", extra={"seconds": round(apart, 3), "then": "leases go by the database's"})
        return [f"WARNING: this machine's clock and the database's are {apart:.1f} s apart (set both by NTP)"]


def _server(connection: Connection) -> list[str]:
    most, used, version, read_only = connection.execute(ROOM).one()
    if read_only:
        raise ConfigError(
            "the database is read-only: a standby, or default_transaction_read_only",
            fix="use the primary's address (or add target_session_attrs=read-write)",
        )
    return [f"PostgreSQL {version}, {used} of {most} connections in use"]


def _allowed(connection: Connection) -> None:
    lacking = connection.execute(LACKING, {"tables": sorted(metadata.tables)}).all()
    if not lacking:
        return
    user, schema = connection.execute(WHO).one()
    kinds = sorted({kind for kind, _what in lacking}, key=list(GRANTS).index)
    # The first of each kind, so that a long list of tables does not hide the rest.
    named = [next(what for one, what in lacking if one == kind) for kind in kinds]
    named += [what for _kind, what in lacking if what not in named][: max(0, 4 - len(named))]
    raise ConfigError(
        f"the database user lacks privileges ({'; '.join(named)}{' ...' if len(lacking) > len(named) else ''})",
        fix="; ".join(GRANTS[kind].format(schema=schema, user=user) for kind in kinds),
    )
