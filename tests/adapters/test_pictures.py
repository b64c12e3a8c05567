"""Thumbnails and storyboards: upright, in shape, not black, without the owner's name, whatever the source."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import pytest

from src.domain.errors import Cancelled, CorruptSource, Permanent
from src.domain.video.source import SourceMedia
from src.infrastructure.ffmpeg import pictures as pictures_module
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from src.infrastructure.ffmpeg.pictures import FfmpegPictures
from src.infrastructure.ffmpeg.sandbox import Sandbox
from tests.adapters.test_prober import probe
from tests.media import PLAYABLE, make, sample_expectations
from tests.media_makers import ffmpeg

SHOWN = sorted(name for name, medium in PLAYABLE.items() if medium.expected.display)
SAMPLES = sorted(path for path, expected in sample_expectations().items() if expected.display)


@dataclass(frozen=True)
class Grey:
    """A picture's brightness, row by row."""

    width: int
    height: int
    rows: list[bytes]

    @classmethod
    def read(cls, path: Path) -> Grey:
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0)).reformat(format="gray")
        plane = frame.planes[0]
        content = bytes(plane)
        rows = [content[y * plane.line_size : y * plane.line_size + frame.width] for y in range(frame.height)]
        return cls(frame.width, frame.height, rows)

    @property
    def mean(self) -> float:
        return sum(map(sum, self.rows)) / (self.width * self.height)

    def difference(self, other: Grey) -> float:
        assert (self.width, self.height) == (other.width, other.height)
        pairs = zip(b"".join(self.rows), b"".join(other.rows), strict=True)
        return sum(abs(a - b) for a, b in pairs) / (self.width * self.height)

    def tile(self, number: int, columns: int, width: int, height: int) -> Grey:
        x, y = number % columns * width, number // columns * height
        return Grey(width, height, [row[x : x + width] for row in self.rows[y : y + height]])


@pytest.fixture
def pictures() -> FfmpegPictures:
    return FfmpegPictures(find_ffmpeg(), Sandbox())


def thumbnail(pictures: FfmpegPictures, source: Path, target: Path, media: SourceMedia | None = None) -> float:
    media = media or probe(source)
    return pictures.thumbnail(source, media, position=0.1, width=640, height=360, target=target)


def assert_fits(found: Grey, media: SourceMedia) -> None:
    assert media.video is not None
    width, height = map(float, media.video.display_size)
    assert found.width <= 640
    assert found.height <= 360
    scale = min(640 / width, 360 / height, 1.0)
    assert found.width == pytest.approx(width * scale, abs=2)
    assert found.height == pytest.approx(height * scale, abs=2)


@pytest.mark.parametrize("name", SHOWN)
def test_v7_every_kind_of_picture_gets_a_thumbnail_in_its_shape(
    name: str, pictures: FfmpegPictures, tmp_path: Path
) -> None:
    media = probe(make(name))
    second = thumbnail(pictures, make(name), tmp_path / "thumb.jpg", media)
    assert 0 <= second <= media.duration_seconds
    assert_fits(Grey.read(tmp_path / "thumb.jpg"), media)
    assert [path.name for path in tmp_path.iterdir()] == ["thumb.jpg"]


@pytest.mark.chaos  # `make test` takes each of them through the whole pipeline (test_video_pipeline.py)
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_real_sample_gets_a_thumbnail_and_a_storyboard(
    path: Path, pictures: FfmpegPictures, tmp_path: Path
) -> None:
    media = probe(path)
    thumbnail(pictures, path, tmp_path / "thumb.jpg", media)
    assert_fits(Grey.read(tmp_path / "thumb.jpg"), media)
    sheets = pictures.storyboard(path, media, tile_width=160, most_tiles=100, folder=tmp_path)
    assert sum(sheet.tiles for sheet in sheets) * sheets[0].interval_seconds >= media.duration_seconds - 0.01


