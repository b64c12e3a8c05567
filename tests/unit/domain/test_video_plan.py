"""The plan: pure data, a fixed grid of frames."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from src.domain.errors import UnsupportedFormat
from src.domain.video.planning import (
    PlanSettings,
    estimated_cpu_seconds,
    grid,
    make_plan,
    output_fps,
    plan_from_json,
    plan_hash,
    plan_to_json,
)
from src.domain.video.source import AudioStream, SourceMedia, VideoStream

VIDEO = VideoStream(
    index=0,
    codec="h264",
    profile="High",
    pixel_format="yuv420p",
    width=1920,
    height=1080,
    average_fps=Fraction(24),
    nominal_fps=Fraction(24),
)
SOUND = AudioStream(index=1, codec="aac", channels=6, sample_rate=44_100, language="kor", duration_seconds=29.9)
MEDIA = SourceMedia(
    container="mov", size=1, duration_seconds=30.0, duration_exact=True, video=VIDEO, audio=(SOUND,), start_seconds=0.02
)


def test_thirty_seconds_are_four_chunks_of_whole_segments() -> None:
    plan = make_plan(MEDIA, PlanSettings())
    assert plan.segment_frames == 96
    assert [(chunk.first_frame, chunk.frames, chunk.first_segment, chunk.segments) for chunk in plan.chunks] == [
        (0, 192, 0, 2),
        (192, 192, 2, 2),
        (384, 192, 4, 2),
        (576, 144, 6, 2),
    ]
    assert plan.segment_lengths(3) == (96, 48)


@given(st.integers(1, 10_000), st.integers(1, 250), st.integers(1, 20))
def test_chunks_tile_the_film_without_gap_overlap_or_crumbs(frames: int, segment: int, per_chunk: int) -> None:
    chunks = grid(frames, segment, per_chunk)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert chunks[0].first_frame == chunks[0].first_segment == 0
    for one, after in pairwise(chunks):
        assert one.first_frame + one.frames == after.first_frame
        assert one.first_segment + one.segments == after.first_segment
        assert one.frames == segment * per_chunk
    last = chunks[-1]
    assert last.first_frame + last.frames == frames
    tail = last.frames - segment * (last.segments - 1)
    assert frames < segment or segment <= 2 * tail < 3 * segment


@pytest.mark.parametrize(
    ("nominal", "average", "expected"),
    [
        ("24000/1001", "24000/1001", "24000/1001"),
        ("30", "29.97", "30"),  # nominal wins within 10 %
        ("57600", "7.22", "361/50"),  # a screen recording's nominal rate is its clock
        ("25", "14", "25"),  # a film with a long pause still moves at its rate
        ("30", "8", "30"),  # a call's camera
        ("30", "7", "7"),  # hardly ever moving
        ("50", "25", "25"),  # fields are not frames
        ("60000/1001", "30000/1001", "30000/1001"),
        ("90", "30", "30"),  # no rate that anything records at
        ("120", "120", "60"),
        ("240", "240", "60"),
        (None, None, "25"),
        ("1000", "30", "30"),
        ("1/2", "1/2", "1"),
    ],
)
def test_the_output_rate_is_constant_and_sane(nominal: str | None, average: str | None, expected: str) -> None:
    video = replace(
        VIDEO,
        nominal_fps=None if nominal is None else Fraction(nominal),
        average_fps=None if average is None else Fraction(average),
    )
    assert output_fps(video) == Fraction(expected)


def test_sound_alone_has_no_rungs_and_no_chunks() -> None:
    plan = make_plan(replace(MEDIA, video=None), PlanSettings())
    assert (plan.rungs, plan.chunks, plan.fps, plan.frames) == ((), (), None, 0)
    assert [track.name for track in plan.audio] == ["audio_0"]


def test_a_source_without_picture_and_sound_is_refused() -> None:
    with pytest.raises(UnsupportedFormat):
        make_plan(replace(MEDIA, video=None, audio=()), PlanSettings())


def test_every_sound_track_is_planned_up_to_the_limit_and_one_is_the_default() -> None:
    tracks = tuple(replace(SOUND, index=number + 1, default=number == 2) for number in range(12))
    plan = make_plan(replace(MEDIA, audio=tracks), PlanSettings())
    assert len(plan.audio) == 8
    assert [track.stream for track in plan.audio if track.default] == [3]


def test_an_mp4_begins_at_zero_and_a_transport_stream_where_it_says() -> None:
    assert make_plan(MEDIA, PlanSettings()).origin_seconds == 0.0
    stream = replace(MEDIA, container="mpegts", start_seconds=1.4)
    assert make_plan(stream, PlanSettings()).origin_seconds == 1.4


def test_a_container_without_an_index_gets_longer_chunks() -> None:
    assert make_plan(replace(MEDIA, container="mpegts"), PlanSettings()).chunks[0].segments == 8


def test_lesson_v9_the_hash_names_the_plan_and_survives_storage() -> None:
    plan = make_plan(MEDIA, PlanSettings())
    stored = plan_from_json(json.loads(json.dumps(plan_to_json(plan))))
    assert stored == plan
    assert plan_hash(stored) == plan_hash(plan)


@pytest.mark.parametrize(
    "settings", [PlanSettings(container="ts"), PlanSettings(preset="slow"), PlanSettings(chunk_seconds=12)]
)
def test_another_setting_is_another_hash(settings: PlanSettings) -> None:
    assert plan_hash(make_plan(MEDIA, settings)) != plan_hash(make_plan(MEDIA, PlanSettings()))


def test_the_estimate_is_the_measured_floor_for_the_measured_clip() -> None:
    """video.md 1: 43 cpu seconds by parts for 30 s of 1080p24 down to 360p; ours has 240p as well."""
    assert 40 < estimated_cpu_seconds(make_plan(MEDIA, PlanSettings())) < 50


def test_an_hdr_source_says_so_in_the_plan() -> None:
    plan = make_plan(replace(MEDIA, video=replace(VIDEO, color_transfer="arib-std-b67")), PlanSettings())
    assert plan.picture is not None
    assert plan.picture.hdr_transfer == "arib-std-b67"
