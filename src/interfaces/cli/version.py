"""`mediaworker version`."""

from __future__ import annotations

import platform

import click

from src import __version__
from src.domain.errors import ConfigError
from src.interfaces.cli.output import json_option, print_fields, print_json


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Version of this program and of its tools."""
    document = {"mediaworker": __version__, "python": platform.python_version(), "ffmpeg": _ffmpeg()}
    if as_json:
        print_json(document)
    else:
        print_fields(list(document.items()))


def _ffmpeg() -> str:
    from src.infrastructure.ffmpeg import binary
    from src.interfaces.wiring.environment import load

    try:
        path = binary.find_ffmpeg(load().ffmpeg_path)
        return f"{binary.first_line(path).split()[2]} at {path}"
    except ConfigError as error:
        return error.message