def test_lesson_23_the_thumbnail_of_a_phone_video_is_turned_the_right_way(
    pictures: FfmpegPictures, tmp_path: Path
) -> None:
    source = make("rotated_phone")
    thumbnail(pictures, source, tmp_path / "thumb.jpg")
    for name, turn in (("right", "transpose=clock"), ("wrong", "transpose=cclock")):
        ffmpeg(
            "-noautorotate",
            "-ss",
            "0.18",
            "-i",
            source,
            "-vf",
            turn,
            "-frames:v",
            "1",
            "-update",
            "1",
            tmp_path / f"{name}.png",
        )
    found = Grey.read(tmp_path / "thumb.jpg")

    assert found.difference(Grey.read(tmp_path / "right.png")) < 12
    assert found.difference(Grey.read(tmp_path / "wrong.png")) > 30


def test_a_black_lead_in_is_skipped(pictures: FfmpegPictures, tmp_path: Path) -> None:
    second = thumbnail(pictures, make("black_lead_in"), tmp_path / "thumb.jpg")
    assert second >= 2.9
    assert Grey.read(tmp_path / "thumb.jpg").mean > 40


def test_a_film_that_is_black_all_through_still_has_a_thumbnail(pictures: FfmpegPictures, tmp_path: Path) -> None:
    thumbnail(pictures, make("all_black"), tmp_path / "thumb.jpg")
    assert Grey.read(tmp_path / "thumb.jpg").mean < 10


@pytest.mark.parametrize("name", ["hdr10", "hlg"])
def test_hdr_pictures_are_tone_mapped(name: str, pictures: FfmpegPictures, tmp_path: Path) -> None:
    thumbnail(pictures, make(name), tmp_path / "thumb.jpg")
    ffmpeg(
        "-ss", "0.08", "-i", make(name), "-vf", "format=gray", "-frames:v", "1", "-update", "1", tmp_path / "flat.png"
    )
    assert Grey.read(tmp_path / "thumb.jpg").difference(Grey.read(tmp_path / "flat.png")) > 8


def test_t11_neither_place_nor_owner_nor_tool_is_in_a_picture(pictures: FfmpegPictures, tmp_path: Path) -> None:
    source = make("located")
    assert b"CANARY-OWNER" in source.read_bytes()
    media = probe(source)
    thumbnail(pictures, source, tmp_path / "thumb.jpg", media)
    pictures.storyboard(source, media, tile_width=160, most_tiles=100, folder=tmp_path)
    made = [path.read_bytes() for path in tmp_path.glob("*.jpg")]
    assert len(made) == 2
    for content in made:
        for secret in (b"CANARY", b"37.5665", b"126.9780", b"Exif", b"Lavc"):
            assert secret not in content


