"""Writes ffmpeg's command lines; pure. The only module that knows ffmpeg-python, which builds argv and never runs it.

The frame grid: with -copyts and -itsoffset the film's start is second 0 for every chunk and every sound track (-start_at_zero
would take the first time stamp of the streams in use, another one for picture and sound); `fps=R` turns time stamps into
frame numbers of the whole film (time base 1/R), trim takes the chunk's own. So chunk 7 shows the same frames whether or not
chunk 6 was ever made. After a seek nothing is filled in at the start: where the seek landed too late, the chunk's first
frame is missing, FIRST_FRAMES says so, and the encoder reads again from further back.
Output paths are relative to the working folder: nothing of the machine is in the line but the source's path.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from src.domain.video.plan import AudioTrack, Plan, Rung
from src.infrastructure.ffmpeg.probe_allowed import (
    ANALYZE_MICROSECONDS,
    DECODERS,
    MOST_PIXELS,
    MOST_STREAMS,
    PROBE_BYTES,
)

OFFSET_SECONDS = 10
"""Added to every time stamp: B-frames and AAC priming start below the first frame, and a muxer that meets a negative time
shifts the whole chunk (the seams of video.md 1)."""
SEEK_MARGIN = 0.5
"""Seconds read before a chunk's first frame where an index leads to the keyframe before it."""
BLIND_SEEK_MARGIN = 15.0
"""The same where there is no index: a seek may land anywhere, so a keyframe has to lie in this stretch. Broadcast and camera
streams have one at least each 10 s; slides and screen recordings may not."""
FURTHER_BACK = 8
"""The next try after a seek that landed too late goes this many times as far back."""
MOST_SEEKS = 3
"""Then the film is read from its start."""
BLIND_CONTAINERS = frozenset({"mpegts", "mpeg"})
ONE_GRAPH: Mapping[str, Any] = {"reinit_filter": 0, "noautorotate": None}
"""Input options of a picture whose filters are never made anew (see `keeps_filters`)."""
PROGRESS_PERIOD = 0.5
SCALER = "bicubic+accurate_rnd+bitexact"
"""Exact flags: the same pixels on every CPU (video.md 1)."""
INTERLACED = frozenset({"tt", "bb", "tb", "bt"})
PLAYLIST = "chunk.m3u8"
FIRST_FRAMES = "frames.txt"
"""In the first rung's folder: the number, in the whole film, of each frame that went to the encoder, one a line."""
INIT = "init.mp4"
EXTENSIONS = {"fmp4": "m4s", "ts": "ts"}


def segment_name(plan: Plan, number: int) -> str:
    """seg_00012.m4s: the name of a segment inside its rendition's folder."""
    return f"seg_{number:05d}.{EXTENSIONS[plan.container]}"


def seek_margins(plan: Plan, index: int) -> list[float | None]:
    """How many seconds before its first frame chunk `index` is read from, one try after the other; None: from the start of
    the film. An index names decoding times, and a keyframe shown after a gap is decoded before it; a picture that refreshes
    itself line by line is whole only seconds after the place a seek leads to."""
    chunk, fps = plan.chunks[index], plan.fps
    assert fps is not None, "a plan with chunks has a rate"  # noqa: S101
    first = float(Fraction(chunk.first_frame) / fps)
    margin = BLIND_SEEK_MARGIN if plan.source_container in BLIND_CONTAINERS else SEEK_MARGIN
    margins = [margin * FURTHER_BACK**times for times in range(MOST_SEEKS)]
    return [*(margin for margin in margins if margin < first), None]


