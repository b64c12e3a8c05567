"""A full re-index that stands still in the middle while other jobs index and remove: on every search index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from src.application.content.index_handler import PAGE, IndexContentHandler
from src.application.content.index_request import IndexRequest
from src.application.outcome import Done
from src.application.ports.search import Query
from src.infrastructure.memory.contents import MemoryContents
from tests.contracts.backends.search import SEARCHES, SearchPlace
from tests.fakes.content import a_run

PAGES = "a page"


@dataclass
class Paused(MemoryContents):
    """Records. What is planned for a look at a record, or for PAGES, is done once, after the look and before its answer is used."""

    planned: dict[str, Callable[[], None]] = field(default_factory=dict)

    def get(self, content_id: str) -> Mapping[str, Any]:
        try:
            return super().get(content_id)
        finally:
            self._stand_still(content_id)

    def page(self, after: str | None, limit: int) -> Sequence[Mapping[str, Any]]:
        found = super().page(after, limit)
        self._stand_still(PAGES)
        return found

    def _stand_still(self, looked_at: str) -> None:
        self.planned.pop(looked_at, lambda: None)()


@dataclass
class Site:
    place: SearchPlace
    folder: Path
    contents: Paused = field(default_factory=Paused)

    def run(self, content_id: str | None, *, removed: bool = False) -> None:
        """One job, in a worker of its own."""
        handler = IndexContentHandler(self.contents, self.place.index())
        assert isinstance(handler.handle(IndexRequest(content_id, removed), a_run(self.folder)), Done)

    def titles(self) -> dict[str, Any]:
        return {str(hit["id"]): hit.get("title") for hit in self.place.index().search(Query(limit=1000))}


@pytest.fixture(params=sorted(SEARCHES))
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    place: SearchPlace = SEARCHES[request.param](tmp_path)
    made = Site(place, tmp_path)
    made.contents.rows.update({name: {"title": name} for name in ("a", "b", "c")})
    yield made
    place.close()


def test_what_is_deleted_meanwhile_stays_away_although_its_row_is_still_there(site: Site) -> None:
    """The event is there before the platform's commit; the record was on the page that was read."""
    site.contents.planned[PAGES] = lambda: site.run("b", removed=True)
    site.run(None)
    assert "b" in site.contents.rows
    assert site.titles() == {"a": "a", "c": "c"}


def test_what_is_deleted_while_changes_are_caught_up_with_stays_away_too(site: Site) -> None:
    def meanwhile() -> None:
        site.run("a")
        site.contents.planned["a"] = lambda: site.run("b", removed=True)

    site.contents.planned[PAGES] = meanwhile
    site.run(None)
    assert site.titles() == {"a": "a", "c": "c"}


def test_what_is_deleted_while_it_is_put_back_stays_away(site: Site) -> None:
    """`b` changed before the new index was shown; while its record is read again after that, it is deleted."""

    def meanwhile() -> None:
        site.run("a")
        site.contents.planned["a"] = change

    def change() -> None:
        site.run("b")
        site.contents.planned["b"] = lambda: site.run("b", removed=True)

    site.contents.planned[PAGES] = meanwhile
    site.run(None)
    assert site.titles() == {"a": "a", "c": "c"}


def test_what_comes_back_after_it_was_deleted_is_there(site: Site) -> None:
    def meanwhile() -> None:
        site.run("b", removed=True)
        site.contents.rows["b"] = {"title": "again"}
        site.run("b")

    site.contents.planned[PAGES] = meanwhile
    site.run(None)
    assert site.titles() == {"a": "a", "b": "again", "c": "c"}


def test_a_job_that_came_before_its_record_keeps_it_out_of_no_rebuild(site: Site) -> None:
    """It found none, and took the document out; nobody said that it is gone for good."""

    def meanwhile() -> None:
        site.run("z")
        site.contents.rows["z"] = {"title": "late"}

    site.contents.planned[PAGES] = meanwhile
    site.contents.rows.update({f"f-{number:03}": {"title": "film"} for number in range(PAGE)})
    site.run(None)
    assert site.titles()["z"] == "late"
    assert len(site.titles()) == PAGE + 4
