"""Thumbnails and metadata: what is read, what is written, and which paths are refused before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from src.application.content.late import LOOKS, ContentNotYet
from src.application.content.media_files import MediaFiles
from src.application.content.metadata import ReadMetadataHandler
from src.application.content.request import ContentFile, checked_path, parse_content_file
from src.application.content.settings import ContentSettings
from src.application.content.thumbnail import MakeThumbnailHandler
from src.application.content.tier import CacheTier
from src.application.outcome import Done
from src.application.ports.content import ContentGone, ContentMissing
from src.application.ports.storage import StoredObject
from src.domain.errors import (
    CorruptSource,
    ErrorReport,
    FileAccessError,
    InvalidPayload,
    SourceEmpty,
    SourceMissing,
    StorageUnavailable,
    TenantMismatch,
)
from src.domain.progress import ProgressReport
from src.domain.retry import RetryAt, decide
from src.infrastructure.memory.contents import MemoryContents
from src.infrastructure.memory.storage import MemoryStorage
from src.infrastructure.storage.filesystem import FilesystemStorage
from tests.fakes.clock import FrozenClock
from tests.fakes.content import ScriptedViewer, a_run
from tests.fakes.media import ScriptedProber, film


@dataclass
class Site:
    """A platform with one film in the storage, and a media root."""

    folder: Path
    viewer: ScriptedViewer = field(default_factory=ScriptedViewer)
    prober: ScriptedProber = field(default_factory=lambda: ScriptedProber(film(200.0)))
    clock: FrozenClock = field(default_factory=FrozenClock)
    contents: MemoryContents = field(default_factory=lambda: MemoryContents({"c-1": {"file_path": "films/1.mp4"}}))
    reports: list[ProgressReport] = field(default_factory=list)
    attempt: int = 1
    most: int = 6

    def __post_init__(self) -> None:
        self.storage = MemoryStorage(self.clock)
        self.storage.put_bytes("films/1.mp4", b"film" * 100, content_type="video/mp4", cache_control="")
        self.root = self.folder / "nas"
        self.root.mkdir()
        (self.root / "2.mkv").write_bytes(b"film")
        self.files = MediaFiles(self.storage, FilesystemStorage(self.root), self.root)
        self.tier = CacheTier(FilesystemStorage(self.folder / "cache"), self.folder / "cache")

    def thumbnail(self, content_id: str = "c-1", path: str | None = "films/1.mp4") -> dict[str, Any]:
        handler = MakeThumbnailHandler(self.contents, self.files, self.tier, self.viewer, self.clock, ContentSettings())
        done = handler.handle(
            ContentFile(content_id, path), a_run(self.folder, self.reports, attempt=self.attempt, most=self.most)
        )
        assert isinstance(done, Done)
        return dict(done.result)

    def metadata(self, content_id: str = "c-1", path: str | None = "films/1.mp4") -> dict[str, Any]:
        handler = ReadMetadataHandler(self.contents, self.files, self.prober, self.clock, ContentSettings())
        done = handler.handle(
            ContentFile(content_id, path), a_run(self.folder, self.reports, attempt=self.attempt, most=self.most)
        )
        assert isinstance(done, Done)
        return dict(done.result)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_thumbnail_is_taken_at_a_tenth_and_lies_under_the_content_s_id(site: Site) -> None:
    result = site.thumbnail()
    picture = site.folder / "cache" / "thumbnails" / "c-1.jpg"
    assert picture.read_bytes() == b"20.0 640x360"
    assert result == {
        "content_id": "c-1", "path": str(picture), "second": 20.0, "brightness": 120.0, "dark": False,
        "bytes_read": 100, "reads": 1,
    }  # fmt: skip
    assert [report.percent for report in site.reports] == sorted(report.percent for report in site.reports)


def test_once_more_gives_the_same_and_replaces_it_whole(site: Site) -> None:
    assert site.thumbnail() == site.thumbnail()
    assert [path.name for path in (site.folder / "cache" / "thumbnails").iterdir()] == ["c-1.jpg"]


def test_black_pictures_are_passed_over(site: Site) -> None:
    site.viewer.bright = {0.0: 2.0, 30.0: 90.0}
    assert (site.thumbnail()["second"], site.thumbnail()["dark"]) == (30.0, False)
    assert site.viewer.looked[0].seconds == [20.0, 10.0, 30.0]


def test_of_a_film_that_is_black_throughout_the_brightest_place_is_shown_and_said_to_be_dark(site: Site) -> None:
    site.viewer.bright = {0.0: 1.0, 100.0: 4.5, 149.0: 2.0}
    result = site.thumbnail()
    assert (result["second"], result["brightness"], result["dark"]) == (100.0, 4.5, True)


def test_a_film_without_any_picture_is_an_error_and_leaves_none(site: Site) -> None:
    site.viewer.bright = {}
    with pytest.raises(CorruptSource):
        site.thumbnail()
    assert not (site.folder / "cache" / "thumbnails").exists()


def test_metadata_is_written_into_the_record(site: Site) -> None:
    result = site.metadata()
    facts = {
        "duration_seconds": 200.0, "video_codec": "h264", "audio_codec": "aac", "resolution": "426x240", "file_size": 1000,
    }  # fmt: skip
    assert result == {"content_id": "c-1", "metadata": facts, "bytes_read": 0, "reads": 0}
    assert site.contents.get("c-1") == {"id": "c-1", "file_path": "films/1.mp4", **facts}
    assert site.metadata() == result


def test_a_film_without_picture_or_sound_says_so(site: Site) -> None:
    site.prober.media = film(5.0, picture=False)
    assert (site.metadata()["metadata"]["video_codec"], site.metadata()["metadata"]["resolution"]) == (None, None)
    site.prober.media = film(5.0, sound=0)
    assert site.metadata()["metadata"]["audio_codec"] is None


@pytest.mark.parametrize(("job", "path"), [("thumbnail", None), ("metadata", None), ("metadata", "films/1.mp4")])
def test_a_content_that_nobody_knows_yet_is_looked_for_again_and_then_an_error_for_good(
    site: Site, job: str, path: str | None
) -> None:
    """`content.created` may be here before the platform's commit."""
    ask = getattr(site, job)
    for site.attempt in range(1, LOOKS):
        with pytest.raises(ContentNotYet, match="c-2") as passing:
            ask("c-2", path)
        report = ErrorReport.of(passing.value)
        nth = {"same_before": site.attempt - 1, "attempts": site.attempt, "max_attempts": 6}
        assert decide(report, **nth, now=0.0, dice=0.0) == RetryAt(2.0 * 4 ** (site.attempt - 1))
    site.attempt = LOOKS
    with pytest.raises(ContentMissing, match=f"c-2, nor was there at {LOOKS} looks") as final:
        ask("c-2", path)
    assert not final.value.retryable
    site.contents.rows["c-2"] = {"file_path": "films/1.mp4"}
    assert ask("c-2", path)["content_id"] == "c-2"