@pytest.fixture(params=["every frame", "keyframes only"])
def effort(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "keyframes only":
        monkeypatch.setattr(pictures_module, "CHEAP_PIXELS", 0)
    return str(request.param)


def test_v7_a_storyboard_has_one_tile_per_interval_over_the_whole_film(
    effort: str, pictures: FfmpegPictures, tmp_path: Path
) -> None:
    source = make("many_scenes")
    (sheet,) = pictures.storyboard(source, probe(source), tile_width=160, most_tiles=100, folder=tmp_path)
    assert (sheet.columns, sheet.rows, sheet.width, sheet.height) == (10, 2, 160, 90)
    assert (sheet.interval_seconds, sheet.tiles) == (1.0, 12)

    found = Grey.read(sheet.path)

    assert (found.width, found.height) == (1600, 180)
    tiles = [found.tile(number, 10, 160, 90) for number in range(12)]
    assert all(a.difference(b) > 1 for a, b in pairwise(tiles))
    assert min(tile.mean for tile in tiles) > 40
    for number in (0, 5, 11):
        shown = tmp_path / "at.png"
        ffmpeg("-ss", str(number), "-i", source, "-vf", "scale=160:90", "-frames:v", "1", "-update", "1", shown)
        assert tiles[number].difference(Grey.read(shown)) < 6, f"tile {number} shows another second ({effort})"


def ramp(target: Path, *options: str) -> Path:
    """Forty seconds that grow brighter from first to last, one frame a second."""
    film = ("-f", "lavfi", "-i", "color=black:size=192x64:rate=1:duration=40", "-vf", "geq=lum=20+N*5:cb=128:cr=128")
    ffmpeg(*film, "-c:v", "libx264", "-preset", "ultrafast", *options, target)
    return target


def tiles_grow_brighter(pictures: FfmpegPictures, source: Path, folder: Path) -> bool:
    (sheet,) = pictures.storyboard(source, probe(source), tile_width=96, most_tiles=10, folder=folder)
    found = Grey.read(sheet.path)
    means = [found.tile(number, sheet.columns, sheet.width, sheet.height).mean for number in range(sheet.tiles)]
    return all(after - one > 10 for one, after in pairwise(means))


def test_v7_a_film_with_hardly_any_keyframes_repeats_no_tile_unless_it_is_long(
    pictures: FfmpegPictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slides and screen recordings: keyframes alone would show the first slide on every tile."""
    monkeypatch.setattr(pictures_module, "CHEAP_PIXELS", 0)
    source = ramp(tmp_path / "slides.mp4", "-g", "1000")
    assert tiles_grow_brighter(pictures, source, tmp_path / "short")
    monkeypatch.setattr(pictures_module, "MOST_PIXELS", 0)
    assert not tiles_grow_brighter(pictures, source, tmp_path / "long")


def test_v7_a_size_that_changes_on_the_way_leaves_tiles_at_their_time(pictures: FfmpegPictures, tmp_path: Path) -> None:
    small = ramp(tmp_path / "small.ts", "-t", "20", "-bf", "0")
    large = tmp_path / "large.ts"
    ffmpeg("-i", ramp(tmp_path / "all.mkv"), "-ss", "20", "-s", "384x128", "-c:v", "libx264", "-bf", "0",
           "-output_ts_offset", "20", large)  # fmt: skip
    source = tmp_path / "both.ts"
    source.write_bytes(small.read_bytes() + large.read_bytes())
    assert tiles_grow_brighter(pictures, source, tmp_path / "board")


def test_a_long_film_gets_no_more_tiles_than_allowed(pictures: FfmpegPictures, tmp_path: Path) -> None:
    source = make("many_scenes")
    (sheet,) = pictures.storyboard(source, probe(source), tile_width=160, most_tiles=5, folder=tmp_path)
    assert (sheet.tiles, sheet.columns, sheet.rows) == (5, 5, 1)
    assert sheet.interval_seconds == pytest.approx(2.4)


def test_more_tiles_than_a_sheet_holds_go_on_the_next_one(
    pictures: FfmpegPictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.domain.video.storyboard.ROWS", 1)
    source = make("many_scenes")
    sheets = pictures.storyboard(source, probe(source), tile_width=160, most_tiles=100, folder=tmp_path)
    assert [(sheet.path.name, sheet.tiles) for sheet in sheets] == [("sheet_000.jpg", 10), ("sheet_001.jpg", 2)]


def test_f21_no_picture_is_left_of_a_source_that_can_not_be_decoded(pictures: FfmpegPictures, tmp_path: Path) -> None:
    media = probe(make("moov_first"))
    broken = tmp_path / "input"
    broken.write_bytes(make("moov_first").read_bytes()[:3000])

    with pytest.raises(Permanent):
        thumbnail(pictures, broken, tmp_path / "thumb.jpg", media)
    with pytest.raises(Permanent):
        pictures.storyboard(broken, media, tile_width=160, most_tiles=9, folder=tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["input"]


def test_t01_a_playlist_is_not_followed_even_when_it_got_this_far(pictures: FfmpegPictures, tmp_path: Path) -> None:
    with pytest.raises(CorruptSource):
        thumbnail(pictures, make("hls_playlist"), tmp_path / "thumb.jpg", probe(make("moov_first")))


def test_a_source_without_a_picture_is_refused(pictures: FfmpegPictures, tmp_path: Path) -> None:
    with pytest.raises(CorruptSource, match="no picture"):
        thumbnail(pictures, make("sound_only"), tmp_path / "thumb.jpg")


def test_after_stop_nothing_is_started(pictures: FfmpegPictures, tmp_path: Path) -> None:
    pictures.stop()
    with pytest.raises(Cancelled):
        thumbnail(pictures, make("moov_first"), tmp_path / "thumb.jpg")
