"""The SSD tier: whole films or none, a budget that holds, copies that go on where they were killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from src.application.ports.cache import CacheBusy, CacheCleaned, CachedContent, CopySource
from src.domain.errors import LimitsExceeded, StorageUnavailable
from src.infrastructure.cache import ssd
from src.infrastructure.cache.places import Places
from src.infrastructure.cache.ssd import SsdCache
from src.infrastructure.db import schema
from src.infrastructure.db.cached_content import SqlCacheIndex
from src.infrastructure.db.engine import Database
from src.infrastructure.memory.cached_content import MemoryCacheIndex
from tests.fakes.clock import FrozenClock

ROOT = Path(__file__).resolve().parents[2]
KIB = 1024


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def index() -> MemoryCacheIndex:
    return MemoryCacheIndex()


@pytest.fixture
def cache(tmp_path: Path, index: MemoryCacheIndex, clock: FrozenClock) -> SsdCache:
    """Room for 95 KiB."""
    return SsdCache(folder=tmp_path / "hot", index=index, clock=clock, budget_bytes=100 * KIB)


@pytest.fixture(autouse=True)
def _small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssd, "RANGE_BYTES", 4 * KIB)
    monkeypatch.setattr(ssd, "SAFE_BYTES", 8 * KIB)


def content_of(name: str, size: int) -> bytes:
    return (name.encode() * size)[:size]


def film(
    name: str,
    size: int,
    version: str = "v1",
    *,
    at: Callable[[int], None] = lambda _offset: None,
    extension: str = ".mp4",
) -> CopySource:
    """`at` is called before each read with its offset."""
    whole = content_of(name + version, size)

    def read(offset: int, length: int) -> bytes:
        at(offset)
        return whole[offset : offset + length]

    return CopySource(read=read, size=size, version=version, extension=extension)


def warm(cache: SsdCache, name: str, size: int, version: str = "v1") -> list[str]:
    cache.clock.advance(1)  # type: ignore[attr-defined]
    return list(cache.copy_to_ssd(film(name, size, version), name, lambda _share: None).evicted)


def films(cache: SsdCache) -> list[str]:
    return sorted(path.name for path in Places(cache.folder).films())


def test_a_film_is_there_whole_with_its_row(cache: SsdCache, index: MemoryCacheIndex) -> None:
    shares: list[float] = []
    warmed = cache.copy_to_ssd(film("a", 10 * KIB, extension=".mkv"), "a", shares.append)
    assert warmed.path == str(cache.folder / "a.mkv")
    assert Path(warmed.path).read_bytes() == content_of("av1", 10 * KIB)
    row = index.find("a")
    assert row is not None
    assert (row.file_path, row.file_size, row.cached_at) == (warmed.path, 10 * KIB, cache.clock.now())
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_an_id_that_looks_like_another_one_with_its_extension_has_a_film_of_its_own(cache: SsdCache) -> None:
    first = cache.copy_to_ssd(film("a", 10 * KIB, extension=".mp4"), "a", lambda _share: None)
    other = cache.copy_to_ssd(film("b", 20 * KIB, extension=""), "a.mp4", lambda _share: None)
    last = cache.copy_to_ssd(film("c", 5 * KIB, extension=""), "a.mp4.", lambda _share: None)
    assert Path(first.path).read_bytes() == content_of("av1", 10 * KIB)
    assert Path(other.path).read_bytes() == content_of("bv1", 20 * KIB)
    assert Path(last.path).read_bytes() == content_of("cv1", 5 * KIB)


def test_what_is_there_is_not_copied_again_but_counts_as_used(cache: SsdCache, index: MemoryCacheIndex) -> None:
    warm(cache, "a", 10 * KIB)
    cache.clock.advance(60)  # type: ignore[attr-defined]

    def never(_offset: int) -> None:
        raise AssertionError("read")

    again = cache.copy_to_ssd(film("a", 10 * KIB, at=never), "a", lambda _share: None)
    assert again.was_there
    row = index.find("a")
    assert row is not None
    assert (row.last_accessed, row.access_count) == (cache.clock.now(), 1)
    assert films(cache) == ["a.mp4"]


def test_a_film_that_changed_is_copied_anew(cache: SsdCache) -> None:
    warm(cache, "a", 10 * KIB)
    warm(cache, "a", 10 * KIB, "v2")
    assert (cache.folder / "a.mp4").read_bytes() == content_of("av2", 10 * KIB)


def test_the_least_recently_used_make_room_before_a_byte_is_copied(cache: SsdCache, index: MemoryCacheIndex) -> None:
    for name in ("a", "b", "c"):
        assert warm(cache, name, 30 * KIB) == []
    cache.clock.advance(1)  # type: ignore[attr-defined]
    index.touch("a", cache.clock.now())
    seen: list[list[str]] = []
    warmed = cache.copy_to_ssd(film("d", 40 * KIB, at=lambda _: seen.append(films(cache))), "d", lambda _share: None)
    assert list(warmed.evicted) == ["b", "c"]
    assert seen[0] == ["a.mp4"]
    assert films(cache) == ["a.mp4", "d.mp4"]
    assert index.used_bytes() == 70 * KIB


def test_only_as_much_goes_as_is_needed_and_the_limit_is_95_percent(cache: SsdCache) -> None:
    assert warm(cache, "a", 50 * KIB) == []
    assert warm(cache, "b", 45 * KIB) == []
    assert warm(cache, "c", 1) == ["a"]


def test_a_film_that_can_never_fit_is_an_error_for_good_and_costs_nobody_his_place(cache: SsdCache) -> None:
    warm(cache, "a", 50 * KIB)
    with pytest.raises(LimitsExceeded, match="WORKER_CONTENT__CACHE_BYTES"):
        cache.copy_to_ssd(film("b", 96 * KIB), "b", lambda _share: None)
    assert films(cache) == ["a.mp4"]


def breaking(at: int) -> Callable[[int], None]:
    def check(offset: int) -> None:
        if offset >= at:
            raise StorageUnavailable("scripted")

    return check


def test_a_copy_that_broke_off_goes_on_where_its_bytes_are_safe(cache: SsdCache, index: MemoryCacheIndex) -> None:
    with pytest.raises(StorageUnavailable):
        cache.copy_to_ssd(film("a", 40 * KIB, at=breaking(20 * KIB)), "a", lambda _share: None)
    assert films(cache) == []
    assert index.used_bytes() == 40 * KIB, "its room stays taken"
    offsets: list[int] = []
    warmed = cache.copy_to_ssd(film("a", 40 * KIB, at=offsets.append), "a", lambda _share: None)
    assert (warmed.resumed_at, offsets[0]) == (16 * KIB, 16 * KIB)
    assert Path(warmed.path).read_bytes() == content_of("av1", 40 * KIB)
    assert index.used_bytes() == 40 * KIB


def test_a_copy_of_what_the_source_was_before_is_begun_anew(cache: SsdCache) -> None:
    with pytest.raises(StorageUnavailable):
        cache.copy_to_ssd(film("a", 40 * KIB, at=breaking(20 * KIB)), "a", lambda _share: None)
    warmed = cache.copy_to_ssd(film("a", 40 * KIB, "v2"), "a", lambda _share: None)
    assert warmed.resumed_at == 0
    assert Path(warmed.path).read_bytes() == content_of("av2", 40 * KIB)


def test_bytes_that_the_note_does_not_vouch_for_are_not_believed(cache: SsdCache) -> None:
    with pytest.raises(StorageUnavailable):
        cache.copy_to_ssd(film("a", 40 * KIB, at=breaking(20 * KIB)), "a", lambda _share: None)
    places = Places(cache.folder)
    part = bytearray(places.part("a").read_bytes())
    part[16 * KIB :] = b"?" * (len(part) - 16 * KIB)
    places.part("a").write_bytes(part)
    warmed = cache.copy_to_ssd(film("a", 40 * KIB), "a", lambda _share: None)
    assert Path(warmed.path).read_bytes() == content_of("av1", 40 * KIB)
    with pytest.raises(StorageUnavailable):
        cache.copy_to_ssd(film("b", 40 * KIB, at=breaking(20 * KIB)), "b", lambda _share: None)
    places.note("b").write_text("nonsense")
    assert cache.copy_to_ssd(film("b", 40 * KIB), "b", lambda _share: None).resumed_at == 0


def test_a_source_that_ends_too_early_is_no_film(cache: SsdCache) -> None:
    short = film("a", 10 * KIB)
    with pytest.raises(StorageUnavailable, match="ended after"):
        cache.copy_to_ssd(
            CopySource(read=short.read, size=12 * KIB, version="v1", extension=".mp4"), "a", lambda _share: None
        )
    assert films(cache) == []


def test_nobody_copies_a_film_that_is_being_copied(cache: SsdCache) -> None:
    refused: list[CacheBusy] = []

    def second(_offset: int) -> None:
        with pytest.raises(CacheBusy) as caught:
            cache.copy_to_ssd(film("a", 8 * KIB), "a", lambda _share: None)
        refused.append(caught.value)
        with pytest.raises(CacheBusy):
            cache.forget("a")

    cache.copy_to_ssd(film("a", 8 * KIB, at=second), "a", lambda _share: None)
    assert refused[0].seconds > 0
    assert films(cache) == ["a.mp4"]


def test_a_copy_under_way_is_never_evicted_and_its_room_is_not_given_away(cache: SsdCache) -> None:
    def second(offset: int) -> None:
        if offset == 0:
            with pytest.raises(CacheBusy, match="no room"):
                cache.copy_to_ssd(film("b", 50 * KIB), "b", lambda _share: None)
            assert cache.cleanup_old_entries() == CacheCleaned(abandoned_copies=1), "of b, which never began"

    cache.copy_to_ssd(film("a", 60 * KIB, at=second), "a", lambda _share: None)
    assert warm(cache, "b", 50 * KIB) == ["a"]


def test_a_process_that_died_after_the_last_byte_left_a_film_that_counts(
    cache: SsdCache, index: MemoryCacheIndex
) -> None:
    warm(cache, "a", 10 * KIB)
    row = index.find("a")
    assert row is not None
    index.put(CachedContent(content_id="a", file_path=row.file_path, file_size=row.file_size, last_accessed=1.0))
    assert cache.copy_to_ssd(film("a", 10 * KIB), "a", lambda _share: None).was_there
    again = index.find("a")
    assert again is not None
    assert again.cached_at == cache.clock.now()


# ---------------------------------------------------------------------- clean-up
def test_cleaning_up_counts_what_it_removes(cache: SsdCache, index: MemoryCacheIndex, clock: FrozenClock) -> None:
    warm(cache, "old", 10 * KIB)
    with pytest.raises(StorageUnavailable):
        cache.copy_to_ssd(film("half", 20 * KIB, at=breaking(8 * KIB)), "half", lambda _share: None)
    clock.advance(31 * 86_400)
    warm(cache, "new", 10 * KIB)
    warm(cache, "gone", 10 * KIB)
    (cache.folder / "gone.mp4").unlink()
    (cache.folder / "stray.mp4").write_bytes(b"x" * 100)
    (cache.folder / ".lost.part").write_bytes(b"x" * 7)
    cleaned = cache.cleanup_old_entries()
    assert cleaned == CacheCleaned(
        entries=1, stray_files=1, stray_rows=1, abandoned_copies=2, freed_bytes=10 * KIB + 8 * KIB + 107
    )
    assert films(cache) == ["new.mp4"]
    assert [row.content_id for row in index.coldest(9)] == ["new"]
    assert list(Places(cache.folder).parts()) == []
    assert cache.cleanup_old_entries() == CacheCleaned()


def test_a_killed_copy_waits_a_day_for_its_next_attempt(cache: SsdCache, clock: FrozenClock) -> None:
    with pytest.raises(StorageUnavailable):
        cache.copy_to_ssd(film("half", 20 * KIB, at=breaking(8 * KIB)), "half", lambda _share: None)
    clock.advance(3600)
    assert cache.cleanup_old_entries() == CacheCleaned()
    assert cache.copy_to_ssd(film("half", 20 * KIB), "half", lambda _share: None).resumed_at == 8 * KIB


def test_room_of_a_dead_copy_goes_like_a_film_s(cache: SsdCache) -> None:
    with pytest.raises(StorageUnavailable):
        cache.copy_to_ssd(film("half", 60 * KIB, at=breaking(8 * KIB)), "half", lambda _share: None)
    assert warm(cache, "b", 50 * KIB) == ["half"]
    assert list(Places(cache.folder).parts()) == []


def test_a_film_is_forgotten_with_all_that_is_left_of_it(cache: SsdCache, index: MemoryCacheIndex) -> None:
    warm(cache, "a", 10 * KIB)
    assert cache.forget("a")
    assert not cache.forget("a")
    assert [path.name for path in cache.folder.iterdir()] == [".lock"]
    assert index.find("a") is None


# ---------------------------------------------------------------------- processes
COPIER = """
import json, sys, time
from pathlib import Path
from src.application.ports.cache import CacheBusy
from src.infrastructure.cache import ssd
from src.infrastructure.cache.places import Places
from src.infrastructure.clock import SystemClock
from src.infrastructure.db.cached_content import SqlCacheIndex
from src.infrastructure.db.engine import Database
from tests.adapters.test_ssd_cache import KIB, film

