"""Sizes that Matroska, AVI, WAV and FLV files declare of themselves, and where the last picture and sound in them end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from src.domain.errors import CorruptSource, TruncatedSource
from src.infrastructure.ffmpeg.probe_boxes import Read, check_boxes

TAIL_BYTES = 4 * 1024 * 1024
"""Read from a Matroska file's end to find its last cluster; browsers write one every few seconds."""

CLUSTER = b"\x1f\x43\xb6\x75"
SEGMENT = 0x18538067
FLV_SCRIPT = 18
FLV_KINDS = frozenset({8, 9, FLV_SCRIPT})
FLV_TAG = re.compile(rb"[\x08\x09](?=.{7}\0\0\0)", re.DOTALL)
"""A sound or picture tag: its last three header bytes are always 0."""
RIFF_SLACK = 16
"""Bytes by which an AVI or WAV header may be wrong: padding that some writers count and do not write."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Last start of a frame per track as the container numbers tracks (Matroska: track number; FLV: 8 sound, 9 picture),
    in seconds; empty when the tail could not be read."""

    last_seconds: dict[int, float] = field(default_factory=dict)


def check_container(demuxer: str, read: Read, size: int, *, allow_partial: bool, most_streams: int) -> None:
    """Raises TruncatedSource, CorruptSource or LimitsExceeded when the file's own sizes can't be true."""
    if demuxer == "mov":
        check_boxes(read, size, allow_partial=allow_partial, most_streams=most_streams)
    elif demuxer == "matroska" and not allow_partial:
        _check_end(size, _segment_end(read(0, 4096), size), 0)
    elif demuxer in ("avi", "wav") and not allow_partial:
        declared = int.from_bytes(read(4, 4), "little")
        _check_end(size, 8 + declared if 0 < declared < 0xFFFFFFFF else size, RIFF_SLACK)


def _check_end(size: int, declared: int, slack: int) -> None:
    if declared > size + slack:
        raise TruncatedSource(
            f"the file is cut: its header declares {declared} bytes and it has {size}",
            fix="upload the whole file again",
        )


def _segment_end(head: bytes, size: int) -> int:
    """Where the segment ends by its own words; `size` when a live recorder left that open."""
    _, at = _element_id(head, 0)
    length, at = _element_size(head, at)
    at += length or 0
    kind, at = _element_id(head, at)
    if kind != SEGMENT:
        raise CorruptSource("the file begins like Matroska or WebM but holds no segment")
    length, at = _element_size(head, at)
    return size if length is None else at + length


def _element_id(content: bytes, at: int) -> tuple[int, int]:
    if at >= len(content) or not content[at]:
        return 0, at + 1
    width = 9 - content[at].bit_length()
    return int.from_bytes(content[at : at + width]), at + width


def _element_size(content: bytes, at: int) -> tuple[int | None, int]:
    if at >= len(content) or not content[at]:
        return 0, at + 1
    width = 9 - content[at].bit_length()
    value = int.from_bytes(content[at : at + width]) & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), at + width


def find_tail(demuxer: str, read: Read, size: int) -> Tail:
    """The last times in the file, from its last bytes alone. Never raises on odd content: an empty Tail means not found."""
    if demuxer == "matroska":
        start = max(0, size - TAIL_BYTES)
        return _matroska_tail(read(start, size - start))
    return _flv_tail(read, size) if demuxer == "flv" else Tail()


def _matroska_tail(content: bytes) -> Tail:
    """Every cluster in the last bytes, block by block. Times count milliseconds, as all but hand-made files do."""
    last: dict[int, float] = {}
    at = content.find(CLUSTER)
    while at >= 0:
        _, start = _element_size(content, at + 4)
        following = content.find(CLUSTER, start)
        _cluster_times(content[start : following if following >= 0 else len(content)], last)
        at = following
    return Tail(last)


def _cluster_times(content: bytes, last: dict[int, float]) -> None:
    at, base = 0, None
    while at < len(content):
        kind, at = _element_id(content, at)
        length, at = _element_size(content, at)
        if length is None or kind == 0:
            return
        if kind == 0xE7 and base is None and length <= 8:
            base = int.from_bytes(content[at : at + length])
        if kind == 0xA0:
            continue
        if kind in (0xA3, 0xA1) and base is not None and at + length <= len(content):
            track, after = _element_size(content, at)
            seconds = (base + int.from_bytes(content[after : after + 2], signed=True)) / 1000
            last[track or 0] = max(seconds, last.get(track or 0, 0.0))
        at += length


def _flv_tail(read: Read, size: int) -> Tail:
    """Walk back over the last tags: each is followed by its own size."""
    last: dict[int, float] = {}
    end = size
    for _ in range(200):
        length = int.from_bytes(read(end - 4, 4)) if end > 24 else 0
        start = end - 4 - length
        if length < 11 or start < 9:
            break
        tag = read(start, 11)
        if tag[0] & 0x1F not in FLV_KINDS or int.from_bytes(tag[1:4]) + 11 != length:
            break
        last.setdefault(tag[0] & 0x1F, _flv_seconds(tag))
        end = start
    if not last:
        last = _flv_last_whole(read(max(0, size - TAIL_BYTES), TAIL_BYTES))
    return Tail({kind: seconds for kind, seconds in last.items() if kind != FLV_SCRIPT})


def _flv_seconds(tag: bytes) -> float:
    return (int.from_bytes(tag[4:7]) | tag[7] << 24) / 1000


def _flv_last_whole(content: bytes) -> dict[int, float]:
    """A file cut inside a tag has no way back from its end: find tags that their own size confirms."""
    last: dict[int, float] = {}
    for found in FLV_TAG.finditer(content):
        at = found.start()
        length = 11 + int.from_bytes(content[at + 1 : at + 4])
        if content[at + length : at + length + 4] == length.to_bytes(4):
            last[content[at]] = _flv_seconds(content[at : at + 11])
    return last
