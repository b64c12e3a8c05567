"""Room in the SSD tier: whose place a film takes, and what a kill in between leaves on the disk."""

from __future__ import annotations

import pytest

from src.application.ports.cache import CacheBusy
from src.infrastructure.cache.ssd import SsdCache
from src.infrastructure.memory.cached_content import MemoryCacheIndex
from tests.adapters.test_ssd_cache import KIB, _small_ranges, cache, clock, film, films, index, warm

__all__ = ["_small_ranges", "cache", "clock", "index"]


def in_folder(cache: SsdCache) -> int:
    return sum(path.stat().st_size for path in cache.folder.iterdir() if not path.name.endswith(".note"))


@pytest.mark.parametrize("others", [10, 1])
def test_a_film_that_finds_no_room_costs_nobody_his_place(cache: SsdCache, others: int) -> None:
    """What copies under way leave free is not enough for it, whoever else went."""
    for name in "bcd":
        warm(cache, name, others * KIB)

    def second(offset: int) -> None:
        if offset == 0:
            with pytest.raises(CacheBusy, match="no room"):
                cache.copy_to_ssd(film("e", 50 * KIB), "e", lambda _share: None)

    cache.copy_to_ssd(film("a", 60 * KIB, at=second), "a", lambda _share: None)
    assert films(cache) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]


def test_what_a_film_was_before_stays_until_there_is_room_for_what_it_is_now(cache: SsdCache) -> None:
    warm(cache, "b", 10 * KIB)

    def second(offset: int) -> None:
        if offset == 0:
            with pytest.raises(CacheBusy, match="no room"):
                cache.copy_to_ssd(film("b", 50 * KIB, "v2"), "b", lambda _share: None)

    cache.copy_to_ssd(film("a", 60 * KIB, at=second), "a", lambda _share: None)
    assert films(cache) == ["a.mp4", "b.mp4"]
    assert warm(cache, "b", 50 * KIB, "v2") == ["a"]


@pytest.mark.parametrize("step", ["_begin", "_reserve", "_copy"])
def test_a_smaller_row_never_stands_for_the_bytes_of_a_larger_film(
    cache: SsdCache, index: MemoryCacheIndex, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Killed at each step of the copy of a film that became smaller, with much of the larger one there."""

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    def late(offset: int) -> None:
        if offset == 80 * KIB:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.copy_to_ssd(film("a", 90 * KIB, at=late), "a", lambda _share: None)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(SsdCache, step, dies)
        cache.copy_to_ssd(film("a", 10 * KIB, "v2"), "a", lambda _share: None)
    assert in_folder(cache) <= index.used_bytes()
    warm(cache, "b", 60 * KIB)
    assert in_folder(cache) <= index.used_bytes() <= cache.room
