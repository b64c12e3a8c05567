"""`sweep-orphans`: removes attempts' folders that no video shows (contracts.md 1.9, lesson 30: they came to 137 GB once)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from src.application.ports.clock import Clock
from src.application.ports.deletion import VideoStandings
from src.application.ports.storage import Storage
from src.application.video.recovery.run import Run
from src.domain.errors import ConfigError
from src.domain.video.keys import ATTEMPT, not_shown

ROOT = "tenants/"
FOLDER = re.compile(r"(tenants/([^/]+)/video/hls/([^/]+)/)([^/]+)/")
BATCH = 1000
SUSPICIOUS = 20
"""From so many orphans on it matters what share of everything they are."""


@dataclass(frozen=True, slots=True)
class Folder:
    """One attempt's."""

    prefix: str
    tenant: str
    video_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOrphans:
    """Each folder is listed again before its objects go, and its video's row is read after that listing. A database that does not
    answer ends the run; one that knows hardly any of the videos is taken for the wrong one: ConfigError, and nothing goes at all."""

    storage: Storage
    standings: VideoStandings
    clock: Clock
    age_seconds: float = 72 * 3600.0
    """of the newest object in the folder"""
    most_objects: int = 10_000
    """that one run may remove"""
    most_listed: int = 5_000_000
    """objects that one run looks through"""
    name: str = "sweep-orphans"

    def run(self, run: Run) -> None:
        """All attempts' folders, in the storage's order; `run.limit` bounds how many orphans are dealt with."""
        folders = self._folders(run)
        orphans: list[Folder] = []
        unknown = 0
        for folder in folders:
            run.going_on()
            if self._kept(folder) is None:
                orphans.append(folder)
                unknown += self.standings.standing(folder.video_id, None).video is None
        if unknown > max(SUSPICIOUS, len(folders) // 2):
            raise ConfigError(
                f"{unknown} of {len(folders)} folders belong to videos that this database has never heard of; nothing was removed",
                fix="check that database and storage belong together",
            )
        left = self.most_objects
        for folder in orphans:
            if run.full or left <= 0:
                run.more = True
                run.skip(
                    folder.prefix, f"the bound of this run is reached: {run.limit} folders, {self.most_objects} objects"
                )
                return
            with run.item(folder.prefix):
                left -= self._sweep(folder, left, run)

    def _folders(self, run: Run) -> list[Folder]:
        found: dict[str, Folder] = {}
        for number, stored in enumerate(self.storage.list(ROOT)):
            if number >= self.most_listed:
                run.more = True
                break
            if number % BATCH == 0:
                run.going_on()
            match = FOLDER.match(stored.key)
            if match and ATTEMPT.fullmatch(match[4]):
                found.setdefault(match[0], Folder(match[0], match[2], match[3]))
        return list(found.values())

    def _kept(self, folder: Folder) -> str | None:
        """Why it stays, as far as the rows tell."""
        standing = self.standings.standing(folder.video_id, None)
        if standing.active:
            return "its video has a job that is active"
        video = standing.video
        if video is None or video.tenant != folder.tenant or video.is_deleted:
            return None
        return None if not_shown([f"{folder.prefix}x"], video.hls_path) else "its video shows it"

    def _sweep(self, folder: Folder, left: int, run: Run) -> int:
        stored = list(self.storage.list(folder.prefix))
        if not stored:
            return 0
        age = self.clock.now() - max(one.modified_at for one in stored)
        if age <= self.age_seconds:
            run.skip(folder.prefix, f"its newest object is {age / 3600:.1f} h old")
            return 0
        if (why := self._kept(folder)) is not None:
            run.skip(folder.prefix, why)
            return 0
        # A long film has more objects than one run may remove: what is left of its folder is as old in the next one.
        going = stored[:left]
        run.more = run.more or len(going) < len(stored)
        if not run.dry_run:
            for first in range(0, len(going), BATCH):
                self.storage.delete([one.key for one in going[first : first + BATCH]])
        size, of_all = sum(one.size for one in going), f" of {len(stored)}" if len(going) < len(stored) else ""
        run.did(
            folder.prefix,
            "remove",
            f"{len(going)}{of_all} objects, {size} bytes, {age / 3600:.0f} h old, shown by no video",
        )
        return len(going)
