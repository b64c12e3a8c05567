"""Finds the ffmpeg binary and asks it, once, what it can do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from src.domain.errors import ConfigError

OLDEST_MAJOR = 7
"""Below version 7 the command line tool runs its pipeline in one thread: same cpu, 1.4 times the wall (video.md 1)."""

GET_ONE = "install ffmpeg 7 or newer and set WORKER_FFMPEG__PATH to it, or install a wheel with the binary: pip install imageio-ffmpeg"

NEEDED: Mapping[str, tuple[str, ...]] = {
    "encoders": ("libx264", "aac", "mjpeg"),
    "filters": (
        "scale",
        "fps",
        "trim",
        "split",
        "setsar",
        "format",
        "bwdif",
        "zscale",
        "tonemap",
        "aresample",
        "tile",
    ),
    "muxers": ("hls", "mp4", "mpegts", "image2"),
    "demuxers": ("mov", "matroska", "mpegts", "avi", "flv"),
}
"""What the plans may ask for. Checked at start, so that no job fails late on a binary that was built without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """One binary and what it was built with. `version` as it prints it."""

    path: Path
    version: str
    major: int
    encoders: frozenset[str]
    filters: frozenset[str]
    muxers: frozenset[str]
    demuxers: frozenset[str]

    @property
    def missing(self) -> tuple[str, ...]:
        """Needed features that this build lacks, as "filter zscale"."""
        return tuple(
            f"{kind[:-1]} {name}" for kind, names in NEEDED.items() for name in names if name not in getattr(self, kind)
        )

    def check(self) -> Capabilities:
        """Itself, or ConfigError naming every feature that is missing."""
        if self.missing:
            raise ConfigError(
                f"{self.path} (ffmpeg {self.version}) was built without {', '.join(self.missing)}",
                fix=GET_ONE,
            )
        return self


def find_ffmpeg(configured: str | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """The binary to use: the configured path, else IMAGEIO_FFMPEG_EXE, else PATH when version >= 7, else the wheel.
    Raises ConfigError when there is none, or when the configured one does not run."""
    environment = os.environ if environment is None else environment
    for label, named in (
        ("WORKER_FFMPEG__PATH", configured),
        ("IMAGEIO_FFMPEG_EXE", environment.get("IMAGEIO_FFMPEG_EXE")),
    ):
        if named:
            path = shutil.which(named, path=environment.get("PATH"))
            if path is None:
                raise ConfigError(
                    f"{label} names the ffmpeg binary {named}, which is not an executable file",
                    fix=GET_ONE,
                )
            return Path(path).resolve()
    on_path = shutil.which("ffmpeg", path=environment.get("PATH", os.defpath))
    if on_path is not None and major_version(first_line(Path(on_path))) >= OLDEST_MAJOR:
        return Path(on_path).resolve()
    return _from_wheel(on_path)


def _from_wheel(too_old: str | None) -> Path:
    found = f"only {too_old} was found, which is older than {OLDEST_MAJOR}" if too_old else "no ffmpeg was found"
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ConfigError(found, fix=GET_ONE) from error
    try:
        return Path(imageio_ffmpeg.get_ffmpeg_exe()).resolve()
    except RuntimeError as error:
        raise ConfigError(
            f"{found}, and the wheel imageio-ffmpeg brings none for this machine",
            fix=GET_ONE,
        ) from error


def capabilities(path: Path) -> Capabilities:
    """Ask the binary; about 0.2 s. Raises ConfigError when it does not run. Does not judge: see `check()`."""
    version_line = first_line(path)
    version = version_line.split()[2] if len(version_line.split()) > 2 else version_line
    return Capabilities(
        path=path,
        version=version,
        major=major_version(version_line),
        encoders=_names(path, "-encoders"),
        filters=_names(path, "-filters"),
        muxers=_names(path, "-muxers"),
        demuxers=_names(path, "-demuxers"),
    )


def first_line(path: Path) -> str:
    """The line "ffmpeg version ...". Raises ConfigError when the binary does not print one."""
    line = _ask(path, "-version").partition("\n")[0]
    if not line.startswith("ffmpeg version"):
        raise ConfigError(f"{path} is not ffmpeg: it says {line[:80]!r}", fix=GET_ONE)
    return line


def major_version(line: str) -> int:
    """7 of "ffmpeg version n7.1-3-g..." and of "ffmpeg version 7.0.2-static"; 0 of a nightly build, which names none."""
    found = re.match(r"ffmpeg version n?(\d+)\.\d", line)
    return int(found.group(1)) if found else 0


def _names(path: Path, flag: str) -> frozenset[str]:
    """The second word of each table row after the legend; demuxers list several names with commas."""
    names: set[str] = set()
    for line in _ask(path, flag).splitlines():
        found = re.match(r"\s[A-Z.| d]{1,7}\s+([\w,]+)\s", line)
        if found and "=" not in line[:10]:
            names.update(found.group(1).split(","))
    return frozenset(names)


def _ask(path: Path, flag: str) -> str:
    try:
        done = subprocess.run(
            [str(path), "-hide_banner", flag] if flag != "-version" else [str(path), flag],
            capture_output=True,
            timeout=30,
            env={},
            stdin=subprocess.DEVNULL,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{path} {flag} does not run: {error}", fix=GET_ONE) from error
    return done.stdout.decode("utf-8", "replace")
