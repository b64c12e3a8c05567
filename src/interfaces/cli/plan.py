"""`mediaworker plan`: what would be made of a file, decided from one probe, without making it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from src.application.video.plan_preview import Commands, PreviewPlan
from src.domain.video.plan import Plan
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.sources import check_file
from src.interfaces.cli.table import print_table
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
    size = check_file(file)
    lines_of = _commands(find_ffmpeg(settings.ffmpeg_path), file.absolute())
    preview = PreviewPlan(make_prober(settings), plan_settings(settings), lines_of)
    with file.open("rb") as stream:

        def read(offset: int, length: int) -> bytes:
            stream.seek(offset)
            return stream.read(length)

        document = preview.preview(read, size)
    if as_json:
        print_json(document)
        return
    _show(document)
    lines = [shlex.join(argv) for argv in document["commands"]]
    click.echo(f"Runs    ffmpeg {len(lines)} times" + (":" if commands else "; --commands prints the command lines"))
    for line in lines if commands else ():
        click.echo(f"\n{line}")


def _commands(binary: Path, source: Path) -> Commands:
    from src.infrastructure.ffmpeg.command import audio_argv, chunk_argv

    def lines(made: Plan) -> Sequence[Sequence[str]]:
        chunks = [chunk_argv(binary, source, made, chunk.index, progress_fd=PROGRESS_FD) for chunk in made.chunks]
        sound = [audio_argv(binary, source, made, track.number, progress_fd=PROGRESS_FD) for track in made.audio]
        return [*chunks, *sound]

    return lines


def _show(document: Mapping[str, Any]) -> None:
    source, made = document["source"], document["plan"]
    picture = f"{source['video_codec']} {source['resolution']}" if source["video_codec"] else "no picture"
    sound = f"{source['audio_tracks']} x {source['audio_codec']}" if source["audio_codec"] else "no sound"
    click.echo(f"Source  {source['container']}, {source['duration_seconds']:.2f} s, {picture}, {sound}")
    probed, size = source["probed_bytes"] / 1024, source["file_size"] / 1024
    click.echo(f"Probe   {probed:.0f} KiB of {size:.0f} KiB in {source['probed_reads']} reads")
    rungs = [
        (r["name"], f"{r['width']}x{r['height']}", f"{r['crf']:g}", f"{r['maxrate'] // 1000} kbit/s", r["profile"])
        for r in made["rungs"]
    ]
    click.echo()
    print_table(("rung", "size", "crf", "at most", "profile"), rungs, empty="No picture: sound only.")
    click.echo()
    tracks = [(t["name"], t["language"], f"{t['bitrate'] // 1000} kbit/s", t["channels"]) for t in made["audio"]]
    print_table(("sound", "language", "rate", "channels"), tracks, empty="No sound.")
    click.echo()
    fps = f", {source['fps']:.3f} fps" if source["fps"] else ""
    chunks, seconds = len(made["chunks"]), made["segment_seconds"]
    click.echo(f"Chunks  {chunks} of {seconds:g} s segments{fps}, {made['container']}")
    click.echo(f"Cost    about {document['estimated_cpu_seconds']:.1f} cpu-seconds")
    click.echo(f"Hash    {document['plan_hash']}")
