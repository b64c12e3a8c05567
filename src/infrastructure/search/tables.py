"""The tables of the embedded index: one set for each generation of it, a rebuild being the next generation."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from src.application.ports.search import FILTERABLE, KEY, SEARCHABLE, SORTABLE, Document, Query, SearchRefused
from src.domain.search.match import Asked, slips_allowed
from src.domain.search.values import all_of, sortable, sorted_by
from src.domain.search.words import field_words, is_hangul, syllables, words

TOKENIZER = "trigram"

GRAM = 3
"""Letters of what the text tables are looked up by (FTS5's trigram tokenizer)."""

LARGEST = 2**63 - 1
"""Of SQLite's whole numbers."""

TABLES = ("documents", "facets", "texts")


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation's tables; the statements run in the caller's transaction. Names are made of our words and a number."""

    connection: sqlite3.Connection
    number: int

    def create(self) -> None:
        """Empty tables."""
        for statement in (
            (
                f"CREATE TABLE documents_{self.number} (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
                f" document TEXT NOT NULL, {', '.join(SORTABLE)})"
            ),
            (
                f"CREATE TABLE facets_{self.number} (field TEXT, value TEXT, number INTEGER,"
                " PRIMARY KEY (number, field, value)) WITHOUT ROWID"
            ),
            f"CREATE INDEX facets_{self.number}_values ON facets_{self.number} (field, value)",
            f"CREATE VIRTUAL TABLE texts_{self.number} USING fts5({', '.join(SEARCHABLE)}, tokenize='{TOKENIZER}')",
        ):
            self.connection.execute(statement)

    def drop(self) -> None:
        """All of it; what is not there is fine."""
        for name in TABLES:
            self.connection.execute(f"DROP TABLE IF EXISTS {name}_{self.number}")

    def put(self, documents: Sequence[Document]) -> None:
        """Add or replace. Raises SearchRefused for what SQLite can't keep: nothing else, or one document of thousands would be the end
        of a whole rebuild."""
        for document in documents:
            # First, since it looks whether the id can be kept too.
            text = _text(document)
            self.remove([key_of(document)])
            self._insert(document, text)

    def _insert(self, document: Document, text: str) -> None:
        g = self.number
        values = [_held(sortable(document.get(name))) for name in SORTABLE]
        number = self.connection.execute(
            f"INSERT INTO documents_{g} (id, document, {', '.join(SORTABLE)}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608
            (key_of(document), text, *values),
        ).lastrowid
        spelled = [f" {' '.join(field_words(document.get(name)))} " for name in SEARCHABLE]
        self.connection.execute(
            f"INSERT INTO texts_{g} (rowid, {', '.join(SEARCHABLE)}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608
            (number, *spelled),
        )
        facets = {(name, value, number) for name in FILTERABLE for value in all_of(document.get(name))}
        self.connection.executemany(f"INSERT INTO facets_{g} (field, value, number) VALUES (?, ?, ?)", sorted(facets))  # noqa: S608

    def remove(self, ids: Sequence[str]) -> None:
        """By id."""
        g = self.number
        for each in ids:
            row = self.connection.execute(f"SELECT number FROM documents_{g} WHERE id = ?", (each,)).fetchone()  # noqa: S608
            if row is not None:
                self.connection.execute(f"DELETE FROM texts_{g} WHERE rowid = ?", row)  # noqa: S608
                self.connection.execute(f"DELETE FROM facets_{g} WHERE number = ?", row)  # noqa: S608
                self.connection.execute(f"DELETE FROM documents_{g} WHERE number = ?", row)  # noqa: S608

    # ------------------------------------------------------------------ search
    def search(self, query: Query) -> list[Document]:
        """As SearchIndex.search. The tables find what may fit, by three letters in a row; `Asked` judges it."""
        asked = words(query.text)
        numbers = self._fitting(asked, query) if asked else self._all(query)
        found = {
            number: json.loads(text)
            for number, text in self.connection.execute(
                f"SELECT number, document FROM documents_{self.number} WHERE number IN ({_marks(numbers)})",  # noqa: S608
                numbers,
            )
        }
        return [found[number] for number in numbers]

    def _all(self, query: Query) -> list[int]:
        conditions, parameters = self._filters(query)
        order = [f"{each.field} IS NULL, {each.field} {'DESC' if each.descending else 'ASC'}" for each in query.sort]
        rows = self.connection.execute(
            f"SELECT number FROM documents_{self.number} WHERE {conditions} ORDER BY {', '.join([*order, 'id'])} LIMIT ?",  # noqa: S608
            (*parameters, query.limit),
        )
        return [number for (number,) in rows]

    def _fitting(self, asked: Sequence[str], query: Query) -> list[int]:
        conditions, parameters = self._filters(query)
        if expression := " AND ".join(each for word in asked if (each := _may_fit(word))):
            # The texts' own index first: a query by it alone is what FTS5 is fast at.
            conditions, parameters = f"t.texts_{self.number} MATCH ? AND {conditions}", [expression, *parameters]
        columns = ", ".join([*(f"d.{name}" for name in SORTABLE), *(f"t.{name}" for name in SEARCHABLE)])
        rows: sqlite3.Cursor = self.connection.execute(
            f"SELECT d.number, d.id, {columns} FROM texts_{self.number} AS t"  # noqa: S608
            f" JOIN documents_{self.number} AS d ON d.number = t.rowid WHERE {conditions}",
            parameters,
        )
        judge, texts = Asked(asked), 2 + len(SORTABLE)
        scored = []
        for row in rows:
            there = {name: text.split() for name, text in zip(SEARCHABLE, row[texts:], strict=True)}
            if score := judge.score(there):
                scored.append((score, row))
        scored.sort(key=lambda pair: (-pair[0], pair[1][1]))
        hits = sorted_by(
            [row for _score, row in scored],
            [(itemgetter(2 + SORTABLE.index(each.field)), each.descending) for each in query.sort],
        )
        return [row[0] for row in hits[: query.limit]]

    def _filters(self, query: Query) -> tuple[str, list[str]]:
        conditions, parameters = ["TRUE"], []
        for name, values in query.filters.items():
            wanted = sorted({each for value in values for each in all_of(value)})
            conditions.append(
                f"number IN (SELECT number FROM facets_{self.number} WHERE field = ? AND value IN ({_marks(wanted)}))"  # noqa: S608
            )
            parameters += [name, *wanted]
        return " AND ".join(conditions), parameters


def key_of(document: Document) -> str:
    """Its id. Raises SearchRefused."""
    if not isinstance(found := document.get(KEY), str) or not found:
        raise SearchRefused(f"a document needs {KEY!r}, a text, and has {type(found).__name__}")
    return found


def _text(document: Document) -> str:
    key = key_of(document)
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError) as error:
        # Half of a surrogate pair too.
        raise SearchRefused(f"document {key!a} is no JSON: {error}") from error
    return text


def _held(value: object) -> object:
    """As a column holds it: a whole number beyond 64 bits comes where the largest of them does."""
    return max(-LARGEST - 1, min(LARGEST, value)) if isinstance(value, int) else value


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _may_fit(word: str) -> str:
    """The FTS5 expression of all texts in which the word may be found; "" for any text at all."""
    inside = is_hangul(word) and syllables(word) > 1
    whole = word if inside else f" {word}"
    if len(whole) < GRAM:
        return ""
    parts = [f'"{whole}"']
    if slips_allowed(word):
        around = word if inside else f" {word} "
        parts += [f'"{around[place : place + GRAM]}"' for place in range(len(around) - GRAM + 1)]
    return f"({' OR '.join(dict.fromkeys(parts))})"
