"""The Cache port on a folder of this machine: a budget that holds at any moment, whoever is killed."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from src.application.ports.cache import CacheBusy, CacheCleaned, CachedContent, CacheIndex, CopySource, Warmed
from src.application.ports.clock import Clock
from src.application.ports.sweeper import Guard, anything
from src.domain.errors import LimitsExceeded, StorageUnavailable
from src.infrastructure.cache.places import Note, Places, on_disk, size_of

log = logging.getLogger(__name__)

FULL_SHARE = 0.95
"""Of the budget, above which the least recently used go (contracts.md 4.1)."""

RANGE_BYTES = 8 << 20
SAFE_BYTES = 32 << 20
"""How much a power cut may cost: each time the disk is waited for."""

EVICT_AT_A_TIME = 10
BUSY_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SsdCache:
    """Cache. All rows count, those of copies under way too, so that the sum of rows bounds the bytes on the disk: a row is there
    before the first byte, and goes after the last one. `old_seconds`: films not used for so long go when it is cleaned up;
    `abandoned_seconds`: so long a killed copy may wait for its next attempt."""

    folder: Path
    index: CacheIndex
    clock: Clock
    budget_bytes: int
    old_seconds: float = 30 * 86_400.0
    abandoned_seconds: float = 86_400.0
    guard: Guard = anything
    """asked before anything is removed, or a film takes the place of a file"""

    @property
    def room(self) -> int:
        """Bytes that may be used."""
        return int(self.budget_bytes * FULL_SHARE)

    # ------------------------------------------------------------------ copying
    def copy_to_ssd(self, source: CopySource, content_id: str, on_share: Callable[[float], None]) -> Warmed:
        """See the port."""
        if source.size > self.room:
            raise LimitsExceeded(
                f"content {content_id} has {source.size} bytes, more than the {self.room} that the SSD tier may ever hold",
                fix="raise WORKER_CONTENT__CACHE_BYTES",
            )
        self.guard(self.folder)
        places = Places(self.folder)
        with self._claimed(content_id) as descriptor:
            film = places.film(content_id, source.extension)
            if self._is_there(content_id, film, source):
                with on_disk(content_id):
                    places.part(content_id).unlink(missing_ok=True)
                self.index.touch(content_id, self.clock.now())
                return Warmed(path=str(film), size=source.size, was_there=True)
            with on_disk(content_id):
                # First: a row of fewer bytes must not stand for what is left of a larger film.
                begin = self._begin(content_id, descriptor, source)
                evicted = self._reserve(content_id, film, source.size)
            self._copy(content_id, descriptor, source, begin, on_share)
            with on_disk(content_id), places.alone():
                places.part(content_id).replace(film)
                places.settle_names()
            self._write_row(content_id, film, source.size, done=True)
        return Warmed(path=str(film), size=source.size, resumed_at=begin, evicted=evicted)

    @contextmanager
    def _claimed(self, content_id: str) -> Iterator[int]:
        with on_disk(content_id):
            descriptor = Places(self.folder).claim_part(content_id)
        if descriptor is None:
            raise CacheBusy(f"content {content_id} is being copied already", seconds=BUSY_SECONDS)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _is_there(self, content_id: str, film: Path, source: CopySource) -> bool:
        """Whole, of this very version, and in the index. A process that died right after the rename left all but the row."""
        places = Places(self.folder)
        note, row = places.read_note(content_id), self.index.find(content_id)
        whole = note is not None and (note.version, note.size, note.safe) == (source.version, source.size, source.size)
        if not whole or row is None or row.file_path != str(film) or size_of(film) != source.size:
            return False
        if not row.cached_at:
            self._write_row(content_id, film, source.size, done=True)
        return True

    def _reserve(self, content_id: str, film: Path, size: int) -> list[str]:
        """Room in the budget, taken from now on. What was there of this content and is no longer right goes first. Nothing goes
        unless there is room then."""
        with Places(self.folder).alone():
            old = self.index.find(content_id)
            used = self.index.used_bytes() - (old.file_size if old is not None else 0)
            evicted = list[str]()
            for victim in self._victims(content_id, used + size - self.room):
                if self._evict(victim) is not None:
                    evicted.append(victim.content_id)
                    used -= victim.file_size
            if used + size > self.room:
                # Somebody began to copy one of them in between.
                raise _no_room(content_id)
            if old is not None:
                self._unlink(old)
            self._write_row(content_id, film, size, done=False)
        return evicted

    def _victims(self, content_id: str, lacking: int) -> list[CachedContent]:
        """The least recently used whose bytes together are enough, without those that are being copied. Raises CacheBusy: all of
        them would not be, so none has to go."""
        places, found = Places(self.folder), list[CachedContent]()
        rows = self._by_access()
        while lacking > 0:
            if (row := next(rows, None)) is None:
                raise _no_room(content_id)
            if row.content_id != content_id and not places.is_claimed(row.content_id):
                found.append(row)
                lacking -= row.file_size
        return found

    def _by_access(self) -> Iterator[CachedContent]:
        after: tuple[float, str] | None = None
        while rows := self.index.coldest(EVICT_AT_A_TIME, after=after):
            yield from rows
            after = (rows[-1].last_accessed, rows[-1].content_id)

    def _evict(self, row: CachedContent) -> int | None:
        """The bytes freed, or None for a film that is being copied. Bytes go first, then the row: in between the budget is kept
        too well, never too little."""
        unfinished = Places(self.folder).drop_part(row.content_id)
        if unfinished is None:
            return None
        freed = self._unlink(row)
        self.index.remove(row.content_id)
        return freed + unfinished

    def _unlink(self, row: CachedContent) -> int:
        """Remove a row's film; its bytes. The table may be the platform's too: a file outside the tier, whatever row names it, is
        not ours to remove."""
        if (film := self._film_of(row)) is None:
            log.warning(
                "cache.not_ours", extra={"content": row.content_id, "path": row.file_path, "then": "left alone"}
            )
            return 0
        freed = size_of(film) or 0
        film.unlink(missing_ok=True)
        return freed

    def _film_of(self, row: CachedContent) -> Path | None:
        film = Path(row.file_path)
        return film if film.absolute().parent == self.folder.absolute() else None

    def _begin(self, content_id: str, descriptor: int, source: CopySource) -> int:
        """Where to go on: what is safe of a copy of this very version, else the beginning."""
        places = Places(self.folder)
        note, there = places.read_note(content_id), os.fstat(descriptor).st_size
        if note is not None and (note.version, note.size) == (source.version, source.size) and note.safe <= there:
            os.ftruncate(descriptor, note.safe)
            return note.safe
        os.ftruncate(descriptor, 0)
        places.write_note(content_id, Note(source.version, source.size, 0))
        return 0

    def _copy(
        self, content_id: str, descriptor: int, source: CopySource, begin: int, on_share: Callable[[float], None]
    ) -> None:
        done = safe = begin
        while done < source.size:
            content = source.read(done, min(RANGE_BYTES, source.size - done))
            if not content:
                raise StorageUnavailable(f"content {content_id} ended after {done} of {source.size} bytes")
            with on_disk(content_id):
                _write(descriptor, content, done)
                done += len(content)
                if done - safe >= SAFE_BYTES or done == source.size:
                    os.fsync(descriptor)
                    Places(self.folder).write_note(content_id, Note(source.version, source.size, done))
                    safe = done
            on_share(done / source.size)

    def _write_row(self, content_id: str, film: Path, size: int, *, done: bool) -> None:
        now = self.clock.now()
        self.index.put(
            CachedContent(
                content_id=content_id,
                file_path=str(film),
                file_size=size,
                cached_at=now if done else 0.0,
                last_accessed=now,
            )
        )

    # ------------------------------------------------------------------ removing
    def forget(self, content_id: str) -> bool:
        """See the port."""
        self.guard(self.folder)
        places = Places(self.folder)
        with self._claimed(content_id), on_disk(content_id), places.alone():
            row = self.index.find(content_id)
            if row is not None:
                self._unlink(row)
            places.drop_mine(content_id)
            self.index.remove(content_id)
        return row is not None

    def cleanup_old_entries(self) -> CacheCleaned:
        """See the port. Copies under way are left alone."""
        count = Counter[str]()
        kept = self.guard(self.folder).kept
        places = Places(self.folder)
        with on_disk("its films"), places.alone():
            named = {row.file_path for row in list(self._by_access()) if not self._removed(row, count)}
            for film in places.films():
                facts = film.lstat()
                if str(film) not in named and (facts.st_dev, facts.st_ino) not in kept:
                    count["freed_bytes"] += size_of(film) or 0
                    film.unlink(missing_ok=True)
                    count["stray_files"] += 1
            for name in list(places.parts()):
                if self.index.find(name) is None and (freed := places.drop_part(name)) is not None:
                    count["freed_bytes"] += freed
                    count["abandoned_copies"] += 1
        return CacheCleaned(**count)

    def _removed(self, row: CachedContent, count: Counter[str]) -> bool:
        """Whether this row had to go, and went. Counts it as what it was."""
        age = self.clock.now() - row.last_accessed
        film = self._film_of(row)
        is_there = film is None or size_of(film) is not None
        if is_there and age > self.old_seconds:
            kind = "entries"
        elif not is_there and row.cached_at:
            kind = "stray_rows"
        elif not is_there and age > self.abandoned_seconds:
            kind = "abandoned_copies"
        else:
            return False
        if (freed := self._evict(row)) is None:
            return False
        count[kind] += 1
        count["freed_bytes"] += freed
        return True


def _no_room(content_id: str) -> CacheBusy:
    return CacheBusy(f"no room for content {content_id}: others are being copied", seconds=BUSY_SECONDS)


def _write(descriptor: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
