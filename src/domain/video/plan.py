"""The plan: rungs x a fixed grid of chunks, pure data, decided from one probe before anything is downloaded.

A chunk is a function of (source, plan, index). The grid counts frames of the output rate, not seconds, so every chunk
starts exactly on a frame, every rung cuts at the same frame, and the bytes do not depend on how many workers share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One unit of work and of restart: `frames` output frames from `first_frame`, in segments numbered from `first_segment`."""

    index: int
    first_frame: int
    frames: int
    first_segment: int
    segments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything the encoder needs, and nothing that differs between machines. `filters` is the picture chain before the
    first scale (deinterlace, rate, tone map), each an (ffmpeg filter name, arguments) pair."""

    version: int
    container: str
    """fmp4 or ts"""
    fps: Fraction | None
    """output frames per second; None when there is no picture"""
    segment_frames: int
    segment_seconds: float
    video_stream: int | None
    rungs: tuple[Rung, ...]
    audio: tuple[AudioTrack, ...]
    chunks: tuple[Chunk, ...]
    duration_seconds: float
    preset: str
    source_container: str
    """the demuxer to allow for this source: the one the probe found"""