ssd.RANGE_BYTES, ssd.SAFE_BYTES = 4 * KIB, 8 * KIB
url, folder, names, size, pause = sys.argv[1], Path(sys.argv[2]), sys.argv[3].split(","), int(sys.argv[4]), float(sys.argv[5])
cache = ssd.SsdCache(folder=folder, index=SqlCacheIndex(Database(url)), clock=SystemClock(), budget_bytes=100 * KIB)
most = 0

def look(_offset):
    global most
    time.sleep(pause)
    # Under the tier's own lock nothing is evicted or renamed between two looks, so that nothing is counted twice.
    with Places(folder).alone():
        found = sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".mp4", ".part"))
    most = max(most, found)

for name in names:
    print("begin", flush=True)
    while True:
        try:
            cache.copy_to_ssd(film(name, size, at=look), name, lambda share: print(share, flush=True))
            break
        except CacheBusy:
            time.sleep(0.01)
print(json.dumps({"most": most}), flush=True)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path / 'worker.db'}"
    schema.upgrade(made)
    return made


def copier(url: str, folder: Path, names: list[str], size: int, pause: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COPIER, url, str(folder), ",".join(names), str(size), str(pause)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_copy_whose_process_is_killed_goes_on_in_the_next_one(url: str, tmp_path: Path) -> None:
    process = copier(url, tmp_path / "hot", ["a"], 80 * KIB, pause=0.02)
    assert process.stdout is not None
    for line in process.stdout:
        if line[0].isdigit() and float(line) > 0.5:
            break
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    index = SqlCacheIndex(Database(url))
    assert index.used_bytes() == 80 * KIB
    cache = SsdCache(folder=tmp_path / "hot", index=index, clock=FrozenClock(time.time()), budget_bytes=100 * KIB)
    assert films(cache) == []
    warmed = cache.copy_to_ssd(film("a", 80 * KIB), "a", lambda _share: None)
    assert warmed.resumed_at >= 32 * KIB
    assert Path(warmed.path).read_bytes() == content_of("av1", 80 * KIB)
    assert index.used_bytes() == 80 * KIB


def test_the_budget_holds_while_several_processes_warm(url: str, tmp_path: Path) -> None:
    crews = [[f"{crew}-{number}" for number in range(8)] + ["shared"] for crew in range(3)]
    crew = [copier(url, tmp_path / "hot", names, 22 * KIB) for names in crews]
    said = [process.communicate(timeout=100)[0] for process in crew]
    assert [process.returncode for process in crew] == [0, 0, 0]
    assert max(json.loads(text.splitlines()[-1])["most"] for text in said) <= 95 * KIB
    index = SqlCacheIndex(Database(url))
    cache = SsdCache(folder=tmp_path / "hot", index=index, clock=FrozenClock(time.time()), budget_bytes=100 * KIB)
    assert index.used_bytes() <= 95 * KIB
    assert {f"{row.content_id}.mp4" for row in index.coldest(99)} == set(films(cache))
    for path in Places(cache.folder).films():
        assert path.read_bytes() == content_of(f"{path.stem}v1", 22 * KIB)


@pytest.mark.parametrize("way", ["evict", "replace", "forget", "cleanup"])
def test_a_file_outside_the_tier_stays_whatever_row_names_it(
    cache: SsdCache, index: MemoryCacheIndex, tmp_path: Path, way: str
) -> None:
    (nas := tmp_path / "nas").mkdir()
    original = nas / "a.mp4"
    original.write_bytes(b"the only copy")
    row = CachedContent(content_id="a", file_path=str(original), file_size=90 * KIB, cached_at=1.0, last_accessed=1.0)
    index.put(row)
    match way:
        case "evict":
            assert warm(cache, "b", 50 * KIB) == ["a"]
        case "replace":
            warm(cache, "a", 50 * KIB)
        case "forget":
            assert cache.forget("a")
        case _:
            (tmp_path / "hot").mkdir()
            assert cache.cleanup_old_entries() == CacheCleaned(entries=1)
    assert original.read_bytes() == b"the only copy"
    left = index.find("a")
    assert left is None or left.file_path == str(tmp_path / "hot" / "a.mp4")


def test_a_folder_among_the_films_does_not_keep_the_others_from_being_cleaned_up(
    cache: SsdCache, tmp_path: Path
) -> None:
    warm(cache, "a", 10 * KIB)
    (tmp_path / "hot" / "by hand").mkdir()
    (tmp_path / "hot" / "stray.mp4").write_bytes(b"x")
    assert cache.cleanup_old_entries() == CacheCleaned(stray_files=1, freed_bytes=1)
