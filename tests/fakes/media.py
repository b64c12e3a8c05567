"""Media tools that make tiny files instead of running ffmpeg, and can be told to fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from src.application.ports.media import EncodedFile, ReadRange, StoryboardSheet
from src.domain.errors import Cancelled
from src.domain.video.plan import Plan
from src.domain.video.source import AudioStream, SourceMedia, VideoStream

INIT = b"\x00\x00\x00\x10avcC\x01\x64\x00\x1f header"


def film(seconds: float = 20.0, *, sound: int = 1, picture: bool = True) -> SourceMedia:
    """Facts of a small film: 5 chunks of 4 s at 240p."""
    video = VideoStream(
        index=0,
        codec="h264",
        profile="High",
        pixel_format="yuv420p",
        width=426,
        height=240,
        average_fps=Fraction(25),
        nominal_fps=Fraction(25),
    )
    tracks = tuple(
        AudioStream(index=number + 1, codec="aac", channels=2, sample_rate=48_000, duration_seconds=seconds)
        for number in range(sound)
    )
    return SourceMedia(
        container="mov",
        size=1000,
        duration_seconds=seconds,
        duration_exact=True,
        video=video if picture else None,
        audio=tracks,
    )


@dataclass
class ScriptedProber:
    """Reads the first bytes, as a probe does, then says what it was told to say."""

    media: SourceMedia = field(default_factory=film)
    on_probe: Callable[[], None] = lambda: None
    probes: int = 0

    def probe(self, read: ReadRange, size: int) -> SourceMedia:
        self.probes += 1
        read(0, min(size, 16))
        self.on_probe()
        return self.media


@dataclass
class ScriptedEncoder:
    """Writes what the plan asks for. `fault` is called with each chunk's index and may raise; `shorten` leaves out the
    last segment of that chunk, as an encoder that exits 0 on a full disk does."""

    fault: Callable[[int], None] = lambda _index: None
    shorten: int | None = None
    encoded: list[int] = field(default_factory=list)
    stopped: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def encode_chunk(
        self, source: Path, plan: Plan, index: int, folder: Path, on_progress: Callable[[float], None]
    ) -> Sequence[EncodedFile]:
        self._begin(index)
        assert plan.fps is not None
        chunk, files = plan.chunks[index], []
        for rung in plan.rungs:
            files.append(_file(folder, rung.name, "init.mp4", INIT, 0.0, init=True))
            lengths = plan.segment_lengths(index)[: -1 if self.shorten == index else None]
            for number, frames in enumerate(lengths):
                name = f"seg_{chunk.first_segment + number:05d}.m4s"
                content = f"{source.read_bytes()[:8]!r} {rung.name} {name}".encode()
                files.append(_file(folder, rung.name, name, content, float(frames / plan.fps)))
        on_progress(float(chunk.frames / plan.fps))
        return files

    def encode_audio(
        self, source: Path, plan: Plan, number: int, folder: Path, on_progress: Callable[[float], None]
    ) -> Sequence[EncodedFile]:
        self._begin(-1 - number)
        name = plan.audio[number].name
        on_progress(plan.duration_seconds)
        return [
            _file(folder, name, "init.mp4", b"sound header", 0.0, init=True),
            _file(folder, name, "seg_00000.m4s", b"sound", plan.duration_seconds),
        ]

    def stop(self) -> None:
        self.stopped = True

    def _begin(self, index: int) -> None:
        if self.stopped:
            raise Cancelled("encoding was stopped")
        with self.lock:
            self.encoded.append(index)
        self.fault(index)


@dataclass
class ScriptedPictures:
    """A thumbnail and one sheet."""

    stopped: bool = False

    def stop(self) -> None:
        self.stopped = True

    def thumbnail(
        self, source: Path, media: SourceMedia, *, position: float, width: int, height: int, target: Path
    ) -> float:
        target.write_bytes(b"jpeg")
        return position * media.duration_seconds

    def storyboard(
        self, source: Path, media: SourceMedia, *, tile_width: int, most_tiles: int, folder: Path
    ) -> Sequence[StoryboardSheet]:
        path = folder / "0.jpg"
        path.write_bytes(b"sheet")
        return [
            StoryboardSheet(path=path, columns=10, rows=2, width=tile_width, height=90, interval_seconds=1.0, tiles=20)
        ]


def _file(
    folder: Path, rendition: str, name: str, content: bytes, seconds: float, *, init: bool = False
) -> EncodedFile:
    path = folder / rendition / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return EncodedFile(rendition=rendition, path=path, name=name, duration_seconds=seconds, init=init)