def chunk_argv(
    binary: Path, source: Path, plan: Plan, index: int, *, progress_fd: int, cpu: str | None = None, missed: int = 0
) -> list[str]:
    """All rungs of chunk `index` from one decode, written to {rung.name}/ below the working folder (which must hold these
    folders). `cpu` is x264's name of the instruction set to pin, None to leave it; `missed` counts the tries whose seek
    landed too late (see `seek_margins`)."""
    chunk, fps = plan.chunks[index], plan.fps
    assert fps is not None, "a plan with chunks has a rate"  # noqa: S101
    assert plan.picture is not None, "and a picture"  # noqa: S101
    margin = seek_margins(plan, index)[missed]
    begin = None if margin is None else float(Fraction(chunk.first_frame) / fps) - margin
    one_graph = keeps_filters(plan.source_container, plan.picture.rotation)
    frames = _input(source, plan, begin, ONE_GRAPH if one_graph else {})[str(plan.video_stream)]
    if one_graph:
        # All filters behind this one see a single size.
        frames = frames.filter("scale", plan.picture.width, plan.picture.height, flags=SCALER)
    if plan.picture.field_order in INTERLACED:
        frames = frames.filter("bwdif", mode="send_frame", deint="interlaced")
    # A picture that starts late stands still until then: true only where the film was read from its start. "pass": a film
    # shorter than a frame has one all the same.
    frames = frames.filter("fps", fps=str(fps), eof_action="pass", **({"start_time": 0} if begin is None else {}))
    frames = frames.filter("trim", start_pts=chunk.first_frame, end_pts=chunk.first_frame + chunk.frames)
    outputs = []
    for number, rung in enumerate(plan.rungs):
        frames = _scaled(frames, rung, plan, is_first=number == 0)
        if number < len(plan.rungs) - 1:
            copies = frames.filter_multi_output("split", 2)
            shown, frames = copies[0], copies[1]
        else:
            shown = frames
        outputs.append(_rung_output(shown, rung, plan, index, cpu, tells_frames=number == 0))
    return _compiled(binary, outputs, progress_fd)


def audio_argv(binary: Path, source: Path, plan: Plan, number: int, *, progress_fd: int) -> list[str]:
    """Sound track `number`, whole file, written to {track.name}/. Starts at the film's second 0 (silence fills in) and
    ends with it."""
    track: AudioTrack = plan.audio[number]
    sound = _input(source, plan, None, {})[str(track.stream)]
    sound = sound.filter("aresample", track.sample_rate, **{"async": 1, "first_pts": 0})
    sound = sound.filter("aformat", channel_layouts="stereo" if track.channels == 2 else "mono")
    sound = sound.filter("atrim", end=f"{plan.duration_seconds:.6f}")
    options: dict[str, Any] = {"c:a": "aac", "b:a": track.bitrate, "threads": 1}
    options |= _hls_options(plan, track.name, 0, f"{plan.segment_seconds:.6f}")
    return _compiled(binary, [ffmpeg.output(sound, f"{track.name}/{PLAYLIST}", **options)], progress_fd)


def safe_input_options(container: str) -> dict[str, Any]:
    """What every input line carries (reliability.md 5b), for the demuxer named."""
    return {
        "protocol_whitelist": "file",
        "format_whitelist": container,
        "codec_whitelist": ",".join(sorted(DECODERS)),
        "max_streams": MOST_STREAMS,
        "max_pixels": MOST_PIXELS,
        "probesize": PROBE_BYTES,
        "analyzeduration": ANALYZE_MICROSECONDS,
        "threads": 1,
    }


def keeps_filters(container: str, rotation: int) -> bool:
    """Screen shares and broadcasts change their size on the way; made anew for that, the filters would count from the
    film's first frame again. MP4 has one size, but may ask to be turned or mirrored, by filters that can't follow a size."""
    return container != "mov" and rotation == 0


def _input(source: Path, plan: Plan, begin: float | None, more: Mapping[str, Any]) -> Any:
    options = safe_input_options(plan.source_container) | {"flags": "+bitexact", **more}
    if plan.origin_seconds:
        options["itsoffset"] = f"{-plan.origin_seconds:.6f}"
    if begin is not None:
        options |= {"seek_timestamp": 1, "ss": f"{plan.origin_seconds + begin:.6f}", "noaccurate_seek": None}
    return ffmpeg.input(f"file:{source}", **options)


def _scaled(frames: Any, rung: Rung, plan: Plan, *, is_first: bool) -> Any:
    """The next smaller picture; tone mapping happens once, at the size of the largest rung. Full range
    becomes video range on the first scale; otherwise a scale to the same size passes frames through for nothing."""
    assert plan.picture is not None  # noqa: S101
    options = {"flags": SCALER} | ({"out_range": "tv"} if is_first and plan.picture.full_range else {})
    frames = frames.filter("scale", rung.width, rung.height, **options)
    if not is_first:
        return frames.filter("setsar", 1)
    if plan.picture.hdr_transfer is not None:
        frames = _tone_mapped(frames, plan.picture.hdr_transfer)
    return frames.filter("setsar", 1).filter("format", "yuv420p")


