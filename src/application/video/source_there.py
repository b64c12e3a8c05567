"""Before a job of a video is set going once more: is there still something to encode (lesson 16)?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from src.application.ports.checkable import Checkable
from src.application.ports.storage import Storage
from src.application.video.request import JOB_TYPE
from src.domain.errors import Conflict, SourceMissing
from src.domain.job import Job
from src.domain.video.video import Video

UPLOAD = "upload the film again, and submit it"
ANEW = "a deleted video is not encoded again: upload the film under another video id, and submit that"


@dataclass(frozen=True, slots=True)
class SourceIsThere:
    """What `RetryJob` asks first. Jobs of other types pass."""

    storage: Storage
    find_video: Callable[[str], Video | None]
    """the row of a video, where there is one"""

    def __call__(self, job: Job) -> None:
        """Raises Conflict when the video was deleted, or the source is gone or empty; StorageUnavailable when nobody can tell,
        ConfigError where it is the bucket that is not there."""
        if job.type != JOB_TYPE:
            return
        video_id, key = str(job.payload["video_id"]), str(job.payload["file_key"])
        video = self.find_video(video_id)
        if video is not None and video.is_deleted:
            raise Conflict(f"job {job.id} can't be started again: its video {video_id} was deleted", fix=ANEW)
        try:
            size = self.storage.head(key).size
        except SourceMissing as error:
            if isinstance(self.storage, Checkable):
                # A storage says "not there" of every object of a bucket that is not there itself.
                self.storage.check()
            raise Conflict(f"job {job.id} could only fail: its source {key} is not there", fix=UPLOAD) from error
        if size == 0:
            raise Conflict(f"job {job.id} could only fail: its source {key} is empty", fix=UPLOAD)
