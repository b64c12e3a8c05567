"""HLS playlists (RFC 8216): written by us, so that every number in them is measured, and read back strictly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from src.domain.errors import OutputInvalid

AAC_LC = "mp4a.40.2"
AUDIO_GROUP = "sound"
LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]+)(?:,|$)')


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a media playlist; `uri` relative to it."""

    uri: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPlaylist:
    """One rendition. `init` names the header of fMP4 segments. Not `ended`: an EVENT playlist that still grows."""

    segments: tuple[Segment, ...]
    init: str | None = None
    ended: bool = True
    sequence: int = 0
    declared_target: int | None = None
    """the target duration that was read, None for a playlist not yet written"""

    @property
    def target(self) -> int:
        """EXT-X-TARGETDURATION: the longest segment, rounded to whole seconds."""
        return max(1, *(int(segment.seconds + 0.5) for segment in self.segments), 1)

    @property
    def seconds(self) -> float:
        """Sum of all EXTINF."""
        return sum(segment.seconds for segment in self.segments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One picture rendition (or, with neither `codec` nor size, sound alone) in the master playlist. Rates in bit/s of this
    rendition without its sound, see `rates`."""

    uri: str
    peak: int
    average: int
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """One sound rendition in the master playlist."""

    uri: str
    name: str
    peak: int
    average: int
    language: str | None = None
    default: bool = False
    channels: int = 2


def write_media(playlist: MediaPlaylist) -> str:
    """The text of a media playlist."""
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{7 if playlist.init else 6}",
        f"#EXT-X-TARGETDURATION:{playlist.target}",
        f"#EXT-X-MEDIA-SEQUENCE:{playlist.sequence}",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if playlist.ended else 'EVENT'}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    if playlist.init:
        lines.append(f'#EXT-X-MAP:URI="{_safe_uri(playlist.init)}"')
    for segment in playlist.segments:
        lines += [f"#EXTINF:{segment.seconds:.6f},", _safe_uri(segment.uri)]
    if playlist.ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def parse_media(text: str) -> MediaPlaylist:
    """Read a media playlist as `write_media` or ffmpeg writes it. Raises OutputInvalid for anything else."""
    lines = _lines(text)
    segments: list[Segment] = []
    facts: dict[str, str] = {}
    seconds: float | None = None
    for line in lines:
        if line.startswith("#EXTINF:"):
            seconds = _seconds(line)
        elif line.startswith("#"):
            tag, _, value = line.partition(":")
            facts[tag] = value
        elif seconds is None or "#EXT-X-ENDLIST" in facts:
            raise OutputInvalid(f"playlist: {line!r} stands where no segment belongs")
        else:
            segments.append(Segment(_safe_uri(line), seconds))
            seconds = None
    if seconds is not None or not segments:
        raise OutputInvalid(
            "playlist: the last EXTINF names no file" if seconds is not None else "playlist: no segments"
        )
    return MediaPlaylist(
        segments=tuple(segments),
        init=_attributes(facts["#EXT-X-MAP"]).get("URI") if "#EXT-X-MAP" in facts else None,
        ended="#EXT-X-ENDLIST" in facts,
        sequence=_whole(facts.get("#EXT-X-MEDIA-SEQUENCE", "0")),
        declared_target=_whole(facts.get("#EXT-X-TARGETDURATION", "")),
    )


def write_master(variants: Sequence[Variant], sounds: Sequence[Sound]) -> str:
    """The text of the master playlist, in the order given (players start with the first variant). Bandwidths of variants
    include the loudest of the sound group, as RFC 8216 4.3.4.2 asks. Without variants: sound alone."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    default = next((sound for sound in sounds if sound.default), sounds[0] if sounds else None)
    shown = list(variants)
    if not shown and default is not None:
        shown = [Variant(uri=default.uri, peak=0, average=0)]
    if sounds and (variants or len(sounds) > 1):
        lines += [_media_line(sound, is_default=sound is default) for sound in sounds]
        group = True
    else:
        group = False
    peak = max((sound.peak for sound in sounds), default=0)
    average = max((sound.average for sound in sounds), default=0)
    for variant in shown:
        codecs = [name for name in (variant.codec, AAC_LC if sounds else None) if name]
        attributes = [
            f"BANDWIDTH={variant.peak + peak}",
            f"AVERAGE-BANDWIDTH={variant.average + average}",
        ]
        attributes.append(f'CODECS="{",".join(codecs)}"')
        if variant.width and variant.height:
            attributes.append(f"RESOLUTION={variant.width}x{variant.height}")
        if variant.fps:
            attributes.append(f"FRAME-RATE={float(variant.fps):.3f}")
        if group:
            attributes.append(f'AUDIO="{AUDIO_GROUP}"')
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", _safe_uri(variant.uri)]
    return "\n".join(lines) + "\n"


def master_uris(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(variant uris, sound uris) of a master playlist. Raises OutputInvalid when it is not one."""
    variants: list[str] = []
    sounds: list[str] = []
    expects = False
    for line in _lines(text):
        if line.startswith("#EXT-X-STREAM-INF:"):
            missing = {"BANDWIDTH", "AVERAGE-BANDWIDTH", "CODECS"} - _attributes(line.partition(":")[2]).keys()
            if missing or expects:
                raise OutputInvalid(f"master playlist: a variant lacks {', '.join(sorted(missing)) or 'its uri'}")
            expects = True
        elif line.startswith("#EXT-X-MEDIA:"):
            sounds.append(_safe_uri(_attributes(line.partition(":")[2]).get("URI", "")))
        elif not line.startswith("#"):
            if not expects:
                raise OutputInvalid(f"master playlist: {line!r} follows no EXT-X-STREAM-INF")
            variants.append(_safe_uri(line))
            expects = False
    if expects or not variants:
        raise OutputInvalid("master playlist: a variant without a uri, or none at all")
    return tuple(variants), tuple(sounds)


def rates(sizes: Sequence[int], seconds: Sequence[float], target: int) -> tuple[int, int]:
    """(peak, average) in bit/s of one rendition: the peak of RFC 8216 4.1, over each run of segments that lasts 0.5 to 1.5
    target durations; the average over all."""
    peak = 0.0
    for first in range(len(sizes)):
        size, length = 0, 0.0
        for index in range(first, len(sizes)):
            size, length = size + sizes[index], length + seconds[index]
            if length > 1.5 * target:
                break
            if length >= 0.5 * target:
                peak = max(peak, size * 8 / length)
    average = sum(sizes) * 8 / sum(seconds)
    return round(max(peak, average)), round(average)


def avc1_codec(head: bytes) -> str:
    """ "avc1.64001f" from the bytes of an fMP4 init header (its avcC box) or of a TS segment (its SPS). Raises
    OutputInvalid when neither is there."""
    box = head.find(b"avcC")
    if box >= 0 and len(head) >= box + 8:
        return f"avc1.{head[box + 5 : box + 8].hex()}"
    found = re.search(rb"\x00\x00\x01[\x07\x27\x47\x67](...)", head, re.DOTALL)
    if found is None:
        raise OutputInvalid("the picture's header names no H.264 profile")
    return f"avc1.{found.group(1).hex()}"


def _media_line(sound: Sound, *, is_default: bool) -> str:
    name = re.sub(r'["\x00-\x1f\x7f]', "", sound.name) or "sound"
    attributes = ["TYPE=AUDIO", f'GROUP-ID="{AUDIO_GROUP}"', f'NAME="{name}"']
    if sound.language and LANGUAGE.fullmatch(sound.language):
        attributes.append(f'LANGUAGE="{sound.language}"')
    attributes += [
        f"DEFAULT={'YES' if is_default else 'NO'}",
        "AUTOSELECT=YES",
        f'CHANNELS="{sound.channels}"',
    ]
    attributes.append(f'URI="{_safe_uri(sound.uri)}"')
    return f"#EXT-X-MEDIA:{','.join(attributes)}"


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines or lines[0] != "#EXTM3U":
        raise OutputInvalid("playlist: it does not start with #EXTM3U")
    return lines


def _attributes(text: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in ATTRIBUTE.findall(text)}


def _safe_uri(uri: str) -> str:
    """Our own names are relative and plain; nothing else may stand in a playlist of ours."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", uri) or ".." in uri.split("/"):
        raise OutputInvalid(f"playlist: {uri!r} is not a name this worker writes")
    return uri


def _seconds(line: str) -> float:
    found = re.fullmatch(r"#EXTINF:(\d+(?:\.\d+)?),.*", line)
    if found is None:
        raise OutputInvalid(f"playlist: {line!r} is no EXTINF")
    return float(found.group(1))


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise OutputInvalid(f"playlist: {text!r} is not a number")
    return int(text)
