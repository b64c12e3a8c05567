"""The SSD tier's index, on every database."""

from __future__ import annotations

import pytest

from src.application.ports.cache import CachedContent, CacheIndex
from tests.contracts.backends.content import INDEXES, IndexPlace


@pytest.fixture
def index(indexes: IndexPlace) -> CacheIndex:
    return indexes.cache_index()


def row(name: str, size: int = 10, at: float = 1.0, cached_at: float = 1.0) -> CachedContent:
    return CachedContent(
        content_id=name, file_path=f"/cache/hot/{name}.mp4", file_size=size, cached_at=cached_at, last_accessed=at
    )


def test_there_are_places_to_test() -> None:
    assert {"memory", "sqlite", "postgres"} <= set(INDEXES)


def test_a_row_is_kept_replaced_and_removed(index: CacheIndex, indexes: IndexPlace) -> None:
    assert index.find("a") is None
    index.put(row("a", 5_000_000_000))
    assert indexes.cache_index().find("a") == row("a", 5_000_000_000)
    index.put(row("a", 7, at=3.0, cached_at=0.0))
    assert index.find("a") == row("a", 7, at=3.0, cached_at=0.0)
    for _ in range(2):
        index.remove("a")
    assert index.find("a") is None


def test_all_rows_count(index: CacheIndex) -> None:
    assert index.used_bytes() == 0
    index.put(row("a", 3_000_000_000))
    index.put(row("b", 4_000_000_000, cached_at=0.0))
    assert index.used_bytes() == 7_000_000_000


def test_an_access_is_counted_and_a_missing_row_is_fine(index: CacheIndex) -> None:
    index.put(row("a"))
    for at in (5.0, 6.0):
        index.touch("a", at)
    index.touch("none", 7.0)
    found = index.find("a")
    assert found is not None
    assert (found.last_accessed, found.access_count, found.cached_at) == (6.0, 2, 1.0)
    assert index.find("none") is None


def test_the_least_recently_used_come_first_page_by_page(index: CacheIndex) -> None:
    for name, at in (("d", 4.0), ("b", 2.0), ("c", 2.0), ("a", 9.0)):
        index.put(row(name, at=at))
    first = index.coldest(2)
    assert [found.content_id for found in first] == ["b", "c"]
    rest = index.coldest(9, after=(first[-1].last_accessed, first[-1].content_id))
    assert [found.content_id for found in rest] == ["d", "a"]
    assert list(index.coldest(9, after=(9.0, "a"))) == []
