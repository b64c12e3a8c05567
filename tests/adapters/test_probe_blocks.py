"""What storage is asked for when a source is read in small pieces."""

from __future__ import annotations

import pytest

from src.domain.errors import LimitsExceeded
from src.infrastructure.ffmpeg.probe_blocks import BlockReader

SOURCE = bytes(range(256)) * 4
"""Of 64 blocks of 16 bytes."""


def a_reader(most_bytes: int = 10_000) -> tuple[BlockReader, list[tuple[int, int]]]:
    asked: list[tuple[int, int]] = []

    def read(offset: int, length: int) -> bytes:
        asked.append((offset // 16, length // 16))
        return SOURCE[offset : offset + length]

    return BlockReader(read, len(SOURCE), most_bytes=most_bytes, block_bytes=16), asked


def test_reading_on_asks_for_more_and_more_at_once_up_to_a_limit() -> None:
    reader, asked = a_reader()
    assert b"".join(reader.read(at, 8) for at in range(0, 256, 8)) == SOURCE[:256]
    assert asked == [(0, 1), (1, 2), (3, 4), (7, 4), (11, 4), (15, 4)]
    assert (reader.reads, reader.bytes_read) == (6, 19 * 16)


def test_a_jump_begins_small_and_nothing_is_asked_for_twice() -> None:
    reader, asked = a_reader()
    reader.read(60 * 16, 4 * 16)
    assert asked == [(60, 1), (61, 2), (63, 1)]
    del asked[:]
    reader.read(58 * 16, 6 * 16)
    assert asked == [(58, 1), (59, 1)]
    assert reader.read(58 * 16 + 3, 50) == SOURCE[58 * 16 + 3 :][:50]
    assert len(asked) == 2


def test_what_is_read_ahead_is_not_what_ends_a_probe() -> None:
    reader, asked = a_reader(most_bytes=5 * 16)
    reader.read(0, 5 * 16)
    assert asked == [(0, 1), (1, 2), (3, 2)]
    with pytest.raises(LimitsExceeded):
        reader.read(5 * 16, 1)
