"""The video handler on real media tools and a real file system: what comes out is decoded again and looked at."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import av
import pytest

from src.application.outcome import Done, Run
from src.application.video.handler import ProcessVideoJobHandler
from src.application.video.request import EncodeVideo
from src.application.video.settings import VideoSettings
from src.domain.errors import Permanent
from src.domain.progress import ProgressReport
from src.domain.video.ladder import step
from src.domain.video.planning import PlanSettings
from src.infrastructure.clock import SystemClock
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from src.infrastructure.ffmpeg.encoder import FfmpegEncoder
from src.infrastructure.ffmpeg.pictures import FfmpegPictures
from src.infrastructure.ffmpeg.sandbox import Sandbox
from src.infrastructure.memory.videos import MemoryChunks, MemoryVideos
from src.infrastructure.storage.filesystem import FilesystemStorage
from src.infrastructure.storage.scratch import FilesystemScratch
from tests import media
from tests.probing import shared_prober

SMALL = PlanSettings(ladder=(step(144, 200_000), step(240, 400_000)), preset="ultrafast")
KINDS = (
    "two_sounds",
    "no_sound",
    "sound_only",
    "rotated_phone",
    "portrait",
    "odd_size",
    "variable_rate",
    "interlaced",
    "ten_bit",
    "hdr10",
    "wide_pixels",
    "short_clip",
    "one_frame",
    "avi",
    "webm",
    "transport_stream",
    "flv",
    "phone_3gp",
    "black_lead_in",
)


@dataclass
class Factory:
    """The handler over folders of one test."""

    root: Path
    plan: PlanSettings = SMALL
    reports: list[ProgressReport] = field(default_factory=list)
    chunks: MemoryChunks = field(default_factory=MemoryChunks)

    def __post_init__(self) -> None:
        self.storage = FilesystemStorage(self.root / "storage")
        self.scratch = FilesystemScratch(self.root / "scratch")
        self.videos = MemoryVideos(SystemClock())
        self.binary = find_ffmpeg()

    def encode(self, source: Path, *, fence: int = 1) -> Done:
        key = f"tenants/t1/video/raw/v1/{source.name}"
        self.storage.put_file(key, source, content_type="video/mp4", cache_control="no-cache")
        handler = ProcessVideoJobHandler(
            videos=self.videos,
            chunks=self.chunks,
            storage=self.storage,
            scratch=self.scratch,
            prober=shared_prober(),
            encoder=FfmpegEncoder(self.binary, Sandbox()),
            pictures=FfmpegPictures(self.binary, Sandbox()),
            settings=VideoSettings(plan=self.plan, parallel=2),
            clock=SystemClock(),
        )
        run = Run(
            job_id="job-1",
            tenant="t1",
            generation=1,
            fence=fence,
            attempt=fence,
            max_attempts=5,
            open_scratch=cache(lambda: self.scratch.open(f"run-{fence}")),
            report=self.reports.append,
        )
        try:
            outcome = handler.handle(EncodeVideo(video_id="v1", tenant="t1", file_key=key), run)
        finally:
            self.scratch.discard(f"run-{fence}")
        assert isinstance(outcome, Done)
        json.dumps(dict(outcome.result), allow_nan=False)
        return outcome

    def decoded(self, key: str, *, stream: str) -> tuple[int, float]:
        """(frames, seconds) that ffmpeg decodes from a playlist, without a complaint."""
        path = self.root / "storage" / key
        command = [str(self.binary), "-v", "error", "-nostdin", "-i", str(path), "-map", f"0:{stream}"]
        command += ["-f", "null", "-progress", "pipe:1", "-"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        assert done.stderr == ""
        frames = re.findall(r"^frame=\s*(\d+)", done.stdout, re.MULTILINE)
        times = re.findall(r"^out_time_us=\s*(\d+)", done.stdout, re.MULTILINE)
        return int(frames[-1]) if frames else 0, int(times[-1]) / 1e6 if times else 0.0

    def shown_size(self, key: str) -> tuple[int, int]:
        """Width and height of the first picture that comes out of the decoder."""
        with av.open(str(self.root / "storage" / key)) as opened:
            picture = next(opened.decode(video=0))
            return picture.width, picture.height


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    return Factory(tmp_path)


def same_shape(size: tuple[int, int], wanted: tuple[int, int]) -> bool:
    """Equal up to the rounding of both sides to even numbers."""
    width, height = size
    return abs(width * wanted[1] - height * wanted[0]) <= 2 * max(*size, *wanted)


def check_facts(result: Mapping[str, Any], expected: media.Expectation) -> None:
    """What the result says against what the file was made (or is described) to be."""
    facts = result["metadata"]
    assert facts["audio_tracks"] == expected.audio
    assert (facts["hdr"], facts["rotation"]) == (expected.hdr, expected.rotation)
    if expected.seconds is not None:
        frame = 1 / facts["fps"] if facts["fps"] else 0.05
        assert abs(result["duration_seconds"] - expected.seconds) <= max(expected.slack, 2 * frame)
    if expected.display is None:
        assert facts["video_codec"] is None
        return
    for rendition in result["renditions"]:
        size = rendition["width"], rendition["height"]
        assert same_shape(size, expected.display)
        assert size[0] <= expected.display[0]
        assert size[1] <= expected.display[1]


def check(factory: Factory, done: Done, expected: media.Expectation) -> None:
    """Everything the result names exists and plays, for as long, as large and as loud as the source is known to be."""
    result = done.result
    check_facts(result, expected)
    assert factory.storage.head(result["hls_path"]).size > 0
    facts = result["metadata"]
    prefix = result["hls_path"].removesuffix("master.m3u8")
    for rendition in result["renditions"]:
        playlist = f"{prefix}{rendition['name']}/index.m3u8"
        kind = "a" if rendition["width"] is None else "v"
        frames, _ = factory.decoded(playlist, stream=kind)
        if kind == "v":
            assert abs(frames - result["duration_seconds"] * facts["fps"]) <= 1
            assert rendition["width"] % 2 == rendition["height"] % 2 == 0
            assert factory.shown_size(playlist) == (rendition["width"], rendition["height"])
    for number in range(facts["audio_tracks"]):
        _, seconds = factory.decoded(f"{prefix}audio_{number}/index.m3u8", stream="a")
        assert seconds > 0
    if facts["video_codec"] is not None:
        thumbnail = factory.shown_size(result["thumbnail_path"])
        assert expected.display is None or same_shape(thumbnail, expected.display)
        assert factory.storage.head(result["storyboard_path"]).size > 0
    else:
        assert result["thumbnail_path"] is None
        assert result["storyboard_path"] is None
    percents = [report.percent for report in factory.reports]
    assert percents[-1] == 100.0


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_media_becomes_a_stream_that_plays(kind: str, factory: Factory) -> None:
    check(factory, factory.encode(media.make(kind)), media.MEDIA[kind].expected)


def test_lesson_23_phone_video_is_upright(factory: Factory) -> None:
    result = factory.encode(media.make("rotated_phone")).result
    assert result["metadata"]["resolution"] == "180x320"
    assert all(rendition["width"] < rendition["height"] for rendition in result["renditions"])
    width, height = factory.shown_size(result["thumbnail_path"])
    assert width < height


def test_lesson_23_a_clip_of_one_frame_is_a_whole_stream(factory: Factory) -> None:
    result = factory.encode(media.make("one_frame")).result
    for rendition in result["renditions"]:
        playlist = f"{result['hls_path'].removesuffix('master.m3u8')}{rendition['name']}/index.m3u8"
        assert factory.decoded(playlist, stream="v")[0] == 1


def test_transport_stream_segments_play_as_well(tmp_path: Path) -> None:
    factory = Factory(tmp_path, plan=PlanSettings(ladder=SMALL.ladder, preset="ultrafast", container="ts"))
    check(factory, factory.encode(media.make("two_sounds")), media.MEDIA["two_sounds"].expected)


def test_an_attempt_after_another_reuses_all_chunks_and_sweeps_the_loser(factory: Factory) -> None:
    source = media.make("two_sounds")
    first = factory.encode(source, fence=1)
    second = factory.encode(source, fence=2)
    assert second.result["metadata"]["chunks_reused"] == second.result["metadata"]["chunks_total"] > 0
    assert second.result["renditions"] == first.result["renditions"]
    check(factory, second, media.MEDIA["two_sounds"].expected)


def test_a_file_that_is_no_media_fails_for_good_and_leaves_nothing(factory: Factory, tmp_path: Path) -> None:
    source = tmp_path / "notes.mp4"
    source.write_text("these are notes, not a film\n" * 100)
    with pytest.raises(Permanent):
        factory.encode(source)
    assert list(factory.storage.list("tenants/t1/video/hls/")) == []


SAMPLE_FILES = sorted(media.sample_expectations())


@pytest.mark.parametrize("sample", SAMPLE_FILES, ids=lambda path: path.name)
def test_a_sample_becomes_a_stream_or_says_why_not(sample: Path, factory: Factory) -> None:
    expectation = media.sample_expectations()[sample]
    outcome: Done | Permanent
    try:
        outcome = factory.encode(sample)
    except Permanent as error:
        outcome = error
    assert expectation.kind in ("either", "error" if isinstance(outcome, Permanent) else "ok"), outcome
    if isinstance(outcome, Done):
        check(factory, outcome, expectation)
    else:
        assert outcome.code in expectation.errors
        assert list(factory.storage.list("tenants/t1/video/hls/")) == []
