"""Reads the probing process's answer as what it is: the word of a process that an attacker's file may own."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from src.domain.errors import (
    CorruptSource,
    DecoderCrash,
    LimitsExceeded,
    Permanent,
    TruncatedSource,
    UnsupportedFormat,
)
from src.domain.video.source import AudioStream, SourceMedia, VideoStream

REFUSALS: Mapping[str, type[Permanent]] = {
    kind.code: kind for kind in (UnsupportedFormat, CorruptSource, TruncatedSource, LimitsExceeded)
}
FIELD_ORDERS = frozenset({"progressive", "tt", "bb", "tb", "bt"})
MOST_TEXT = 500


class BrokenReply(Exception):
    """The answer breaks the shape agreed on."""


def parse(body: bytes) -> dict[str, Any]:
    """One JSON object, or BrokenReply."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BrokenReply("not JSON") from error
    if not isinstance(document, dict):
        raise BrokenReply("not an object")
    return document


def refusal(document: Any) -> Permanent:
    """The error the process reports, of one of four classes and with printable words."""
    if not isinstance(document, dict) or document.get("code") not in REFUSALS:
        raise BrokenReply("an error of no known class")
    fix = document.get("fix")
    return REFUSALS[document["code"]](_text(document, "message") or "", fix=_text(document, "fix") if fix else None)


def source_media(document: Any, *, container: str, size: int, read: tuple[int, int]) -> SourceMedia:
    """The facts as SourceMedia. `container` and `size` are our own knowledge; `read` counts bytes and reads."""
    try:
        video = _video(document["video"]) if document["video"] is not None else None
        audio = tuple(_audio(track) for track in document["audio"][:64])
        if video is None and not audio:
            raise BrokenReply("neither picture nor sound")
        return SourceMedia(
            container=container,
            size=size,
            duration_seconds=_number(document, "duration_seconds", least=1e-6),
            duration_exact=document["duration_exact"] is True,
            video=video,
            audio=audio,
            subtitle_streams=_count(document, "subtitle_streams"),
            start_seconds=_number(document, "start_seconds"),
            bit_rate=_optional_count(document, "bit_rate"),
            clock_jumps=_count(document, "clock_jumps"),
            probed_bytes=read[0],
            probed_reads=read[1],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise BrokenReply(f"a fact is missing or of the wrong kind: {error}") from error


def crashed(what: str, words: str) -> DecoderCrash:
    """The process died, hung, or said what can't be."""
    return DecoderCrash(f"probing the source failed: {what}" + (f"; its last words: {words}" if words else ""))


def _video(document: Mapping[str, Any]) -> VideoStream:
    if document["rotation"] not in (0, 90, 180, 270) or document["field_order"] not in FIELD_ORDERS:
        raise BrokenReply("a rotation or field order that does not exist")
    return VideoStream(
        index=_count(document, "index"),
        codec=_text(document, "codec") or "",
        profile=_text(document, "profile"),
        pixel_format=_text(document, "pixel_format"),
        width=_count(document, "width", least=1),
        height=_count(document, "height", least=1),
        sar=_fraction(document, "sar") or Fraction(1),
        rotation=document["rotation"],
        average_fps=_fraction(document, "average_fps"),
        nominal_fps=_fraction(document, "nominal_fps"),
        field_order=document["field_order"],
        color_transfer=_text(document, "color_transfer"),
        color_primaries=_text(document, "color_primaries"),
        color_space=_text(document, "color_space"),
        color_range=_text(document, "color_range"),
        start_seconds=_number(document, "start_seconds"),
        duration_seconds=_optional_number(document, "duration_seconds"),
        bit_rate=_optional_count(document, "bit_rate"),
    )


def _audio(document: Mapping[str, Any]) -> AudioStream:
    return AudioStream(
        index=_count(document, "index"),
        codec=_text(document, "codec") or "",
        channels=_count(document, "channels", least=1),
        sample_rate=_count(document, "sample_rate", least=1),
        language=_text(document, "language"),
        title=_text(document, "title"),
        default=document["default"] is True,
        start_seconds=_number(document, "start_seconds"),
        duration_seconds=_optional_number(document, "duration_seconds"),
    )


def _text(document: Mapping[str, Any], key: str) -> str | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BrokenReply(f"{key} is no text")
    return "".join(letter for letter in value[:MOST_TEXT] if letter.isprintable())


def _count(document: Mapping[str, Any], key: str, *, least: int = 0) -> int:
    value = document[key]
    if type(value) is not int or not least <= value <= 1 << 40:
        raise BrokenReply(f"{key} is no count")
    return value


def _optional_count(document: Mapping[str, Any], key: str) -> int | None:
    return None if document[key] is None else _count(document, key)


def _number(document: Mapping[str, Any], key: str, *, least: float = -1e9) -> float:
    value = document[key]
    if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= 1e9:
        raise BrokenReply(f"{key} is no number of seconds")
    return float(value)


def _optional_number(document: Mapping[str, Any], key: str) -> float | None:
    return None if document[key] is None else _number(document, key, least=0)


def _fraction(document: Mapping[str, Any], key: str) -> Fraction | None:
    value = document[key]
    if value is None:
        return None
    parts = value.split("/") if isinstance(value, str) and len(value) < 40 else []
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise BrokenReply(f"{key} is no positive fraction")
    return Fraction(int(parts[0]), int(parts[1]))
