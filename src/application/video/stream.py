"""From published chunks to a stream: playlists with measured numbers, checked before and after they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from src.application.ports.videos import StoredSegment
from src.domain.errors import OutputInvalid
from src.domain.video.keys import PLAYLIST
from src.domain.video.plan import Plan
from src.domain.video.playlist import (
    AAC_LC,
    MediaPlaylist,
    Segment,
    Sound,
    Variant,
    avc1_codec,
    rates,
    write_master,
    write_media,
)

HEAD_BYTES = 16_384
"""Of a rendition's first object: its codec stands there (avcC, or the first SPS of a TS segment)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """`playlists`: text by path below the attempt's prefix; `renditions` as in the job's result."""

    master: str
    playlists: Mapping[str, str]
    renditions: Sequence[Mapping[str, Any]]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Rendition:
    playlist: MediaPlaylist
    peak: int
    average: int
    head: str
    """path of the object that names the codec"""


def first_objects(plan: Plan, chunks: Mapping[int, Sequence[StoredSegment]]) -> dict[str, str]:
    """{rung: path of the object whose head names its codec}."""
    return {rung.name: _rendition(rung.name, _in_order(plan, chunks)).head for rung in plan.rungs}


def make_stream(plan: Plan, chunks: Mapping[int, Sequence[StoredSegment]], heads: Mapping[str, bytes]) -> Stream:
    """The stream of all chunks. `heads`: first bytes of what `first_objects` names, by rung. Raises OutputInvalid."""
    pictures = {rung.name: _rendition(rung.name, _in_order(plan, chunks)) for rung in plan.rungs}
    tracks = {track.name: _rendition(track.name, chunks.get(-1 - track.number, ())) for track in plan.audio}
    codecs = {name: avc1_codec(heads[name]) for name in pictures}
    variants = [
        Variant(
            uri=f"{rung.name}/{PLAYLIST}",
            peak=pictures[rung.name].peak,
            average=pictures[rung.name].average,
            codec=codecs[rung.name],
            width=rung.width,
            height=rung.height,
            fps=plan.fps,
        )
        for rung in reversed(plan.rungs)
    ]
    sounds = [
        Sound(
            uri=f"{track.name}/{PLAYLIST}",
            name=track.language or track.name,
            peak=tracks[track.name].peak,
            average=tracks[track.name].average,
            language=track.language,
            default=track.default,
            channels=track.channels,
        )
        for track in plan.audio
    ]
    all_of = {**pictures, **tracks}
    longest = pictures or tracks
    return Stream(
        master=write_master(variants, _named_apart(sounds)),
        playlists={f"{name}/{PLAYLIST}": write_media(one.playlist) for name, one in all_of.items()},
        renditions=_described(variants, sounds),
        seconds=round(max(one.playlist.seconds for one in longest.values()), 3),
    )


def _in_order(plan: Plan, chunks: Mapping[int, Sequence[StoredSegment]]) -> list[StoredSegment]:
    return [segment for chunk in plan.chunks for segment in chunks.get(chunk.index, ())]


def _rendition(name: str, segments: Sequence[StoredSegment]) -> _Rendition:
    own = [segment for segment in segments if segment.rendition == name]
    media = [segment for segment in own if not segment.init]
    headers = {segment.key.rpartition("/")[2] for segment in own if segment.init}
    if not media or len(headers) > 1:
        raise OutputInvalid(f"{name} has {len(media)} segments and {len(headers)} headers")
    playlist = MediaPlaylist(
        segments=tuple(Segment(segment.key.rpartition("/")[2], segment.duration_seconds) for segment in media),
        init=next(iter(headers), None),
    )
    peak, average = rates(
        [segment.size for segment in media], [segment.duration_seconds for segment in media], playlist.target
    )
    return _Rendition(playlist, peak, average, f"{name}/{playlist.init or playlist.segments[0].uri}")


def _named_apart(sounds: Sequence[Sound]) -> list[Sound]:
    """NAME must be unique in a group (RFC 8216 4.3.4.1.1): two German tracks become "de" and "de 2"."""
    seen: dict[str, int] = {}
    named: list[Sound] = []
    for sound in sounds:
        seen[sound.name] = count = seen.get(sound.name, 0) + 1
        label = sound.name if count == 1 else f"{sound.name} {count}"
        named.append(
            Sound(
                uri=sound.uri,
                name=label,
                peak=sound.peak,
                average=sound.average,
                language=sound.language,
                default=sound.default,
                channels=sound.channels,
            )
        )
    return named


def _described(variants: Sequence[Variant], sounds: Sequence[Sound]) -> list[dict[str, Any]]:
    peak = max((sound.peak for sound in sounds), default=0)
    shown: list[dict[str, Any]] = [
        {
            "name": variant.uri.partition("/")[0],
            "width": variant.width,
            "height": variant.height,
            "bandwidth": variant.peak + peak,
            "codecs": ",".join(name for name in (variant.codec, AAC_LC if sounds else None) if name),
        }
        for variant in variants
    ]
    return shown or [
        {
            "name": sound.uri.partition("/")[0],
            "width": None,
            "height": None,
            "bandwidth": sound.peak,
            "codecs": AAC_LC,
        }
        for sound in sounds
    ]
