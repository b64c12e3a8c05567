"""The encoder on real processes: every kind of source, chunk seams, and every way ffmpeg can end."""

from __future__ import annotations

import hashlib
import shutil
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import av
import pytest

from src.application.ports.media import EncodedFile
from src.domain.errors import (
    Cancelled,
    CorruptSource,
    DecoderCrash,
    DiskFull,
    FfmpegFailed,
    FileAccessError,
    JobError,
    ResourceExceeded,
    Stalled,
    TruncatedSource,
)
from src.domain.video.ladder import step
from src.domain.video.plan import Plan
from src.domain.video.planning import PlanSettings, make_plan
from src.domain.video.playlist import avc1_codec
from src.infrastructure.ffmpeg import verdict
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from src.infrastructure.ffmpeg.command import OFFSET_SECONDS
from src.infrastructure.ffmpeg.encoder import EncoderSettings, FfmpegEncoder, pinned_cpu
from src.infrastructure.ffmpeg.sandbox import Limits, Sandbox
from src.infrastructure.ffmpeg.tool import Finished
from tests.media import MEDIA, make, sample_expectations
from tests.probing import shared_prober

SMALL = (step(90, 200_000), step(180, 400_000))
SETTINGS = PlanSettings(preset="ultrafast", ladder=SMALL, segment_seconds=1, chunk_seconds=2)


def plan_of(source: Path, settings: PlanSettings = SETTINGS) -> Plan:
    def read(offset: int, length: int) -> bytes:
        with source.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    return make_plan(shared_prober().probe(read, source.stat().st_size), settings)


def real_encoder(settings: EncoderSettings | None = None) -> FfmpegEncoder:
    return FfmpegEncoder(find_ffmpeg(), Sandbox(), settings)


def encode(source: Path, plan: Plan, folder: Path) -> dict[str, list[EncodedFile]]:
    """Everything the plan asks for, chunk after chunk, by rendition."""
    encoder = real_encoder()
    files: list[EncodedFile] = []
    for chunk in plan.chunks:
        files += encoder.encode_chunk(source, plan, chunk.index, folder / str(chunk.index), lambda _: None)
    for track in plan.audio:
        files += encoder.encode_audio(source, plan, track.number, folder / "sound", lambda _: None)
    by_rendition: dict[str, list[EncodedFile]] = {}
    for file in files:
        by_rendition.setdefault(file.rendition, []).append(file)
    return by_rendition


def stitched(files: Sequence[EncodedFile], target: Path) -> Path:
    """One file as a player would put it together: a single init header, then all segments in order."""
    inits = {file.path.read_bytes() for file in files if file.init}
    assert len(inits) <= 1, "chunks of one rung have different init headers"
    target.write_bytes(b"".join(inits) + b"".join(file.path.read_bytes() for file in files if not file.init))
    return target


def check_picture(path: Path, plan: Plan) -> int:
    """Frames of a stitched rung; each on its own place of the grid, none twice, decode times rising."""
    assert plan.fps is not None
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = stream.time_base
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
        assert base is not None
        places = sorted(
            round((packet.pts * base - OFFSET_SECONDS) * plan.fps * 1000)
            for packet in packets
            if packet.pts is not None
        )
        assert all(abs(place - 1000 * number) <= 20 for number, place in enumerate(places)), places[:5]
        decode_times = [packet.dts for packet in packets if packet.dts is not None]
        assert all(one < after for one, after in pairwise(decode_times))
    return len(places)


def check_all(source: Path, tmp_path: Path) -> Plan:
    plan = plan_of(source)
    renditions = encode(source, plan, tmp_path)
    assert set(renditions) == {*(rung.name for rung in plan.rungs), *(track.name for track in plan.audio)}
    cuts = {tuple(file.duration_seconds for file in renditions[rung.name]) for rung in plan.rungs}
    assert len(cuts) <= 1
    for rung in plan.rungs:
        path = stitched(renditions[rung.name], tmp_path / f"{rung.name}.mp4")
        assert plan.frames - 3 <= check_picture(path, plan) <= plan.frames
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            assert (frame.width, frame.height, frame.format.name) == (rung.width, rung.height, "yuv420p")
            assert frame.rotation == 0
    for track in plan.audio:
        with av.open(str(stitched(renditions[track.name], tmp_path / f"{track.name}.mp4"))) as container:
            sound = container.streams.audio[0]
            assert (sound.channels, sound.rate) == (2, 48_000)
            first = next(container.demux(sound))
            assert first.pts is not None
            assert abs(float(first.pts * (sound.time_base or 0)) - OFFSET_SECONDS) < 0.03, "sound starts with the film"
    return plan


