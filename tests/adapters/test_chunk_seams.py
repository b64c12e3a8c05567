"""Chunks stitched together show exactly the frames that one encode of the whole film shows, wherever a seek lands.

Each frame of these films wears its number as a bar code, so that a wrong frame can't pass for the right one.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from src.domain.video.ladder import step
from src.domain.video.planning import PlanSettings
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.adapters.test_ffmpeg_encoder import encode, plan_of, stitched

BITS, WIDTH, HEIGHT = 12, 192, 64
SIXTEEN = WIDTH // BITS
CHUNKED = PlanSettings(preset="ultrafast", ladder=(step(HEIGHT, 400_000),), segment_seconds=1, chunk_seconds=2)
WHOLE = PlanSettings(preset="ultrafast", ladder=CHUNKED.ladder, segment_seconds=1, chunk_seconds=100_000)
LONG_GOP = ("-g", "1000", "-bf", "2", "-x264-params", "scenecut=0")


def numbered(frames: int) -> bytes:
    """A Y4M film whose frame n shows n in black and white bars, lowest bit first."""
    film = [b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420\n" % (WIDTH, HEIGHT)]
    for number in range(frames):
        row = b"".join(bytes([235 if number >> bit & 1 else 16]) * SIXTEEN for bit in range(BITS))
        film.append(b"FRAME\n" + row * HEIGHT + bytes([128]) * (WIDTH * HEIGHT // 2))
    return b"".join(film)


def make(target: Path, frames: int, *options: str, rate: str = "25") -> Path:
    before = ["-nostdin", "-loglevel", "error", "-f", "yuv4mpegpipe", "-r", rate, "-i", "pipe:0", "-c:v", "libx264"]
    command = [str(find_ffmpeg()), *before, "-preset", "ultrafast", *options, str(target)]
    subprocess.run(command, input=numbered(frames), check=True)
    return target


def shown(source: Path, settings: PlanSettings, folder: Path) -> list[int]:
    """The number on each frame of the stitched output."""
    plan = plan_of(source, settings)
    (files,) = encode(source, plan, folder).values()
    numbers: list[int] = []
    with av.open(str(stitched(files, folder / "all.mp4"))) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            middle = bytes(plane)[HEIGHT // 2 * plane.line_size :]
            numbers.append(sum((middle[bit * SIXTEEN + SIXTEEN // 2] > 125) << bit for bit in range(BITS)))
    assert plan.frames - 3 <= len(numbers) <= plan.frames
    return numbers


SHORT_AND_LONG = ["ts", "mp4", *(pytest.param(kind, marks=pytest.mark.chaos) for kind in ("mkv", "flv"))]
"""Streams with and without an index by `make test`, the others by `make chaos`."""


def both(source: Path, tmp_path: Path) -> Sequence[int]:
    """What the chunks show, once it is the same as what one encode of the whole film shows."""
    chunked = shown(source, CHUNKED, tmp_path / "chunked")
    assert chunked == shown(source, WHOLE, tmp_path / "whole")
    return chunked


@pytest.mark.parametrize("kind", SHORT_AND_LONG)
def test_v4_slides_with_a_keyframe_a_minute_show_every_slide_in_its_second(kind: str, tmp_path: Path) -> None:
    """x264's usual 250 frames between keyframes are four minutes of slides; a transport stream can't be asked where they are."""
    source = make(tmp_path / f"slides.{kind}", 60, *LONG_GOP, rate="1")
    assert both(source, tmp_path) == list(range(60))


def test_v4_a_stream_whose_next_keyframe_lies_in_the_middle_of_a_chunk(tmp_path: Path) -> None:
    source = make(tmp_path / "stream.ts", 1200, "-g", "700", "-bf", "2", "-x264-params", "scenecut=0")
    assert both(source, tmp_path) == list(range(1200))


@pytest.mark.parametrize("kind", SHORT_AND_LONG)
def test_v4_a_pause_of_ten_seconds_holds_the_frame_before_it(kind: str, tmp_path: Path) -> None:
    """An index of decoding times leads to the keyframe behind the pause: it is decoded before, but shown after it."""
    pause = ("-vf", "setpts=(N/25+10*gte(N\\,300))/TB", "-fps_mode", "vfr", "-enc_time_base", "1/1000")
    source = make(tmp_path / f"pause.{kind}", 600, *pause, "-g", "60", "-bf", "2")
    numbers = both(source, tmp_path)
    rate = len(numbers) / 34
    assert {numbers[int(second * rate)] for second in range(13, 21)} <= {298, 299}


def test_v4_a_picture_that_refreshes_line_by_line_has_no_frame_lost_at_a_seam(tmp_path: Path) -> None:
    source = make(tmp_path / "refresh.mp4", 400, "-g", "50", "-x264-params", "intra-refresh=1:scenecut=0")
    assert both(source, tmp_path) == list(range(400))


@pytest.mark.parametrize("kind", ["ts", "mkv"])
def test_v5_a_picture_that_changes_its_size_on_the_way_keeps_its_frames(kind: str, tmp_path: Path) -> None:
    """Screen shares and broadcasts do; a filter graph made anew would count from the film's first frame again."""
    first = ("-vf", "trim=end_frame=110", "-bf", "0", "-muxdelay", "0")
    then = ("-vf", "trim=start_frame=110,scale=384:128", "-bf", "0", "-muxdelay", "0", "-copyts")
    parts = [make(tmp_path / f"{number}.ts", 250, *options) for number, options in enumerate((first, then))]
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    if kind != "ts":
        stream, source = source, tmp_path / f"joined.{kind}"
        subprocess.run(
            [str(find_ffmpeg()), "-nostdin", "-loglevel", "error", "-i", str(stream), "-c", "copy", str(source)],
            check=True,
        )
    assert both(source, tmp_path) == list(range(250))


def test_v5_a_film_shorter_than_a_frame_of_the_output_shows_one(tmp_path: Path) -> None:
    source = make(tmp_path / "blink.mp4", 10, rate="1000")
    assert len(both(source, tmp_path)) == 1
