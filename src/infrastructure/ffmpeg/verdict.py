"""Turns the end of an ffmpeg process into the error that decides about a retry."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

from src.domain.errors import CorruptSource, DecoderCrash, DiskFull, FfmpegFailed, JobError, ResourceExceeded
from src.infrastructure.ffmpeg.launcher import LAUNCH_FAILED
from src.infrastructure.ffmpeg.tool import Finished, last_line

FULL_DISK_BYTES = 262_144
"""Less than this free after an encode: what was written last can't be trusted, whatever the exit code says."""

MEMORY = re.compile(
    r"Cannot allocate memory|Out of memory|malloc of size|Error allocating|posix_memalign", re.IGNORECASE
)
SPACE = re.compile(r"No space left on device|Disk quota exceeded")
TOO_LARGE = re.compile(r"File too large")
SOURCE = re.compile(
    r"Invalid data found|moov atom not found|[Dd]ecode error rate|error while decoding|Error submitting packet to decoder"
    r"|Could not find codec parameters|Decoder .* not found|no decoder found|Codec .* not (?:in|on) whitelist"
    r"|Format .* not on whitelist|matches no streams|does not contain any stream|corrupt"
)
"""What ffmpeg says when the input is at fault."""


def failure_of(finished: Finished, folder: Path) -> JobError | None:
    """The error of a process that ended badly; None for exit code 0, which the verify step still has to confirm."""
    if finished.returncode == 0:
        return DiskFull(f"no space left in {folder.name}", fix="free or add scratch space") if is_full(folder) else None
    said = last_line(finished.stderr)
    if finished.returncode < 0:
        return _of_signal(-finished.returncode, said)
    if SPACE.search(finished.stderr) or is_full(folder):
        return DiskFull(f"no space left for the output: {said}", fix="free or add scratch space")
    if MEMORY.search(finished.stderr) or TOO_LARGE.search(finished.stderr):
        return ResourceExceeded(f"ffmpeg ran into its limits: {said}", fix="raise the tool's memory or file size limit")
    if finished.returncode != LAUNCH_FAILED and blames_source(finished.stderr):
        return CorruptSource(f"the source can't be decoded: {said}")
    return FfmpegFailed(f"ffmpeg exited with {finished.returncode}: {said}")


def blames_source(stderr: str) -> bool:
    """ffmpeg complained about the input."""
    return SOURCE.search(stderr) is not None


def is_full(folder: Path) -> bool:
    """The folder's disk has no room left."""
    return shutil.disk_usage(folder).free < FULL_DISK_BYTES


def _of_signal(number: int, said: str) -> JobError:
    name = signal.Signals(number).name if number in signal.Signals.__members__.values() else f"signal {number}"
    if number in (signal.SIGXCPU, signal.SIGXFSZ, signal.SIGKILL):
        return ResourceExceeded(f"ffmpeg was ended by {name}: a limit of memory, cpu time or file size ({said})")
    if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        return FfmpegFailed(f"somebody ended ffmpeg with {name}")
    return DecoderCrash(f"ffmpeg crashed with {name} ({said})")
