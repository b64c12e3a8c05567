"""`purge-raw`: removes sources that are needed no more (contracts.md 1.9), never one that might be."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from src.application.ports.clock import Clock
from src.application.ports.deletion import VideoStandings
from src.application.ports.ledger import JobFilter, JobQueries
from src.application.ports.storage import Storage
from src.application.ports.videos import VideoRepository
from src.application.video.recovery.run import Run
from src.application.video.request import JOB_TYPE
from src.domain.errors import SourceMissing, StorageUnavailable
from src.domain.ids import check_tenant, storage_key
from src.domain.job import ACTIVE_STATES
from src.domain.video.keys import raw_prefix
from src.domain.video.video import Video, VideoStatus

PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeRaw:
    """The row is marked first and the object removed then: dying in between leaves an object, never a row that believes in one."""

    videos: VideoRepository
    standings: VideoStandings
    jobs: JobQueries
    storage: Storage
    clock: Clock
    ready_seconds: float = 3 * 86_400.0
    failed_seconds: float = 30 * 86_400.0
    deleted_seconds: float = 3 * 86_400.0
    """the request for its objects is given that long, with its retries and whoever requeues it"""
    name: str = "purge-raw"

    def run(self, run: Run) -> None:
        """Videos that were READY, or FAILED, for so long, the longest first; then deleted ones, whose request for their objects may
        never have been sent."""
        needed = self._needed()
        for status, seconds in ((VideoStatus.READY, self.ready_seconds), (VideoStatus.FAILED, self.failed_seconds)):
            self._all(status, seconds, needed, run)
        for status in VideoStatus:
            self._all(status, self.deleted_seconds, needed, run, deleted=True)

    def _all(
        self, status: VideoStatus, seconds: float, needed: Collection[str], run: Run, *, deleted: bool = False
    ) -> None:
        before, after = self.clock.now() - seconds, None
        while page := self.videos.idle(
            status, before=before, limit=PAGE, after=after, with_source=True, deleted=deleted
        ):
            for video in page:
                if run.full:
                    run.more = True
                    return
                with run.item(video.id):
                    self._video(video, before, needed, run)
            after = (page[-1].updated_at, page[-1].id)

    def _video(self, seen: Video, before: float, needed: Collection[str], run: Run) -> None:
        key = check_tenant(storage_key(seen.source_key, "source_key"), seen.tenant)
        try:
            source = self.storage.head(key)
        except SourceMissing:
            if self._mark(seen, run, "there is none"):
                run.did(seen.id, "purge", "there is none")
            return
        why = f"{source.size} bytes, {'deleted' if seen.is_deleted else seen.status} for longer than kept"
        made_from = ((seen.result or {}).get("metadata") or {}).get("source_version")
        if not key.startswith(raw_prefix(seen.tenant)):
            run.skip(seen.id, f"{key} is not among the uploads: it may be somebody else's")
        elif key in needed:
            run.skip(seen.id, "a job that is active needs its source")
        elif source.modified_at >= before:
            run.skip(seen.id, "its source is younger than that")
        elif not seen.is_deleted and seen.status is VideoStatus.READY and made_from not in (None, source.version):
            run.skip(seen.id, "its source was uploaded anew, and is not encoded yet")
        elif (shared := self._shared(seen, before)) is not None:
            run.skip(seen.id, shared)
        elif self._mark(seen, run, why):
            try:
                if anew := self._changed(key, source.version):
                    self.videos.update(seen.id, lambda row: row.source_kept())
                else:
                    self.storage.delete([key])
            except StorageUnavailable:
                self.videos.update(seen.id, lambda row: row.source_kept())
                raise
            if anew:
                run.skip(seen.id, "its source was uploaded anew just now")
            else:
                run.did(seen.id, "purge", why)

    def _changed(self, key: str, version: str) -> bool:
        """As late as can be: somebody may upload under the same key at any time (F42)."""
        try:
            return self.storage.head(key).version != version
        except SourceMissing:
            return False

    def _mark(self, seen: Video, run: Run, why: str) -> bool:
        """Whether the object may go now."""
        if run.dry_run:
            run.did(seen.id, "purge", why)
            return False
        now = self.clock.now()
        row = self.videos.update(
            seen.id, lambda row: row.source_purged(now) if row.updated_at == seen.updated_at else row
        )
        # After the mark: a job that was admitted before it shows here, one that comes after it finds no source.
        if row.source_purged_at != now or self.standings.standing(seen.id, None).active:
            self.videos.update(seen.id, lambda row: row.source_kept())
            run.skip(seen.id, "it went on meanwhile")
            return False
        return True

    def _shared(self, seen: Video, before: float) -> str | None:
        """Why another video keeps the object."""
        for other_id in self.standings.standing(seen.id, seen.source_key).sharing:
            other = self.standings.standing(other_id, None)
            if other.active or other.video is None:
                return f"video {other_id} shares its source"
            if other.video.status is not VideoStatus.READY or other.video.updated_at >= before:
                return f"video {other_id} shares its source, and is {other.video.status}"
        return None

    def _needed(self) -> set[str]:
        """Sources of all active jobs, which may be other objects than their videos' rows name."""
        found: set[str] = set()
        for state in ACTIVE_STATES:
            offset = 0
            while page := self.jobs.list(JobFilter(state=state, type=JOB_TYPE, limit=PAGE, offset=offset)):
                found |= {str(job.payload.get("file_key")) for job in page}
                offset += len(page)
        return found
