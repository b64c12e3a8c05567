"""Stills of a source that is read by ranges: the right picture, from any container, for a few of its bytes."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from src.application.content.media_files import MediaFiles
from src.application.content.metadata import ReadMetadataHandler
from src.application.content.request import ContentFile
from src.application.content.settings import ContentSettings
from src.application.content.thumbnail import MakeThumbnailHandler
from src.application.content.tier import CacheTier
from src.application.outcome import Done
from src.application.ports.media import ReadRange
from src.application.ports.storage import Storage, StoredObject
from src.domain.errors import (
    CorruptSource,
    FfmpegFailed,
    FileAccessError,
    Permanent,
    SourceEmpty,
    StorageUnavailable,
    TruncatedSource,
)
from src.infrastructure.clock import SystemClock
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from src.infrastructure.ffmpeg.pictures import FfmpegPictures
from src.infrastructure.ffmpeg.probe_blocks import BlockReader
from src.infrastructure.ffmpeg.probe_look import Conversation, Look
from src.infrastructure.ffmpeg.probe_process import ProbeProcess
from src.infrastructure.ffmpeg.probe_reply import BrokenReply
from src.infrastructure.ffmpeg.sandbox import Sandbox
from src.infrastructure.ffmpeg.viewer import CutViewer
from src.infrastructure.memory.contents import MemoryContents
from src.infrastructure.storage.filesystem import FilesystemStorage
from tests.adapters.test_pictures import Grey
from tests.contracts.backends.s3 import s3_storage
from tests.fakes.content import a_run
from tests.fakes.media import film as film_facts
from tests.media import make
from tests.media_makers import X264, ffmpeg, picture, tone
from tests.probing import shared_prober

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


class CountingStorage:
    """Counts what is read of a bucket; what is not offered here is not used."""

    def __init__(self, kept: Storage) -> None:
        self.kept = kept
        self.bytes_read = 0

    def head(self, key: str) -> StoredObject:
        return self.kept.head(key)

    def read(self, key: str, offset: int, length: int, *, version: str | None = None) -> bytes:
        content = self.kept.read(key, offset, length, version=version)
        self.bytes_read += len(content)
        return content


@pytest.fixture
def viewer() -> CutViewer:
    return CutViewer(shared_prober(), lambda: FfmpegPictures(find_ffmpeg(), Sandbox()))


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
    assert max(asked) <= 1024 * 1024
    assert len(asked) <= 6


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


def test_jobs_on_an_object_in_a_bucket_touch_what_they_need_of_it(
    viewer: CutViewer, long_film: Path, tmp_path: Path
) -> None:
    storage = CountingStorage(s3_storage(SystemClock(), tmp_path))
    storage.kept.put_file("films/long.mp4", long_film, content_type="video/mp4", cache_control="no-cache")
    contents = MemoryContents({"c-1": {"file_path": "films/long.mp4"}})
    files, clock, settings = MediaFiles(cast("Storage", storage)), SystemClock(), ContentSettings()
    tier = CacheTier(FilesystemStorage(tmp_path / "cache"), tmp_path / "cache")
    thumbnail = MakeThumbnailHandler(contents, files, tier, viewer, clock, settings)
    metadata = ReadMetadataHandler(contents, files, viewer.prober, clock, settings)
    size = long_film.stat().st_size

    made = thumbnail.handle(ContentFile("c-1", None), a_run(tmp_path))
    assert isinstance(made, Done)
    assert made.result["bytes_read"] == storage.bytes_read < 0.15 * size
    picture = Grey.read(Path(made.result["path"]))
    assert (picture.width, picture.height) == (640, 360)

    storage.bytes_read = 0
    read = metadata.handle(ContentFile("c-1", None), a_run(tmp_path))
    assert isinstance(read, Done)
    assert read.result["bytes_read"] == storage.bytes_read < 0.05 * size
    assert contents.get("c-1") == {
        "id": "c-1", "file_path": "films/long.mp4", "duration_seconds": 60.0, "video_codec": "h264",
        "audio_codec": "aac", "resolution": "640x360", "file_size": size,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["bits_flipped", "playlist_in_mov", "huge_picture", "damaged_vp9", "no_index", "many_tracks"]
)
def test_hostile_and_damaged_sources_give_a_picture_or_an_error_of_ours(
    viewer: CutViewer, name: str, tmp_path: Path
) -> None:
    film, target = make(name), tmp_path / "a.jpg"
    # Any other error, a crash of the probing process above all, fails the test.
    with suppress(Permanent), viewer.view(reading(film), film.stat().st_size) as view:
        brightness = view.still(view.media.duration_seconds / 2, width=640, height=360, target=target)
        assert (brightness is not None) == target.exists()
    assert [path.name for path in tmp_path.iterdir()] in ([], ["a.jpg"])


@dataclass
class ScriptedProcess:
    """A probing process that an attacker's file owns: it answers what it likes."""

    answers: list[bytes]

    def renew(self) -> None: ...
    def grant(self, seconds: float) -> None: ...
    def send(self, body: bytes) -> None: ...

    def receive(self) -> bytes:
        return self.answers.pop(0)


def piece(**changes: object) -> bytes:
    return json.dumps({"cut": {"container": "mov", "second": 0.5, "begins": 1.0, "bytes": 4, **changes}}).encode()


@pytest.mark.parametrize(
    "answers",
    [
        [b"[]"], [b"{}"], [b"nonsense"], [b'{"cut": 7}'], [b'{"cut": {}}'], [b'{"read": [-1, 5]}'],
        [piece(container="concat")], [piece(bytes=0)], [piece(bytes=1 << 40)], [piece(bytes=True)], [piece(second=-1)],
        [piece(second="nan")], [piece(begins="inf")], [piece(), b"12345"], [piece(), b""],
    ],
    ids=repr,
)  # fmt: skip
def test_what_the_probing_process_says_of_a_piece_is_not_believed(answers: list[bytes], tmp_path: Path) -> None:
    blocks = BlockReader(lambda offset, length: bytes(length), 100, most_bytes=1000)
    conversation = Conversation(cast("ProbeProcess", ScriptedProcess(answers)), blocks)
    with pytest.raises(BrokenReply):
        Look(conversation, film_facts()).cut(1.0, tmp_path / "a.cut")


def test_a_piece_that_can_not_be_written_is_our_trouble_and_not_the_film_s(tmp_path: Path) -> None:
    blocks = BlockReader(lambda offset, length: bytes(length), 100, most_bytes=1000)
    unable = ScriptedProcess([b'{"unable": "codec\\u001b[31m of no container"}'])
    with pytest.raises(FfmpegFailed, match=r"codec\[31m of no container") as caught:
        Look(Conversation(cast("ProbeProcess", unable), blocks), film_facts()).cut(1.0, tmp_path / "a.cut")
    assert caught.value.retryable
    whole = ScriptedProcess([piece(), b"1234"])
    with pytest.raises(FileAccessError):
        Look(Conversation(cast("ProbeProcess", whole), blocks), film_facts()).cut(1.0, tmp_path / "none" / "a.cut")
