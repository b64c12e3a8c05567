"""One index of the Meilisearch stand-in: documents, settings, and a search that takes what the server takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from src.domain.search.match import WEIGHTS, Asked
from src.domain.search.values import all_of, sorted_by
from src.domain.search.words import field_words, words

DEFAULT_SETTINGS: dict[str, Any] = {
    "displayedAttributes": ["*"],
    "searchableAttributes": ["*"],
    "filterableAttributes": [],
    "sortableAttributes": [],
    "rankingRules": ["words", "typo", "proximity", "attribute", "sort", "exactness"],
    "stopWords": [],
    "nonSeparatorTokens": [],
    "separatorTokens": [],
    "dictionary": [],
    "synonyms": {},
    "distinctAttribute": None,
    "proximityPrecision": "byWord",
    "typoTolerance": {
        "enabled": True,
        "minWordSizeForTypos": {"oneTypo": 5, "twoTypos": 9},
        "disableOnWords": [],
        "disableOnAttributes": [],
        "disableOnNumbers": False,
    },
    "faceting": {"maxValuesPerFacet": 100, "sortFacetValuesBy": {"*": "alpha"}},
    "pagination": {"maxTotalHits": 1000},
    "embedders": {},
    "searchCutoffMs": None,
    "localizedAttributes": None,
    "facetSearch": True,
    "prefixSearch": "indexingTime",
}

_EQUALS = re.compile(r"""(\w+)\s+(?:=\s+(?P<one>"(?:[^"\\]|\\.)*")|IN\s+\[(?P<some>[^\]]*)\])\Z""")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Refused(Exception):
    """An answer that is an error, or a task's end."""

    def __init__(self, status: int, code: str, message: str, kind: str = "invalid_request") -> None:
        super().__init__(message)
        self.status, self.code, self.type = status, code, kind


def error_document(message: str, code: str, kind: str) -> dict[str, str]:
    """As every error is told, in answers and in tasks."""
    return {"message": message, "code": code, "type": kind, "link": f"https://docs.meilisearch.com/errors#{code}"}


@dataclass
class Index:
    """Documents by id."""

    uid: str
    primary_key: str | None
    created_at: str
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=lambda: dict(DEFAULT_SETTINGS))

    def view(self) -> dict[str, Any]:
        """As listings show it."""
        times = {"createdAt": self.created_at, "updatedAt": self.created_at}
        return {"uid": self.uid, "primaryKey": self.primary_key, **times}

    def add(self, documents: list[dict[str, Any]]) -> dict[str, Any]:
        """All or none, as a task does it."""
        key = self.primary_key or "id"
        for document in documents:
            if key not in document:
                raise Refused(400, "missing_document_id", f"Document doesn't have a `{key}` attribute.")
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,511}", str(document[key])):
                raise Refused(400, "invalid_document_id", f"Document identifier `{document[key]}` is invalid.")
        self.documents.update({str(document[key]): dict(document) for document in documents})
        return {"receivedDocuments": len(documents), "indexedDocuments": len(documents)}

    def page(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Some of the documents, in the order in which they came."""
        offset, limit = asked.get("offset", 0), asked.get("limit", 20)
        found = list(self.documents.values())
        return {"results": found[offset : offset + limit], "offset": offset, "limit": limit, "total": len(found)}


def search(index: Index, asked: dict[str, Any]) -> dict[str, Any]:
    """What is not declared filterable or sortable is refused; a sort counts as far as the ranking rules put it."""
    unknown = set(asked) - {"q", "filter", "sort", "limit", "offset", "matchingStrategy", "attributesToRetrieve"}
    if unknown:
        raise Refused(400, "bad_request", f"Unknown field {sorted(unknown)}")
    passes = [_condition(text, index) for text in asked.get("filter") or ()]
    rules = [rule.partition(":") for rule in asked.get("sort") or ()]
    for name, _, way in rules:
        if name not in index.settings["sortableAttributes"] or way not in ("asc", "desc"):
            raise Refused(400, "invalid_search_sort", f"Attribute `{name}` is not sortable.")
    if asked.get("q") and asked.get("matchingStrategy", "last") != "all":
        raise Refused(501, "not_here", "this stand-in knows the strategy `all` alone")
    judge = Asked(words(asked.get("q") or ""))
    places = index.settings["searchableAttributes"]
    rows = []
    for document in index.documents.values():
        there = {name: field_words(document.get(name)) for name in document if _searched(name, places)}
        if all(passing(document) for passing in passes) and (score := judge.score(there)):
            rows.append((score, document))
    best = [document for _score, document in sorted(rows, key=lambda row: -row[0])]
    first = index.settings["rankingRules"][0] == "sort" or not judge.words
    if first:
        best = sorted_by(best, [(partial(_value, name), way == "desc") for name, _, way in rules])
    limit = min(asked.get("limit", 20), index.settings["pagination"]["maxTotalHits"])
    return {
        "hits": best[:limit],
        "query": asked.get("q"),
        "processingTimeMs": 1,
        "limit": limit,
        "offset": 0,
        "estimatedTotalHits": len(best),
    }


def _searched(name: str, places: list[str]) -> bool:
    return name in WEIGHTS and (places == ["*"] or name in places)


def _value(name: str, document: dict[str, Any]) -> Any:
    return document.get(name)


def _condition(text: str, index: Index) -> Callable[[dict[str, Any]], bool]:
    found = _EQUALS.match(text)
    if found is None:
        raise Refused(400, "invalid_search_filter", f"Was expecting an operation at `{text}`.")
    if found[1] not in index.settings["filterableAttributes"]:
        raise Refused(400, "invalid_search_filter", f"Attribute `{found[1]}` is not filterable.")
    quoted = _QUOTED.findall(found["one"] or found["some"])
    wanted = {each for value in quoted for each in all_of(re.sub(r"\\(.)", r"\1", value))}
    return lambda document: bool(wanted & set(all_of(document.get(found[1]))))
