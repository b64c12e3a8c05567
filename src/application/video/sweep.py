"""Removes what attempts left that did not win. Only ever called by the attempt that holds the video, or after its end."""

from __future__ import annotations

from dataclasses import dataclass

from src.application.ports.storage import Storage
from src.application.ports.videos import ChunkRepository, VideoRepository
from src.domain.video.keys import attempt_prefix, losers, not_shown, video_prefix
from src.domain.video.video import Video

BATCH = 1000
"""Keys per delete, as S3 takes them."""


@dataclass(frozen=True, slots=True)
class AttemptSweeper:
    """Raises StorageUnavailable, DatabaseUnavailable; calling again is safe."""

    storage: Storage
    videos: VideoRepository
    chunks: ChunkRepository

    def losers(self, *, tenant: str, video_id: str, job_id: str, generation: int, fence: int) -> int:
        """Remove the objects of attempts before this one; how many. Lists first and looks at the video's row then: an
        attempt that claimed the video meanwhile shows there, and what it wrote later is not in the list. None of a video
        that is READY and encoded anew: its row still shows what came before."""
        winner = attempt_prefix(tenant, video_id, job_id=job_id, generation=generation, fence=fence)
        lost = losers([stored.key for stored in self.storage.list(video_prefix(tenant, video_id))], winner)
        video = self.videos.find(video_id)
        if video is None or not _holds(video, job_id, fence):
            return 0
        return self._delete(not_shown(lost, video.hls_path))

    def abandon(self, *, tenant: str, video_id: str, job_id: str, generation: int, fence: int) -> int:
        """The job was cancelled or is hopeless, so nothing will be resumed: remove this attempt's objects, those of the
        attempts before it, and what is known of finished chunks; how many objects. An attempt that lost the video
        removes only its own."""
        prefix = attempt_prefix(tenant, video_id, job_id=job_id, generation=generation, fence=fence)
        keys = [stored.key for stored in self.storage.list(prefix)]
        video = self.videos.find(video_id)
        removed = self._delete(not_shown(keys, video.hls_path if video is not None else None))
        removed += self.losers(tenant=tenant, video_id=video_id, job_id=job_id, generation=generation, fence=fence)
        if video is not None and (video.is_ready or _holds(video, job_id, fence)):
            # A successor's row would only cost it one encode: it checks that the objects exist before it uses them.
            self.chunks.forget(video_id)
        return removed

    def _delete(self, keys: list[str]) -> int:
        for first in range(0, len(keys), BATCH):
            self.storage.delete(keys[first : first + BATCH])
        return len(keys)


def _holds(video: Video, job_id: str, fence: int) -> bool:
    return (video.job_id, video.fence) == (job_id, fence) and not video.is_ready
