"""Before a job of a video is set going once more: is there still something to encode (lesson 16)?"""

from __future__ import annotations

from dataclasses import dataclass

from src.application.ports.storage import Storage
from src.application.video.request import JOB_TYPE
from src.domain.errors import Conflict, SourceMissing
from src.domain.job import Job


@dataclass(frozen=True, slots=True)
class SourceIsThere:
    """What `RetryJob` asks first. Jobs of other types pass."""

    storage: Storage

    def __call__(self, job: Job) -> None:
        """Raises Conflict when the source is gone or empty, StorageUnavailable when nobody can tell."""
        if job.type != JOB_TYPE:
            return
        key = str(job.payload["file_key"])
        try:
            size = self.storage.head(key).size
        except SourceMissing as error:
            raise Conflict(f"job {job.id} could only fail: its source {key} is not there", fix=UPLOAD) from error
        if size == 0:
            raise Conflict(f"job {job.id} could only fail: its source {key} is empty", fix=UPLOAD)


UPLOAD = "upload the film again, and submit it"
