"""Removes what attempts left that did not win. Only ever called by the attempt that holds the video, or after its end."""

from __future__ import annotations

from dataclasses import dataclass

from src.application.ports.storage import Storage
from src.application.ports.videos import ChunkRepository, VideoRepository
from src.domain.video.keys import attempt_prefix, losers, video_prefix

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
        attempt that claimed the video meanwhile shows there, and what it wrote later is not in the list."""
        winner = attempt_prefix(tenant, video_id, job_id=job_id, generation=generation, fence=fence)
        lost = losers([stored.key for stored in self.storage.list(video_prefix(tenant, video_id))], winner)
        video = self.videos.find(video_id)
        if video is None or (video.job_id, video.fence) != (job_id, fence) or video.is_ready:
            return 0
        self._delete(lost)
        return len(lost)

    def attempt(self, *, tenant: str, video_id: str, job_id: str, generation: int, fence: int) -> int:
        """Remove one attempt's objects (cancelled, or failed for good); how many. Rows of chunks that name them are
        checked before they are used, so they may stay."""
        prefix = attempt_prefix(tenant, video_id, job_id=job_id, generation=generation, fence=fence)
        video = self.videos.find(video_id)
        if video is not None and video.hls_path is not None and video.hls_path.startswith(prefix):
            return 0
        keys = [stored.key for stored in self.storage.list(prefix)]
        self._delete(keys)
        return len(keys)

    def _delete(self, keys: list[str]) -> None:
        for first in range(0, len(keys), BATCH):
            self.storage.delete(keys[first : first + BATCH])
