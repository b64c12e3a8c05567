"""When is a stream whole? Exit codes do not say (reliability.md 0.1); these rules do, before the job may be DONE."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from src.domain.errors import OutputInvalid
from src.domain.video.plan import UNINDEXED, AudioTrack, Plan
from src.domain.video.playlist import MediaPlaylist, master_uris, parse_media

SEGMENT = re.compile(r"seg_(\d+)\.(?:m4s|ts)")
CUT_TOLERANCE = 0.002
"""Seconds two rungs' cuts may differ: EXTINF has six decimals, and no frame is that short."""


def frames_missing_allowed(plan: Plan) -> int:
    """Output frames that may lack at the end of the film. A tenth of a second where the duration is known by an
    index (rounding of the last frame); two tenths where it ends with the last packet, whose own length nobody wrote down;
    a second, or 5 % of shorter films, where only a header that can lie named it."""
    if plan.fps is None:
        return 0
    seconds = 0.0 if plan.duration_exact else min(1.0, 0.05 * plan.duration_seconds)
    rounding = plan.fps / (5 if plan.source_container in UNINDEXED else 10)
    return max(2, round(seconds * plan.fps), round(rounding))


def verify_stream(plan: Plan, master: str, playlists: Mapping[str, str], sizes: Mapping[str, int]) -> None:
    """Check a whole stream. `playlists`: text by path ("720p/index.m3u8", "audio_0/index.m3u8"); `sizes`: bytes of every
    object by path; both relative to the master playlist. Raises OutputInvalid naming everything that is wrong."""
    problems: list[str] = []
    parsed: dict[str, MediaPlaylist] = {}
    try:
        variants, sounds = master_uris(master)
        for path, text in playlists.items():
            parsed[path] = parse_media(text)
    except OutputInvalid as error:
        raise OutputInvalid(f"the output is not whole: {error.message}") from error
    named = {*variants, *sounds}
    folders = {str(PurePosixPath(path).parent): playlist for path, playlist in parsed.items()}
    expected = {
        *(rung.name for rung in plan.rungs),
        *(track.name for track in plan.audio),
    }
    if set(folders) != expected or named != set(parsed):
        problems.append(
            f"renditions are {sorted(folders)}, the master names {sorted(named)}, planned {sorted(expected)}"
        )
    for folder, playlist in folders.items():
        problems += missing_objects(folder, playlist, sizes)
        problems += out_of_order(folder, playlist)
        if not playlist.ended or playlist.sequence != 0:
            problems.append(f"{folder}: the playlist is not finished")
        if playlist.declared_target != playlist.target:
            problems.append(f"{folder}: target duration {playlist.declared_target} instead of {playlist.target}")
    problems += _check_pictures(plan, folders)
    for track in plan.audio:
        if track.name in folders:
            problems += check_sound(plan, track, folders[track.name].seconds)
    if problems:
        raise OutputInvalid(f"the output is not whole: {'; '.join(problems[:10])}")


def missing_objects(folder: str, playlist: MediaPlaylist, sizes: Mapping[str, int]) -> list[str]:
    """Files that the playlist names and that do not exist or are empty."""
    names = [segment.uri for segment in playlist.segments] + ([playlist.init] if playlist.init else [])
    return [f"{folder}/{name} is missing or empty" for name in names if sizes.get(f"{folder}/{name}", 0) <= 0]


def out_of_order(folder: str, playlist: MediaPlaylist) -> list[str]:
    """Segments that don't stand where their number says: left out, twice, or swapped."""
    wrong = [
        segment.uri
        for place, segment in enumerate(playlist.segments)
        if _number(segment.uri) != playlist.sequence + place
    ]
    return [f"{folder}: {wrong[0]} stands where another segment belongs"] if wrong else []


def _number(uri: str) -> int | None:
    found = SEGMENT.fullmatch(uri)
    return int(found[1]) if found else None


def check_sound(plan: Plan, track: AudioTrack, seconds: float) -> list[str]:
    """Sound ends with the film, or with the source's own track where that is shorter. Half a second (5 % of long tracks)
    may lack: broken frames at the end of MP3 and AAC tracks are common and can't be heard."""
    wanted = min(plan.duration_seconds, track.source_seconds or plan.duration_seconds)
    short = max(0.5, 0.05 * wanted) if track.source_seconds is not None else wanted
    if seconds > plan.duration_seconds + 0.1:
        return [f"{track.name} lasts {seconds:.2f} s of {plan.duration_seconds:.2f} s"]
    if not plan.allow_partial and (seconds <= 0 or seconds < wanted - short):
        return [f"{track.name} lasts {seconds:.2f} s instead of {wanted:.2f} s"]
    return []


def _check_pictures(plan: Plan, folders: Mapping[str, MediaPlaylist]) -> list[str]:
    problems: list[str] = []
    shown = [(rung.name, folders[rung.name]) for rung in plan.rungs if rung.name in folders]
    if plan.fps is None or not shown:
        return problems
    first_name, first = shown[0]
    for name, playlist in shown[1:]:
        if not _same_cuts(first, playlist):
            problems.append(f"{name} is cut at other times than {first_name}")
    most = float(plan.frames / plan.fps)
    least = 0.0 if plan.allow_partial else most - float(frames_missing_allowed(plan) / plan.fps)
    planned = [float(frames / plan.fps) for chunk in plan.chunks for frames in plan.segment_lengths(chunk.index)]
    for name, playlist in shown:
        if not plan.allow_partial and not _cut_as_planned(playlist, planned):
            problems.append(f"{name} is not cut where it was planned")
        if not least - CUT_TOLERANCE <= playlist.seconds <= most + CUT_TOLERANCE:
            problems.append(f"{name} lasts {playlist.seconds:.3f} s instead of {most:.3f} s")
    return problems


def _cut_as_planned(playlist: MediaPlaylist, planned: Sequence[float]) -> bool:
    """Each segment has its planned length; only the last may be short, of a source that ends early."""
    lengths = [segment.seconds for segment in playlist.segments]
    if not lengths or len(lengths) > len(planned):
        return False
    whole = zip(lengths[:-1], planned, strict=False)
    return (
        all(abs(length - wanted) <= CUT_TOLERANCE for length, wanted in whole)
        and lengths[-1] <= planned[len(lengths) - 1] + CUT_TOLERANCE
    )


def _same_cuts(one: MediaPlaylist, other: MediaPlaylist) -> bool:
    if len(one.segments) != len(other.segments):
        return False
    pairs = zip(one.segments, other.segments, strict=True)
    return all(abs(left.seconds - right.seconds) <= CUT_TOLERANCE for left, right in pairs)
