"""Content records in a table, ours or the platform's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from src.application.ports.content import ContentMissing
from src.domain.errors import InvalidPayload
from src.infrastructure.db.content_tables import media_contents
from src.infrastructure.db.engine import Database, upsert
from src.infrastructure.db.foreign import plain, quoted, renamed


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

    def get(self, content_id: str) -> Mapping[str, Any]:
        """The row, under our names, and with its own id: "007" or an id in capital letters may be another spelling of it."""
        query = text(f"SELECT * FROM {quoted(self.table)} WHERE {self._column('id')} = :id")  # noqa: S608 - quoted names

        def look(connection: Connection) -> Mapping[str, Any] | None:
            row = connection.execute(query, {"id": content_id}).mappings().first()
            return None if row is None else dict(row)

        try:
            row = self.database.read(look)
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
        setters = ", ".join(f"{quoted(name)} = :v{number}" for number, name in enumerate(values))
        statement = text(
            f"UPDATE {quoted(self.table)} SET {setters} WHERE {self._column('id')} = :id"  # noqa: S608 - quoted names
        )
        given = {**numbered, "id": content_id}
        try:
            changed = self.database.single(lambda connection: connection.execute(statement, given).rowcount)
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
        rows = self.database.read(lambda connection: connection.execute(query, given).mappings().all())
        return [self._record(dict(row)) for row in rows]

    def _record(self, row: Mapping[str, Any]) -> dict[str, Any]:
        ours = {theirs: name for name, theirs in self.columns.items() if theirs}
        record = {ours.get(name, name): plain(value) for name, value in row.items()}
        return record | {"id": str(record["id"])}

    def _column(self, ours: str) -> str:
        return quoted(self.columns.get(ours) or ours)

    def _missing(self, content_id: str) -> ContentMissing:
        return ContentMissing(f"there is no content {content_id}", fix=f"add it to the table {self.table}")
