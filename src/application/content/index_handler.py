"""Keeps the search index as the content records are: one content, or all of them anew."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from src.application.content.index_request import IndexRequest
from src.application.outcome import Done, Outcome, Run, Snooze
from src.application.ports.content import ContentMissing, Contents
from src.application.ports.search import Document, Rebuild, SearchIndex, SearchRefused
from src.domain.progress import ProgressReport
from src.domain.search.document import document_of

log = logging.getLogger(__name__)

PAGE = 200
"""Records of one look: a few hundred KiB of JSON."""

LOOKS = 3
"""At one record while it changes under our hands; then the job comes again in a second."""

VOLATILE = ("view_count",)
"""Changes of these bring no job of their own, and must not keep one from ending."""

TOLD = 20
"""Ids of refused documents that a result names."""


class Target(Protocol):
    """Where single documents go: the index itself, or a rebuild of it."""

    def put(self, documents: Sequence[Document]) -> None:
        """Add or replace."""

    def remove(self, ids: Sequence[str]) -> None:
        """Remove."""


@dataclass(frozen=True, slots=True)
class _Building:
    rebuild: Rebuild

    def put(self, documents: Sequence[Document]) -> None:
        self.rebuild.add(documents)

    def remove(self, ids: Sequence[str]) -> None:
        self.rebuild.remove(ids)


@dataclass(frozen=True, slots=True)
class IndexContentHandler:
    """A document is what its record says when the job ends, in whichever order jobs about it run."""

    contents: Contents
    index: SearchIndex

    def handle(self, request: IndexRequest, run: Run) -> Outcome:
        """See Handler. May be done twice."""
        if request.content_id is None:
            return self._all(run)
        if request.removed:
            self.index.remove([request.content_id], for_good=True)
            return Done({"content_id": request.content_id, "indexed": False})
        indexed = self._one(self.index, request.content_id)
        if indexed is None:
            return Snooze(1.0, f"content {request.content_id} keeps changing")
        return Done({"content_id": request.content_id, "indexed": indexed})

    def _one(self, target: Target, content_id: str) -> bool | None:
        """Whether there is a document of it now; None if its record changed at every look. Another worker may have read a newer
        record and written before us: so the record is read again after the writing."""
        found = self._document(content_id)
        for _ in range(LOOKS):
            if found is None:
                target.remove([content_id])
            else:
                target.put([found])
            again = self._document(content_id)
            if _settled(found) == _settled(again):
                return found is not None
            found = again
        return None

    def _document(self, content_id: str) -> dict[str, Any] | None:
        try:
            return document_of(self.contents.get(content_id))
        except ContentMissing:
            return None

    # ------------------------------------------------------------------ all
    def _all(self, run: Run) -> Outcome:
        count, after, refused = 0, None, list[str]()
        with self.index.rebuild() as build:
            while page := self.contents.page(after, PAGE):
                refused += _added(build, [document_of(record) for record in page])
                count, after = count + len(page), str(page[-1]["id"])
                run.report(_progress(count))
            meanwhile = self._again(build, build.changed(), refused)
            build.publish()
            # What changed while the last changes were caught up with: in the index that is live now.
            noted = build.changed()
            while noted:
                meanwhile += self._again(build, noted, refused)
                # Others wrote there too: whom we put back, or took out, against what was said of it since, is dealt with once more.
                noted = {each: gone for each, gone in build.changed().items() if noted.get(each, gone) != gone}
        if refused:
            log.warning("index.refused", extra={"count": len(refused), "ids": refused[:TOLD]})
        told = {"refused": len(refused), "refused_ids": refused[:TOLD]} if refused else {}
        return Done({"indexed": count - len(refused), "changed_meanwhile": meanwhile, **told})

    def _again(self, build: Rebuild, noted: Mapping[str, bool], refused: list[str]) -> int:
        if gone_for_good := [each for each, gone in noted.items() if gone]:
            build.remove(gone_for_good)
        for each in (each for each, gone in noted.items() if not gone):
            try:
                self._one(_Building(build), each)
            except SearchRefused:
                # Told with the others; its own job has failed with the reason.
                refused += [each] if each not in refused else []
        return len(noted)


def _added(build: Rebuild, documents: Sequence[Document]) -> list[str]:
    """Add them; ids of those that the index refuses. One that it does not take (by its id, say) must not keep all others out.
    Raises SearchRefused when it takes none: then the documents are not the reason."""
    try:
        build.add(documents)
    except SearchRefused:
        refused = [str(document["id"]) for document in documents if not _taken(build, document)]
        if len(refused) == len(documents):
            raise
        return refused
    return []


def _taken(build: Rebuild, document: Document) -> bool:
    try:
        build.add([document])
    except SearchRefused:
        return False
    return True


def _settled(document: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return document and {name: value for name, value in document.items() if name not in VOLATILE}


def _progress(count: int) -> ProgressReport:
    """Nobody knows how many there are: nearer to the end with every page, never there."""
    percent = 95.0 * count / (count + 20 * PAGE)
    return ProgressReport(
        percent=percent, step=f"indexing ({count})", step_index=1, step_total=1, detail=f"{count} documents"
    )
