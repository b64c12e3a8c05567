"""The video job with scripted media tools: resume, guards, faults, and what is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from src.application.outcome import Done, Run
from src.application.ports.media import EncodedFile
from src.application.ports.storage import StoredObject
from src.application.video.handler import ProcessVideoJobHandler
from src.application.video.request import EncodeVideo
from src.application.video.settings import VideoSettings
from src.domain.errors import (
    Cancelled,
    CorruptSource,
    DiskFull,
    FfmpegFailed,
    Interrupted,
    InvalidPayload,
    JobError,
    OutputInvalid,
    SourceEmpty,
    SourceMissing,
    StorageUnavailable,
    TenantMismatch,
    WorkerError,
)
from src.domain.progress import ProgressReport
from src.domain.video.ladder import step
from src.domain.video.plan import Plan
from src.domain.video.planning import PlanSettings
from src.domain.video.video import Video, VideoStatus
from src.infrastructure.memory.storage import MemoryStorage
from src.infrastructure.memory.videos import MemoryChunks, MemoryVideos
from tests.fakes.clock import FrozenClock
from tests.fakes.media import INIT, ScriptedEncoder, ScriptedPictures, ScriptedProber, film

KEY = "tenants/t1/video/raw/s/film.mp4"
OUT = "tenants/t1/video/hls/v1/"
PLAN = PlanSettings(ladder=(step(144, 200_000), step(240, 400_000)), chunk_seconds=4)


class FaultyStorage(MemoryStorage):
    """MemoryStorage whose calls go through `fault(operation, key)` first."""

    fault: Callable[[str, str], None] = staticmethod(lambda _operation, _key: None)
    short_reads: int = 0

    def read(self, key: str, offset: int, length: int, *, version: str | None = None) -> bytes:
        self.fault("read", key)
        content = super().read(key, offset, length, version=version)
        if self.short_reads > 0:
            self.short_reads -= 1
            return content[:-1]
        return content

    def put_file(self, key: str, path: Path, *, content_type: str, cache_control: str) -> StoredObject:
        self.fault("put_file", key)
        return super().put_file(key, path, content_type=content_type, cache_control=cache_control)


@dataclass
class Room:
    """Scratch space as `free` says."""

    free: int = 1 << 40

    def open(self, name: str) -> Path:
        raise NotImplementedError

    def discard(self, name: str) -> None:
        raise NotImplementedError

    def sweep(self) -> int:
        raise NotImplementedError

    def free_bytes(self) -> int:
        return self.free


@dataclass
class Stage:
    """One video and everything around it; each `attempt` is a new fence with a fresh encoder."""

    folder: Path
    clock: FrozenClock = field(default_factory=FrozenClock)
    prober: ScriptedProber = field(default_factory=ScriptedProber)
    room: Room = field(default_factory=Room)
    chunks: MemoryChunks = field(default_factory=MemoryChunks)
    settings: VideoSettings = field(default_factory=lambda: VideoSettings(plan=PLAN, parallel=2))
    reports: list[ProgressReport] = field(default_factory=list)
    encoders: list[ScriptedEncoder] = field(default_factory=list)
    fence: int = 0

    def __post_init__(self) -> None:
        self.storage = FaultyStorage(self.clock)
        self.videos = MemoryVideos(self.clock)
        self.videos.add(Video(id="v1", tenant="t1", source_key=KEY))
        self.put(b"a film of many bytes " * 50)

    def put(self, content: bytes) -> None:
        self.storage.put_bytes(KEY, content, content_type="video/mp4", cache_control="no-cache")

    def attempt(
        self, encoder: ScriptedEncoder | None = None, *, tenant: str = "t1", key: str = KEY, run_tenant: str = "t1"
    ) -> Mapping[str, Any]:
        self.fence += 1
        self.videos.update("v1", lambda video: video.processing(job_id="job-1", fence=self.fence))
        encoder = encoder or ScriptedEncoder()
        self.encoders.append(encoder)
        handler = ProcessVideoJobHandler(
            videos=self.videos,
            chunks=self.chunks,
            storage=self.storage,
            scratch=self.room,
            prober=self.prober,
            encoder=encoder,
            pictures=ScriptedPictures(),
            settings=self.settings,
            clock=self.clock,
        )
        scratch = self.folder / str(self.fence)
        scratch.mkdir()
        run = Run(
            job_id="job-1",
            tenant=run_tenant,
            generation=1,
            fence=self.fence,
            attempt=self.fence,
            max_attempts=5,
            open_scratch=lambda: scratch,
            report=self.reports.append,
        )
        threads = set(threading.enumerate())
        try:
            outcome = handler.handle(EncodeVideo(video_id="v1", tenant=tenant, file_key=key), run)
        finally:
            assert set(threading.enumerate()) <= threads, "a thread was left behind"
        assert isinstance(outcome, Done)
        return outcome.result

    def output(self) -> list[str]:
        return [key for key in sorted(self.storage.objects) if key.startswith(OUT)]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def fail_on(index: int, error: BaseException) -> Callable[[int], None]:
    def fault(chunk: int) -> None:
        if chunk == index:
            raise error

    return fault


def test_a_film_becomes_a_whole_stream(stage: Stage) -> None:
    result = stage.attempt()
    prefix = result["hls_path"].removesuffix("master.m3u8")
    assert prefix.startswith(f"{OUT}1-1-")
    assert result["duration_seconds"] == 20.0
    assert [rendition["name"] for rendition in result["renditions"]] == ["144p", "240p"]
    assert result["renditions"][1]["codecs"] == "avc1.64001f,mp4a.40.2"
    assert result["metadata"]["chunks_total"] == 6
    assert stage.output()[0].startswith(prefix)
    names = {key.removeprefix(prefix) for key in stage.output()}
    assert {"master.m3u8", "240p/index.m3u8", "240p/init.mp4", "240p/seg_00004.m4s", "audio_0/index.m3u8"} <= names
    assert {"storyboard.vtt", "storyboard_0.jpg", "thumbnail.jpg"} <= names


def test_lesson_24_every_artefact_is_named_in_the_result_and_exists(stage: Stage) -> None:
    result = stage.attempt()
    for name in ("hls_path", "thumbnail_path", "storyboard_path"):
        assert result[name] in stage.storage.objects


def test_sound_alone_has_no_pictures(stage: Stage) -> None:
    stage.prober.media = film(picture=False)
    result = stage.attempt()
    assert result["thumbnail_path"] is None
    assert result["storyboard_path"] is None
    assert [rendition["name"] for rendition in result["renditions"]] == ["audio_0"]


def test_objects_carry_the_headers_of_the_contract(stage: Stage) -> None:
    result = stage.attempt()
    prefix = result["hls_path"].removesuffix("master.m3u8")
    kept = {key.removeprefix(prefix): stage.storage.objects[key] for key in stage.output()}
    assert (kept["master.m3u8"].content_type, kept["master.m3u8"].cache_control) == (
        "application/vnd.apple.mpegurl",
        "no-cache",
    )
    assert kept["240p/seg_00000.m4s"].content_type == "video/mp4"
    assert kept["240p/seg_00000.m4s"].cache_control == "public, max-age=31536000, immutable"
    assert kept["audio_0/seg_00000.m4s"].content_type == "audio/mp4"
    assert kept["thumbnail.jpg"].cache_control == "public, max-age=604800"


def test_the_master_playlist_is_stored_last(stage: Stage) -> None:
    result = stage.attempt()
    versions = {key: int(stage.storage.objects[key].version[1:]) for key in stage.output()}
    assert max(versions, key=lambda key: versions[key]) == result["hls_path"]


def test_progress_walks_the_seven_steps_without_going_back(stage: Stage) -> None:
    stage.attempt()
    order = list(dict.fromkeys(report.step_index for report in stage.reports))
    assert order == [1, 2, 3, 4, 5, 6, 7]
    assert {report.step_total for report in stage.reports} == {7}
    assert stage.reports[-1].percent == 100.0


def test_k07_an_attempt_after_a_crash_encodes_only_what_is_missing(stage: Stage) -> None:
    with pytest.raises(FfmpegFailed):
        stage.attempt(ScriptedEncoder(fault=fail_on(3, FfmpegFailed("died"))))
    finished = {chunk.index for chunk in stage.chunks._chunks.values()}
    result = stage.attempt()
    assert set(stage.encoders[1].encoded) == {-1, 0, 1, 2, 3, 4} - finished
    assert result["metadata"]["chunks_reused"] == len(finished)
    assert all(key.startswith(result["hls_path"].removesuffix("master.m3u8")) for key in stage.output())


def test_lesson_18_taking_over_published_chunks_shows_progress(stage: Stage) -> None:
    stage.attempt()
    stage.reports.clear()
    stage.attempt()
    shown = [report.percent for report in stage.reports if report.detail and "taken over" in report.detail]
    assert len(shown) > 5
    assert shown == sorted(set(shown))


def test_f07_a_finished_attempt_whose_commit_was_lost_costs_no_encode(stage: Stage) -> None:
    first = stage.attempt()
    second = stage.attempt()
    assert stage.encoders[1].encoded == []
    assert second["hls_path"] != first["hls_path"]
    assert second["renditions"] == first["renditions"]


def test_a_finished_chunk_whose_object_is_gone_is_encoded_again(stage: Stage) -> None:
    first = stage.attempt()
    stage.storage.delete([first["hls_path"].replace("master.m3u8", "240p/seg_00002.m4s")])
    stage.attempt()
    assert stage.encoders[1].encoded == [2]


def test_a_finished_chunk_whose_object_was_changed_is_encoded_again(stage: Stage) -> None:
    """The mutant "adopt without verify" of reliability.md 4: same key, same size, other bytes."""
    first = stage.attempt()
    key = first["hls_path"].replace("master.m3u8", "240p/seg_00002.m4s")
    size = stage.storage.head(key).size
    stage.storage.put_bytes(key, b"x" * size, content_type="video/mp4", cache_control="")
    stage.attempt()
    assert stage.encoders[1].encoded == [2]


def test_a_changed_source_is_encoded_anew(stage: Stage) -> None:
    stage.attempt()
    stage.put(b"another film " * 60)
    result = stage.attempt()
    assert set(stage.encoders[1].encoded) == {-1, 0, 1, 2, 3, 4}
    assert result["metadata"]["chunks_reused"] == 0


def test_another_plan_reuses_nothing(stage: Stage) -> None:
    stage.attempt()
    stage.settings = VideoSettings(plan=PlanSettings(ladder=(step(240, 300_000),), chunk_seconds=4), parallel=2)
    assert stage.attempt()["metadata"]["chunks_reused"] == 0


@dataclass
class UpgradedEncoder(ScriptedEncoder):
    """Another ffmpeg: its streams begin with another header."""

    def encode_chunk(
        self, source: Path, plan: Plan, index: int, folder: Path, on_progress: Callable[[float], None]
    ) -> Sequence[EncodedFile]:
        files = super().encode_chunk(source, plan, index, folder, on_progress)
        for file in files:
            if file.init:
                file.path.write_bytes(INIT + b" of a later version")
        return files


def test_chunks_of_another_ffmpeg_cost_one_attempt_and_no_more(stage: Stage) -> None:
    with pytest.raises(FfmpegFailed, match="died"):
        stage.attempt(ScriptedEncoder(fault=fail_on(4, FfmpegFailed("died"))))
    with pytest.raises(OutputInvalid, match="different bytes"):
        stage.attempt(UpgradedEncoder())
    result = stage.attempt(UpgradedEncoder())
    assert result["metadata"]["chunks_reused"] == 0


def test_a_stream_that_fails_its_check_is_not_taken_over(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every further attempt would fail in the same way without encoding anything."""

    def refuse(*_arguments: object) -> None:
        raise OutputInvalid("the output is not whole: a seam is torn")

    with monkeypatch.context() as patch:
        patch.setattr("src.application.video.attempt.verify_stream", refuse)
        with pytest.raises(OutputInvalid):
            stage.attempt()
    assert stage.attempt()["metadata"]["chunks_reused"] == 0