def test_the_last_attempt_that_a_job_has_says_what_was_missing(site: Site) -> None:
    site.attempt = site.most = 2
    with pytest.raises(ContentMissing, match="at 2 looks"):
        site.thumbnail("c-2", None)


def test_a_content_that_the_platform_calls_gone_is_not_waited_for(site: Site) -> None:
    class Emptied(MemoryContents):
        def get_file_path(self, content_id: str) -> str:
            raise ContentGone(f"{content_id} was deleted")

    site.contents = Emptied()
    with pytest.raises(ContentGone, match="c-1 was deleted"):
        site.thumbnail(path=None)


def test_a_message_without_a_path_asks_the_record(site: Site) -> None:
    """`content.created` carries the id alone."""
    assert site.thumbnail(path=None)["content_id"] == "c-1"
    assert site.metadata(path=None)["metadata"]["resolution"] == "426x240"
    site.contents.rows["c-1"]["file_path"] = "../../etc/passwd"
    with pytest.raises(InvalidPayload):
        site.thumbnail(path=None)


def test_an_absolute_path_is_a_file_under_the_media_root(site: Site) -> None:
    assert site.thumbnail("c-2", str(site.root / "2.mkv"))["second"] == 20.0


def test_a_file_that_is_not_on_the_drive_now_may_be_there_later(site: Site) -> None:
    with pytest.raises(FileAccessError, match="mounted"):
        site.thumbnail("c-2", str(site.root / "gone.mkv"))
    with pytest.raises(SourceMissing):
        site.thumbnail("c-2", "films/gone.mkv")


