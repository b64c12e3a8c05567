"""Command lines for still pictures; pure. Everything in them is a number, a fixed word, or the path of our own scratch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.domain.video.source import VideoStream
from src.domain.video.storyboard import TileGrid
from src.infrastructure.ffmpeg.command import (
    BLIND_CONTAINERS,
    BLIND_SEEK_MARGIN,
    INTERLACED,
    ONE_GRAPH,
    keeps_filters,
    safe_input_options,
)

JPEG = ("-c:v", "mjpeg", "-q:v", "3", "-huffman", "optimal", "-flags:v", "+bitexact", "-fflags", "+bitexact")
"""Bitexact also keeps the encoder's name out of the file."""
NAMELESS = ("-an", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1")
TINY = (32, 18)
"""The copy whose brightness is measured."""
SEEN = (2, 2)
SEEN_FILE = "seen.gray"
"""One tiny picture for each keyframe that was decoded: its length counts them."""
SHEET_PATTERN = "sheet_%03d.jpg"


def still_argv(
    binary: Path,
    source: Path,
    container: str,
    video: VideoStream,
    *,
    second: float,
    size: tuple[int, int],
    progress_fd: int,
) -> list[str]:
    """One picture at `second` as still.jpg, and the same, tiny and grey, as tiny.gray. Where a seek may land behind the
    keyframe, it goes further back and waits."""
    margin = min(second, BLIND_SEEK_MARGIN) if container in BLIND_CONTAINERS else 0.0
    wait = [f"trim=start={margin:.6f}"] if margin else []
    chain = ",".join([*wait, *_upright_shape(container, video, size), "split=2[jpg][copy]"])
    graph = f"[0:{video.index}]{chain};[copy]scale={TINY[0]}:{TINY[1]},format=gray[tiny]"
    seek = ["-ss", f"{second - margin:.6f}"] if second > margin else []
    return [
        *_head(binary, progress_fd),
        *seek,
        *_input(source, container, {}),
        *("-filter_complex", graph),
        *("-map", "[jpg]", "-frames:v", "1", *JPEG, *NAMELESS, "-f", "image2", "-update", "1", "still.jpg"),
        *("-map", "[tiny]", "-frames:v", "1", "-c:v", "rawvideo", *NAMELESS, "-f", "rawvideo", "tiny.gray"),
    ]


def sheets_argv(
    binary: Path,
    source: Path,
    container: str,
    video: VideoStream,
    *,
    grid: TileGrid,
    size: tuple[int, int],
    keyframes_only: bool,
    progress_fd: int,
) -> list[str]:
    """All sprite sheets as sheet_000.jpg and so on. The picture is scaled before it is chosen from; a tile shows the last
    picture at or before its time, or the first one where the picture starts late."""
    chain = [
        *_upright_shape(container, video, size),
        f"fps=fps=1/{grid.interval_seconds:.6f}:start_time=0:round=up:eof_action=pass",
        f"tpad=stop={grid.tiles}:stop_mode=clone",
        f"trim=end_frame={grid.tiles}",
        f"tile=layout={grid.columns}x{grid.rows}",
    ]
    graph, options, count = f"[0:{video.index}]{','.join(chain)}[sheets]", dict[str, Any](), list[str]()
    if keyframes_only:
        options = {"skip_frame": "nokey"}
        tiny = f"[0:{video.index}]scale={SEEN[0]}:{SEEN[1]},format=gray[seen]"
        graph = f"{graph};{tiny}"
        count = [
            "-map",
            "[seen]",
            "-c:v",
            "rawvideo",
            *NAMELESS,
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            SEEN_FILE,
        ]
    if keeps_filters(container, video.rotation):
        options |= ONE_GRAPH
    return [
        *_head(binary, progress_fd),
        *_input(source, container, options),
        *("-filter_complex", graph),
        *("-map", "[sheets]", *JPEG, *NAMELESS, "-fps_mode", "passthrough", "-start_number", "0", "-f", "image2"),
        SHEET_PATTERN,
        *count,
    ]


def _head(binary: Path, progress_fd: int) -> list[str]:
    quiet = ["-hide_banner", "-nostdin", "-y", "-loglevel", "warning", "-filter_complex_threads", "1"]
    return [str(binary), *quiet, "-progress", f"pipe:{progress_fd}"]


def _input(source: Path, container: str, more: Mapping[str, Any]) -> list[str]:
    options: Mapping[str, Any] = {**safe_input_options(container), **more}
    pairs = ([f"-{name}"] if value is None else [f"-{name}", str(value)] for name, value in options.items())
    return [*(word for pair in pairs for word in pair), "-i", f"file:{source}"]


def _upright_shape(container: str, video: VideoStream, size: tuple[int, int]) -> list[str]:
    """Deinterlaced, scaled to square pixels, in SDR and full range, as JPEG has it. ffmpeg has turned it upright before."""
    chain = [f"scale={video.width}:{video.height}"] if keeps_filters(container, video.rotation) else []
    if video.field_order in INTERLACED:
        chain.append("bwdif=mode=send_frame:deint=interlaced")
    chain.append(f"scale={size[0]}:{size[1]}:flags=bicubic")
    if video.is_hdr:
        chain += [
            f"setparams=color_primaries=bt2020:color_trc={video.color_transfer}:colorspace=bt2020nc",
            "zscale=transfer=linear:npl=100,format=gbrpf32le,zscale=primaries=bt709,tonemap=tonemap=hable:desat=0",
            "zscale=transfer=bt709:matrix=bt709:primaries=bt709:range=tv",
        ]
    return [*chain, "setsar=1", "scale=out_range=pc:out_color_matrix=bt601", "format=yuvj420p"]