def test_k11_a_ready_video_is_done_without_any_work(stage: Stage) -> None:
    result = stage.attempt()
    stage.videos.update("v1", lambda video: video.ready(job_id="job-1", fence=1, source_key=KEY, result=result))
    assert stage.attempt() == result
    assert stage.encoders[1].encoded == []
    assert stage.prober.probes == 1
    assert not stage.chunks._chunks


def test_t12_a_message_of_another_tenant_is_refused(stage: Stage) -> None:
    with pytest.raises(TenantMismatch):
        stage.attempt(run_tenant="t2")


def test_t12_another_tenants_video_is_refused(stage: Stage) -> None:
    with pytest.raises(TenantMismatch):
        stage.attempt(tenant="t2", run_tenant="t2", key="tenants/t2/video/raw/film.mp4")
    assert stage.output() == []


def test_t12_another_tenants_key_is_refused(stage: Stage) -> None:
    with pytest.raises(TenantMismatch):
        stage.attempt(key="tenants/t2/video/raw/film.mp4")


def test_a_missing_source_fails_for_good(stage: Stage) -> None:
    stage.storage.delete([KEY])
    with pytest.raises(SourceMissing):
        stage.attempt()


def test_an_empty_source_fails_for_good(stage: Stage) -> None:
    stage.put(b"")
    with pytest.raises(SourceEmpty):
        stage.attempt()


def test_f22_too_little_scratch_space_is_said_before_the_download(stage: Stage) -> None:
    stage.room.free = 3 * len(b"a film of many bytes " * 50) - 1
    with pytest.raises(DiskFull):
        stage.attempt()
    assert not (stage.folder / "1" / "input.part").exists()


def test_f17_a_short_read_is_asked_again(stage: Stage) -> None:
    stage.storage.short_reads = 2
    stage.attempt()
    assert stage.clock.slept


def test_f17_a_source_replaced_while_it_is_read_is_looked_at_again(stage: Stage) -> None:
    def replace_once() -> None:
        if stage.prober.probes == 1:
            stage.put(b"replaced " * 90)

    stage.prober.on_probe = replace_once
    stage.attempt()
    assert stage.prober.probes == 2


def test_f18_an_upload_that_fails_twice_is_tried_again(stage: Stage) -> None:
    left = [2]
    lock = threading.Lock()

    def fault(operation: str, key: str) -> None:
        with lock:
            if operation == "put_file" and key.endswith("240p/seg_00001.m4s") and left[0]:
                left[0] -= 1
                raise StorageUnavailable("503 SlowDown")

    stage.storage.fault = fault
    stage.attempt()
    assert left == [0]


def test_f18_an_upload_that_keeps_failing_ends_the_attempt_and_stops_ffmpeg(stage: Stage) -> None:
    def fault(operation: str, key: str) -> None:
        if operation == "put_file" and key.endswith("240p/seg_00001.m4s"):
            raise StorageUnavailable("503 SlowDown")

    stage.storage.fault = fault
    with pytest.raises(StorageUnavailable):
        stage.attempt()
    assert stage.encoders[0].stopped
    assert not any(key.endswith("master.m3u8") for key in stage.output())


