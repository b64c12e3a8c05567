"""What writers note for a rebuild that is going on: a list of its own on the server, a document for each content.

A content is noted as changed or as removed for good, whichever was last, under an id that says which. Whoever notes the one takes out
the other first. So who reads the list and then takes out exactly what was read never takes out a newer word of the other kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from src.application.ports.search import KEY, Document

CHANGED = "__changed"
"""The list is named as the rebuild, with this behind it."""

CONTENT, GONE = "content", "removed"
FIELDS = [KEY, CONTENT, GONE]
PREFIXES = {False: "c-", True: "r-"}


def notes(ids: Sequence[str], *, for_good: bool) -> list[Document]:
    """To be added."""
    return [{KEY: PREFIXES[for_good] + each, CONTENT: each, GONE: for_good} for each in ids]


def opposites(ids: Sequence[str], *, for_good: bool) -> list[str]:
    """Ids of notes to be taken out before that."""
    return [PREFIXES[not for_good] + each for each in ids]


def told(rows: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """{content: whether it was removed for good}. A row of the bare id is from a worker that knows only changes."""
    found = dict[str, bool]()
    for row in rows:
        content = str(row.get(CONTENT, row[KEY]))
        found[content] = found.get(content, False) or bool(row.get(GONE))
    return found
