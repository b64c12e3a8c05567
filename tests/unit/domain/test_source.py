"""A source's shape on a screen, from coded size, pixel shape and rotation."""

from __future__ import annotations

from fractions import Fraction

import pytest

from src.domain.video.source import VideoStream


def a_picture(
    width: int, height: int, sar: Fraction = Fraction(1), rotation: int = 0, transfer: str | None = None
) -> VideoStream:
    return VideoStream(
        index=0,
        codec="h264",
        profile="High",
        pixel_format="yuv420p",
        width=width,
        height=height,
        sar=sar,
        rotation=rotation,
        color_transfer=transfer,
    )


@pytest.mark.parametrize(
    ("video", "shown"),
    [
        (a_picture(1920, 1080), (1920, 1080)),
        (a_picture(1920, 1080, rotation=90), (1080, 1920)),
        (a_picture(1920, 1080, rotation=180), (1920, 1080)),
        (a_picture(1920, 1080, rotation=270), (1080, 1920)),
        (a_picture(640, 360, sar=Fraction(2)), (1280, 360)),
        (a_picture(640, 352, sar=Fraction(44, 45)), (640, 360)),
        (a_picture(640, 360, sar=Fraction(2), rotation=90), (360, 1280)),
        (a_picture(161, 121), (161, 121)),
    ],
)
def test_the_picture_on_a_screen_is_upright_with_square_pixels(video: VideoStream, shown: tuple[int, int]) -> None:
    assert [float(side) for side in video.display_size] == list(shown)


def test_no_side_shrinks_below_its_coded_pixels() -> None:
    for sar in (Fraction(1, 2), Fraction(8, 9), Fraction(4, 3), Fraction(3)):
        width, height = a_picture(720, 576, sar=sar).display_size
        assert width >= 720
        assert height >= 576
        assert width / height == Fraction(720, 576) * sar


def test_pq_and_hlg_are_hdr_and_nothing_else_is() -> None:
    assert a_picture(2, 2, transfer="smpte2084").is_hdr
    assert a_picture(2, 2, transfer="arib-std-b67").is_hdr
    assert not a_picture(2, 2, transfer="bt709").is_hdr
    assert not a_picture(2, 2, transfer="bt2020-10").is_hdr
    assert not a_picture(2, 2).is_hdr
