"""Stills of a source that is read by ranges: the right picture, from any container, for a few of its bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.application.ports.media import ReadRange
from src.domain.errors import CorruptSource, SourceEmpty, StorageUnavailable, TruncatedSource
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from src.infrastructure.ffmpeg.pictures import FfmpegPictures
from src.infrastructure.ffmpeg.prober import PyAvProber
from src.infrastructure.ffmpeg.sandbox import Sandbox
from src.infrastructure.ffmpeg.viewer import CutViewer
from tests.adapters.test_pictures import Grey
from tests.media import make
from tests.media_makers import X264, ffmpeg, picture, tone

SEVERAL = (
    "avi",
    "flv",
    "fragmented",
    "hdr10",
    "interlaced",
    "moov_first",
    "program_stream",
    "rotated_phone",
    "transport_stream",
    "webm_no_duration",
    "wide_pixels",
    "windows_media",
)
"""One of each container, and of each kind of picture that needs something done to it."""


@pytest.fixture
def viewer() -> CutViewer:
    return CutViewer(PyAvProber(), lambda: FfmpegPictures(find_ffmpeg(), Sandbox()))


def reading(path: Path, asked: list[int] | None = None) -> ReadRange:
    def read(offset: int, length: int) -> bytes:
        if asked is not None:
            asked.append(length)
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    return read


@pytest.mark.parametrize("name", SEVERAL)
def test_a_still_of_a_piece_is_the_picture_that_the_whole_file_gives(
    viewer: CutViewer, name: str, tmp_path: Path
) -> None:
    film, target, whole = make(name), tmp_path / "piece.jpg", tmp_path / "whole.jpg"
    with viewer.view(reading(film), film.stat().st_size) as view:
        middle = view.media.duration_seconds / 2
        brightness = view.still(middle, width=640, height=360, target=target)
        media = view.media
    FfmpegPictures(find_ffmpeg(), Sandbox()).thumbnail(film, media, position=0.5, width=640, height=360, target=whole)
    assert brightness is not None
    assert brightness == pytest.approx(Grey.read(target).mean, abs=6)
    # Two different pictures of these films differ by 12 and more; a frame beside the wanted one by up to 3.
    assert Grey.read(target).difference(Grey.read(whole)) < 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["piece.jpg", "whole.jpg"]


def test_several_stills_come_from_one_process_and_a_black_one_says_so(viewer: CutViewer, tmp_path: Path) -> None:
    film = make("black_lead_in")
    with viewer.view(reading(film), film.stat().st_size) as view:
        dark = view.still(0.5, width=640, height=360, target=tmp_path / "dark.jpg")
        bright = view.still(5.0, width=640, height=360, target=tmp_path / "bright.jpg")
    assert dark is not None
    assert bright is not None
    assert dark < 10 < bright


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 30 MB in a minute, a keyframe every 10 s, its index at the end."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    ffmpeg(
        *picture(60, "640x360"), *tone(60), *X264, "-g", "250", "-b:v", "4M", "-minrate", "4M", "-maxrate", "4M",
        "-bufsize", "4M", "-x264-params", "nal-hrd=cbr", "-c:a", "aac", path,
    )  # fmt: skip
    return path


def test_a_thumbnail_reads_a_small_part_of_a_long_film(viewer: CutViewer, long_film: Path, tmp_path: Path) -> None:
    size, asked = long_film.stat().st_size, list[int]()
    assert size > 28_000_000
    with viewer.view(reading(long_film, asked), size) as view:
        assert view.still(6.0, width=640, height=360, target=tmp_path / "a.jpg") is not None
        assert (view.bytes_read, view.reads) == (sum(asked), len(asked))
    # Header, index, a few first pictures, and 6 s of 4 Mbit/s: 3 MB, of which the half is there to be the exact frame.
    assert sum(asked) < 0.2 * size
    assert max(asked) <= 256 * 1024


def test_where_the_picture_is_far_behind_its_keyframe_the_keyframe_is_taken(
    viewer: CutViewer, long_film: Path, tmp_path: Path
) -> None:
    asked: list[int] = []
    with viewer.view(reading(long_film, asked), long_film.stat().st_size) as view:
        before = view.bytes_read
        assert view.still(29.5, width=640, height=360, target=tmp_path / "far.jpg") is not None
        assert view.bytes_read - before < 5_500_000
        assert view.still(28.5, width=640, height=360, target=tmp_path / "same.jpg") is not None
        assert view.still(22.0, width=640, height=360, target=tmp_path / "exact.jpg") is not None
    # A second apart, and the same picture; two seconds behind the keyframe it is the exact one.
    assert (tmp_path / "far.jpg").read_bytes() == (tmp_path / "same.jpg").read_bytes()
    assert Grey.read(tmp_path / "far.jpg").difference(Grey.read(tmp_path / "exact.jpg")) > 1


def test_what_can_not_be_shown_is_said_as_the_probe_says_it(viewer: CutViewer, tmp_path: Path) -> None:
    for name, error in (("empty", SourceEmpty), ("cut_moov_first", TruncatedSource)):
        film = make(name)
        with pytest.raises(error), viewer.view(reading(film), film.stat().st_size):
            pass
    sound = make("sound_only")
    with (
        viewer.view(reading(sound), sound.stat().st_size) as view,
        pytest.raises(CorruptSource, match="no picture"),
    ):
        view.still(0.0, width=640, height=360, target=tmp_path / "none.jpg")


def test_an_error_of_the_storage_in_the_middle_passes_through(
    viewer: CutViewer, long_film: Path, tmp_path: Path
) -> None:
    read, broken = reading(long_film), list[bool]()

    def breaking(offset: int, length: int) -> bytes:
        if broken:
            raise StorageUnavailable("scripted")
        return read(offset, length)

    with viewer.view(breaking, long_film.stat().st_size) as view:
        broken.append(True)
        with pytest.raises(StorageUnavailable, match="scripted"):
            view.still(45.0, width=640, height=360, target=tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []
