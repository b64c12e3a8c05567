"""`mediaworker plan`: what would be made of a file, decided from one probe, without making it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from src.domain.errors import NotFound
from src.domain.video.plan import Plan
from src.domain.video.planning import estimated_cpu_seconds, make_plan, plan_hash, plan_to_json
from src.domain.video.source import SourceMedia
from src.interfaces.cli.output import json_option, print_json, print_table
from src.interfaces.wiring.environment import load

PROGRESS_FD = 3
"""Shown in the command lines; the worker passes a descriptor of its own."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--commands", is_flag=True, help="Print the ffmpeg command line of every chunk and sound track.")
@json_option
def plan(file: Path, commands: bool, as_json: bool) -> None:
    """Show rungs, chunks, command lines and cost for the local FILE, without encoding anything."""
    from src.infrastructure.ffmpeg.binary import find_ffmpeg
    from src.interfaces.wiring.media import make_prober, plan_settings

    settings = load()
    media = _probed(file, make_prober(settings))
    made = make_plan(media, plan_settings(settings))
    lines = _commands(find_ffmpeg(settings.ffmpeg_path), file, made)
    if as_json:
        cost = {"cpu_seconds": estimated_cpu_seconds(made)}
        document = {"plan": plan_to_json(made), "hash": plan_hash(made), "cost": cost, "commands": lines}
        print_json({"source": _source(media), **document})
        return
    _show(media, made)
    shown = lines if commands else lines[:1]
    for line in shown:
        click.echo(f"\n{line}")
    if len(lines) > len(shown):
        click.echo(f"\n... and {len(lines) - len(shown)} more command lines: --commands")


def _probed(file: Path, prober: Any) -> SourceMedia:
    try:
        stream = file.open("rb")
    except OSError as error:
        raise NotFound(f"{file} can't be read: {error.strerror}") from error
    with stream:

        def read(offset: int, length: int) -> bytes:
            stream.seek(offset)
            return stream.read(length)

        media: SourceMedia = prober.probe(read, file.stat().st_size)
        return media


def _commands(binary: Path, file: Path, made: Plan) -> list[str]:
    from src.infrastructure.ffmpeg.command import audio_argv, chunk_argv

    source = file.absolute()
    chunks = [chunk_argv(binary, source, made, chunk.index, progress_fd=PROGRESS_FD) for chunk in made.chunks]
    sound = [audio_argv(binary, source, made, track.number, progress_fd=PROGRESS_FD) for track in made.audio]
    return [shlex.join(argv) for argv in (*chunks, *sound)]


def _source(media: SourceMedia) -> dict[str, Any]:
    video = media.video
    picture = (
        {"codec": video.codec, "width": video.width, "height": video.height, "rotation": video.rotation}
        if video
        else None
    )
    return {
        "container": media.container,
        "size": media.size,
        "duration_seconds": media.duration_seconds,
        "video": picture,
        "audio": [
            {"codec": track.codec, "channels": track.channels, "language": track.language} for track in media.audio
        ],
        "probed_bytes": media.probed_bytes,
        "probed_reads": media.probed_reads,
    }


def _show(media: SourceMedia, made: Plan) -> None:
    video = media.video
    picture = f"{video.codec} {video.width}x{video.height}" if video else "no picture"
    sound = ", ".join(f"{track.codec} {track.channels} ch" for track in media.audio) or "no sound"
    click.echo(f"Source  {media.container}, {media.duration_seconds:.2f} s, {picture}, {sound}")
    click.echo(
        f"Probe   {media.probed_bytes / 1024:.0f} KiB of {media.size / 1024:.0f} KiB in {media.probed_reads} reads"
    )
    rungs = [
        (r.name, f"{r.width}x{r.height}", f"{r.crf:g}", f"{r.maxrate // 1000} kbit/s", r.profile) for r in made.rungs
    ]
    print_table(("rung", "size", "crf", "at most", "profile"), rungs, empty="\nNo picture: sound only.\n")
    tracks = [(t.name, t.language, f"{t.bitrate // 1000} kbit/s", t.channels) for t in made.audio]
    print_table(("sound", "language", "rate", "channels"), tracks, empty="No sound.\n")
    fps = f", {float(made.fps):.3f} fps" if made.fps else ""
    click.echo(
        f"Chunks  {len(made.chunks)} of {made.segment_seconds:g} s segments{fps}, {made.frames} frames, {made.container}"
    )
    click.echo(f"Cost    about {estimated_cpu_seconds(made):.1f} cpu-seconds")
    click.echo(f"Hash    {plan_hash(made)}")
