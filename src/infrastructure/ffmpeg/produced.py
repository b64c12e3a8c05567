"""Reads what an encode left in its folder and decides whether it is what the plan says. Exit code 0 is no proof:
on a full disk ffmpeg's HLS exits 0 with an empty playlist, and half an upload transcodes "successfully"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from src.application.ports.media import EncodedFile
from src.domain.errors import CorruptSource, JobError, OutputInvalid, TruncatedSource
from src.domain.video.plan import Plan
from src.domain.video.playlist import MediaPlaylist, parse_media
from src.domain.video.verify import check_sound, frames_missing_allowed
from src.infrastructure.ffmpeg.command import FIRST_FRAMES, INIT, PLAYLIST, segment_name
from src.infrastructure.ffmpeg.verdict import blames_source

TS_PACKET = 188
JUMP = re.compile(r"DTS \d+ < \d+ out of order")


def chunk_files(plan: Plan, index: int, folder: Path, stderr: str) -> list[EncodedFile]:
    """The files of a chunk, all rungs. Raises TruncatedSource or CorruptSource when the source gave fewer frames than
    planned, OutputInvalid when ffmpeg wrote something else than it says."""
    files: list[EncodedFile] = []
    cuts: set[tuple[int, ...]] = set()
    for rung in plan.rungs:
        playlist = _playlist(folder / rung.name, plan, stderr)
        cuts.add(_check_frames(plan, index, playlist, stderr))
        files += _files(rung.name, folder / rung.name, playlist, plan)
    if len(cuts) != 1:
        raise OutputInvalid(f"the rungs of chunk {index} are cut at different frames")
    return files


def begins_right(plan: Plan, index: int, folder: Path) -> bool:
    """Whether the chunk's own first frame was encoded; else the seek before it landed too late. Whether the rest followed
    is for `chunk_files` to say."""
    told = folder / plan.rungs[0].name / FIRST_FRAMES
    if not told.is_file():
        return False
    with told.open(encoding="ascii") as lines:
        return lines.readline().strip() == str(plan.chunks[index].first_frame)


def sound_files(plan: Plan, number: int, folder: Path, stderr: str) -> list[EncodedFile]:
    """The files of one sound track."""
    track = plan.audio[number]
    playlist = _playlist(folder / track.name, plan, stderr)
    problems = check_sound(plan, track, playlist.seconds)
    if problems:
        raise _short(f"sound is missing: {problems[0]}", stderr)
    return _files(track.name, folder / track.name, playlist, plan)


def _playlist(folder: Path, plan: Plan, stderr: str) -> MediaPlaylist:
    path = folder / PLAYLIST
    text = path.read_text("utf-8") if path.exists() else ""
    if "#EXTINF" not in text:
        raise _short(f"nothing of it could be encoded ({folder.name})", stderr)
    playlist = parse_media(text)
    if not playlist.ended or (playlist.init is not None) != (plan.container == "fmp4"):
        raise OutputInvalid(f"{folder.name}: ffmpeg's own playlist is not finished")
    return playlist


def _short(what: str, stderr: str) -> JobError:
    if JUMP.search(stderr):
        fix = "export it again as one recording: joined streams start their clock anew"
        return CorruptSource(f"the source's time stamps jump back: {what}", fix=fix)
    if blames_source(stderr):
        return CorruptSource(f"the source can't be decoded: {what}")
    return TruncatedSource(f"the source ends early: {what}", fix="upload the whole file again")


def _check_frames(plan: Plan, index: int, playlist: MediaPlaylist, stderr: str) -> tuple[int, ...]:
    """Frames per segment. Only the film's last chunk may be short, and only by what `frames_missing_allowed` says."""
    assert plan.fps is not None  # noqa: S101  # it has chunks
    chunk, planned = plan.chunks[index], plan.segment_lengths(index)
    counted = tuple(round(segment.seconds * plan.fps) for segment in playlist.segments)
    missing = chunk.frames - sum(counted)
    is_last = index == len(plan.chunks) - 1
    allowed = chunk.frames - 1 if plan.allow_partial else frames_missing_allowed(plan) if is_last else 0
    if missing < 0:
        raise OutputInvalid(f"chunk {index} holds {sum(counted)} frames, more than the {chunk.frames} planned")
    if missing > allowed:
        second = float((chunk.first_frame + sum(counted)) / plan.fps)
        raise _short(f"{missing} of {plan.frames} frames are missing after second {second:.2f}", stderr)
    if counted[:-1] != planned[: len(counted) - 1]:
        raise OutputInvalid(f"chunk {index} is cut at frames {counted}, planned {planned}")
    if playlist.sequence != chunk.first_segment:
        raise OutputInvalid(f"chunk {index} begins with segment {playlist.sequence}, planned {chunk.first_segment}")
    return counted


def _files(rendition: str, folder: Path, playlist: MediaPlaylist, plan: Plan) -> list[EncodedFile]:
    files: list[EncodedFile] = []
    if playlist.init is not None:
        files.append(EncodedFile(rendition=rendition, path=folder / INIT, name=INIT, duration_seconds=0.0, init=True))
    for number, segment in enumerate(playlist.segments, start=playlist.sequence):
        if segment.uri != segment_name(plan, number):
            raise OutputInvalid(f"{rendition}: {segment.uri!r} is not segment {number}")
        files.append(
            EncodedFile(
                rendition=rendition, path=folder / segment.uri, name=segment.uri, duration_seconds=segment.seconds
            )
        )
    _check_bytes(files, plan)
    return files


def _check_bytes(files: Sequence[EncodedFile], plan: Plan) -> None:
    """Each file is there and ends where its own structure says: a full disk leaves files cut in the middle."""
    for file in files:
        if not file.path.is_file() or file.path.stat().st_size == 0:
            raise OutputInvalid(f"{file.rendition}/{file.name} is missing or empty")
        data = file.path.read_bytes()
        whole = _is_whole_ts(data) if plan.container == "ts" else _is_whole_mp4(data, init=file.init)
        if not whole:
            raise OutputInvalid(f"{file.rendition}/{file.name} is cut off")


def _is_whole_ts(data: bytes) -> bool:
    return len(data) % TS_PACKET == 0 and data[0] == 0x47 and data[-TS_PACKET] == 0x47


def _is_whole_mp4(data: bytes, *, init: bool) -> bool:
    """Its top boxes fill the file exactly, and those that matter are there."""
    names: set[bytes] = set()
    position = 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        names.add(data[position + 4 : position + 8])
        if size < 8:
            return False
        position += size
    return position == len(data) and ({b"moov"} if init else {b"moof", b"mdat"}) <= names
