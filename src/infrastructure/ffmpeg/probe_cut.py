"""Cuts out the few packets that one picture is made of, as a small file of their own. Only inside the probing process.

ffmpeg, which makes the picture, has no network and must not read through holes: it gets a whole file, only a short one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
from av.container.input import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from src.domain.errors import CorruptSource

MOST_CUT_BYTES = 4 * 1024 * 1024
"""What may lie between a keyframe and the wanted picture. Above it the keyframe itself is the picture: a phone's film has
some 2 MB in a second, and a keyframe every second."""

MOST_PACKET_BYTES = 64 * 1024 * 1024
"""One packet: an uncompressed picture of 8192 x 4352 with 8 bit has 53 MB."""

MOST_SKIPPED = 2000
"""Packets before the first keyframe: more is a track without keyframes."""


BLIND = frozenset({"mpegts", "mpeg"})
BLIND_SECONDS = 5.0
"""These seek to any packet, not to a keyframe: it is looked for from this long before. Recordings have one each 0.5 to 2 s."""

MOST_PASSED_BYTES = 16 * 1024 * 1024
"""Of the picture track, before the search ends with what it has."""

WRITTEN_AS = {
    "mov": ("mov", "matroska"),
    "asf": ("matroska", "asf"),
    "avi": ("matroska", "avi"),
    "flv": ("matroska", "flv"),
}
"""{demuxer: containers for its packets}; matroska alone for the others. MP4 keeps its own: it may ask to be turned or mirrored."""


class Uncuttable(Exception):
    """The tools can't write such packets into a file of their own."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A file in a container that `container` names; the wanted picture is `second` seconds after its first one, which is
    the source's at `begins` seconds of its own time line."""

    content: bytes
    container: str
    second: float
    begins: float


@dataclass(slots=True)
class Cutter:
    """Cuts from one opened source, any number of times. `index` is the picture track's."""

    container: InputContainer
    demuxer: str
    index: int

    def cut(self, second: float) -> Cut | None:
        """The packets from the keyframe at or before `second` (counted from the container's start) to the picture there;
        None when nothing is there. Raises CorruptSource, Uncuttable."""
        stream = self._stream()
        start = (self.container.start_time or 0) / 1_000_000
        wanted = start + second
        before = max(start, wanted - BLIND_SECONDS) if self.demuxer in BLIND else wanted
        try:
            self.container.seek(int(before / float(stream.time_base or 1)), stream=stream, backward=True)
            packets = _from_keyframe(self.container.demux(stream), wanted)
        except FFmpegError as error:
            raise CorruptSource(f"the source can't be read at {second:.1f} s: {error.strerror}") from error
        if not packets:
            return None
        begins = _seconds(packets[0]) or 0.0
        container, content = self._written(packets, stream)
        return Cut(content, container, max(0.0, wanted - begins) if len(packets) > 1 else 0.0, begins - start)

    def _written(self, packets: list[Packet[Any]], stream: VideoStream) -> tuple[str, bytes]:
        """In the first container that takes such packets: (demuxer, content)."""
        refused: Exception | None = None
        for container in WRITTEN_AS.get(self.demuxer, ("matroska",)):
            try:
                return container, _muxed(packets, stream, container)
            except (FFmpegError, ValueError) as error:
                refused = error
        raise Uncuttable(f"{stream.codec_context.name} out of {self.demuxer}: {refused}") from refused

    def _stream(self) -> VideoStream:
        stream = self.container.streams[self.index]
        if not isinstance(stream, VideoStream):
            raise CorruptSource(f"track {self.index} is no picture track")
        return stream


def _from_keyframe(packets: Iterator[Packet[Any]], wanted: float) -> list[Packet[Any]]:
    """What a decoder needs for the picture at `wanted`, in order; the keyframe alone when that is too much."""
    kept: list[Packet[Any]] = []
    since = passed = skipped = 0
    for packet in packets:
        if not packet.size:
            continue
        passed += packet.size
        if packet.is_keyframe and (not kept or _shown(packet) <= wanted):
            # The last keyframe before the picture is all that it needs.
            kept, since = [packet], 0
            continue
        if passed > MOST_PASSED_BYTES:
            break
        if not kept:
            skipped += 1
            if skipped > MOST_SKIPPED:
                break
            continue
        since += packet.size
        if since > MOST_CUT_BYTES:
            return kept[:1]
        if not _leads(packet, kept[0]):
            kept.append(packet)
        # A picture is never decoded after it is shown: all up to `wanted` have been seen, and one more ends the last of them.
        if _decoded(packet) > wanted:
            break
    return [] if any(packet.size > MOST_PACKET_BYTES for packet in kept) else kept


def _leads(packet: Packet[Any], keyframe: Packet[Any]) -> bool:
    """Shown before its keyframe: it needs pictures of before, and none of those that follow needs it."""
    return packet.pts is not None and keyframe.pts is not None and packet.pts < keyframe.pts


def _decoded(packet: Packet[Any]) -> float:
    ticks = packet.dts if packet.dts is not None else packet.pts
    return float("inf") if ticks is None or not packet.time_base else float(ticks * packet.time_base)


def _shown(packet: Packet[Any]) -> float:
    return _seconds(packet) or 0.0


def _seconds(packet: Packet[Any]) -> float | None:
    ticks = packet.pts if packet.pts is not None else packet.dts
    return None if ticks is None or not packet.time_base else float(ticks * packet.time_base)


def _muxed(packets: list[Packet[Any]], stream: VideoStream, container: str) -> bytes:
    written = io.BytesIO()
    first = packets[0].pts if packets[0].pts is not None else packets[0].dts or 0
    with av.open(written, mode="w", format=container, options={"fflags": "+bitexact"}) as target:
        track = target.add_stream_from_template(stream, opaque=True)
        for number, packet in enumerate(packets):
            shown = packet.pts if packet.pts is not None else packet.dts
            packet.pts = number if shown is None else shown - first
            packet.dts = packet.pts if packet.dts is None else packet.dts - first
            packet.stream = track
            target.mux_one(packet)
    return written.getvalue()
