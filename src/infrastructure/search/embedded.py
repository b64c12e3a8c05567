"""The search index in a file of SQLite, for those who have no search server: FTS5 finds, the domain's rules judge.

Many processes may use the file. Readers see one committed state; a rebuild is a second set of tables, and one short commit
makes it the one that is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from src.application.ports.search import Document, Query, SearchRefused, SearchUnavailable
from src.domain.errors import ConfigError, WorkerError
from src.infrastructure.search.tables import TABLES, TOKENIZER, Generation, key_of
from src.infrastructure.sqlite_file import PRIMARY, write_ahead

Answer = TypeVar("Answer")

FORMAT = 1
"""Of the file (PRAGMA user_version). Another one is made anew from the contents, never migrated."""

BATCH = 200
"""Documents of one transaction: some 0.1 s, which is how long others wait who want to write."""

PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
                     sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT})  # fmt: skip
"""SQLite's errors after which the same may work; any other one means that the file is none of ours, or broken."""

TRIAL = f"CREATE VIRTUAL TABLE t USING fts5(a, tokenize='{TOKENIZER}')"
"""What a SQLite without FTS5, or from before its trigrams, refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedSearchIndex:
    """SearchIndex, Checkable. A connection for each call: nothing is kept open between jobs. `busy_seconds`: how long another
    process's write is waited for."""

    path: Path
    busy_seconds: float = 5.0

    def put(self, documents: Sequence[Document]) -> None:
        """In transactions of BATCH."""
        for some in _batches(documents):
            self._write(partial(_put, documents=some))

    def remove(self, ids: Sequence[str], *, for_good: bool = False) -> None:
        """In one transaction."""

        def run(connection: sqlite3.Connection) -> None:
            _live(connection).remove(ids)
            _note_changed(connection, ids, for_good=for_good)

        self._write(run)

    @contextmanager
    def rebuild(self) -> Iterator[EmbeddedRebuild]:
        """A second set of tables. What crashed rebuilds left is removed first, in a commit of its own."""
        self._write(_sweep)
        made = EmbeddedRebuild(self, self._write(_begin))
        try:
            yield made
        finally:
            self._write(lambda connection: _end(connection, made.number))

    def search(self, query: Query) -> Sequence[Document]:
        """In one read transaction."""
        if query.is_wordless or not self.path.exists():
            return []
        try:
            return self._run(lambda connection: _live(connection).search(query), write=False)
        except _Blank:
            return []

    def check(self) -> Sequence[str]:
        """SQLite has what is needed; the file, where there is one, is ours."""
        try:
            with closing(sqlite3.connect(":memory:")) as connection:
                connection.execute(TRIAL)
        except sqlite3.Error as error:
            raise ConfigError(
                f"this Python's SQLite {sqlite3.sqlite_version} can't search: {error}",
                fix="use a Python whose SQLite is 3.35 or newer and has FTS5, or Meilisearch",
            ) from error
        if not self.path.exists():
            return [f"embedded at {self.path}, empty so far"]
        try:
            count = self._run(_count, write=False)
        except _Blank:
            count = 0
        except SearchRefused as error:
            raise ConfigError(error.message, fix=error.fix) from error
        return [f"embedded at {self.path}, {count} documents"]

    def _write(self, run: Callable[[sqlite3.Connection], Answer]) -> Answer:
        return self._run(run, write=True)

    def _run(self, run: Callable[[sqlite3.Connection], Answer], *, write: bool) -> Answer:
        """In one transaction, which is taken back when anything is raised."""
        try:
            with closing(self._open(create=write)) as connection:
                # IMMEDIATE: a read that turns into a write later could only fail.
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                _check_format(connection, self.path)
                answer = run(connection)
                connection.execute("COMMIT")
                return answer
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _open(self, *, create: bool) -> sqlite3.Connection:
        address = f"file:{quote(str(self.path))}?mode={'rwc' if create else 'rw'}"
        connection = sqlite3.connect(address, uri=True, timeout=self.busy_seconds, isolation_level=None)
        try:
            # FULL: a job that was told to be done is in the index after a power cut as well.
            connection.execute("PRAGMA synchronous=FULL")
            if create and _is_blank(connection):
                _create(connection, self.busy_seconds)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _translated(self, error: sqlite3.Error) -> WorkerError:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & PRIMARY in PASSING:
            return SearchUnavailable(f"search index {self.path}: {error}", fix="check the disk and who may write there")
        return _unusable(self.path, str(error))


