"""Questions about published streams: is all there that the playlists name, and is it of one attempt?"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from src.application.ports.storage import Storage
from src.domain.video.keys import video_prefix

URI = re.compile(r'URI="([^"]+)"')


def incomplete(storage: Storage, tenant: str, video: str, master: str | None) -> str | None:
    """What is wrong with the stream that the video shows, or None. All that its playlists name, directly or not, has to
    lie in the master playlist's own folder."""
    if master is None:
        return f"{video} shows no stream"
    folder = PurePosixPath(master).parent
    if folder.parent != PurePosixPath(video_prefix(tenant, video)):
        return f"{video} shows {master}, which is not in an attempt's folder of its own"
    there = {stored.key for stored in storage.list(f"{folder}/")}
    missing, waiting, seen = [], [master], set[str]()
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        if key not in there:
            missing.append(key)
        elif key.endswith(".m3u8"):
            text = storage.read(key, 0, 1 << 20).decode()
            names = [line for line in text.splitlines() if line and not line.startswith("#")] + URI.findall(text)
            waiting += [str(PurePosixPath(key).parent / name) for name in names]
    if len(seen) < 4:
        return f"{video}: {master} leads only to {sorted(seen)}"
    return f"{video} lacks {missing}" if missing else None


def litter(storage: Storage, tenant: str, video: str, master: str | None) -> int:
    """Objects of this video's other attempts."""
    shown = f"{PurePosixPath(master or '').parent}/"
    return sum(not stored.key.startswith(shown) for stored in storage.list(video_prefix(tenant, video)))
