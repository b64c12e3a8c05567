"""Makes the plan from the probe's facts, and gives it its name (hash) and its price (cpu seconds)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from typing import Any

from src.domain.errors import UnsupportedFormat
from src.domain.video.ladder import DEFAULT, Ladder, choose_rungs
from src.domain.video.plan import PLAN_VERSION, UNINDEXED, AudioTrack, Chunk, Picture, Plan, Rung
from src.domain.video.source import SourceMedia, VideoStream

USUAL_FPS = Fraction(25)
MOST_FPS = Fraction(60)
STANDARD_FPS = frozenset(
    Fraction(text)
    for text in (["12", "15", "20", "24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60"])
)
"""Rates that cameras, broadcasts and recorders are set to (SMPTE ST 2036-1 and common capture settings)."""
MOST_PAUSE = 4
"""A film that stands still for three quarters of its time still moves at its nominal rate in the rest."""
FULL_RANGES = frozenset({"pc", "jpeg", "full"})
UNINDEXED_FACTOR = 4
"""Their chunks are this much longer, so that the extra reading stays small."""

DECODE_COST = 5.5 / (1920 * 1080 * 720)
SCALE_COST = 3.9 / ((1280 * 720 + 854 * 480 + 640 * 360) * 720)
ENCODE_COST = 33.0 / ((1920 * 1080 + 1280 * 720 + 854 * 480 + 640 * 360) * 720)
AUDIO_COST = 0.7 / 30
"""cpu seconds per pixel and frame (per second of sound): the "floor" table of video.md 1, H.264 1080p in, libx264 veryfast,
one core of the machine it was measured on. Other presets and codecs differ; it is an estimate for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """What an operator decides. Seconds are rounded to whole frames and whole segments."""

    ladder: Ladder = DEFAULT
    container: str = "fmp4"
    preset: str = "veryfast"
    segment_seconds: float = 4.0
    chunk_seconds: float = 8.0
    audio_tracks: int = 8
    audio_bitrate: int = 128_000
    allow_partial: bool = False


def make_plan(media: SourceMedia, settings: PlanSettings) -> Plan:
    """The plan of one source. Without a picture it holds sound only: no rungs, no chunks. Raises UnsupportedFormat when
    there is neither."""
    if media.video is None and not media.audio:
        raise UnsupportedFormat("the source has neither a picture nor sound")
    video = media.video
    fps = None if video is None else output_fps(video)
    segment_frames = 0 if fps is None else max(1, round(Fraction(settings.segment_seconds) * fps))
    chunks: tuple[Chunk, ...] = ()
    if fps is not None:
        factor = UNINDEXED_FACTOR if media.container in UNINDEXED else 1
        per_chunk = max(1, round(factor * settings.chunk_seconds / settings.segment_seconds))
        chunks = grid(
            max(1, round(Fraction(media.duration_seconds) * fps)),
            segment_frames,
            per_chunk,
        )
    return Plan(
        version=PLAN_VERSION,
        container=settings.container,
        fps=fps,
        segment_frames=segment_frames,
        segment_seconds=settings.segment_seconds if fps is None else float(segment_frames / fps),
        video_stream=None if video is None else video.index,
        rungs=() if video is None else choose_rungs(video, settings.ladder),
        audio=_audio(media, settings),
        chunks=chunks,
        duration_seconds=media.duration_seconds,
        preset=settings.preset,
        source_container=media.container,
        origin_seconds=0.0 if media.container == "mov" else media.start_seconds,
        picture=None if video is None else _picture(video),
        duration_exact=media.duration_exact,
        allow_partial=settings.allow_partial,
    )


