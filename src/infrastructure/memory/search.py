"""The search index in memory."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from src.application.ports.search import KEY, SEARCHABLE, Document, Query, SearchRefused, SearchUnavailable
from src.domain.search.match import Asked
from src.domain.search.values import all_of, sorted_by
from src.domain.search.words import field_words, words


@dataclass
class MemorySearchIndex:
    """SearchIndex. Thread-safe; looks at every document for every query."""

    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    _build: MemoryRebuild | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def put(self, documents: Sequence[Document]) -> None:
        """Copies."""
        with self._lock:
            for document in documents:
                self.documents[key_of(document)] = copy.deepcopy(dict(document))
            self._touched([key_of(document) for document in documents], for_good=False)

    def remove(self, ids: Sequence[str], *, for_good: bool = False) -> None:
        """By id."""
        with self._lock:
            for each in ids:
                self.documents.pop(each, None)
            self._touched(ids, for_good=for_good)

    def _touched(self, ids: Sequence[str], *, for_good: bool) -> None:
        if self._build is not None:
            self._build.touched.update(dict.fromkeys(ids, for_good))

    @contextmanager
    def rebuild(self) -> Iterator[MemoryRebuild]:
        """A dictionary beside."""
        made = MemoryRebuild(self)
        with self._lock:
            self._build = made
        try:
            yield made
        finally:
            with self._lock:
                if self._build is made:
                    self._build = None

    def search(self, query: Query) -> Sequence[Document]:
        """All documents, one by one."""
        if query.is_wordless:
            return []
        asked = Asked(words(query.text))
        with self._lock:
            kept = [each for _id, each in sorted(self.documents.items()) if _passes(each, query)]
        scored = [(asked.score({name: field_words(each.get(name)) for name in SEARCHABLE}), each) for each in kept]
        best = sorted((pair for pair in scored if pair[0]), key=lambda pair: -pair[0])
        hits = sorted_by(
            [each for _score, each in best],
            [(partial(_value, sort.field), sort.descending) for sort in query.sort],
        )
        return copy.deepcopy(hits[: query.limit])


@dataclass
class MemoryRebuild:
    """Rebuild."""

    index: MemorySearchIndex
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    touched: dict[str, bool] = field(default_factory=dict)

    def add(self, documents: Sequence[Document]) -> None:
        """Copies."""
        with self.index._lock:  # noqa: SLF001 - two halves of one thing
            self._check()
            for document in documents:
                self.documents[key_of(document)] = copy.deepcopy(dict(document))

    def remove(self, ids: Sequence[str]) -> None:
        """By id."""
        with self.index._lock:  # noqa: SLF001 - two halves of one thing
            self._check()
            for each in ids:
                self.documents.pop(each, None)

    def changed(self) -> Mapping[str, bool]:
        """And forget them."""
        with self.index._lock:  # noqa: SLF001 - two halves of one thing
            self._check()
            told, self.touched = self.touched, {}
            return told

    def publish(self) -> None:
        """Put the dictionary in the place of the other."""
        with self.index._lock:  # noqa: SLF001 - two halves of one thing
            self._check()
            self.index.documents = self.documents

    def _check(self) -> None:
        if self.index._build is not self:  # noqa: SLF001 - two halves of one thing
            raise SearchUnavailable("another rebuild of the index began meanwhile")


def key_of(document: Document) -> str:
    """Its id. Raises SearchRefused."""
    if not isinstance(found := document.get(KEY), str) or not found:
        raise SearchRefused(f"a document needs {KEY!r}, a text, and has {type(found).__name__}")
    return found


def _passes(document: Mapping[str, Any], query: Query) -> bool:
    return all(
        set(all_of(document.get(name))) & {each for value in values for each in all_of(value)}
        for name, values in query.filters.items()
    )


def _value(name: str, document: Mapping[str, Any]) -> Any:
    return document.get(name)
