"""What databases say, in words of the ports: what happened, and what to do. Statements and parameters stay out: they
may hold payloads."""

from __future__ import annotations

import re
import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError as PoolTimeout

from src.domain.errors import ConfigError, DatabaseUnavailable

REFUSED = frozenset({"40001", "40P01", "55P03"})
"""PostgreSQL: serialization failure, deadlock, lock not available. The transaction was rolled back, whole."""

AWAY = "is PostgreSQL running and reachable from here, and WORKER_DATABASE__URL right?"
UPGRADE = "run: mediaworker db upgrade"

FIXES: tuple[tuple[str, str], ...] = (
    ("42P01", UPGRADE),
    ("42883", UPGRADE),
    ("SQLITE_FULL", "free space on the database's disk"),
    ("53100", "free space on the database's disk"),
    ("SQLITE_READONLY", "make the database writable for this user"),
    ("25006", "the address leads to a read-only server: use the primary's (or add target_session_attrs=read-write)"),
    (
        "SQLITE_CANTOPEN",
        "check that the file and its folder exist and may be opened; mediaworker db upgrade creates it",
    ),
    ("SQLITE_NOTADB", "restore the file from a backup, or point WORKER_DATABASE__URL elsewhere"),
    ("SQLITE_CORRUPT", "restore the file from a backup (`sqlite3 FILE .recover` may save rows)"),
    ("SQLITE_BUSY", "find the process that holds the database's write lock"),
    ("SQLITE_LOCKED", "find the process that holds the database's write lock"),
    ("53300", "lower WORKER_DATABASE__MAX_CONNECTIONS or the number of workers, or raise the server's max_connections"),
    ("57014", "find out what keeps the server busy, or raise WORKER_DATABASE__STATEMENT_SECONDS"),
    ("55P03", "find the transaction that holds the row, or raise WORKER_DATABASE__LOCK_SECONDS"),
    ("26000", "behind PgBouncer in transaction mode set WORKER_DATABASE__POOLER=transaction"),
    ("42P05", "behind PgBouncer in transaction mode set WORKER_DATABASE__POOLER=transaction"),
    # A connection that came to nothing has no code, only the driver's kind of error.
    ("OperationalError", AWAY),
    ("ConnectionTimeout", AWAY),
    ("57P0", "the server is shutting down or starting: wait, or see its log"),
    ("42501", "grant this user what it lacks, or use the user that ran `mediaworker db upgrade`"),
)
"""(beginning of the database's own code, what to do)."""

SETUP: tuple[tuple[str, str, str], ...] = (
    # A refused connection has no code, only the server's words.
    (r"28P01|password authentication failed|no password supplied", "the database refuses the password of this user",
     "check the user and password in WORKER_DATABASE__URL"),
    (r"28000|role \".*\" does not exist|pg_hba\.conf", "the database does not let this user in",
     "create the user, or allow it in the server's pg_hba.conf"),
    (r"3D000|database \".*\" does not exist", "there is no such database on the server",
     "create it (CREATE DATABASE ...), then run `mediaworker db upgrade`"),
    (r"server does not support SSL|SSL error|certificate|sslmode", "the encrypted connection to the database fails",
     "check sslmode and sslrootcert in WORKER_DATABASE__URL"),
    (r"invalid connection option|invalid dsn|invalid URI|invalid .* value|invalid integer value",
     "the database URL has an option that the driver does not know", "check the part after `?` in WORKER_DATABASE__URL"),
    (r"unsupported startup parameter", "the pooler in front of the database refuses session settings",
     "set WORKER_DATABASE__POOLER=transaction"),
    (r"42501|permission denied", "the database user lacks a privilege",
     "run `mediaworker db upgrade` as the role that owns the tables, and grant the workers' role what docs/postgresql.md lists (Two roles)"),
    (r"25006", "the database is read-only: a standby, or default_transaction_read_only",
     "use the primary's address (or add target_session_attrs=read-write)"),
)  # fmt: skip
"""(what the database says, what that means, what to do): mistakes of the set-up, which waiting does not mend."""


MISNAMED = frozenset({"42P01", "42703", "3F000", "42883", "42804", "42501", "42809"})
"""PostgreSQL: no such table, column or schema; no such operator, a column of another type; not permitted; no table at all."""

MISNAMED_HERE = r"no such (table|column)|unknown database|cannot modify .* because it is a view"
"""SQLite's words for the same."""


def refused(error: DBAPIError) -> bool:
    """Whether the transaction was turned away whole and may be begun anew."""
    name = str(getattr(error.orig, "sqlite_errorname", ""))
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or getattr(error.orig, "sqlstate", None) in REFUSED


def unavailable(error: SQLAlchemyError | sqlite3.Error) -> DatabaseUnavailable:
    """Say what happened in words."""
    if isinstance(error, PoolTimeout):
        return DatabaseUnavailable(
            "no database connection became free in time", fix="raise WORKER_DATABASE__MAX_CONNECTIONS"
        )
    name, words = _said(error)
    return DatabaseUnavailable(f"the database did not answer as it should: {words} [{name}]", fix=_fix(name, words))


def setup_error(error: BaseException | None) -> ConfigError | None:
    """The mistake of the set-up that an error of the database stands for, or None when waiting may help."""
    while isinstance(error, DatabaseUnavailable):
        error = error.__cause__
    if not isinstance(error, DBAPIError):
        return None
    name, words = _said(error)
    for pattern, what, fix in SETUP:
        if re.search(pattern, f"{name} {words}", re.IGNORECASE):
            return ConfigError(f"{what}: {words}", fix=fix)
    return None


def misnamed(error: BaseException | None) -> str | None:
    """The database's words where it says that there is no such table or column, that it may not be touched, or that a column holds
    another kind of value. Where an operator chose the names, that is a mistake of the settings and no outage."""
    while isinstance(error, DatabaseUnavailable):
        error = error.__cause__
    if not isinstance(error, DBAPIError):
        return None
    name, words = _said(error)
    return words if name in MISNAMED or re.match(MISNAMED_HERE, words) else None


def _said(error: SQLAlchemyError | sqlite3.Error) -> tuple[str, str]:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    name = str(getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or type(cause).__name__)
    lines = str(cause).strip().splitlines() or [""]
    # With a code, what follows the first line are details, which may hold values; a refused connection has no code.
    words = " ".join((lines[0] if getattr(cause, "sqlstate", None) else " ".join(lines)).split())[:300]
    return name, words or type(cause).__name__


def _fix(name: str, words: str) -> str | None:
    if "no such table" in words:
        return UPGRADE
    return next((fix for code, fix in FIXES if name.startswith(code)), None)