def test_a_film_without_bytes_is_an_error_for_good(site: Site) -> None:
    site.storage.put_bytes("films/0.mp4", b"", content_type="video/mp4", cache_control="")
    with pytest.raises(SourceEmpty):
        site.metadata(path="films/0.mp4")


class Untouchable(MemoryStorage):
    """Nobody may look into it."""

    def head(self, key: str) -> StoredObject:
        raise AssertionError(f"{key} was looked at")


@pytest.mark.parametrize("path", ["/etc/passwd", "/", "/nas2/film.mp4"])
def test_an_absolute_path_outside_the_root_is_refused_before_anything_is_opened(site: Site, path: str) -> None:
    storage = Untouchable(site.clock)
    for files in (MediaFiles(storage, Untouchable(site.clock), Path("/nas")), MediaFiles(storage)):
        with pytest.raises(InvalidPayload):
            files.find(path)


def test_a_link_out_of_the_media_root_is_not_followed(site: Site) -> None:
    (site.folder / "secret.mp4").write_bytes(b"film")
    (site.root / "link.mp4").symlink_to(site.folder / "secret.mp4")
    (site.root / "folder").symlink_to(site.folder)
    for name in ("link.mp4", "folder/secret.mp4"):
        with pytest.raises((InvalidPayload, FileAccessError)):
            site.thumbnail("c-2", str(site.root / name))


BAD_PATHS = (
    "../x.mp4", "a/../../x.mp4", "/nas/../etc/passwd", "a//b.mp4", "//etc/passwd", "a/./b", "a\x00.mp4", "a\n.mp4",
    "a\\b.mp4", "", "x" * 1025, "/" + "x/" * 600, "\ud800.mp4", 7, ["a"], {"a": 1}, True,
)  # fmt: skip


@pytest.mark.parametrize("path", BAD_PATHS, ids=repr)
def test_a_path_that_leads_out_of_its_place_is_refused_when_the_message_is_read(path: object) -> None:
    with pytest.raises(InvalidPayload):
        parse_content_file("t1", {"content_id": "c-1", "file_path": path})


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "/a", "a\x00", "", "a..b", ".a", "x" * 129, None, 1.5, True, "a b"], ids=repr
)
def test_an_id_that_could_not_name_a_file_is_refused(name: object) -> None:
    with pytest.raises(InvalidPayload):
        parse_content_file("t1", {"content_id": name, "file_path": "a.mp4"})


def test_paths_and_ids_that_are_fine() -> None:
    assert parse_content_file("t1", {"content_id": "content-123", "file_path": "/path/to/video.mp4"}) == ContentFile(
        "content-123", "/path/to/video.mp4"
    )
    assert parse_content_file("t1", {"content_id": 7}) == ContentFile("7", None)


def test_another_tenant_s_film_is_refused() -> None:
    with pytest.raises(TenantMismatch):
        parse_content_file("t1", {"content_id": "c", "file_path": "tenants/t2/video/raw/1.mp4"})


def test_an_outage_of_the_storage_may_pass(site: Site) -> None:
    class Away(MemoryStorage):
        def head(self, key: str) -> StoredObject:
            raise StorageUnavailable("scripted")

    site.files = MediaFiles(Away(site.clock))
    with pytest.raises(StorageUnavailable):
        site.thumbnail()


def test_a_path_that_is_refused_is_told_as_it_was_sent() -> None:
    with pytest.raises(InvalidPayload) as refused:
        checked_path("/nas/films/../hook.py", "acme")
    assert "'/nas/films/../hook.py'" in refused.value.message
