"""Facts about a source file, as one probe found them. Everything the plan needs, nothing it could ask the file again for."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})
"""PQ (HDR10) and HLG: pictures that look grey on an SDR screen unless tone-mapped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoStream:
    """The picture track that will be shown. Sizes in pixels as coded; `sar` is the shape of one pixel (width / height);
    `rotation` in degrees clockwise to show it upright (0, 90, 180, 270); names as ffmpeg spells them."""

    index: int
    codec: str
    profile: str | None
    pixel_format: str | None
    width: int
    height: int
    sar: Fraction = Fraction(1)
    rotation: int = 0
    average_fps: Fraction | None = None
    nominal_fps: Fraction | None = None
    field_order: str = "progressive"
    """progressive, tt, bb, tb or bt"""
    color_transfer: str | None = None
    color_primaries: str | None = None
    color_space: str | None = None
    color_range: str | None = None
    start_seconds: float = 0.0
    duration_seconds: float | None = None
    bit_rate: int | None = None

    @property
    def is_hdr(self) -> bool:
        """Needs tone mapping for an SDR ladder."""
        return self.color_transfer in HDR_TRANSFERS

    @property
    def display_size(self) -> tuple[Fraction, Fraction]:
        """Width and height on a screen: square pixels, upright. Never larger than coded in the direction SAR shrinks."""
        width, height = Fraction(self.width), Fraction(self.height)
        if self.sar >= 1:
            width *= self.sar
        else:
            height /= self.sar
        return (height, width) if self.rotation in (90, 270) else (width, height)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioStream:
    """One sound track."""

    index: int
    codec: str
    channels: int
    sample_rate: int
    language: str | None = None
    title: str | None = None
    default: bool = False
    start_seconds: float = 0.0
    duration_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMedia:
    """What one probe by ranged reads says. `container` is the demuxer's short name (mov, matroska, mpegts, avi, flv, ...),
    `duration_seconds` what a viewer would see; `duration_exact` is False when a header that can lie is all we have."""

    container: str
    size: int
    duration_seconds: float
    duration_exact: bool
    video: VideoStream | None
    audio: tuple[AudioStream, ...] = field(default=())
    subtitle_streams: int = 0
    start_seconds: float = 0.0
    bit_rate: int | None = None
    clock_jumps: int = 0
    """times the time stamps start anew where two transport streams were joined; what lies behind needs a remux first.
    Counted where the probe saw the whole track (files of a few MiB), else 0"""
    probed_bytes: int = 0
    probed_reads: int = 0
