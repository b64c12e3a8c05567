"""The plan: rungs x a fixed grid of chunks, pure data, decided from one probe before anything is downloaded.

A chunk is a function of (source, plan, index). The grid counts frames of the output rate, not seconds, so every chunk
starts exactly on a frame, every rung cuts at the same frame, and the bytes do not depend on how many workers share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

PLAN_VERSION = 2
"""Raise it whenever the same plan would give other bytes: output of an older version is then never mixed in (V9)."""

UNINDEXED = frozenset({"mpegts", "mpeg"})
"""Containers without an index: a seek lands anywhere, so each chunk reads up to 15 s more (command.py); and the film ends
with its last packet, of unknown length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One rendition of the picture: even sizes in pixels, capped CRF (`maxrate` and `bufsize` in bit/s)."""

    name: str
    width: int
    height: int
    crf: float
    maxrate: int
    bufsize: int
    profile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTrack:
    """One sound rendition, encoded once for the whole file. `number` counts tracks from 0; `stream` is the source's index."""

    number: int
    stream: int
    name: str
    language: str | None
    default: bool
    bitrate: int
    channels: int
    sample_rate: int
    source_seconds: float | None = None
    """how long the source says the track is, from its own start"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One unit of work and of restart: `frames` output frames from `first_frame`, in segments numbered from `first_segment`."""

    index: int
    first_frame: int
    frames: int
    first_segment: int
    segments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What the encoder has to know of the source's picture, spelled as in source.VideoStream."""

    width: int
    height: int
    sar: Fraction
    rotation: int
    field_order: str
    hdr_transfer: str | None
    """smpte2084 or arib-std-b67 when the picture has to be tone-mapped"""
    start_seconds: float
    full_range: bool = False
    """brightness uses 0-255 instead of 16-235 (phones, MJPEG): unchanged it would look washed out"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything the encoder needs, and nothing that differs between machines. Second 0 of the output is `origin_seconds`
    of the source for picture and sound alike, so they keep the distance they had."""

    version: int
    container: str
    """fmp4 or ts"""
    fps: Fraction | None
    """output frames per second; None when there is no picture"""
    segment_frames: int
    segment_seconds: float
    video_stream: int | None
    rungs: tuple[Rung, ...]
    """largest first: each is scaled from the one before"""
    audio: tuple[AudioTrack, ...]
    chunks: tuple[Chunk, ...]
    duration_seconds: float
    preset: str
    source_container: str
    """the demuxer to allow for this source: the one the probe found"""
    origin_seconds: float = 0.0
    """the source's own time stamp, in seconds, where the film begins"""
    picture: Picture | None = None
    duration_exact: bool = True
    allow_partial: bool = False
    """take what could be read of a cut source instead of failing"""

    @property
    def frames(self) -> int:
        """Output frames of the whole picture."""
        return sum(chunk.frames for chunk in self.chunks)

    def segment_lengths(self, index: int) -> tuple[int, ...]:
        """Frames of each segment of chunk `index`; only the last of the film differs from `segment_frames`."""
        chunk = self.chunks[index]
        whole = (self.segment_frames,) * (chunk.segments - 1)
        return (*whole, chunk.frames - self.segment_frames * (chunk.segments - 1))
