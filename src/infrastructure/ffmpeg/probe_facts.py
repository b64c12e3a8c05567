"""Turns an opened container into facts about the source. Runs only inside the probing process."""

from __future__ import annotations

import unicodedata
from fractions import Fraction
from typing import Any

from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from src.domain.errors import CorruptSource, LimitsExceeded, UnsupportedFormat
from src.infrastructure.ffmpeg.probe_boxes import Read
from src.infrastructure.ffmpeg.probe_colors import (
    FIELD_ORDERS,
    PRIMARIES,
    RANGES,
    SPACES,
    TRANSFERS,
)
from src.infrastructure.ffmpeg.probe_containers import Tail, check_container, find_tail
from src.infrastructure.ffmpeg.probe_frames import (
    Sample,
    check_sound,
    decodes_further_in,
    frame_rates,
    sample_picture,
)
from src.infrastructure.ffmpeg.probe_open import (
    Request,
    codec_name,
    frame_seconds,
    is_allowed,
    open_source,
    seconds,
)
from src.infrastructure.ffmpeg.probe_times import (
    CLOCK_JUMPS,
    check_indexes,
    picture_seconds,
    whole_file,
)

SCAN_WHOLE_BYTES = 8 * 1024 * 1024
"""A file without a sample index is read to its end up to this size: its times are then counted, not believed."""

NOT_SHOWN = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
"""Cover art and the like: picture tracks that are not the film."""

SANE_SAR = (Fraction(1, 8), Fraction(8))
"""Pixel shapes outside are header noise, not lenses: the widest in use, anamorphic film, is 2."""


def facts_of(file: Any, read: Read, request: Request) -> dict[str, Any]:
    """Everything SourceMedia wants, as JSON. `file` is a seekable binary file, `read` the same bytes by offset. Raises
    UnsupportedFormat, CorruptSource, TruncatedSource, LimitsExceeded."""
    check_container(
        request.demuxer,
        read,
        request.size,
        allow_partial=request.allow_partial,
        most_streams=request.max_streams,
    )
    tail = find_tail(request.demuxer, read, request.size)
    with open_source(file, request) as container:
        if len(container.streams) > request.max_streams:
            raise LimitsExceeded(f"the file declares more than {request.max_streams} tracks")
        check_indexes(container, request)
        pictures, sounds = _pictures(container, request), _sounds(container)
        subtitles = len(container.streams.subtitles)
        _refuse_nothing(container, pictures, sounds)
        facts = _shown(container, pictures[0], tail, request) if pictures else _heard(container, sounds, tail, request)
    if isinstance(facts, CorruptSource):
        facts = _next_best(file, pictures[1:], facts, tail, request)
    return {**facts, "audio": sounds, "subtitle_streams": subtitles}


def _heard(container: InputContainer, sounds: list[dict[str, Any]], tail: Tail, request: Request) -> dict[str, Any]:
    """A source of sound alone: its first track has to decode."""
    numbers = [stream.index for stream in container.streams.audio]
    check_sound(container, numbers.index(sounds[0]["index"]))
    return {**whole_file(container, None, False, tail, request), "video": None, "clock_jumps": 0}


def _pictures(container: InputContainer, request: Request) -> list[int]:
    """Indices of the picture tracks worth showing, best first: the one marked default, then the largest."""
    candidates: list[tuple[bool, int, int]] = []
    for stream in container.streams.video:
        if _is_attached(stream) or not is_allowed(stream):
            continue
        context = stream.codec_context
        if context.width * context.height > request.max_pixels:
            raise _too_large(context.width, context.height, request)
        candidates.append(
            (
                Disposition.default in stream.disposition,
                context.width * context.height,
                -stream.index,
            )
        )
    return [-index for _, _, index in sorted(candidates, reverse=True)]


def _is_attached(stream: VideoStream) -> bool:
    return bool(stream.disposition & NOT_SHOWN)


def _sounds(container: InputContainer) -> list[dict[str, Any]]:
    """Sound tracks that can be decoded; one without a sample description is left out (it holds nothing to hear)."""
    sounds = []
    for stream in container.streams.audio:
        if not is_allowed(stream) or stream.codec_context.channels < 1 or stream.codec_context.sample_rate < 1:
            continue
        sounds.append(
            {
                "index": stream.index,
                "codec": codec_name(stream),
                "channels": stream.codec_context.channels,
                "sample_rate": stream.codec_context.sample_rate,
                "language": _language(stream.language),
                "title": _words(stream.metadata.get("title")),
                "default": Disposition.default in stream.disposition,
                "start_seconds": seconds(stream.start_time, stream.time_base) or 0.0,
                "duration_seconds": seconds(stream.duration, stream.time_base),
            }
        )
    return sounds


def _refuse_nothing(container: InputContainer, pictures: list[int], sounds: list[dict[str, Any]]) -> None:
    shown: list[VideoStream | AudioStream] = [stream for stream in container.streams.video if not _is_attached(stream)]
    if pictures or (sounds and not shown):
        return
    names = sorted({codec_name(stream) for stream in [*shown, *container.streams.audio]})
    if not names:
        raise UnsupportedFormat("the file holds neither picture nor sound")
    raise UnsupportedFormat(
        f"no picture or sound in it can be decoded (found: {', '.join(names)})",
        fix="convert it to H.264 with AAC",
    )


