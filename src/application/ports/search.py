"""The search index of contents: documents in, hits out (contracts.md 4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from src.domain.errors import InvalidPayload, NetworkError, Permanent
from src.domain.search.words import words

KEY = "id"
SEARCHABLE = ("title", "description", "players", "event_type")
FILTERABLE = ("year", "brand", "event_type", "quality")
SORTABLE = ("year", "created_at", "view_count")

MOST_HITS = 1_000
"""Of one query; also Meilisearch's own limit (maxTotalHits)."""

LONGEST_TEXT = 300
"""Characters of a query: people type a few words."""

Document = Mapping[str, Any]
"""JSON values, with `id`. Documents are replaced whole."""


class SearchUnavailable(NetworkError):
    """The index gave no usable answer, or could not do it now. What was asked for may have been done all the same."""

    code = "search_unavailable"


class SearchRefused(Permanent):
    """The index answered, and says no: not permitted, or not in this form."""

    code = "search_refused"


@dataclass(frozen=True, slots=True)
class Sort:
    """By a field of SORTABLE; documents without it come last, whichever way."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """`filters`: {field of FILTERABLE: values, one of which it must have}; numbers and their texts are the same value, capitals
    don't count. With `sort`, that comes before how well a hit fits. Raises InvalidPayload."""

    text: str = ""
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sort: Sequence[Sort] = ()
    limit: int = 20

    def __post_init__(self) -> None:
        for names, known, what in (
            (self.filters, FILTERABLE, "filter"),
            ([each.field for each in self.sort], SORTABLE, "sort"),
        ):
            if unknown := sorted(set(names) - set(known)):
                raise InvalidPayload(f"no {what} by {', '.join(unknown)}"[:200], fix=f"there are: {', '.join(known)}")
        given = [self.text, *(value for values in self.filters.values() for value in values)]
        if any(len(text) > LONGEST_TEXT for text in given):
            raise InvalidPayload(
                f"a query or a filter's value has more than {LONGEST_TEXT} characters", fix="ask for fewer words"
            )
        if any("\ud800" <= letter <= "\udfff" for text in given for letter in text):
            raise InvalidPayload("a query or a filter's value is not valid Unicode")
        if not 1 <= self.limit <= MOST_HITS:
            raise InvalidPayload(f"limit {self.limit} is not between 1 and {MOST_HITS}")

    @property
    def is_wordless(self) -> bool:
        """Something is asked for, but no letter and no digit: signs and emoji are in no index, so nothing can fit."""
        return bool(self.text.strip()) and not words(self.text)


class Rebuild(Protocol):
    """A second index in the making, which nobody sees. Raises what SearchIndex raises; SearchUnavailable also when another
    rebuild began meanwhile, by `publish` at the latest: the newest one wins."""

    def add(self, documents: Sequence[Document]) -> None:
        """Add or replace in it; also when it has been published."""

    def remove(self, ids: Sequence[str]) -> None:
        """Remove from it, also when it has been published; unknown ids are fine."""

    def changed(self) -> Mapping[str, bool]:
        """Ids that others put into or removed from the live index since the rebuild began, or since this was asked last, each
        with whether the last of it was a removal for good. Of the others, what was added here may be older: read the record
        after asking. Ask before and after `publish`; an id may come although nothing is newer. What this rebuild itself adds
        and removes is not told."""

    def publish(self) -> None:
        """At one moment the index is this one, for every reader, and the one before is gone. Once."""


class SearchIndex(Protocol):
    """One index, shared by all workers. Everything is there for every reader when a method returns, and safe to repeat.
    Raises SearchRefused (permanent) and SearchUnavailable. An index that nothing was ever put into is empty."""

    def put(self, documents: Sequence[Document]) -> None:
        """Add, or replace those with the same ids. Any number."""

    def remove(self, ids: Sequence[str], *, for_good: bool = False) -> None:
        """Remove; unknown ids are fine. `for_good`: whatever their records say, so a rebuild that is going on is told so."""

    def rebuild(self) -> AbstractContextManager[Rebuild]:
        """Begin a second index. Left without `publish`, by an error or by a crash, it changes nothing for readers; what it
        leaves behind is removed at once, or else by the next rebuild."""

    def search(self, query: Query) -> Sequence[Document]:
        """The best hits, best first; every word has to fit (a beginning is enough, longer words may have a slip). Without text,
        all documents, in an order of the index's own unless they are sorted. A text without words (`is_wordless`) fits none."""
