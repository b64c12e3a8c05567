"""Which renditions a picture gets."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from src.domain.errors import ConfigError
from src.domain.video.ladder import ACADEMY, DEFAULT, choose_rungs, ladder_from_json
from src.domain.video.source import VideoStream


def picture(width: int, height: int, **facts: object) -> VideoStream:
    return VideoStream(
        index=0,
        codec="h264",
        profile=None,
        pixel_format="yuv420p",
        width=width,
        height=height,
        **facts,  # type: ignore[arg-type]
    )


def sizes(video: VideoStream) -> list[tuple[int, int]]:
    return [(rung.width, rung.height) for rung in choose_rungs(video, DEFAULT)]


def test_full_hd_gets_every_rung_largest_first() -> None:
    assert sizes(picture(1920, 1080)) == [(1920, 1080), (1280, 720), (854, 480), (640, 360), (426, 240)]


def test_4k_stops_at_the_ladders_top() -> None:
    assert sizes(picture(3840, 2160))[0] == (1920, 1080)


def test_a_portrait_picture_is_measured_by_its_short_side() -> None:
    assert sizes(picture(1080, 1920))[:2] == [(1080, 1920), (720, 1280)]


def test_lesson_23_phone_video_is_upright() -> None:
    assert sizes(picture(1920, 1080, rotation=90))[0] == (1080, 1920)


def test_pixels_that_are_not_square_are_stretched_to_the_shape_on_a_screen() -> None:
    assert sizes(picture(640, 360, sar=Fraction(2)))[0] == (1280, 360)
    assert sizes(picture(720, 576, sar=Fraction(16, 15)))[0] == (640, 480)


def test_a_picture_smaller_than_every_rung_keeps_its_own_even_size() -> None:
    assert sizes(picture(161, 121)) == [(160, 120)]


def test_a_picture_just_below_a_rung_takes_it_at_its_own_size() -> None:
    assert sizes(picture(1920, 1072))[:2] == [(1920, 1072), (1290, 720)]


def test_the_academy_ladder_is_the_one_of_seed_time() -> None:
    rungs = choose_rungs(picture(1920, 1080), ACADEMY)
    assert [(rung.width, rung.height, rung.maxrate, rung.profile) for rung in rungs] == [
        (1280, 720, 2_500_000, "main"),
        (640, 360, 800_000, "main"),
        (426, 240, 400_000, "main"),
    ]


@given(
    width=st.integers(2, 8192),
    height=st.integers(2, 8192),
    sar=st.fractions(min_value=Fraction(1, 4), max_value=4, max_denominator=60),
    rotation=st.sampled_from([0, 90, 180, 270]),
)
def test_no_rung_is_upscaled_odd_or_missing(width: int, height: int, sar: Fraction, rotation: int) -> None:
    video = picture(width, height, sar=sar, rotation=rotation)
    shown = video.display_size
    rungs = choose_rungs(video, DEFAULT)
    assert rungs
    assert all(rung.width % 2 == rung.height % 2 == 0 for rung in rungs)
    assert all(rung.width <= max(2.0, float(shown[0])) and rung.height <= max(2.0, float(shown[1])) for rung in rungs)
    assert len({(rung.width, rung.height) for rung in rungs}) == len(rungs)


@given(width=st.integers(320, 4096), height=st.integers(320, 4096))
def test_the_shape_is_kept_to_the_pixel(width: int, height: int) -> None:
    for rung in choose_rungs(picture(width, height), DEFAULT):
        scale = min(rung.width, rung.height) / min(width, height)
        assert abs(rung.width - width * scale) <= 2 * max(1, width / height)
        assert abs(rung.height - height * scale) <= 2 * max(1, height / width)


def test_a_ladder_of_ones_own_is_read_and_sorted() -> None:
    ladder = ladder_from_json(
        [{"short_side": 720, "maxrate": 2_000_000}, {"short_side": 144, "maxrate": 90_000, "crf": 28}]
    )
    assert [(row.name, row.crf, row.bufsize) for row in ladder] == [("144p", 28.0, 180_000), ("720p", 23.0, 4_000_000)]


def test_a_rung_without_a_field_is_named() -> None:
    with pytest.raises(ConfigError, match=r"rung 2 \(short_side 480\) has no maxrate"):
        ladder_from_json([{"short_side": 720, "maxrate": 1}, {"short_side": 480}])


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"short_side": 720}],
        [{"short_side": "big", "maxrate": 1}],
        [{"short_side": 720, "maxrate": 0}],
        [{"short_side": float("inf"), "maxrate": 1}],
        [{"short_side": 720, "maxrate": 10**18}],
        [{"short_side": 720, "maxrate": 1, "profile": "high:asm=x"}],
        [{"short_side": 720, "maxrate": 1}, {"short_side": 720, "maxrate": 2}],
        ["720p"],
    ],
)
def test_a_ladder_that_makes_no_sense_is_refused_at_start(rows: list[dict[str, object]]) -> None:
    with pytest.raises(ConfigError):
        ladder_from_json(rows)
