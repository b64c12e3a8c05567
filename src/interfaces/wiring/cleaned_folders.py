"""Which folders are cleaned up, and what must not be in them: a slip of the pen there would cost every film.

Asked twice by the same rule: when the settings are read, and again right before something is removed, because a folder may have
become a link, or a mount, since then."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from src.interfaces.wiring.settings import Settings

BESIDE_A_DATABASE = ("", "-wal", "-shm", "-journal")
"""How the names of SQLite's files end."""

HOT = "hot"
"""The SSD tier, within the cache."""

Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or a file, as the settings name it. `within`: nothing that lies in it is removed either. Not so of the data
    directory, which has room for folders that are cleaned."""

    named: str
    path: Path
    within: bool = True


def cleaned(settings: Settings) -> Iterator[Place]:
    """The folders out of which old files are removed."""
    yield Place("content.cache_dir", settings.cache_path)
    yield Place("content.cache_dir", settings.cache_path / HOT)
    if settings.content.temp_dir is not None:
        yield Place("content.temp_dir", settings.content.temp_dir)
    if settings.content.log_dir is not None:
        yield Place("content.log_dir", settings.content.log_dir)


def kept(settings: Settings) -> Iterator[Place]:
    """What no clean-up may remove."""
    yield Place("storage.root", (settings.storage.root or settings.data_dir / "storage").absolute())
    yield Place("scratch_dir", settings.scratch_path)
    if settings.content.media_root is not None:
        yield Place("content.media_root", settings.content.media_root)
    platform = settings.content.database_url
    addresses = {
        "the database": settings.database_url,
        "the queue": settings.queue_database_url,
        "content.database_url": platform.get_secret_value() if platform is not None else "",
    }
    for named, url in addresses.items():
        if (file := _file_of(url)) is not None:
            yield from (Place(named, file.with_name(file.name + end)) for end in BESIDE_A_DATABASE)
    index = settings.search_path
    yield from (Place("the search index", index.with_name(index.name + end)) for end in BESIDE_A_DATABASE)
    for named, given in (("cron.file", settings.cron.file), ("ffmpeg.path", settings.ffmpeg.path)):
        if given is not None:
            yield Place(named, given)
    # Last: what is in them says more.
    yield Place("this program", Path(__file__).parents[3], within=False)
    yield Place("data_dir", settings.data_dir, within=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """A path behind all links, as it is now. Folders are compared by what they are as well as by name: one may be mounted twice."""

    real: Path
    itself: Identity | None
    above: frozenset[Identity]

    @classmethod
    def at(cls, path: Path) -> Seen:
        """What is at `path`, or would be."""
        # Not Path.resolve, which raises for links in a circle.
        real = Path(os.path.realpath(path))
        return cls(real, _identity(real), frozenset(filter(None, map(_identity, real.parents))))

    def is_same(self, other: Seen) -> bool:
        """Whether both are one."""
        return self.real == other.real or (self.itself is not None and self.itself == other.itself)

    def holds(self, other: Seen) -> bool:
        """Whether `other` is somewhere below this one."""
        return self.real in other.real.parents or self.itself in other.above


def clash(settings: Settings, folder: Place) -> str | None:
    """Why `folder` can't be cleaned up; None: it can."""
    here, data = Seen.at(folder.path), Seen.at(settings.data_dir)
    if here.real.parent == here.real:
        return f"{folder.named}={folder.path} is cleaned up, and that is the root of all files"
    own = folder.named == "content.cache_dir" and settings.cache_path == (settings.data_dir / "cache").absolute()
    for place in (*kept(settings), *(each for each in cleaned(settings) if each.named != folder.named)):
        there = Seen.at(place.path)
        if there.is_same(here):
            how = "is"
        elif here.holds(there):
            how = "holds"
        elif place.within and there.holds(here):
            if own and data.holds(here) and (there.is_same(data) or there.holds(data)):
                # Nobody chose this place: it lies in the data directory, which is the worker's own, wherever that is.
                continue
            how = "lies in"
        else:
            continue
        return f"{folder.named}={folder.path} is cleaned up, and {how} {place.named} ({place.path})"
    return None


def identities(settings: Settings) -> frozenset[Identity]:
    """(device, inode) of what is kept and there now, by whatever name somebody comes to it."""
    return frozenset(filter(None, (Seen.at(place.path).itself for place in kept(settings))))


def _file_of(url: str) -> Path | None:
    """The file of an embedded database; None for a server."""
    scheme, _, rest = url.partition("://")
    path = unquote(rest.removeprefix("/").partition("?")[0]).removeprefix("file:")
    return Path(path).absolute() if scheme.startswith("sqlite") and path and path != ":memory:" else None


def _identity(path: Path) -> Identity | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
