"""Removes the objects of a deleted video: its source, and all that was made of it (mission.md B5)."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from src.application.ports.deletion import Standing, VideoStandings
from src.application.ports.storage import Storage
from src.application.ports.videos import ChunkRepository
from src.domain.errors import ObjectsLeft, OutOfTime, Permanent, TenantMismatch, VideoBusy
from src.domain.video.deletion import Removal, check_source

log = logging.getLogger(__name__)

BATCH = 1000
"""Keys per delete, as S3 takes them."""

BATCH_SECONDS = 10.0
"""Time that a page of a listing and its delete should have: with less, nothing is begun."""

BUSY_SECONDS = 120.0
"""Until the next look at a video that is being encoded: that takes minutes to hours."""

STOPPING_SECONDS = 10.0
"""The same while a cancelled job stops: that takes five."""

MOST_NAMED = 5
"""Keys that an error names."""


class AskedAgain(Permanent):
    """The video was encoded again after the request: deleting now would take away what nobody asked to delete."""

    code = "asked_again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """`source` is "removed", "absent" (not there, or none was named) or "shared" (other videos need it); `objects` counts
    what was removed under the prefix."""

    source: str
    objects: int

    def to_json(self) -> dict[str, Any]:
        """As the job's result."""
        return {"source": self.source, "objects": self.objects}


@dataclass(frozen=True, slots=True)
class DeleteVideoObjects:
    """Any number of times, by any number at once: what is gone stays gone. `standings` is None where the rows can't be
    asked (a Lambda without a database): then the keys alone decide."""

    storage: Storage
    standings: VideoStandings | None = None
    chunks: ChunkRepository | None = None
    """rows of finished chunks, where there are any: they go with the objects that they name"""
    time_left: Callable[[], float] = lambda: float("inf")
    """seconds that this process still has"""

    def delete(self, removal: Removal) -> Removed:
        """What was removed. Raises, with the rest left in place: InvalidPayload, TenantMismatch (nothing was touched);
        Permanent when the video was asked for again; VideoBusy while a job works on the video; ObjectsLeft for objects that
        the storage refused to remove; StorageUnavailable, DatabaseUnavailable, OutOfTime."""
        self._check_time()
        before = self._allowed(removal)
        check_source(removal, before.video.source_key if before.video is not None else None)
        refused: list[ObjectsLeft] = []
        source = self._delete_source(removal, before, refused)
        objects = self._delete_prefix(removal, refused) if removal.prefix is not None else 0
        if refused:
            raise _all_left(removal, refused)
        log.info(
            "video.objects_deleted",
            extra={"tenant": removal.tenant, "video": removal.video_id, "source": source, "objects": objects},
        )
        if before.running is not None:
            # Its worker is stopped within seconds; what it still uploaded in them was not in our listing.
            said = f"job {before.running.id} of deleted video {removal.video_id} has not stopped yet"
            raise VideoBusy(said, seconds=STOPPING_SECONDS)
        return Removed(source=source, objects=objects)

    # ------------------------------------------------------------------ objects
    def _delete_source(self, removal: Removal, standing: Standing, refused: list[ObjectsLeft]) -> str:
        key = removal.file_key
        if key is None:
            return "absent"
        if standing.sharing:
            extra = {"video": removal.video_id, "key": key, "videos": ", ".join(standing.sharing)}
            log.warning("video.source_shared", extra=extra)
            return "shared"
        self._check_time()
        # By listing, which a role needs anyway: to look at an object's head takes the permission to read it.
        if all(stored.key != key for stored in self.storage.list(key)):
            return "absent"
        self._remove([key], refused)
        return "removed"

    def _delete_prefix(self, removal: Removal, refused: list[ObjectsLeft]) -> int:
        seen = 0
        for keys in self._pages(removal.prefix or ""):
            # After the listing: a job that began meanwhile shows in its row, and what it writes later is not in the list.
            self._allowed(removal)
            self._remove(keys, refused)
            seen += len(keys)
        if self.chunks is not None:
            # A later attempt would look for them, find nothing and encode again: this only saves it the look.
            self.chunks.forget(removal.video_id)
        return seen

    def _remove(self, keys: Sequence[str], refused: list[ObjectsLeft]) -> None:
        """One object under a lock must not keep the thousands beside it: it is noted in `refused`."""
        try:
            self.storage.delete(keys)
        except ObjectsLeft as error:
            refused.append(error)

    def _pages(self, prefix: str) -> Iterator[Sequence[str]]:
        listing = (stored.key for stored in self.storage.list(prefix))
        while True:
            self._check_time()
            if not (keys := list(itertools.islice(listing, BATCH))):
                return
            yield keys

    # ------------------------------------------------------------------ permission
    def _allowed(self, removal: Removal) -> Standing:
        if self.standings is None:
            return Standing()
        found = self.standings.standing(removal.video_id, removal.file_key)
        video = found.video
        if video is not None and video.tenant != removal.tenant:
            raise TenantMismatch(f"video {removal.video_id} is not of tenant {removal.tenant!r}")
        if video is not None and video.is_deleted:
            return found
        if found.running is not None:
            raise VideoBusy(
                f"job {found.running.id} works on video {removal.video_id}, which is not marked as deleted",
                seconds=BUSY_SECONDS,
                fix="delete the video itself (`mediaworker delete`), which ends its jobs, or wait for the job's end",
            )
        if video is not None and video.is_ready and (found.encode_asked_at or 0.0) > (removal.asked_at or float("inf")):
            raise AskedAgain(
                f"video {removal.video_id} was encoded again after its deletion was asked for",
                fix="delete it again if that is still wanted",
            )
        return found

    def _check_time(self) -> None:
        if self.time_left() < BATCH_SECONDS:
            raise OutOfTime("not enough time is left; what is not deleted yet is deleted by the next delivery")


def _all_left(removal: Removal, refused: Sequence[ObjectsLeft]) -> ObjectsLeft:
    left = [key for error in refused for key in error.left]
    named = ", ".join(left[:MOST_NAMED])
    why = refused[0].message
    return ObjectsLeft(f"{len(left)} objects of video {removal.video_id} were not removed: {named} ({why})", left=left)