def _tone_mapped(frames: Any, transfer: str) -> Any:
    """PQ or HLG in BT.2020 to BT.709. The colour facts are set first: some files carry them in the container only."""
    frames = frames.filter("setparams", color_primaries="bt2020", color_trc=transfer, colorspace="bt2020nc")
    frames = frames.filter("zscale", transfer="linear", npl=100).filter("format", "gbrpf32le")
    frames = frames.filter("zscale", primaries="bt709").filter("tonemap", tonemap="hable", desat=0)
    return frames.filter("zscale", transfer="bt709", matrix="bt709", primaries="bt709", range="tv")


def _rung_output(frames: Any, rung: Rung, plan: Plan, index: int, cpu: str | None, *, tells_frames: bool) -> Any:
    chunk, fps = plan.chunks[index], plan.fps
    assert fps is not None  # noqa: S101
    step = plan.segment_frames
    options: dict[str, Any] = {
        "c:v": "libx264",
        "preset": plan.preset,
        "crf": f"{rung.crf:g}",
        "maxrate": rung.maxrate,
        "bufsize": rung.bufsize,
        "profile:v": rung.profile,
        "threads": 1,
        # A keyframe where a segment starts and nowhere else: n counts the frames of this chunk.
        "g": 99_999,
        "keyint_min": 1,
        "sc_threshold": 0,
        "force_key_frames": f"expr:not(mod(n,{step}))*lt(n,{step * chunk.segments})",
        "fps_mode": "passthrough",
        "flags:v": "+bitexact",
    }
    if cpu is not None:
        options["x264-params"] = f"asm={cpu}"
    if tells_frames:
        options |= {"stats_enc_pre:v": f"{rung.name}/{FIRST_FRAMES}", "stats_enc_pre_fmt:v": "{pts}"}
    # A quarter of a frame below the true length: rounding to microseconds must not push a cut past its keyframe.
    length = Fraction(step) / fps - Fraction(1, 4) / fps / chunk.segments
    options |= _hls_options(plan, rung.name, chunk.first_segment, f"{float(length):.6f}")
    return ffmpeg.output(frames, f"{rung.name}/{PLAYLIST}", **options)


def _hls_options(plan: Plan, folder: str, first_segment: int, seconds: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "map_metadata": -1,
        "map_chapters": -1,
        "sn": None,
        "dn": None,
        "fflags": "+bitexact",
        "output_ts_offset": OFFSET_SECONDS,
        "muxdelay": 0,
        "muxpreload": 0,
        "format": "hls",
        "hls_time": seconds,
        "hls_list_size": 0,
        "hls_playlist_type": "vod",
        "hls_flags": "independent_segments",
        "start_number": first_segment,
        "hls_segment_filename": f"{folder}/seg_%05d.{EXTENSIONS[plan.container]}",
    }
    if plan.container == "fmp4":
        # frag_discont: fragments keep their place in the film, and all chunks' init headers are the same bytes.
        options |= {"hls_segment_type": "fmp4", "hls_fmp4_init_filename": INIT}
        options |= {"hls_segment_options": "movflags=+frag_discont"}
    else:
        options |= {"hls_segment_type": "mpegts", "hls_segment_options": "mpegts_flags=+initial_discontinuity"}
    return options


def _compiled(binary: Path, outputs: list[Any], progress_fd: int) -> list[str]:
    merged = ffmpeg.merge_outputs(*outputs) if len(outputs) > 1 else outputs[0]
    first = ["-nostdin", "-hide_banner", "-y", "-loglevel", "level+warning", "-nostats"]
    first += ["-progress", f"pipe:{progress_fd}", "-stats_period", str(PROGRESS_PERIOD)]
    first += ["-copyts", "-filter_threads", "1", "-filter_complex_threads", "1"]
    argv: list[str] = ffmpeg.compile(merged, cmd=[str(binary), *first])
    return argv
