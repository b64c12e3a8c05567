"""The prober on honest media: every kind probes to the facts a viewer would see, by few reads, in its own process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from src.domain.errors import JobError, LimitsExceeded, SourceEmpty, StorageUnavailable, TruncatedSource
from src.domain.video.source import SourceMedia
from src.infrastructure.ffmpeg.probe_blocks import BLOCK_BYTES
from src.infrastructure.ffmpeg.prober import ProbeLimits, PyAvProber
from tests.media import MEDIA, PLAYABLE, Expectation, make, sample_expectations
from tests.media_makers import ffmpeg
from tests.probing import shared_prober


@dataclass
class CountedFile:
    """Ranged reads of a local file, all of them remembered."""

    path: Path
    asked: list[tuple[int, int]] = field(default_factory=list)

    def read(self, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def probe(path: Path, prober: PyAvProber | None = None) -> SourceMedia:
    source = CountedFile(path)
    return (prober or shared_prober()).probe(source.read, source.size)


def outcome(path: Path) -> SourceMedia | JobError:
    try:
        return probe(path)
    except JobError as error:
        return error


def check(expected: Expectation, path: Path) -> None:
    found = outcome(path)
    if expected.kind == "error":
        assert isinstance(found, JobError), f"{path.name} was accepted: {found}"
        assert found.code in expected.errors
        assert not found.retryable
        assert len(found.message) > 20
        return
    assert isinstance(found, SourceMedia), f"{path.name} was refused: {found}"
    check_facts(expected, found)


def check_facts(expected: Expectation, found: SourceMedia) -> None:
    assert len(found.audio) == expected.audio
    assert found.subtitle_streams == expected.subtitles
    if expected.seconds is not None:
        assert found.duration_seconds == pytest.approx(expected.seconds, abs=expected.slack)
    if expected.container is not None:
        assert found.container == expected.container
    assert (found.video is not None) == (expected.display is not None)
    if found.video is None or expected.display is None:
        return
    width, height = found.video.display_size
    assert (round(width), round(height)) == expected.display
    assert found.video.rotation == expected.rotation
    assert found.video.is_hdr == expected.hdr
    assert (found.video.field_order != "progressive") == expected.interlaced
    if expected.codec is not None:
        assert found.video.codec == expected.codec
    if expected.fps is not None:
        assert found.video.average_fps is not None
        assert float(found.video.average_fps) == pytest.approx(expected.fps, rel=0.005)


@pytest.mark.parametrize("name", sorted(PLAYABLE))
def test_v5_every_kind_of_source_probes_to_what_a_viewer_sees(name: str) -> None:
    check(MEDIA[name].expected, make(name))


@pytest.mark.parametrize("path", sorted(sample_expectations()), ids=lambda path: path.name)
def test_every_real_sample_probes_to_its_row_in_the_table(path: Path) -> None:
    check(sample_expectations()[path], path)


def test_an_index_at_the_end_is_found_without_reading_the_file() -> None:
    source = CountedFile(make("moov_last"))
    assert source.size > 4_000_000

    found = shared_prober().probe(source.read, source.size)

    assert found.probed_reads == len(source.asked) <= 6
    assert found.probed_bytes == sum(length for _, length in source.asked) < source.size / 2


def test_reads_are_aligned_blocks_and_no_block_is_fetched_twice() -> None:
    source = CountedFile(make("full_hd_51"))

    shared_prober().probe(source.read, source.size)

    assert all(offset % BLOCK_BYTES == 0 for offset, _ in source.asked)
    assert len({offset for offset, _ in source.asked}) == len(source.asked)


def test_the_facts_are_the_same_on_every_probe() -> None:
    assert probe(make("webm_no_duration")) == probe(make("webm_no_duration"))


def test_a_recording_without_a_duration_gets_the_one_its_last_packets_show() -> None:
    found = probe(make("webm_no_duration"))
    assert found.duration_exact
    assert found.duration_seconds == pytest.approx(2.0, abs=0.05)


def test_a_late_picture_keeps_its_start() -> None:
    found = probe(make("late_picture"))
    assert found.video is not None
    assert found.video.start_seconds == pytest.approx(1.0, abs=0.05)


def test_lesson_23_phone_video_is_upright() -> None:
    found = probe(make("rotated_phone"))
    assert found.video is not None
    assert (found.video.width, found.video.height) == (320, 180)
    assert [int(side) for side in found.video.display_size] == [180, 320]


def test_millisecond_time_stamps_do_not_invent_a_thousand_frames_a_second() -> None:
    found = probe(make("flv"))
    assert found.video is not None
    assert found.video.average_fps == found.video.nominal_fps == 25


def test_ten_bit_and_chroma_formats_are_named() -> None:
    formats = [probe(make(name)).video for name in ("ten_bit", "chroma_422", "chroma_444")]
    assert [video.pixel_format for video in formats if video] == ["yuv420p10le", "yuv422p", "yuv444p"]


def test_languages_of_sound_tracks_are_kept() -> None:
    assert [track.language for track in probe(make("two_sounds")).audio] == ["eng", "kor"]


def test_where_two_recordings_meet_both_count_and_the_jump_is_told() -> None:
    found = probe(make("joined_streams"))
    check_facts(MEDIA["joined_streams"].expected, found)
    assert found.clock_jumps == 1
    assert probe(make("transport_stream")).clock_jumps == 0


def test_a_source_of_no_bytes_is_refused_without_a_read() -> None:
    with pytest.raises(SourceEmpty):
        shared_prober().probe(CountedFile(Path("/nowhere")).read, 0)


def test_errors_of_the_storage_pass_through() -> None:
    def unavailable(offset: int, length: int) -> bytes:
        raise StorageUnavailable("503 slow down")

    with pytest.raises(StorageUnavailable, match="slow down"):
        shared_prober().probe(unavailable, 1000)


def test_f17_a_short_body_is_the_storages_fault_not_the_files() -> None:
    source = CountedFile(make("moov_first"))

    with pytest.raises(StorageUnavailable):
        shared_prober().probe(lambda offset, length: source.read(offset, length)[:-1], source.size)


def test_f17_an_error_in_the_middle_of_the_probe_passes_through_too() -> None:
    source = CountedFile(make("moov_last"))

    def failing(offset: int, length: int) -> bytes:
        if offset:
            raise StorageUnavailable("connection reset")
        return source.read(offset, length)

    with pytest.raises(StorageUnavailable, match="connection reset"):
        shared_prober().probe(failing, source.size)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (ProbeLimits(pixels=10_000), "320x180"),
        (ProbeLimits(streams=1), "more than 1 tracks"),
        (ProbeLimits(duration_seconds=3), "lasts 4 s"),
        (ProbeLimits(source_bytes=1000), "1000"),
        (ProbeLimits(read_bytes=BLOCK_BYTES), "reading more than"),
    ],
)
def test_every_limit_is_kept_and_named(limits: ProbeLimits, words: str) -> None:
    with pytest.raises(LimitsExceeded, match=words):
        probe(make("moov_last"), PyAvProber(limits=limits))


def test_a_cut_file_is_an_error_unless_partial_sources_are_allowed() -> None:
    path = make("cut_moov_first")
    with pytest.raises(TruncatedSource, match="cut"):
        probe(path)

    found = probe(path, PyAvProber(allow_partial=True))

    assert 1.0 < found.duration_seconds < 3.5


def test_owner_and_place_are_no_facts() -> None:
    facts = repr(probe(make("located")))
    assert "CANARY" not in facts
    assert "37.56" not in facts


def test_v5_a_picture_that_the_decoder_gives_only_at_the_end_has_a_time(tmp_path: Path) -> None:
    """A one-frame film in Matroska: the frame comes out of the flush, without a time base."""
    source = tmp_path / "one.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=320x180:rate=25", "-frames:v", "1", "-c:v", "libx264", source)
    found = probe(source)
    assert found.video is not None
    assert found.video.start_seconds == 0
    assert found.duration_seconds == pytest.approx(0.04, abs=0.01)
