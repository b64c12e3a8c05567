"""Stills of a source that is read by ranges: the probing process cuts out what a picture needs, ffmpeg makes it of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from src.application.ports.media import ReadRange
from src.domain.errors import CorruptSource
from src.domain.video.source import SourceMedia
from src.infrastructure.ffmpeg.pictures import FfmpegPictures
from src.infrastructure.ffmpeg.probe_look import Look
from src.infrastructure.ffmpeg.prober import PyAvProber


@dataclass(frozen=True, slots=True)
class CutViewer:
    """The Viewer port. `pictures` makes the tool that turns pieces into stills: a new one for each view."""

    prober: PyAvProber
    pictures: Callable[[], FfmpegPictures]

    @contextmanager
    def view(self, read: ReadRange, size: int) -> Iterator[CutView]:
        """See the port."""
        tool = self.pictures()
        try:
            with self.prober.looking(read, size, cuts=True) as look:
                yield CutView(look, tool)
        finally:
            tool.stop()


@dataclass(frozen=True, slots=True)
class CutView:
    """The View port."""

    look: Look
    pictures: FfmpegPictures

    @property
    def media(self) -> SourceMedia:
        """What the probe found."""
        return self.look.media

    @property
    def bytes_read(self) -> int:
        """Of the source, so far."""
        return self.look.blocks.bytes_read

    @property
    def reads(self) -> int:
        """Requests so far."""
        return self.look.blocks.reads

    def still(self, second: float, *, width: int, height: int, target: Path) -> float | None:
        """See the port."""
        video = self.media.video
        if video is None:
            raise CorruptSource("the source has no picture", fix="ask for pictures only where there is a picture track")
        piece = target.with_name(f"{target.name}.cut")
        try:
            # Half a frame early, so that a frame that starts exactly there is not missed.
            early = 0.5 / float(video.average_fps) if video.average_fps else 0.02
            cut = self.look.cut(max(0.0, second - early), piece)
            if cut is None:
                return None
            short = replace(
                self.media,
                container=cut.container,
                start_seconds=0.0,
                video=replace(video, index=0, start_seconds=0.0),
            )
            return self.pictures.still(cut.path, short, second=cut.second, width=width, height=height, target=target)
        finally:
            piece.unlink(missing_ok=True)
