"""Index jobs: whatever the order of events, the index ends as the records are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from src.application.content.index_handler import LOOKS, PAGE, IndexContentHandler
from src.application.content.index_request import IndexRequest, parse_index
from src.application.content.index_types import JOB_TYPES
from src.application.outcome import Done, Snooze
from src.application.ports.content import ContentUnavailable
from src.application.ports.search import Document, Query, SearchRefused
from src.domain.errors import InvalidPayload
from src.domain.progress import ProgressReport
from src.infrastructure.memory.contents import MemoryContents
from src.infrastructure.memory.search import MemorySearchIndex
from tests.fakes.content import a_run

ALL = IndexRequest(None)


@dataclass
class Watched(MemoryContents):
    """Records; `then` runs after each look at one, or at a page of them."""

    then: Callable[[str | None], None] = lambda _content_id: None

    def get(self, content_id: str) -> Mapping[str, Any]:
        """And then."""
        try:
            return super().get(content_id)
        finally:
            self.then(content_id)

    def page(self, after: str | None, limit: int) -> Sequence[Mapping[str, Any]]:
        """And then."""
        found = super().page(after, limit)
        self.then(None)
        return found


@dataclass
class Site:
    """A platform and its index."""

    folder: Path
    contents: Watched = field(default_factory=Watched)
    index: MemorySearchIndex = field(default_factory=MemorySearchIndex)
    reports: list[ProgressReport] = field(default_factory=list)

    def run(self, request: IndexRequest) -> Done | Snooze:
        return IndexContentHandler(self.contents, self.index).handle(request, a_run(self.folder, self.reports))

    def result(self, request: IndexRequest) -> dict[str, Any]:
        done = self.run(request)
        assert isinstance(done, Done)
        return dict(done.result)

    def titles(self) -> dict[str, Any]:
        return {str(hit["id"]): hit.get("title") for hit in self.index.search(Query(limit=1000))}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_content_is_indexed_without_where_its_film_lies(site: Site) -> None:
    site.contents.rows["a"] = {"title": "A", "file_path": "raw/a.mkv", "year": 2024}
    assert site.result(IndexRequest("a")) == {"content_id": "a", "indexed": True}
    assert list(site.index.search(Query())) == [{"id": "a", "title": "A", "year": 2024}]


def test_a_content_that_is_gone_is_removed(site: Site) -> None:
    site.index.put([{"id": "a", "title": "A"}])
    assert site.result(IndexRequest("a")) == {"content_id": "a", "indexed": False}
    assert site.titles() == {}


def test_one_that_was_said_to_be_removed_goes_although_its_row_is_still_there(site: Site) -> None:
    site.contents.rows["a"] = {"title": "A"}
    site.index.put([{"id": "a", "title": "A"}])
    assert site.result(IndexRequest("a", removed=True)) == {"content_id": "a", "indexed": False}
    assert site.titles() == {}


def test_a_record_that_changes_between_reading_and_writing_is_written_again(site: Site) -> None:
    site.contents.rows["a"] = {"title": "old", "view_count": 1}
    changes = [{"title": "new", "view_count": 2}]

    def change(_content_id: str | None) -> None:
        if changes:
            site.contents.rows["a"] = changes.pop()

    site.contents.then = change
    assert site.result(IndexRequest("a"))["indexed"] is True
    assert site.titles() == {"a": "new"}


def test_one_that_goes_between_reading_and_writing_is_removed_again(site: Site) -> None:
    site.contents.rows["a"] = {"title": "old"}
    site.contents.then = lambda _content_id: site.contents.rows.clear()
    assert site.result(IndexRequest("a"))["indexed"] is False
    assert site.titles() == {}


def test_a_record_that_never_keeps_still_is_looked_at_later(site: Site) -> None:
    looks: list[str | None] = []

    def change(content_id: str | None) -> None:
        looks.append(content_id)
        site.contents.rows["a"] = {"title": f"version {len(looks)}"}

    site.contents.rows["a"] = {"title": "version 0"}
    site.contents.then = change
    assert isinstance(site.run(IndexRequest("a")), Snooze)
    assert len(looks) == LOOKS + 1


def test_views_alone_do_not_keep_a_job_from_ending(site: Site) -> None:
    site.contents.rows["a"] = {"title": "A", "view_count": 0}

    def viewed(_content_id: str | None) -> None:
        site.contents.rows["a"] = {"title": "A", "view_count": site.contents.rows["a"]["view_count"] + 1}

    site.contents.then = viewed
    assert site.result(IndexRequest("a"))["indexed"] is True


def test_all_of_them_are_indexed_and_what_is_no_record_any_more_goes(site: Site) -> None:
    site.contents.rows.update({f"c-{number:04}": {"title": f"film {number}"} for number in range(2 * PAGE + 1)})
    site.index.put([{"id": "gone", "title": "gone"}])
    assert site.result(ALL) == {"indexed": 2 * PAGE + 1, "changed_meanwhile": 0}
    assert site.titles() == {name: row["title"] for name, row in site.contents.rows.items()}
    assert len({report.reached for report in site.reports}) == 3, "each page is progress"


def test_readers_see_the_old_index_until_the_new_one_is_whole(site: Site) -> None:
    site.index.put([{"id": "old", "title": "old"}])
    site.contents.rows.update({f"c-{number:04}": {"title": "new"} for number in range(PAGE + 1)})
    seen: list[dict[str, Any]] = []
    site.contents.then = lambda content_id: seen.append(site.titles())
    site.result(ALL)
    assert len(seen) == 3
    assert all(titles == {"old": "old"} for titles in seen)
    assert len(site.titles()) == PAGE + 1


def test_what_jobs_index_meanwhile_is_not_undone(site: Site) -> None:
    """The page was read; then one record changes, one goes, one comes, each with its own job, before the rebuild is shown. No
    reader who saw that sees what was before it again."""
    site.contents.rows.update({"a": {"title": "old"}, "b": {"title": "B"}, "c": {"title": "C"}})
    todo, seen = [True], list[dict[str, Any]]()

    def others(content_id: str | None) -> None:
        if content_id is None and todo:
            todo.clear()
            site.contents.rows["a"] = {"title": "new"}
            del site.contents.rows["b"]
            site.contents.rows["0"] = {"title": "zero"}
            site.contents.then = lambda _content_id: None
            for each in ("a", "b", "0", "c"):
                site.run(IndexRequest(each))
            site.contents.then = lambda _content_id: seen.append(site.titles())

    site.contents.then = others
    assert site.result(ALL)["changed_meanwhile"] == 4
    assert site.titles() == {"a": "new", "c": "C", "0": "zero"}
    assert seen
    assert all(titles == site.titles() for titles in seen)


def test_what_changes_while_the_changes_are_caught_up_with_is_not_undone_either(site: Site) -> None:
    """While `b` is caught up with, `a` changes: only the look after the new index is shown tells of it."""
    site.contents.rows.update({"a": {"title": "old"}, "b": {"title": "old"}})

    def change(name: str, then: Callable[[str | None], None]) -> None:
        site.contents.then = lambda _content_id: None
        site.contents.rows[name] = {"title": "new"}
        site.run(IndexRequest(name))
        site.contents.then = then

    def first(content_id: str | None) -> None:
        change("b", second)

    def second(content_id: str | None) -> None:
        if content_id == "b":
            change("a", lambda _content_id: None)

    site.contents.then = first
    assert site.result(ALL)["changed_meanwhile"] == 2
    assert site.titles() == {"a": "new", "b": "new"}


def test_a_platform_that_fails_half_way_leaves_the_index_as_it_was(site: Site) -> None:
    site.index.put([{"id": "old", "title": "old"}])
    site.contents.rows.update({f"c-{number:04}": {"title": "new"} for number in range(PAGE + 1)})

    def fail(_content_id: str | None) -> None:
        if site.reports:
            raise ContentUnavailable("away")

    site.contents.then = fail
    with pytest.raises(ContentUnavailable):
        site.run(ALL)
    assert site.titles() == {"old": "old"}
    site.contents.then = lambda _content_id: None
    assert site.result(ALL)["indexed"] == PAGE + 1


@dataclass
class Choosy(MemorySearchIndex):
    """Refuses ids with a colon, as Meilisearch does, or every id."""

    taken: bool = True

    def put(self, documents: Sequence[Document]) -> None:
        """If it likes them."""
        self.look(documents)
        super().put(documents)

    def look(self, documents: Sequence[Document]) -> None:
        """At the ids."""
        if not self.taken or any(":" in str(document["id"]) for document in documents):
            raise SearchRefused("not this id")


def choosy(site: Site, monkeypatch: pytest.MonkeyPatch) -> Choosy:
    from src.infrastructure.memory import search

    index, add = Choosy(), search.MemoryRebuild.add
    site.index = index

    def checked(build: search.MemoryRebuild, documents: Sequence[Document]) -> None:
        index.look(documents)
        add(build, documents)

    monkeypatch.setattr(search.MemoryRebuild, "add", checked)
    return index


def test_one_document_that_the_index_refuses_does_not_keep_the_others_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    choosy(site, monkeypatch)
    site.contents.rows.update({"a": {"title": "A"}, "b:1": {"title": "B"}, "c": {"title": "C"}})
    assert site.result(ALL) == {"indexed": 2, "changed_meanwhile": 0, "refused": 1, "refused_ids": ["b:1"]}
    assert site.titles() == {"a": "A", "c": "C"}
    with pytest.raises(SearchRefused):
        site.run(IndexRequest("b:1"))


def test_an_index_that_refuses_everything_is_not_emptied(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    index = choosy(site, monkeypatch)
    index.put([{"id": "old", "title": "old"}])
    index.taken = False
    site.contents.rows.update({"a": {"title": "A"}, "b": {"title": "B"}})
    with pytest.raises(SearchRefused):
        site.run(ALL)
    assert site.titles() == {"old": "old"}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"content_id": "c-1"}, IndexRequest("c-1")),
        ({"content_id": 17, "all": False, "removed": None}, IndexRequest("17")),
        ({"content_id": "c-1", "removed": True}, IndexRequest("c-1", removed=True)),
        ({"all": True}, ALL),
    ],
)
def test_payloads_that_are_understood(payload: dict[str, Any], expected: IndexRequest) -> None:
    assert parse_index("t", payload) == expected


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"content_id": ""},
        {"content_id": "../x"},
        {"content_id": None, "removed": True},
        {"all": "yes"},
        {"content_id": "a", "removed": 1},
        {"all": True, "content_id": "a"},
        {"all": True, "removed": True},
    ],
)
def test_payloads_that_are_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(InvalidPayload):
        parse_index("t", payload)


def test_the_type_is_short_and_re_indexes_one_at_a_time() -> None:
    (index,) = JOB_TYPES
    assert index.short
    assert index.subject("t", {"all": True}) == "all"
    assert index.subject("t", {"content_id": "a"}) is None