def test_f21_exit_code_zero_with_a_segment_missing_publishes_nothing(stage: Stage) -> None:
    with pytest.raises(OutputInvalid):
        stage.attempt(ScriptedEncoder(shorten=4))
    assert not any(key.endswith(".m3u8") for key in stage.output())


def test_the_first_failure_is_the_one_reported(stage: Stage) -> None:
    with pytest.raises(CorruptSource, match="chunk two"):
        stage.attempt(ScriptedEncoder(fault=fail_on(2, CorruptSource("chunk two"))))
    assert stage.encoders[0].stopped


@pytest.mark.parametrize("error", [CorruptSource("broken"), Cancelled("by its owner")])
def test_f32_a_cancelled_or_hopeless_attempt_removes_its_output(stage: Stage, error: JobError) -> None:
    with pytest.raises(type(error)):
        stage.attempt(ScriptedEncoder(fault=fail_on(4, error)))
    assert stage.output() == []


@pytest.mark.parametrize("error", [CorruptSource("broken"), Cancelled("by its owner")])
def test_e8_what_earlier_attempts_published_goes_with_a_hopeless_one(stage: Stage, error: JobError) -> None:
    with pytest.raises(FfmpegFailed):
        stage.attempt(ScriptedEncoder(fault=fail_on(4, FfmpegFailed("died"))))
    assert stage.output()
    with pytest.raises(type(error)):
        stage.attempt(ScriptedEncoder(fault=fail_on(4, error)))
    assert stage.output() == []
    assert stage.chunks._chunks == {}


def test_i3_a_hopeless_attempt_that_lost_its_video_removes_only_its_own(stage: Stage) -> None:
    with pytest.raises(FfmpegFailed):
        stage.attempt(ScriptedEncoder(fault=fail_on(4, FfmpegFailed("died"))))
    older, known = stage.output(), dict(stage.chunks._chunks)

    def superseded(chunk: int) -> None:
        stage.videos.update("v1", lambda video: video.processing(job_id="job-1", fence=99))
        raise CorruptSource(f"chunk {chunk}")

    with pytest.raises(CorruptSource):
        stage.attempt(ScriptedEncoder(fault=superseded))
    assert stage.output() == older
    assert stage.chunks._chunks.keys() >= known.keys()


@pytest.mark.parametrize("error", [Interrupted("the worker drains"), FfmpegFailed("died"), StorageUnavailable("503")])
def test_f24_what_an_interrupted_or_retryable_attempt_published_is_kept(stage: Stage, error: WorkerError) -> None:
    with pytest.raises(type(error)):
        stage.attempt(ScriptedEncoder(fault=fail_on(4, error)))
    assert stage.output()
    assert stage.encoders[0].stopped
    assert stage.attempt()["metadata"]["chunks_reused"] > 0


