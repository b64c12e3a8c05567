"""Where a video's objects lie, and with which headers they are stored (contracts.md 1.10, 1.11)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

MASTER = "master.m3u8"
PLAYLIST = "index.m3u8"
THUMBNAIL = "thumbnail.jpg"
STORYBOARD = "storyboard.vtt"

ATTEMPT = re.compile(r"(\d+)-(\d+)-([0-9a-f]{8})")
NO_CACHE = "no-cache"
FOR_EVER = "public, max-age=31536000, immutable"
SEVEN_DAYS = "public, max-age=604800"

HEADERS = {
    ".m3u8": ("application/vnd.apple.mpegurl", NO_CACHE),
    ".ts": ("video/MP2T", FOR_EVER),
    ".m4s": ("video/mp4", FOR_EVER),
    ".mp4": ("video/mp4", FOR_EVER),
    ".jpg": ("image/jpeg", SEVEN_DAYS),
    ".vtt": ("text/vtt", SEVEN_DAYS),
}
"""{file name's end: (Content-Type, Cache-Control)}."""


def headers(path: str) -> tuple[str, str]:
    """(Content-Type, Cache-Control) of an output, by its path below the attempt's prefix. fMP4 sound lies in audio_N."""
    kind, caching = HEADERS[PurePosixPath(path).suffix]
    return ("audio/mp4" if kind == "video/mp4" and path.startswith("audio_") else kind), caching


def video_prefix(tenant: str, video_id: str) -> str:
    """Everything published of one video, all attempts."""
    return f"tenants/{tenant}/video/hls/{video_id}/"


def attempt_prefix(tenant: str, video_id: str, *, job_id: str, generation: int, fence: int) -> str:
    """One attempt's own place. Fences count per job, so a mark of the job keeps two jobs of one video apart."""
    mark = hashlib.sha256(job_id.encode()).hexdigest()[:8]
    return f"{video_prefix(tenant, video_id)}{generation}-{fence}-{mark}/"


def is_made_by(path: str, job_id: str) -> bool:
    """Whether an object of the output lies in a folder of this job's attempts."""
    # Only the mark tells jobs apart; the other parts are any.
    mark = attempt_prefix("t", "v", job_id=job_id, generation=1, fence=1).rstrip("/").rpartition("-")[2]
    return path.rpartition("/")[0].endswith(f"-{mark}")


def raw_prefix(tenant: str) -> str:
    """Where a tenant's sources are."""
    return f"tenants/{tenant}/video/raw/"


def raw_key(tenant: str, video_id: str, name: str) -> str:
    """Where a submitted file is kept. Of its name, only plain characters stay."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", PurePosixPath(name.replace("\\", "/")).name)[-100:].lstrip(".")
    return f"{raw_prefix(tenant)}{video_id}/{plain or 'source'}"


def not_shown(keys: Iterable[str], hls_path: str | None) -> list[str]:
    """Of all keys of a video: those that don't belong to the stream whose master playlist is `hls_path` (None: none is
    shown). Whatever else a sweep looks at, it passes its keys through here: what viewers see must never be removed."""
    shown, _, _ = (hls_path or "").rpartition("/")
    return [key for key in keys if not shown or not key.startswith(f"{shown}/")]


def losers(keys: Iterable[str], winner: str) -> list[str]:
    """Of all keys of the winner's video: those of attempts that lost. A higher (generation, fence) of the same job is a
    successor, which makes the caller a loser itself: its objects stay. So does what no attempt of ours wrote."""
    base, _, own = winner.rstrip("/").rpartition("/")
    won = ATTEMPT.fullmatch(own)
    if won is None:
        raise ValueError(f"{winner!r} is not an attempt's prefix")
    lost = []
    for key in keys:
        folder = key.removeprefix(f"{base}/").partition("/")[0] if key.startswith(f"{base}/") else ""
        other = ATTEMPT.fullmatch(folder)
        if other is None or folder == own:
            continue
        if other[3] == won[3] and (int(other[1]), int(other[2])) > (int(won[1]), int(won[2])):
            continue
        lost.append(key)
    return lost


def replaced(keys: Iterable[str], hls_path: str | None, base: str) -> list[str]:
    """Of all keys of the video under `base` (see `video_prefix`): those of the attempt whose master playlist was
    `hls_path`. None when that is not an attempt of ours: other layouts are not ours to remove."""
    folder, _, _ = (hls_path or "").rpartition("/")
    if not folder.startswith(base) or ATTEMPT.fullmatch(folder.removeprefix(base)) is None:
        return []
    return [key for key in keys if key.startswith(f"{folder}/")]


def own_attempts(keys: Iterable[str], last: str) -> list[str]:
    """Of all keys of a video: those of the job whose last attempt's prefix is given, up to and with that attempt."""
    base, _, own = last.rstrip("/").rpartition("/")
    ended = ATTEMPT.fullmatch(own)
    if ended is None:
        raise ValueError(f"{last!r} is not an attempt's prefix")
    kept = []
    for key in keys:
        folder = key.removeprefix(f"{base}/").partition("/")[0] if key.startswith(f"{base}/") else ""
        attempt = ATTEMPT.fullmatch(folder)
        if attempt is None or attempt[3] != ended[3]:
            continue
        if (int(attempt[1]), int(attempt[2])) <= (int(ended[1]), int(ended[2])):
            kept.append(key)
    return kept