def output_fps(video: VideoStream) -> Fraction:
    """The constant rate of the output, 1 to 60. The nominal rate where the average is within 10 % of it, or where it is a
    standard one and pauses explain the difference: the average would make the moving parts jerk. The average for
    truly variable sources (a screen recording's nominal 57600 would blow 63 frames up to half a million)."""
    nominal, average = video.nominal_fps, video.average_fps
    rate = average or nominal or USUAL_FPS
    if nominal and average and nominal >= 1:
        # Exactly twice is how many streams count fields, not frames.
        fields = abs(nominal - 2 * average) < nominal / 100
        paused = nominal in STANDARD_FPS and average < nominal <= MOST_PAUSE * average
        if (paused and not fields) or abs(nominal - average) < nominal / 10:
            rate = nominal
    while rate > MOST_FPS:
        rate /= 2
    return max(Fraction(1), rate).limit_denominator(1001)


def grid(frames: int, segment_frames: int, segments_per_chunk: int) -> tuple[Chunk, ...]:
    """Tiles `frames` without gap or overlap. A tail shorter than half a segment joins the segment before it, so there is
    no segment of a few frames; a longer tail is a segment of its own."""
    whole, tail = divmod(frames, segment_frames)
    segments = max(1, whole + (1 if 2 * tail >= segment_frames else 0))
    chunks = []
    for index, first in enumerate(range(0, segments, segments_per_chunk)):
        count = min(segments_per_chunk, segments - first)
        begin = first * segment_frames
        end = frames if first + count == segments else begin + count * segment_frames
        chunks.append(
            Chunk(
                index=index,
                first_frame=begin,
                frames=end - begin,
                first_segment=first,
                segments=count,
            )
        )
    return tuple(chunks)


def _audio(media: SourceMedia, settings: PlanSettings) -> tuple[AudioTrack, ...]:
    streams = media.audio[: settings.audio_tracks]
    first_default = next(
        (stream.index for stream in streams if stream.default),
        streams[0].index if streams else None,
    )
    return tuple(
        AudioTrack(
            number=number,
            stream=stream.index,
            name=f"audio_{number}",
            language=stream.language,
            default=stream.index == first_default,
            bitrate=settings.audio_bitrate,
            channels=2,
            sample_rate=48_000,
            source_seconds=stream.duration_seconds,
        )
        for number, stream in enumerate(streams)
    )


def _picture(video: VideoStream) -> Picture:
    return Picture(
        width=video.width,
        height=video.height,
        sar=video.sar,
        rotation=video.rotation,
        field_order=video.field_order,
        hdr_transfer=video.color_transfer if video.is_hdr else None,
        start_seconds=video.start_seconds,
        full_range=video.color_range in FULL_RANGES or (video.pixel_format or "").startswith("yuvj"),
    )


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The stored form. Fractions are strings ("24000/1001")."""
    document: dict[str, Any] = _plain(plan)
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def plan_from_json(document: Mapping[str, Any]) -> Plan:
    """Read what `plan_to_json` wrote."""
    picture = document["picture"]
    changed = {
        "fps": None if document["fps"] is None else Fraction(document["fps"]),
        "rungs": tuple(Rung(**row) for row in document["rungs"]),
        "audio": tuple(AudioTrack(**row) for row in document["audio"]),
        "chunks": tuple(Chunk(**row) for row in document["chunks"]),
        "picture": None if picture is None else Picture(**{**picture, "sar": Fraction(picture["sar"])}),
    }
    return Plan(**{**document, **changed})


def plan_hash(plan: Plan) -> str:
    """sha256 of the plan's canonical JSON, its version included: equal hash and equal source, equal bytes."""
    text = json.dumps(
        plan_to_json(plan),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
        allow_nan=False,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def estimated_cpu_seconds(plan: Plan) -> float:
    """What the whole job will cost on one core, roughly (see the coefficients)."""
    cost = len(plan.audio) * plan.duration_seconds * AUDIO_COST
    if plan.picture is not None:
        pixels = [rung.width * rung.height for rung in plan.rungs]
        source = plan.picture.width * plan.picture.height
        scaled = sum(pixels) - (pixels[0] if pixels[0] == source else 0)
        cost += plan.frames * (source * DECODE_COST + scaled * SCALE_COST + sum(pixels) * ENCODE_COST)
    return round(cost, 2)
