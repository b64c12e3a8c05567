"""Reads the skeleton of an MP4 or QuickTime file and says whether the file can hold what its index declares.

ffmpeg itself plays what is there of a half-uploaded file and exits 0 (reliability.md 0.2), and sets memory aside for
every sample a header declares. Both are settled here first, by comparing numbers, before any media library sees the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from src.domain.errors import CorruptSource, LimitsExceeded, TruncatedSource

Read = Callable[[int, int], bytes]
"""(offset, length) -> bytes, shorter only at the end of the file."""

MOST_BOXES = 200_000
"""Top-level boxes looked at: a day of two-second fragments has fewer."""

MOST_INDEX_BYTES = 128 * 1024 * 1024
"""Size of the largest `moov` read: ten hours at 60 frames a second with sound need about 40 MB."""

PARENTS = frozenset({b"trak", b"mdia", b"minf", b"stbl"})
TABLES = {b"stts": 8, b"ctts": 8, b"stss": 4, b"stsc": 12, b"stco": 4, b"co64": 8}
"""Sample tables whose entry count follows version and flags, with the bytes of one entry."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box: `start` of its content and `end` of the box as offsets, whatever the file's real size."""

    kind: bytes
    start: int
    end: int


def check_boxes(read: Read, size: int, *, allow_partial: bool = False, most_streams: int = 64) -> None:
    """Raises TruncatedSource, CorruptSource or LimitsExceeded when the boxes can't be true for a file of `size` bytes.
    `allow_partial` lets a cut file through as long as its index is whole."""
    index: Box | None = None
    fragments = 0
    for box in _top_boxes(read, size):
        if box.kind == b"moov":
            index = box
        fragments += box.kind == b"moof"
        if box.end <= size:
            continue
        if index is None:
            raise _cut(
                size,
                box.end,
                "its index (the moov box) stands behind the part that is missing",
            )
        if box is index:
            raise _cut(size, box.end, "the index (the moov box) itself is cut")
        if fragments and not allow_partial:
            raise _cut(size, box.end, "the last fragment is cut")
    if index is None:
        raise CorruptSource(
            "the file has no readable index (no moov box), so nothing in it can be found",
            fix="export or upload the video again",
        )
    if index.end - index.start > MOST_INDEX_BYTES:
        raise LimitsExceeded(f"the index (moov box) is {index.end - index.start} bytes, more than {MOST_INDEX_BYTES}")
    content = read(index.start, index.end - index.start)
    _check_index(content, size, allow_partial=allow_partial, most_streams=most_streams)


def _cut(size: int, needed: int, what: str) -> TruncatedSource:
    return TruncatedSource(
        f"the file is cut: it has {size} bytes and needs at least {needed}; {what}",
        fix="upload the whole file again",
    )


def _top_boxes(read: Read, size: int) -> Iterator[Box]:
    """Boxes in file order. Ends quietly at bytes that are no box: many files carry something behind their last one."""
    offset = 0
    for _ in range(MOST_BOXES):
        header = read(offset, 16)
        box = _box(header, offset, size)
        if box is None:
            return
        yield box
        offset = box.end
        if offset >= size:
            return


def _box(header: bytes, offset: int, end_of_parent: int) -> Box | None:
    if len(header) < 8 or not all(32 <= byte < 127 or byte == 0xA9 for byte in header[4:8]):
        return None
    length, kind, start = int.from_bytes(header[:4]), header[4:8], offset + 8
    if length == 0:
        return Box(kind, start, end_of_parent)
    if length == 1:
        length, start = int.from_bytes(header[8:16]), offset + 16
    if length < start - offset:
        return None
    return Box(kind, start, offset + length)


def _children(content: bytes, start: int, end: int) -> Iterator[Box]:
    offset = start
    while offset + 8 <= end:
        box = _box(content[offset : offset + 16], offset, end)
        if box is None:
            return
        yield box
        offset = box.end


def _check_index(content: bytes, size: int, *, allow_partial: bool, most_streams: int) -> None:
    tracks = 0
    stack = [(0, len(content))]
    while stack:
        start, end = stack.pop()
        for box in _children(content, start, end):
            tracks += box.kind == b"trak"
            if tracks > most_streams:
                raise LimitsExceeded(f"the file declares more than {most_streams} tracks")
            if box.kind in PARENTS:
                stack.append((box.start, min(box.end, end)))
            elif box.kind == b"stsz":
                _check_sizes(content, box, end, size, allow_partial=allow_partial)
            elif box.kind in TABLES:
                _check_table(content, box, end)
            if box.kind in (b"stco", b"co64") and not allow_partial:
                _check_offsets(content, box, size)


def _check_table(content: bytes, box: Box, end: int) -> None:
    count = int.from_bytes(content[box.start + 4 : box.start + 8])
    room = max(0, min(box.end, end) - box.start - 8)
    if count * TABLES[box.kind] > room:
        name = box.kind.decode("ascii")
        raise CorruptSource(
            f"the index declares {count} entries in a table ({name}) that has room for {room // TABLES[box.kind]}"
        )


def _check_sizes(content: bytes, box: Box, end: int, size: int, *, allow_partial: bool) -> None:
    """Sample sizes: one size for all, or one number each. Together they can't exceed the file."""
    each = int.from_bytes(content[box.start + 4 : box.start + 8])
    count = int.from_bytes(content[box.start + 8 : box.start + 12])
    if each:
        total = each * count
    else:
        room = max(0, min(box.end, end) - box.start - 12)
        if count * 4 > room:
            raise CorruptSource(f"the index declares {count} samples but lists the sizes of {room // 4}")
        numbers = memoryview(content)[box.start + 12 : box.start + 12 + 4 * count]
        total = sum(int.from_bytes(numbers[at : at + 4]) for at in range(0, len(numbers), 4))
    if total > size and (each or not allow_partial):
        raise _cut(
            size,
            total,
            f"its index lists {count} samples of {total} bytes in one track",
        )


def _check_offsets(content: bytes, box: Box, size: int) -> None:
    width = TABLES[box.kind]
    count = int.from_bytes(content[box.start + 4 : box.start + 8])
    numbers = memoryview(content)[box.start + 8 : box.start + 8 + width * count]
    last = max(
        (int.from_bytes(numbers[at : at + width]) for at in range(0, len(numbers), width)),
        default=0,
    )
    if last >= size:
        raise _cut(size, last + 1, "its index points at samples behind the end")
