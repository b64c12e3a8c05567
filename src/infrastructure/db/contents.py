"""Content records in a table, ours or the platform's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from src.application.ports.content import FIELDS, ContentMissing
from src.domain.errors import InvalidPayload
from src.infrastructure.db.content_tables import media_contents
from src.infrastructure.db.engine import Database, upsert
from src.infrastructure.db.foreign import Foreign, plain, quoted, renamed


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlContents:
    """Contents. `columns` are {our field: their column}, for those that are called otherwise; "" for one they don't have.

    The statements are texts, not SQLAlchemy's expressions, so that a parameter has no type of its own: an id is compared as
    whatever the column is (text, integer or UUID)."""

    database: Database
    table: str = "media_contents"
    columns: Mapping[str, str] = field(default_factory=dict)
    makes_records: bool = False
    """the table is ours: a film that nobody entered gets its row with its metadata"""

    def check(self) -> Sequence[str]:
        """The table has the columns that are named for it and those that jobs write, and this user may do what jobs do. Raises
        ConfigError, DatabaseUnavailable."""
        known = {column.name for column in media_contents.columns}
        self._foreign.check(self.database, known=known, needed=["id", *FIELDS], optional=known - {"id"})
        self._foreign.tried(self.database, lambda _connection: self._select, {"id": None})
        if written := list(renamed(dict.fromkeys(FIELDS), self.columns)):
            given = {f"v{number}": None for number in range(len(written))}
            self._foreign.tried(self.database, lambda _connection: self._update(written), {**given, "id": None})
        return [f"records in table {self.table}"]

    def get(self, content_id: str) -> Mapping[str, Any]:
        """The row, under our names, and with its own id: "007" or an id in capital letters may be another spelling of it."""
        query = text(self._select)

        def look(connection: Connection) -> Mapping[str, Any] | None:
            row = connection.execute(query, {"id": content_id}).mappings().first()
            return None if row is None else dict(row)

        try:
            row = self._foreign.asked(self.database.read, look)
        except InvalidPayload as error:
            if self._can_be(content_id):
                # It is a value of the row that can't be read. That the content is not there would be another thing: its document
                # would leave the search index.
                raise
            raise self._missing(content_id) from error
        if row is None:
            raise self._missing(content_id)
        return self._record(row)

    def _can_be(self, content_id: str) -> bool:
        """An id that the column can't hold (text for a number) is one that no row has."""
        query = text(f"SELECT 1 FROM {quoted(self.table)} WHERE {self._column('id')} = :id")  # noqa: S608 - quoted names
        try:
            self.database.read(lambda connection: connection.execute(query, {"id": content_id}).first())
        except InvalidPayload:
            return False
        return True

    def get_file_path(self, content_id: str) -> str:
        """The column `file_path`."""
        path = self.get(content_id).get("file_path")
        if not isinstance(path, str) or not path:
            raise ContentMissing(f"content {content_id} has no file_path", fix="set it in the content's row")
        return path

    def update_metadata(self, content_id: str, metadata: Mapping[str, Any], *, file_path: str | None = None) -> None:
        """One UPDATE of one row, or an INSERT."""
        values = renamed(metadata, self.columns)
        if not values:
            self.get(content_id)
            return
        numbered = {f"v{number}": value for number, value in enumerate(values.values())}
        statement = text(self._update(values))
        given = {**numbered, "id": content_id}
        try:
            changed = self._foreign.asked(
                self.database.single, lambda connection: connection.execute(statement, given).rowcount
            )
        except InvalidPayload:
            # Is it the id that the column can't hold, or one of the values?
            self.get(content_id)
            raise
        if not changed and self.makes_records:
            row = {"id": content_id, "file_path": file_path, **metadata}
            self.database.write(
                lambda connection: upsert(connection, media_contents, row, keys=["id"], update=list(metadata))
            )
        elif not changed:
            raise self._missing(content_id)

    def page(self, after: str | None, limit: int) -> Sequence[Mapping[str, Any]]:
        """By the column of the id."""
        column = self._column("id")
        where = "" if after is None else f"WHERE {column} > :after"
        query = text(f"SELECT * FROM {quoted(self.table)} {where} ORDER BY {column} LIMIT :limit")  # noqa: S608 - quoted names
        given = {"limit": limit} if after is None else {"limit": limit, "after": after}
        rows = self._foreign.asked(
            self.database.read, lambda connection: connection.execute(query, given).mappings().all()
        )
        return [self._record(dict(row)) for row in rows]

    def _record(self, row: Mapping[str, Any]) -> dict[str, Any]:
        ours = {theirs: name for name, theirs in self.columns.items() if theirs}
        # A column that has the name of a field which is mapped to another one is something else.
        kept = {name: value for name, value in row.items() if name in ours or name not in self.columns}
        record = {ours.get(name, name): plain(value) for name, value in kept.items()}
        return record | {"id": str(record["id"])}

    @property
    def _foreign(self) -> Foreign:
        return Foreign(
            table=self.table,
            table_setting="WORKER_CONTENT__TABLE",
            columns_setting="WORKER_CONTENT__COLUMNS",
            columns=self.columns,
        )

    @property
    def _select(self) -> str:
        return f"SELECT * FROM {quoted(self.table)} WHERE {self._column('id')} = :id"  # noqa: S608 - quoted names

    def _update(self, columns: Collection[str]) -> str:
        """With :v0, :v1 ... for their values."""
        setters = ", ".join(f"{quoted(name)} = :v{number}" for number, name in enumerate(columns))
        return f"UPDATE {quoted(self.table)} SET {setters} WHERE {self._column('id')} = :id"  # noqa: S608 - quoted names

    def _column(self, ours: str) -> str:
        return quoted(self.columns.get(ours) or ours)

    def _missing(self, content_id: str) -> ContentMissing:
        return ContentMissing(f"there is no content {content_id}", fix=f"add it to the table {self.table}")
