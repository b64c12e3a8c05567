"""The Encoder port with ffmpeg: one sandboxed process per call, its output verified before it is believed."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from src.application.ports.media import EncodedFile
from src.domain.errors import DiskFull, FileAccessError
from src.domain.video.plan import Plan
from src.infrastructure.ffmpeg.command import audio_argv, chunk_argv, seek_margins
from src.infrastructure.ffmpeg.produced import begins_right, chunk_files, sound_files
from src.infrastructure.ffmpeg.sandbox import Limits, Sandbox
from src.infrastructure.ffmpeg.tool import Finished, Patience, Tool
from src.infrastructure.ffmpeg.verdict import failure_of, is_full

PINNED_CPU = "avx2"
"""x264 writes other bytes on an AVX-512 machine than on an AVX2 one (video.md 1); all current x86 servers have AVX2."""
START_SECONDS = 300.0
SECONDS_PER_SECOND = 60.0
"""Wall limit of one process: 5 minutes and a minute per second of output. 4K AV1 in, five rungs at preset veryslow, stays
far below; a process beyond it is hung in a way that still reports progress."""


def pinned_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """The instruction set to pin x264 to: None on machines without AVX2 or of another architecture, where naming it would
    crash x264; the bytes are then those of that machine."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return None
    try:
        flags = cpuinfo.read_text("ascii", "replace")
    except OSError:
        return None
    return PINNED_CPU if PINNED_CPU in flags.split() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """Limits of one ffmpeg process. `wall_seconds` overrides the limit that follows from the length of the output."""

    stall_seconds: float = 60.0
    kill_after_seconds: float = 5.0
    wall_seconds: float | None = None
    limits: Limits = field(default_factory=Limits)


class FfmpegEncoder:
    """See application/ports/media.py Encoder. `binary` is what `binary.find_ffmpeg` found."""

    def __init__(self, binary: Path, sandbox: Sandbox, settings: EncoderSettings | None = None) -> None:
        self._binary = binary
        self._settings = settings or EncoderSettings()
        self._tool = Tool(sandbox)
        self._cpu = pinned_cpu()

    def encode_chunk(
        self, source: Path, plan: Plan, index: int, folder: Path, on_progress: Callable[[float], None]
    ) -> Sequence[EncodedFile]:
        """All rungs of one chunk into {folder}/{rung.name}/; `on_progress` gets seconds of this chunk."""
        fps = plan.fps
        assert fps is not None  # noqa: S101  # a plan with chunks has a rate
        seconds = float(plan.chunks[index].frames / fps)

        reached = 0.0

        def progress(block: dict[str, str]) -> None:
            nonlocal reached
            frames = block.get("frame", "")
            if frames.isdecimal():
                reached = max(reached, min(seconds, float(int(frames) / fps)))
                on_progress(reached)

        names = [rung.name for rung in plan.rungs]
        for missed, margin in enumerate(seek_margins(plan, index)):

            def argv(progress_fd: int, missed: int = missed) -> list[str]:
                path = source.absolute()
                return chunk_argv(
                    self._binary, path, plan, index, progress_fd=progress_fd, cpu=self._cpu, missed=missed
                )

            finished = self._run(argv, source, folder, names, seconds, progress)
            if margin is None or begins_right(plan, index, folder):
                break
        return chunk_files(plan, index, folder, finished.stderr)

    def encode_audio(
        self, source: Path, plan: Plan, number: int, folder: Path, on_progress: Callable[[float], None]
    ) -> Sequence[EncodedFile]:
        """One sound track, whole film, into {folder}/{track.name}/; `on_progress` gets seconds of the film."""

        def argv(progress_fd: int) -> list[str]:
            return audio_argv(self._binary, source.absolute(), plan, number, progress_fd=progress_fd)

        def progress(block: dict[str, str]) -> None:
            microseconds = block.get("out_time_us", "")
            if microseconds.isdecimal():
                on_progress(min(plan.duration_seconds, int(microseconds) / 1e6))

        finished = self._run(argv, source, folder, [plan.audio[number].name], plan.duration_seconds, progress)
        return sound_files(plan, number, folder, finished.stderr)

    def stop(self) -> None:
        """Kill every process of this encoder; calls raise Cancelled from here on."""
        self._tool.stop()

    def _run(
        self,
        argv: Callable[[int], list[str]],
        source: Path,
        folder: Path,
        names: Sequence[str],
        seconds: float,
        on_progress: Callable[[dict[str, str]], None],
    ) -> Finished:
        if not source.is_file():
            raise FileAccessError(f"the local source {source.name} is gone")
        _make_folders(folder, names)
        wall = self._settings.wall_seconds or START_SECONDS + SECONDS_PER_SECOND * seconds
        patience = Patience(
            stall_seconds=self._settings.stall_seconds,
            wall_seconds=wall,
            kill_after_seconds=self._settings.kill_after_seconds,
        )
        # Two cores for all the time there is are a runaway, whatever the operator allows.
        cpu_seconds = min(self._settings.limits.cpu_seconds, int(2 * wall))
        limits = replace(self._settings.limits, cpu_seconds=cpu_seconds)
        finished = self._tool.run(
            argv, read=[source], folder=folder, limits=limits, patience=patience, on_progress=on_progress
        )
        error = failure_of(finished, folder)
        if error is not None:
            raise error
        return finished


def _make_folders(folder: Path, names: Sequence[str]) -> None:
    """One folder per rendition, without what an earlier attempt left: a stale segment must never pass for a new one."""
    for name in names:
        target = folder / name
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskFull(f"the folder {target.name} can't be made: {error.strerror}") from error
        for path in target.iterdir():
            path.unlink()
    if is_full(folder):
        raise DiskFull("no space left for the output", fix="free or add scratch space")
