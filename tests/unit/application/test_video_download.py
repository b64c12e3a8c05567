"""The source on its way to scratch: in pieces, out of order, with ranges that break off."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from src.application.ports.storage import InPieces
from src.application.video import download
from src.application.video.download import bringer, fetch
from src.application.video.steady import SourceChanged, Steady
from src.domain.errors import DiskFull, FileAccessError, StorageUnavailable
from src.infrastructure.memory.storage import MemoryStorage
from tests.fakes.clock import FrozenClock

CONTENT = bytes(range(256)) * 40


class PieceStorage(MemoryStorage):
    """Hands over pieces of 100 bytes; `meddle` is asked before each (offset of the range, bytes handed over)."""

    meddle: Callable[[int, int], None] = staticmethod(lambda _offset, _done: None)

    def read_pieces(self, key: str, offset: int, length: int, *, version: str) -> Iterator[bytes]:
        """See InPieces."""
        content = self.read(key, offset, length, version=version)
        for done in range(0, len(content), 100):
            self.meddle(offset, done)
            yield content[done : done + 100]


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "RANGE_BYTES", 1000)
    monkeypatch.setattr(download, "HASH_BYTES", 300)


@pytest.fixture
def storage(clock: FrozenClock) -> PieceStorage:
    made = PieceStorage(clock)
    made.put_bytes("film", CONTENT, content_type="", cache_control="")
    return made


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


def brought(storage: MemoryStorage, clock: FrozenClock, folder: Path, tries: int = 3) -> download.Fetched:
    source = storage.head("film")
    return fetch(bringer(storage, source, Steady(clock, tries=tries)), source.size, folder, lambda _share: None)


def test_the_file_is_the_object_whether_it_comes_in_pieces_or_whole(clock: FrozenClock, tmp_path: Path) -> None:
    for kind in (PieceStorage, MemoryStorage):
        storage = kind(clock)
        storage.put_bytes("film", CONTENT, content_type="", cache_control="")
        assert isinstance(storage, InPieces) is (kind is PieceStorage)
        folder = tmp_path / kind.__name__
        folder.mkdir()
        fetched = brought(storage, clock, folder)
        assert fetched.path.read_bytes() == CONTENT
        assert (fetched.size, fetched.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
        assert [path.name for path in folder.iterdir()] == ["input"]


def test_progress_is_told_in_order(storage: PieceStorage, clock: FrozenClock, tmp_path: Path) -> None:
    source, shares = storage.head("film"), list[float]()
    fetch(bringer(storage, source, Steady(clock)), source.size, tmp_path, shares.append)
    assert shares == sorted(shares)
    assert (len(shares), shares[-1]) == (11, 1.0)


def test_a_range_that_broke_off_is_written_again_from_its_start(
    storage: PieceStorage, clock: FrozenClock, tmp_path: Path
) -> None:
    broken: list[int] = []

    def meddle(offset: int, done: int) -> None:
        if done == 500 and offset not in broken:
            broken.append(offset)
            raise StorageUnavailable("cut")

    storage.meddle = meddle
    assert brought(storage, clock, tmp_path).sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert sorted(broken) == list(range(0, 10_000, 1000))


def test_f17_a_range_that_ends_early_or_late_is_not_taken(
    storage: PieceStorage, clock: FrozenClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = storage.read_pieces
    for wrong in (lambda pieces: pieces[:-1], lambda pieces: [*pieces, b"x"]):
        monkeypatch.setattr(storage, "read_pieces", lambda *a, _wrong=wrong, **k: iter(_wrong(list(whole(*a, **k)))))
        with pytest.raises(StorageUnavailable, match="bytes came at offset"):
            brought(storage, clock, tmp_path)
        assert not (tmp_path / "input").exists()


def test_an_object_that_is_replaced_in_the_middle_is_told_apart(
    storage: PieceStorage, clock: FrozenClock, tmp_path: Path
) -> None:
    def meddle(offset: int, done: int) -> None:
        if (offset, done) == (3000, 300):
            storage.put_bytes("film", CONTENT[::-1], content_type="", cache_control="")
            raise StorageUnavailable("changed")

    storage.meddle = meddle
    with pytest.raises(SourceChanged):
        brought(storage, clock, tmp_path)
    storage.meddle = lambda _offset, _done: None
    assert brought(storage, clock, tmp_path).path.read_bytes() == CONTENT[::-1]


def test_a_try_that_failed_leaves_no_range_under_way(storage: PieceStorage, clock: FrozenClock, tmp_path: Path) -> None:
    arrived, ended = threading.Event(), threading.Event()

    def meddle(offset: int, done: int) -> None:
        if (offset, done) == (1000, 500):
            arrived.set()
            # Still under way when the first range fails.
            time.sleep(0.2)
            ended.set()
        if offset == 0:
            assert arrived.wait(30)
            raise StorageUnavailable("away")

    storage.meddle = meddle
    with pytest.raises(StorageUnavailable, match="away"):
        brought(storage, clock, tmp_path, tries=1)
    assert ended.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("download")]


def test_f12_a_full_disk_and_a_broken_one_are_told_apart(
    storage: PieceStorage, clock: FrozenClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, kind in ((28, DiskFull), (5, FileAccessError)):

        def refuse(*_: object, _number: int = number) -> int:
            raise OSError(_number, os.strerror(_number))

        monkeypatch.setattr(os, "pwrite", refuse)
        with pytest.raises(kind):
            brought(storage, clock, tmp_path)


def test_a_write_that_takes_only_a_part_goes_on_behind_it(
    storage: PieceStorage, clock: FrozenClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, view, at: real(descriptor, view[:7], at))
    assert brought(storage, clock, tmp_path).path.read_bytes() == CONTENT


def test_nothing_is_left_open(storage: PieceStorage, clock: FrozenClock, tmp_path: Path) -> None:
    def opened() -> list[str]:
        links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return [str(link) for link in links if str(link).startswith(str(tmp_path))]

    during: list[int] = []
    source = storage.head("film")
    fetch(bringer(storage, source, Steady(clock)), source.size, tmp_path, lambda _share: during.append(len(opened())))
    assert max(during) >= 1
    assert opened() == []