@pytest.mark.parametrize(
    "name", [name for name, medium in MEDIA.items() if medium.expected.kind == "ok" and name != "joined_streams"]
)
def test_v5_every_playable_kind_of_source_gives_a_whole_ladder(name: str, tmp_path: Path) -> None:
    check_all(make(name), tmp_path)


@pytest.mark.chaos  # `make test` takes each of them through the whole pipeline (test_video_pipeline.py)
@pytest.mark.parametrize(
    "path",
    [path for path, expected in sample_expectations().items() if expected.kind == "ok"],
    ids=lambda path: path.name,
)
def test_v5_every_real_sample_gives_a_whole_ladder(path: Path, tmp_path: Path) -> None:
    check_all(path, tmp_path)


def test_v5_streams_joined_with_a_clock_that_starts_anew_are_refused_by_name(tmp_path: Path) -> None:
    """A frame's number follows from its time stamp; where two frames claim one time, none is invented or dropped silently."""
    with pytest.raises(CorruptSource, match="time stamps jump back"):
        check_all(make("joined_streams"), tmp_path)


def digests(files: Sequence[EncodedFile]) -> dict[str, str]:
    return {f"{file.rendition}/{file.name}": hashlib.sha256(file.path.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize("container", ["fmp4", "ts"])
def test_v4_the_bytes_do_not_depend_on_the_number_or_order_of_workers(container: str, tmp_path: Path) -> None:
    source = make("many_scenes")
    plan = plan_of(
        source, PlanSettings(container=container, preset="ultrafast", ladder=SMALL, segment_seconds=2, chunk_seconds=4)
    )
    assert len(plan.chunks) == 3
    found = []
    for workers in (1, 2, 4):
        encoder, folder = real_encoder(), tmp_path / str(workers)

        def run(index: int, encoder: FfmpegEncoder = encoder, folder: Path = folder) -> dict[str, str]:
            return digests(encoder.encode_chunk(source, plan, index, folder / str(index), lambda _: None))

        with ThreadPoolExecutor(workers) as pool:
            order = [chunk.index for chunk in plan.chunks][:: 1 if workers == 1 else -1]
            merged: dict[str, str] = {}
            for part in pool.map(run, order):
                merged |= part
        found.append(merged)
    assert found[0] == found[1] == found[2]


def luma(path: Path) -> list[bytes]:
    """A thin sample of every frame's brightness, in order of showing."""
    with av.open(str(path)) as container:
        return [bytes(frame.planes[0])[::37] for frame in container.decode(video=0)]


def distance(one: bytes, other: bytes) -> int:
    return sum(abs(left - right) for left, right in zip(one, other, strict=True))


def test_complaint_11_chunks_stitched_show_the_frames_of_one_whole_encode(tmp_path: Path) -> None:
    """Each frame of the stitched chunks is nearest to the same frame of an encode in one piece, not to its neighbours."""
    source = make("many_scenes")
    chunked = plan_of(source, PlanSettings(preset="ultrafast", ladder=SMALL[1:], segment_seconds=2, chunk_seconds=2))
    whole = plan_of(source, PlanSettings(preset="ultrafast", ladder=SMALL[1:], segment_seconds=2, chunk_seconds=60))
    assert (len(chunked.chunks), len(whole.chunks)) == (6, 1)
    one = luma(stitched(encode(source, chunked, tmp_path / "a")["180p"], tmp_path / "a.mp4"))
    other = luma(stitched(encode(source, whole, tmp_path / "b")["180p"], tmp_path / "b.mp4"))
    assert len(one) == len(other) == chunked.frames
    for number in range(len(one)):
        near = range(max(0, number - 1), min(len(other), number + 2))
        assert min(near, key=lambda index: distance(one[number], other[index])) == number


def test_lesson_23_phone_video_is_upright(tmp_path: Path) -> None:
    """The source's first column, bottom to top, is the upright picture's first row."""
    source = make("rotated_phone")
    plan = plan_of(source)
    with av.open(str(source)) as container:
        coded = next(container.decode(video=0))
    path = stitched(encode(source, plan, tmp_path)["180p"], tmp_path / "180p.mp4")
    with av.open(str(path)) as container:
        shown = next(container.decode(video=0))
    raw, turned = bytes(coded.planes[0]), bytes(shown.planes[0])
    wide, narrow = coded.planes[0].line_size, shown.planes[0].line_size

    def difference(clockwise: int) -> int:
        total = 0
        for y in range(0, 320, 16):
            for x in range(0, 180, 9):
                column, row = (y, 179 - x) if clockwise else (319 - y, x)
                total += abs(turned[y * narrow + x] - raw[row * wide + column])
        return total

    assert difference(1) * 4 < difference(0)


def test_t11_the_place_a_film_was_made_is_not_in_its_output(tmp_path: Path) -> None:
    source = make("located")
    place = b"+37.5"
    assert any(word in source.read_bytes() for word in (place, b"xyz"))
    for files in encode(source, plan_of(source), tmp_path).values():
        for file in files:
            data = file.path.read_bytes()
            assert place not in data
            assert b"\xa9xyz" not in data
            assert b"loci" not in data


def test_the_profile_that_was_asked_for_is_in_the_header(tmp_path: Path) -> None:
    files = encode(make("no_sound"), plan_of(make("no_sound")), tmp_path)["180p"]
    assert avc1_codec(next(file.path.read_bytes() for file in files if file.init)).startswith("avc1.")


def test_progress_rises_to_the_length_of_the_chunk(tmp_path: Path) -> None:
    source = make("moov_first")
    seen: list[float] = []
    real_encoder().encode_chunk(source, plan_of(source), 0, tmp_path, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 2.0


def test_a_handler_that_stops_listening_ends_the_process(tmp_path: Path) -> None:
    def refuse(_: float) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        real_encoder().encode_chunk(make("moov_first"), plan_of(make("moov_first")), 0, tmp_path, refuse)


@pytest.mark.parametrize("name", ["moov_first", "webm", "fragmented", "flv"])
def test_f21_exit_code_zero_with_a_cut_source_is_a_failure(name: str, tmp_path: Path) -> None:
    """ffmpeg encodes half an upload "successfully"; planned from the whole file, its absence shows."""
    whole = make(name)
    plan = plan_of(whole, PlanSettings(preset="ultrafast", ladder=SMALL, segment_seconds=1, chunk_seconds=1))
    source = tmp_path / "input"
    source.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.4)])
    with pytest.raises((TruncatedSource, CorruptSource)):
        encode(source, plan, tmp_path)