@dataclass(frozen=True, slots=True)
class EmbeddedRebuild:
    """Rebuild."""

    index: EmbeddedSearchIndex
    number: int

    def add(self, documents: Sequence[Document]) -> None:
        """In transactions of BATCH."""
        for some in _batches(documents):
            self._write(partial(_put_into, number=self.number, documents=some))

    def remove(self, ids: Sequence[str]) -> None:
        """In one transaction."""
        self._write(lambda connection: Generation(connection, self.number).remove(ids))

    def changed(self) -> Mapping[str, bool]:
        """What writers have noted; the notes are removed."""

        def run(connection: sqlite3.Connection) -> dict[str, bool]:
            told = dict[str, bool]()
            for table, for_good in (("changed", False), ("removed", True)):
                rows = connection.execute(f"DELETE FROM {table} WHERE build = ? RETURNING id", (self.number,))  # noqa: S608 - our words
                told.update((each, for_good) for (each,) in rows.fetchall())
            return told

        return self._write(run)

    def publish(self) -> None:
        """One commit; the old tables go after it, so that it is short."""
        self._write(lambda connection: connection.execute("UPDATE live SET number = ?", (self.number,)))

    def _write(self, run: Callable[[sqlite3.Connection], Answer]) -> Answer:
        def checked(connection: sqlite3.Connection) -> Answer:
            if connection.execute("SELECT 1 FROM builds WHERE number = ?", (self.number,)).fetchone() is None:
                raise SearchUnavailable("another rebuild of the index began meanwhile")
            return run(connection)

        return self.index._run(checked, write=True)  # noqa: SLF001 - two halves of one thing


def _create(connection: sqlite3.Connection, busy_seconds: float) -> None:
    write_ahead(connection, seconds=busy_seconds)
    connection.execute("BEGIN IMMEDIATE")
    if _is_blank(connection):
        connection.execute("CREATE TABLE live (number INTEGER NOT NULL)")
        connection.execute("CREATE TABLE builds (number INTEGER PRIMARY KEY AUTOINCREMENT)")
        connection.execute("CREATE TABLE changed (build INTEGER, id TEXT, PRIMARY KEY (build, id)) WITHOUT ROWID")
        connection.execute("INSERT INTO live VALUES (0)")
        Generation(connection, 0).create()
        connection.execute(f"PRAGMA user_version={FORMAT}")
    connection.execute("COMMIT")


class _Blank(Exception):
    """A file in which nothing is yet: another process is making it."""


def _is_blank(connection: sqlite3.Connection) -> bool:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return version == 0 and connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is None


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    if _is_blank(connection):
        raise _Blank
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found != FORMAT:
        raise _unusable(path, f"its format is {found}, not {FORMAT}")


def _unusable(path: Path, why: str) -> SearchRefused:
    return SearchRefused(
        f"search index {path} can't be used: {why}",
        fix="remove this file and those beside it that begin with its name, then run an `index` job with"
        ' {"all": true}: the index is made of the content records',
    )


def _live(connection: sqlite3.Connection) -> Generation:
    return Generation(connection, connection.execute("SELECT number FROM live").fetchone()[0])


def _count(connection: sqlite3.Connection) -> int:
    live = _live(connection).number
    return int(connection.execute(f"SELECT count(*) FROM documents_{live}").fetchone()[0])  # noqa: S608 - a number


def _put(connection: sqlite3.Connection, documents: Sequence[Document]) -> None:
    _live(connection).put(documents)
    _note_changed(connection, [key_of(document) for document in documents], for_good=False)


def _put_into(connection: sqlite3.Connection, number: int, documents: Sequence[Document]) -> None:
    Generation(connection, number).put(documents)


def _note_changed(connection: sqlite3.Connection, ids: Sequence[str], *, for_good: bool) -> None:
    """For rebuilds that are going on: what they read of these may be older. An id is in one of the two lists, by what was last."""
    _make_removed(connection)
    into, out_of = ("removed", "changed") if for_good else ("changed", "removed")
    for (build,) in connection.execute("SELECT number FROM builds").fetchall():
        rows = [(build, each) for each in ids]
        connection.executemany(f"DELETE FROM {out_of} WHERE build = ? AND id = ?", rows)  # noqa: S608 - our words
        connection.executemany(f"INSERT OR IGNORE INTO {into} VALUES (?, ?)", rows)  # noqa: S608 - our words


def _make_removed(connection: sqlite3.Connection) -> None:
    """Files that were made before there were removals for good do not have it."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS removed (build INTEGER, id TEXT, PRIMARY KEY (build, id)) WITHOUT ROWID"
    )


def _sweep(connection: sqlite3.Connection) -> None:
    """Every rebuild that has not ended ends here: its process died, or finds out at its next step."""
    _make_removed(connection)
    for table in ("builds", "changed", "removed"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our words
    kept = _live(connection).number
    names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    numbers = {
        int(number)
        for (table,) in names
        for name, _, number in [table.partition("_")]
        if name in TABLES and number.isdigit()
    }
    for number in sorted(numbers - {kept}):
        Generation(connection, number).drop()


def _begin(connection: sqlite3.Connection) -> int:
    number = int(connection.execute("INSERT INTO builds DEFAULT VALUES RETURNING number").fetchone()[0])
    Generation(connection, number).create()
    return number


def _end(connection: sqlite3.Connection, number: int) -> None:
    """Its own tables if it was not published, else those that it took the place of."""
    if connection.execute("DELETE FROM builds WHERE number = ? RETURNING number", (number,)).fetchone() is not None:
        _sweep(connection)


def _batches(documents: Sequence[Document]) -> Iterator[Sequence[Document]]:
    for start in range(0, len(documents), BATCH):
        yield documents[start : start + BATCH]
