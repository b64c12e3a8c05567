"""What is looked at before a container of its own encodes a video (contracts.md 1.7): there may be nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from src.application.guard import Gone, Made
from src.application.ports.storage import Storage, StoredObject
from src.application.ports.videos import VideoRepository
from src.domain.errors import SourceMissing
from src.domain.job import Job
from src.domain.video.video import Video


def result_of_this_source(video: Video, file_key: str, head: Callable[[str], StoredObject]) -> Mapping[str, Any] | None:
    """What the video shows, when it was made from the very object that the job names. None: another upload, or another
    content under the same key, is to be encoded. Raises what `head` raises, SourceMissing aside."""
    if not video.is_ready or video.result is None or video.source_key != file_key:
        return None
    try:
        version = head(file_key).version
    except SourceMissing:
        # Removed after it was encoded: there is nothing newer than the result.
        return video.result
    return video.result if video.result.get("metadata", {}).get("source_version") == version else None


@dataclass(frozen=True, slots=True)
class VideoGuard:
    """The Guard of video jobs. Raises DatabaseUnavailable, StorageUnavailable."""

    videos: VideoRepository
    storage: Storage

    def __call__(self, job: Job) -> Made | Gone | None:
        """Starts nothing, and above all no ffmpeg."""
        video_id = str(job.payload.get("video_id"))
        video = self.videos.find(video_id)
        if video is None or video.is_deleted:
            # Its row is made with the job's, so when there is none somebody has removed it since.
            return Gone(f"video {video_id} is deleted")
        if video.tenant != job.tenant:
            # The handler refuses that, with its own words.
            return None
        made = result_of_this_source(video, str(job.payload.get("file_key")), self.storage.head)
        return None if made is None else Made(made)