def test_k09_losers_are_swept_and_a_successor_is_left_alone(stage: Stage) -> None:
    with pytest.raises(FfmpegFailed):
        stage.attempt(ScriptedEncoder(fault=fail_on(4, FfmpegFailed("died"))))
    loser = stage.output()[0].removeprefix(OUT).partition("/")[0]
    successor = f"{OUT}{loser.replace('1-1-', '1-9-')}/master.m3u8"
    stage.storage.put_bytes(successor, b"x", content_type="t", cache_control="c")
    result = stage.attempt()
    folders = {key.removeprefix(OUT).partition("/")[0] for key in stage.output()}
    assert folders == {result["hls_path"].split("/")[5], loser.replace("1-1-", "1-9-")}


def test_i3_an_attempt_that_lost_its_video_sweeps_nothing(stage: Stage) -> None:
    with pytest.raises(FfmpegFailed):
        stage.attempt(ScriptedEncoder(fault=fail_on(4, FfmpegFailed("died"))))
    older = set(stage.output())

    def superseded(_chunk: int) -> None:
        stage.videos.update("v1", lambda video: video.processing(job_id="job-1", fence=99))

    stage.attempt(ScriptedEncoder(fault=superseded))
    assert older <= set(stage.output())


@pytest.mark.parametrize("error", [None, Interrupted("the lease is lost"), FfmpegFailed("died")])
def test_f03_an_attempt_that_is_later_than_its_successors_end_takes_back_what_it_wrote(
    stage: Stage, error: WorkerError | None
) -> None:
    shown = {"hls_path": f"{OUT}1-99-00000000/master.m3u8", "duration_seconds": 8.0}

    def overtaken(chunk: int) -> None:
        if chunk == 1:
            stage.videos.update("v1", lambda video: video.ready(job_id="job-1", fence=99, source_key=KEY, result=shown))
            if error is not None:
                raise error

    if error is None:
        stage.attempt(ScriptedEncoder(fault=overtaken))
    else:
        with pytest.raises(type(error)):
            stage.attempt(ScriptedEncoder(fault=overtaken))
    assert stage.output() == []
    assert stage.videos.get("v1").hls_path == shown["hls_path"]


def test_a_job_id_that_comes_again_after_its_row_has_gone_writes_nothing_over_what_viewers_see(stage: Stage) -> None:
    """purge-jobs: its fences begin anew, and with them the names of its folders."""
    result = stage.attempt()
    stage.videos.update("v1", lambda video: video.ready(job_id="job-1", fence=1, source_key=KEY, result=result))
    shown = {key: stage.storage.objects[key] for key in stage.output()}
    stage.put(b"another film " * 60)
    stage.fence, stage.folder = 0, stage.folder / "later"
    stage.folder.mkdir()
    with pytest.raises(InvalidPayload, match="used before"):
        stage.attempt()
    assert {key: stage.storage.objects[key] for key in stage.output()} == shown
    assert stage.videos.get("v1").hls_path == result["hls_path"]
    stage.attempt()
    assert {key: stage.storage.objects[key] for key in shown} == shown, "another fence has a folder of its own"


def test_a_second_life_of_a_job_id_makes_nothing_that_would_be_taken_for_a_late_attempt_s(stage: Stage) -> None:
    """What its first life shows was its second attempt's; this is the first again. It would encode all of it, take its own output
    away as a zombie's, and succeed."""
    stage.fence = 1
    result = stage.attempt()
    stage.videos.update("v1", lambda video: video.ready(job_id="job-1", fence=2, source_key=KEY, result=result))
    shown = stage.output()
    stage.put(b"another film " * 60)
    stage.fence = 0
    with pytest.raises(InvalidPayload, match="used before"):
        stage.attempt()
    assert stage.output() == shown


def test_scratch_holds_no_segments_after_their_upload(stage: Stage) -> None:
    stage.attempt()
    assert [path.name for path in (stage.folder / "1").rglob("*.m4s")] == []


def test_a_video_without_a_row_is_worked_on(stage: Stage) -> None:
    stage.videos.put_back("v1", None)
    stage.videos.add(Video(id="v1", tenant="t1", source_key=KEY, status=VideoStatus.UPLOADED))
    assert stage.attempt()["hls_path"]
