"""Media tools: the only ports behind which ffmpeg and PyAV live. Every method may be handed hostile input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from src.domain.video.plan import Plan
from src.domain.video.source import SourceMedia

ReadRange = Callable[[int, int], bytes]
"""(offset, length) -> bytes, shorter only at the end of the object."""


class Prober(Protocol):
    """One look by ranged reads, in a process of its own with no network and hard limits."""

    def probe(self, read: ReadRange, size: int) -> SourceMedia:
        """Raises UnsupportedFormat (not an allowed container, or nothing to show or hear), CorruptSource,
        TruncatedSource, LimitsExceeded, all permanent and naming what is wrong; DecoderCrash when the probing process
        died or hung. Errors of `read` pass through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedFile:
    """One file an encode left behind, whole. `duration_seconds` is 0 for an init header."""

    rendition: str
    path: Path
    name: str
    """file name inside the rendition's folder, as the playlist will name it"""
    duration_seconds: float
    init: bool = False


class Encoder(Protocol):
    """Runs one ffmpeg process per call; callable from several threads at once. Raises FfmpegFailed, DecoderCrash,
    DiskFull, ResourceExceeded, CorruptSource, TruncatedSource; Cancelled after `stop`.

    `on_progress` gets the seconds of output done so far, at most a few times a second."""

    def encode_chunk(
        self, source: Path, plan: Plan, index: int, folder: Path, on_progress: Callable[[float], None]
    ) -> Sequence[EncodedFile]:
        """All rungs of one chunk, init headers included; verified: frames, segments and sizes are what the plan says."""

    def encode_audio(
        self, source: Path, plan: Plan, number: int, folder: Path, on_progress: Callable[[float], None]
    ) -> Sequence[EncodedFile]:
        """One audio track, whole file."""

    def stop(self) -> None:
        """Kill every ffmpeg of this encoder; running calls raise Cancelled, later ones too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryboardSheet:
    """A sprite sheet: `columns` x `rows` tiles of `width` x `height` pixels, one each `interval_seconds`, `tiles` used."""

    path: Path
    columns: int
    rows: int
    width: int
    height: int
    interval_seconds: float
    tiles: int


class Pictures(Protocol):
    """Still pictures from a local file. Raises what Encoder raises."""

    def thumbnail(
        self, source: Path, media: SourceMedia, *, position: float, width: int, height: int, target: Path
    ) -> float:
        """A JPEG that fits into width x height (shape kept, upright, tone-mapped) near `position` (0-1 of the
        duration), skipping black frames; the second it was taken at."""

    def storyboard(
        self, source: Path, media: SourceMedia, *, tile_width: int, most_tiles: int, folder: Path
    ) -> Sequence[StoryboardSheet]:
        """Sprite sheets over the whole duration."""

    def stop(self) -> None:
        """Kill every process of this object; running calls raise Cancelled, later ones too."""


class View(Protocol):
    """One source, looked at by ranged reads. `bytes_read` and `reads` count what it cost so far."""

    @property
    def media(self) -> SourceMedia:
        """What it is."""

    @property
    def bytes_read(self) -> int:
        """Bytes of the source that were read."""

    @property
    def reads(self) -> int:
        """Requests that it took."""

    def still(self, second: float, *, width: int, height: int, target: Path) -> float | None:
        """The picture at `second` (from the beginning; where that lies many bytes behind a keyframe, the keyframe) as a JPEG
        at `target` that fits into width x height (shape kept, never enlarged, upright, tone-mapped), and its mean brightness
        (0-255). None when the source has no picture there; then there is no file. Raises CorruptSource, DecoderCrash,
        FfmpegFailed, DiskFull, and what the reads raise."""


class Viewer(Protocol):
    """Pictures of a source without fetching it: reads its headers and what lies around the wanted pictures."""

    def view(self, read: ReadRange, size: int) -> AbstractContextManager[View]:
        """Probe, and stay ready for stills until the block ends. Raises what Prober.probe raises."""