def test_a_source_that_turned_into_something_else_is_refused(tmp_path: Path) -> None:
    plan = plan_of(make("moov_first"))
    source = tmp_path / "input"
    source.write_bytes(b"#EXTM3U\n#EXTINF:4,\n/etc/passwd\n")
    with pytest.raises(CorruptSource):
        real_encoder().encode_chunk(source, plan, 0, tmp_path, lambda _: None)


def test_a_source_that_is_gone_can_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError):
        real_encoder().encode_chunk(tmp_path / "none", plan_of(make("moov_first")), 0, tmp_path, lambda _: None)


def test_f23_a_file_above_the_limit_is_resource_exceeded(tmp_path: Path) -> None:
    encoder = real_encoder(EncoderSettings(limits=Limits(file_bytes=4096)))
    with pytest.raises(ResourceExceeded):
        encoder.encode_chunk(make("moov_first"), plan_of(make("moov_first")), 0, tmp_path, lambda _: None)


@pytest.mark.parametrize(
    ("limits", "wall", "given"),
    [(Limits(cpu_seconds=7), None, 7), (Limits(), 40.0, 80)],
    ids=["the operator's limit", "twice the wall limit"],
)
def test_the_smaller_limit_of_cpu_time_holds(tmp_path: Path, limits: Limits, wall: float | None, given: int) -> None:
    code = "import resource\nsys.stderr.write(f'cpu {resource.getrlimit(resource.RLIMIT_CPU)[0]} s')\nsys.exit(1)"
    encoder = fake(tmp_path, code, limits=limits, wall=wall)
    with pytest.raises(FfmpegFailed, match=f"cpu {given} s"):
        encoder.encode_chunk(make("moov_first"), plan_of(make("moov_first")), 0, tmp_path, lambda _: None)


def fake(
    tmp_path: Path, code: str, *, patience: float = 60.0, limits: Limits | None = None, wall: float | None = None
) -> FfmpegEncoder:
    """An encoder whose ffmpeg is a few lines of python."""
    script = tmp_path / "ffmpeg"
    script.write_text(f"#!{sys.executable} -IS\nimport os, signal, sys, time\n{code}\n")
    script.chmod(0o755)
    settings = EncoderSettings(
        stall_seconds=patience, kill_after_seconds=0.2, limits=limits or Limits(), wall_seconds=wall
    )
    return FfmpegEncoder(script, Sandbox(mode="off"), settings)


