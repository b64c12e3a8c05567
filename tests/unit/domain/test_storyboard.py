"""The storyboard's arithmetic: tiles, sizes, cues."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from src.domain.video.storyboard import SpriteSheet, fitted, storyboard_webvtt, tile_grid


def test_a_short_clip_gets_one_tile_and_a_long_film_the_most_allowed() -> None:
    assert tile_grid(0.04, 100).tiles == 1
    assert tile_grid(12.0, 100).tiles == 12
    grid = tile_grid(7200.0, 100)
    assert (grid.tiles, grid.interval_seconds, grid.columns, grid.rows, grid.sheets) == (100, 72.0, 10, 10, 1)


def test_tiles_beyond_one_sheet_fill_the_next() -> None:
    grid = tile_grid(7200.0, 250)
    assert grid.sheets == 3
    assert [grid.tiles_on(sheet) for sheet in range(3)] == [100, 100, 50]


@given(st.floats(0.01, 50_000), st.integers(1, 400))
def test_the_tiles_cover_the_film_and_are_never_too_many(seconds: float, most: int) -> None:
    grid = tile_grid(seconds, most)
    assert 1 <= grid.tiles <= most
    assert grid.tiles * grid.interval_seconds >= seconds - 0.002
    assert sum(grid.tiles_on(sheet) for sheet in range(grid.sheets)) == grid.tiles


@pytest.mark.parametrize(
    ("shown", "size"),
    [
        ((1920, 1080), (640, 360)),
        ((1080, 1920), (202, 360)),
        ((1280, 360), (640, 180)),
        ((320, 180), (320, 180)),
        ((161, 121), (160, 120)),
        ((1, 1), (2, 2)),
        ((100_000, 10), (640, 2)),
    ],
)
def test_a_thumbnail_fits_keeps_its_shape_and_is_never_enlarged(shown: tuple[int, int], size: tuple[int, int]) -> None:
    assert fitted((Fraction(shown[0]), Fraction(shown[1])), 640, 360) == size


def test_each_tile_has_a_cue_that_names_its_place() -> None:
    sheet = SpriteSheet(name="storyboard.jpg", columns=2, width=160, height=90, interval_seconds=1.5, tiles=3)
    assert storyboard_webvtt([sheet], 4.0) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.500\nstoryboard.jpg#xywh=0,0,160,90\n\n"
        "00:00:01.500 --> 00:00:03.000\nstoryboard.jpg#xywh=160,0,160,90\n\n"
        "00:00:03.000 --> 00:00:04.000\nstoryboard.jpg#xywh=0,90,160,90\n"
    )


def test_cues_go_on_from_sheet_to_sheet_past_the_hour() -> None:
    sheets = [
        SpriteSheet(name=f"{number}.jpg", columns=1, width=160, height=90, interval_seconds=3600.0, tiles=1)
        for number in range(2)
    ]
    text = storyboard_webvtt(sheets, 7199.9996)
    assert "00:00:00.000 --> 01:00:00.000\n0.jpg#xywh=0,0,160,90" in text
    assert "01:00:00.000 --> 02:00:00.000\n1.jpg#xywh=0,0,160,90" in text