def _shown(container: InputContainer, index: int, tail: Tail, request: Request) -> dict[str, Any] | CorruptSource:
    """The picture track to show and the times that follow from it; or why it can't be shown."""
    stream = next(stream for stream in container.streams.video if stream.index == index)
    try:
        video, sample = _picture(container, stream, tail, request)
    except CorruptSource as error:
        return error
    jumps = len(sample.runs) - 1 if request.demuxer in CLOCK_JUMPS else 0
    whole = whole_file(container, video, sample.whole, tail, request)
    return {**whole, "video": video, "clock_jumps": max(0, jumps)}


def _next_best(
    file: Any, others: list[int], first_error: CorruptSource, tail: Tail, request: Request
) -> dict[str, Any]:
    """A track that probes but does not decode gives way to the next one; its error counts when none does."""
    for index in others:
        with open_source(file, request) as container:
            facts = _shown(container, index, tail, request)
        if not isinstance(facts, CorruptSource):
            return facts
    raise first_error


def _picture(
    container: InputContainer, stream: VideoStream, tail: Tail, request: Request
) -> tuple[dict[str, Any], Sample]:
    """One picture track, and what was seen of it."""
    measure = request.demuxer != "mov"
    sample = sample_picture(
        container,
        stream,
        whole=measure and request.size <= SCAN_WHOLE_BYTES,
        measure=measure,
    )
    if sample.failures and request.demuxer != "mpegts" and not decodes_further_in(container, stream):
        raise CorruptSource(f"the picture track ({codec_name(stream)}) can't be decoded beyond its first frames")
    context, frame = stream.codec_context, sample.frame
    field_order = _field_order(context.field_order, frame)
    interlaced = field_order != "progressive"
    average, nominal = frame_rates(
        stream,
        sample,
        measure=measure and request.demuxer != "avi",
        interlaced=interlaced,
    )
    facts = {
        "index": stream.index,
        "codec": codec_name(stream),
        "profile": context.profile,
        "field_order": field_order,
        "average_fps": _fraction(average),
        "nominal_fps": _fraction(nominal),
        "start_seconds": _picture_start(stream, frame, measure),
        "duration_seconds": picture_seconds(stream, sample, tail, request, float(1 / average) if average else 0.0),
        "bit_rate": context.bit_rate or None,
    }
    return facts | _look(stream, frame, request), sample


def _picture_start(stream: VideoStream, frame: VideoFrame, measure: bool) -> float:
    """When the first picture is there: by the index, or where the first one that decodes says (a stream cut inside a GOP
    begins with packets nobody can show)."""
    shown = frame_seconds(frame)
    if measure and shown is not None:
        return shown
    return seconds(stream.start_time, stream.time_base) or 0.0


def _look(stream: VideoStream, frame: VideoFrame, request: Request) -> dict[str, Any]:
    """Size, shape and colour, the header's word before the first picture's."""
    context = stream.codec_context
    width, height = context.width or frame.width, context.height or frame.height
    if width * height > request.max_pixels:
        raise _too_large(width, height, request)
    return {
        "pixel_format": frame.format.name,
        "width": width,
        "height": height,
        "sar": _fraction(_sar(stream)),
        # the matrix turns counter-clockwise; we say how far to turn clockwise for display
        "rotation": round(-frame.rotation / 90) * 90 % 360,
        "color_transfer": TRANSFERS.get(context.color_trc) or TRANSFERS.get(frame.color_trc),
        "color_primaries": PRIMARIES.get(context.color_primaries) or PRIMARIES.get(frame.color_primaries),
        "color_space": SPACES.get(context.colorspace) or SPACES.get(frame.colorspace),
        "color_range": RANGES.get(context.color_range) or RANGES.get(frame.color_range),
    }


def _too_large(width: int, height: int, request: Request) -> LimitsExceeded:
    return LimitsExceeded(
        f"the picture is {width}x{height}, more than {request.max_pixels} pixels",
        fix="raise the pixel limit of the settings, or upload a smaller picture",
    )


def _fraction(value: Fraction | None) -> str | None:
    return f"{value.numerator}/{value.denominator}" if value is not None else None


def _language(code: str | None) -> str | None:
    return code if code and code != "und" and code.isascii() and code.replace("-", "").isalnum() else None


def _words(text: str | None) -> str | None:
    """A title without control characters, at most 200 long: it comes from the file and ends in logs and playlists."""
    kept = "".join(letter for letter in text or "" if not unicodedata.category(letter).startswith("C"))
    return kept.strip()[:200] or None


def _field_order(declared: int, frame: VideoFrame) -> str:
    """The header's word; where it is silent, or says progressive and the picture itself disagrees, the picture's."""
    order = FIELD_ORDERS.get(declared, "progressive")
    return "tt" if order == "progressive" and frame.interlaced_frame else order


def _sar(stream: VideoStream) -> Fraction:
    shape = stream.sample_aspect_ratio
    return shape if shape and SANE_SAR[0] <= shape <= SANE_SAR[1] else Fraction(1)
