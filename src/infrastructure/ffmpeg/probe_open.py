"""Opens the source with exactly one demuxer and with the limits of reliability.md 5b. Only inside the probing process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from src.domain.errors import CorruptSource
from src.infrastructure.ffmpeg.probe_allowed import (
    ANALYZE_MICROSECONDS,
    DECODERS,
    PROBE_BYTES,
)

IO_BUFFER = 65_536


@dataclass(frozen=True, slots=True)
class Request:
    """What the parent asks for: the only demuxer to try, and the limits."""

    size: int
    demuxer: str
    max_pixels: int
    max_streams: int
    max_duration_seconds: float
    allow_partial: bool
    cuts: bool = False
    """stay after the facts, to cut pieces out of the source"""


def open_source(file: Any, request: Request) -> InputContainer:
    """The container, from its first byte on. Raises CorruptSource when the demuxer can't make sense of it."""
    options = {
        "protocol_whitelist": "none",
        "format_whitelist": request.demuxer,
        "codec_whitelist": ",".join(sorted(DECODERS)),
        "max_streams": str(request.max_streams),
        "max_pixels": str(request.max_pixels),
        "probesize": str(PROBE_BYTES),
        "analyzeduration": str(ANALYZE_MICROSECONDS),
    }
    file.seek(0)
    try:
        container: InputContainer = av.open(
            file,
            mode="r",
            format=request.demuxer,
            options=options,
            buffer_size=IO_BUFFER,
            metadata_errors="replace",
            io_open=_refuse_to_open,
        )
    except FFmpegError as error:
        raise CorruptSource(f"the {request.demuxer} container can't be opened: {error.strerror}") from error
    tracks: list[VideoStream | AudioStream] = [*container.streams.video, *container.streams.audio]
    for stream in tracks:
        if is_allowed(stream):
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"max_pixels": str(request.max_pixels)}
    return container


def _refuse_to_open(*_: object) -> None:
    raise PermissionError("a source may not open another file")


def is_allowed(stream: VideoStream | AudioStream) -> bool:
    """Whether its decoder exists and is on the list."""
    context = _context(stream)
    return context is not None and context.name in DECODERS


def codec_name(stream: VideoStream | AudioStream) -> str:
    """The codec as ffmpeg spells it (`av1`, not the decoder's `libdav1d`)."""
    context = _context(stream)
    return str(context.codec.canonical_name) if context is not None else "a codec of no known name"


def _context(stream: VideoStream | AudioStream) -> Any:
    """None for a track without a known codec, whatever PyAV's type hints say."""
    return stream.codec_context


def frame_seconds(frame: VideoFrame) -> float | None:
    """When the picture is shown; None when its time stamp is missing, or its unit: a decoder that gives its only picture at
    the end of the file does not say which."""
    return frame.time if frame.time_base else None


def microseconds(ticks: int | None) -> float | None:
    """A container's time as seconds."""
    return ticks / 1_000_000 if ticks is not None else None


def seconds(ticks: int | None, time_base: Any) -> float | None:
    """A time stamp as seconds."""
    return None if ticks is None or not time_base else float(ticks * time_base)
