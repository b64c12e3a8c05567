"""How long the source lasts for a viewer, and whether that can be true. Only inside the probing process."""

from __future__ import annotations

from typing import Any

from av.container.input import InputContainer
from av.video.stream import VideoStream

from src.domain.errors import CorruptSource, LimitsExceeded, TruncatedSource
from src.infrastructure.ffmpeg.probe_containers import Tail
from src.infrastructure.ffmpeg.probe_frames import Sample
from src.infrastructure.ffmpeg.probe_open import Request, frame_seconds, microseconds, seconds

FEWEST_BYTES_PER_SECOND = 4
"""Below this nothing can be seen or heard: a still picture at 1 frame a second takes ten times as much."""

CLOCK_JUMPS = frozenset({"mpegts", "mpeg"})
"""Containers whose clock may be set anew in the middle of a file."""

LAST_ENTRIES = 4096
"""Index entries looked at from the end: the chunk table's own end has been compared before."""


def picture_seconds(
    stream: VideoStream,
    sample: Sample,
    tail: Tail,
    request: Request,
    one_frame: float,
) -> float | None:
    """How long the picture lasts from its own start: by its index, by its last frame, or None."""
    first = frame_seconds(sample.frame)
    if sample.whole and request.demuxer != "mov":
        lead = max(0.0, first - sample.runs[0][0]) if first is not None else 0.0
        return _lengths(sample, one_frame, request) - lead
    declared = seconds(stream.duration, stream.time_base)
    if request.demuxer == "mov":
        return _indexed_seconds(stream, declared, request)
    if tail.last_seconds:
        start = first if first is not None else seconds(stream.start_time, stream.time_base) or 0.0
        track = 9 if request.demuxer == "flv" else stream.index + 1
        last = tail.last_seconds.get(track, max(tail.last_seconds.values()))
        return max(0.0, last - start) + one_frame
    return declared


def _lengths(sample: Sample, one_frame: float, request: Request) -> float:
    """Where a transport stream's clock jumps, two recordings meet: their lengths add up. Elsewhere a gap is a gap."""
    if request.demuxer in CLOCK_JUMPS:
        return sum(run[-1] - run[0] + one_frame for run in sample.runs)
    return max(run[-1] for run in sample.runs) - min(run[0] for run in sample.runs) + one_frame


def _indexed_seconds(stream: VideoStream, declared: float | None, request: Request) -> float | None:
    """By the sample index, which has to reach as far as the header says; with `allow_partial`, as far as the file goes."""
    entries = stream.index_entries
    count = len(entries)
    if declared is None or count < 2:
        return declared
    first, last = entries[0].timestamp, entries[count - 1].timestamp
    reached = seconds(last - first, stream.time_base) or 0.0
    if request.allow_partial:
        kept = [entry for entry in entries if entry.pos + entry.size <= request.size]
        if len(kept) < count:
            return seconds(kept[-1].timestamp - first, stream.time_base) if kept else 0.0
    elif declared - reached > max(5.0, 0.1 * declared):
        raise TruncatedSource(f"the header declares {declared:.1f} s of picture and {reached:.1f} s are there")
    return declared


def check_indexes(container: InputContainer, request: Request) -> None:
    """Raises TruncatedSource when a track's last samples lie behind the end of the file."""
    if request.allow_partial or request.demuxer not in ("mov", "avi"):
        return
    for stream in (*container.streams.video, *container.streams.audio):
        entries = stream.index_entries
        count = len(entries)
        last = (entries[at] for at in range(max(0, count - LAST_ENTRIES), count))
        end = max((entry.pos + entry.size for entry in last), default=0)
        if end > request.size:
            raise TruncatedSource(
                f"the file is cut: it has {request.size} bytes and a {stream.type} track needs {end}",
                fix="upload the whole file again",
            )


def whole_file(
    container: InputContainer,
    video: dict[str, Any] | None,
    measured: bool,
    tail: Tail,
    request: Request,
) -> dict[str, Any]:
    """The file's own times. A viewer sees from the container's start to the picture's end; without a picture, to the
    end that the header or the last bytes name. `measured` says that the picture's packets were all seen."""
    start = microseconds(container.start_time) or 0.0
    declared = microseconds(container.duration)
    exact = request.demuxer == "mov" or bool(tail.last_seconds) or measured
    duration = declared
    if video is not None and video["duration_seconds"] is not None:
        # MP4's time line begins at 0, whatever its tracks do; elsewhere the first time stamp is the beginning
        origin = 0.0 if request.demuxer == "mov" else start
        duration = max(0.0, video["start_seconds"] - origin) + video["duration_seconds"]
    elif declared is None and tail.last_seconds:
        duration = max(tail.last_seconds.values()) - start
    if duration is None or duration <= 0:
        raise CorruptSource("how long it lasts can't be found: neither its header nor its last bytes say so")
    _check_duration(duration, declared, tail, request)
    return {
        "duration_seconds": duration,
        "duration_exact": exact,
        "start_seconds": start,
        "bit_rate": container.bit_rate or round(request.size * 8 / duration),
    }


def _check_duration(duration: float, declared: float | None, tail: Tail, request: Request) -> None:
    if request.demuxer == "flv" and declared and tail.last_seconds and not request.allow_partial:
        reached = max(tail.last_seconds.values())
        if declared - reached > max(0.5, 0.05 * declared):
            raise TruncatedSource(
                f"the header declares {declared:.1f} s and {reached:.1f} s are there",
                fix="upload the whole file again",
            )
    if duration > 60 and request.size < duration * FEWEST_BYTES_PER_SECOND:
        raise TruncatedSource(f"{request.size} bytes can't hold the {duration:.0f} s that its header declares")
    if duration > request.max_duration_seconds:
        raise LimitsExceeded(
            f"it lasts {duration:.0f} s, more than the {request.max_duration_seconds:.0f} s allowed",
            fix="raise the duration limit of the settings, or upload it in parts",
        )
