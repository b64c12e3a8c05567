"""The command lines, without running them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from src.domain.video.plan import Plan
from src.domain.video.planning import PlanSettings, make_plan
from src.domain.video.source import AudioStream, SourceMedia, VideoStream
from src.infrastructure.ffmpeg.command import audio_argv, chunk_argv, seek_margins

BINARY, SOURCE = Path("/opt/ffmpeg"), Path("/scratch/job/input")
VIDEO = VideoStream(
    index=3,
    codec="h264",
    profile=None,
    pixel_format="yuv420p",
    width=1920,
    height=1080,
    average_fps=Fraction(30000, 1001),
)
MEDIA = SourceMedia(
    container="mov",
    size=1,
    duration_seconds=30.0,
    duration_exact=True,
    video=VIDEO,
    audio=(AudioStream(index=1, codec="aac", channels=6, sample_rate=44_100, language="en;rm -rf"),),
)


def plan(media: SourceMedia = MEDIA, **settings: object) -> Plan:
    return make_plan(media, PlanSettings(**settings))  # type: ignore[arg-type]


def value(argv: list[str], flag: str) -> str:
    return argv[argv.index(flag) + 1]


def lines() -> list[list[str]]:
    return [
        chunk_argv(BINARY, SOURCE, plan(), 1, progress_fd=5, cpu="avx2"),
        audio_argv(BINARY, SOURCE, plan(), 0, progress_fd=5),
    ]


@pytest.mark.parametrize("argv", lines(), ids=["picture", "sound"])
def test_t01_every_line_carries_the_flags_that_keep_uploads_harmless(argv: list[str]) -> None:
    before_input = argv[: argv.index("-i")]
    assert argv[0] == str(BINARY)
    assert {"-nostdin", "-hide_banner"} <= set(before_input)
    assert value(before_input, "-protocol_whitelist") == "file"
    assert value(before_input, "-format_whitelist") == "mov"
    assert "magicyuv" not in value(before_input, "-codec_whitelist").split(",")
    assert value(before_input, "-max_streams") == "64"
    assert value(before_input, "-max_pixels") == "50000000"
    assert value(before_input, "-probesize") == value(before_input, "-analyzeduration") == "10000000"
    assert value(argv, "-i") == "file:/scratch/job/input"
    assert value(argv, "-progress") == "pipe:5"


@pytest.mark.parametrize("argv", lines(), ids=["picture", "sound"])
def test_t11_metadata_chapters_and_other_tracks_are_left_behind(argv: list[str]) -> None:
    outputs = argv.count("-map")
    assert (
        outputs == argv.count("-map_metadata") == argv.count("-map_chapters") == argv.count("-sn") == argv.count("-dn")
    )
    assert {argv[index + 1] for index, flag in enumerate(argv) if flag in ("-map_metadata", "-map_chapters")} == {"-1"}


@pytest.mark.parametrize("argv", lines(), ids=["picture", "sound"])
def test_t04_no_word_of_the_upload_reaches_the_line(argv: list[str]) -> None:
    assert not any("rm -rf" in word for word in argv)


@pytest.mark.parametrize("argv", lines(), ids=["picture", "sound"])
def test_every_codec_and_filter_runs_in_one_thread(argv: list[str]) -> None:
    counts = [argv[index + 1] for index, flag in enumerate(argv) if flag.endswith("threads")]
    assert set(counts) == {"1"}
    assert len(counts) == argv.count("-map") + 3


def test_outputs_are_relative_so_that_the_machine_is_not_in_the_line() -> None:
    for argv in lines():
        assert [word for word in argv if word.startswith(("/", "file:/"))] == [
            str(BINARY),
            f"file:{SOURCE}",
        ]


def test_a_chunk_counts_frames_of_the_whole_film() -> None:
    argv = chunk_argv(BINARY, SOURCE, plan(), 1, progress_fd=5)
    graph = value(argv, "-filter_complex")
    assert "[0:3]fps=eof_action=pass:fps=30000/1001[" in graph, "after a seek nothing is filled in at the start"
    assert "trim=end_pts=480:start_pts=240" in graph
    assert value(argv, "-ss") == "7.508000"
    assert value(argv, "-start_number") == "2"
    assert value(argv, "-force_key_frames") == "expr:not(mod(n,120))*lt(n,240)"


def test_the_first_chunk_does_not_seek() -> None:
    argv = chunk_argv(BINARY, SOURCE, plan(), 0, progress_fd=5)
    assert "-ss" not in argv
    assert ":fps=30000/1001:start_time=0[" in value(argv, "-filter_complex")


def test_a_seek_that_missed_is_tried_from_further_back_and_at_last_from_the_start() -> None:
    long = plan(replace(MEDIA, duration_seconds=3600.0))
    last = len(long.chunks) - 1
    assert seek_margins(long, 0) == [None]
    assert seek_margins(long, 1) == [0.5, 4.0, None]
    assert seek_margins(long, last) == [0.5, 4.0, 32.0, None]
    blind = plan(replace(MEDIA, container="mpegts", duration_seconds=3600.0))
    assert seek_margins(blind, 1) == [15.0, None]
    starts = [
        value(argv, "-ss") if "-ss" in argv else None
        for argv in (chunk_argv(BINARY, SOURCE, long, 1, progress_fd=5, missed=missed) for missed in range(3))
    ]
    assert starts == ["7.508000", "4.008000", None]


def test_a_size_that_changes_on_the_way_never_meets_a_filter_that_turns_or_mirrors() -> None:
    """Such filters count on one size; ffmpeg adds them by itself unless told not to."""
    stream = replace(MEDIA, container="matroska")
    turned = replace(stream, video=replace(VIDEO, rotation=90))
    for media, keeps in ((stream, True), (MEDIA, False), (turned, False)):
        argv = chunk_argv(BINARY, SOURCE, plan(media), 0, progress_fd=5)
        assert ("-reinit_filter" in argv) is ("-noautorotate" in argv) is keeps
        assert ("[0:3]scale=1920:1080" in value(argv, "-filter_complex")) is keeps


def test_scaling_is_a_chain_with_exact_flags() -> None:
    graph = value(chunk_argv(BINARY, SOURCE, plan(), 0, progress_fd=5), "-filter_complex")
    scales = [part for part in graph.replace(";", ",").split(",") if "]scale=" in part or part.startswith("scale=")]
    assert len(scales) == 5
    assert graph.count("flags=bicubic+accurate_rnd+bitexact") == 5
    assert graph.count("split=2") == 4
    assert graph.count("[0:3]") == 1


@pytest.mark.parametrize(
    ("facts", "present"),
    [
        ({"field_order": "tt"}, "bwdif"),
        ({"color_transfer": "smpte2084"}, "tonemap"),
        ({"color_transfer": "arib-std-b67"}, "tonemap"),
    ],
)
def test_filters_follow_from_the_source(facts: dict[str, str], present: str) -> None:
    plain = value(chunk_argv(BINARY, SOURCE, plan(), 0, progress_fd=5), "-filter_complex")
    special = replace(MEDIA, video=replace(VIDEO, **facts))  # type: ignore[arg-type]
    assert present not in plain
    assert present in value(chunk_argv(BINARY, SOURCE, plan(special), 0, progress_fd=5), "-filter_complex")


def test_complaint_11_chunks_keep_their_place_in_both_containers() -> None:
    fmp4 = chunk_argv(BINARY, SOURCE, plan(), 1, progress_fd=5)
    stream = chunk_argv(BINARY, SOURCE, plan(container="ts"), 1, progress_fd=5)
    assert value(fmp4, "-hls_segment_options") == "movflags=+frag_discont"
    assert value(stream, "-hls_segment_options") == "mpegts_flags=+initial_discontinuity"
    assert value(fmp4, "-output_ts_offset") == value(stream, "-output_ts_offset") == "10"


def test_picture_and_sound_of_a_transport_stream_share_one_origin() -> None:
    stream = plan(replace(MEDIA, container="mpegts", start_seconds=2.402667))
    for argv in (
        chunk_argv(BINARY, SOURCE, stream, 0, progress_fd=5),
        audio_argv(BINARY, SOURCE, stream, 0, progress_fd=5),
    ):
        assert value(argv, "-itsoffset") == "-2.402667"
        assert "-copyts" in argv
        assert "-start_at_zero" not in argv


def test_the_instruction_set_is_pinned_only_where_it_exists() -> None:
    assert "asm=avx2" in chunk_argv(BINARY, SOURCE, plan(), 0, progress_fd=5, cpu="avx2")
    assert not any("asm=" in word for word in chunk_argv(BINARY, SOURCE, plan(), 0, progress_fd=5, cpu=None))


def test_full_range_becomes_video_range_and_nothing_else_is_touched() -> None:
    phone = plan(replace(MEDIA, video=replace(VIDEO, color_range="pc")))
    assert "out_range=tv" in value(chunk_argv(BINARY, SOURCE, phone, 0, progress_fd=5), "-filter_complex")
    assert "out_range" not in value(chunk_argv(BINARY, SOURCE, plan(), 0, progress_fd=5), "-filter_complex")