def run_fake(tmp_path: Path, code: str, *, patience: float = 60.0) -> None:
    plan = plan_of(make("moov_first"))
    fake(tmp_path, code, patience=patience).encode_chunk(make("moov_first"), plan, 0, tmp_path / "out", lambda _: None)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("sys.exit(0)", TruncatedSource),
        ("os.kill(os.getpid(), signal.SIGSEGV)", DecoderCrash),
        ("os.kill(os.getpid(), signal.SIGABRT)", DecoderCrash),
        ("os.kill(os.getpid(), signal.SIGKILL)", ResourceExceeded),
        ("os.kill(os.getpid(), signal.SIGXCPU)", ResourceExceeded),
        ("os.kill(os.getpid(), signal.SIGTERM)", FfmpegFailed),
        ("sys.exit('av_interleaved_write_frame(): No space left on device')", DiskFull),
        ("sys.exit('Error while filtering: Cannot allocate memory')", ResourceExceeded),
        ("sys.exit('input: Invalid data found when processing input')", CorruptSource),
        ("sys.exit('something nobody has seen')", FfmpegFailed),
    ],
)
def test_f21_every_end_of_ffmpeg_has_its_error(tmp_path: Path, code: str, error: type[JobError]) -> None:
    with pytest.raises(error) as caught:
        run_fake(tmp_path, code)
    assert type(caught.value) is error


@pytest.mark.parametrize("code", ["time.sleep(600)", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"])
def test_f19_a_silent_ffmpeg_is_ended_even_if_it_ignores_term(tmp_path: Path, code: str) -> None:
    with pytest.raises(Stalled):
        run_fake(tmp_path, code, patience=0.5)


def test_f19_progress_that_does_not_move_is_a_stall(tmp_path: Path) -> None:
    code = (
        "fd = int(sys.argv[sys.argv.index('-progress') + 1][5:])\n"
        "while True:\n    os.write(fd, b'frame=7\\nprogress=continue\\n')\n    time.sleep(0.05)"
    )
    with pytest.raises(Stalled):
        run_fake(tmp_path, code, patience=0.5)


def test_t17_megabytes_of_complaints_are_bounded(tmp_path: Path) -> None:
    with pytest.raises(FfmpegFailed) as caught:
        run_fake(tmp_path, "for _ in range(20000):\n    sys.stderr.write('x' * 200 + '\\n')\nsys.exit('the end')")
    assert len(str(caught.value)) < 1000
    assert "the end" in str(caught.value)


def test_stop_kills_what_runs_and_refuses_what_follows(tmp_path: Path) -> None:
    started = tmp_path / "started"
    encoder = fake(
        tmp_path,
        f"open({str(started)!r}, 'w').close()\nos.mkfifo({str(tmp_path / 'never')!r})\nopen({str(tmp_path / 'never')!r})",
    )
    plan = plan_of(make("moov_first"))
    ends: list[BaseException] = []

    def run() -> None:
        try:
            encoder.encode_chunk(make("moov_first"), plan, 0, tmp_path / "out", lambda _: None)
        except Cancelled as error:
            ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not started.exists():
        thread.join(0.05)
    encoder.stop()
    thread.join()
    assert len(ends) == 1
    with pytest.raises(Cancelled):
        encoder.encode_chunk(make("moov_first"), plan, 0, tmp_path / "out", lambda _: None)


def test_f22_a_full_disk_is_found_though_ffmpeg_says_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = Finished(returncode=0, stderr="")
    assert verdict.failure_of(finished, tmp_path) is None
    total = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: total._replace(free=0))
    assert isinstance(verdict.failure_of(finished, tmp_path), DiskFull)


def test_f22_segments_cut_by_a_full_disk_are_not_believed(tmp_path: Path) -> None:
    """A wrapper around the real ffmpeg cuts one segment after the encode and exits 0, as a full disk does."""
    code = (
        "import subprocess\n"
        f"subprocess.run([{str(find_ffmpeg())!r}, *sys.argv[1:]], close_fds=False, check=True)\n"
        "with open('180p/seg_00001.m4s', 'r+b') as file:\n    file.truncate(500)"
    )
    with pytest.raises(FfmpegFailed, match="cut off"):
        run_fake(tmp_path, code)


def test_what_an_earlier_attempt_left_is_never_taken_for_new(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "180p").mkdir(parents=True)
    (folder / "180p" / "seg_00000.m4s").write_bytes(b"old")
    with pytest.raises(TruncatedSource):
        run_fake(tmp_path, "sys.exit(0)")
    assert not list((folder / "180p").iterdir())


def test_the_cpu_is_pinned_only_where_the_machine_has_it(tmp_path: Path) -> None:
    old = tmp_path / "cpuinfo"
    old.write_text("flags : sse sse2 avx\n")
    assert pinned_cpu(old) is None
    assert pinned_cpu(tmp_path / "none") is None
