"""Asks for a video to be encoded: row first, message after the commit (lesson 7)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from src.application.catalog import JobType
from src.application.ports.ledger import JobLedger, Limits
from src.application.ports.queue import Envelope, QueuePublisher
from src.application.ports.storage import Storage, StoredObject
from src.application.ports.videos import VideoRepository
from src.application.video.request import EncodeVideo
from src.domain.errors import QueueUnavailable, SourceMissing
from src.domain.ids import check_tenant, identifier, storage_key
from src.domain.job import Job, JobDraft
from src.domain.video.video import Video, VideoStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Either a job (`created`: by this call; else it was active before) or a reason of contracts.md 1.8. `submit_failed`
    comes with the job: it is admitted, its message could not be published, and the waker publishes it later. Taking the
    row back instead could lose a job whose message got through although the queue's answer did not."""

    job: Job | None
    created: bool = False
    rejected: str | None = None


@dataclass(frozen=True)
class SubmitVideo:
    """`job_type` is the registration of video jobs."""

    ledger: JobLedger
    publisher: QueuePublisher
    videos: VideoRepository
    storage: Storage
    job_type: JobType
    limits: Limits

    def submit(self, request: EncodeVideo, job_id: str) -> Submission:
        """Raises InvalidPayload, TenantMismatch, StorageUnavailable, DatabaseUnavailable."""
        if not request.tenant:
            return Submission(job=None, rejected="no_tenant")
        tenant = identifier(request.tenant, "tenant")
        check_tenant(storage_key(request.file_key, "file_key"), tenant)
        if (reason := self._unfit(request)) is not None:
            return Submission(job=None, rejected=reason)
        payload = {"video_id": request.video_id, "file_key": request.file_key}
        draft = JobDraft(
            id=job_id,
            type=self.job_type.name,
            tenant=tenant,
            payload=payload if request.ladder is None else payload | {"ladder": request.ladder},
            subject=self.job_type.subject(tenant, payload),
            max_attempts=self.job_type.max_attempts,
        )
        admission = self.ledger.admit(draft, self.limits)
        if admission.job is None or not admission.created:
            return Submission(job=admission.job, rejected=admission.rejected)
        try:
            self.publisher.publish([self._envelope(admission.job)])
        except QueueUnavailable:
            return Submission(job=admission.job, created=True, rejected="submit_failed")
        job = self.ledger.change(admission.job.id, lambda row, now: row.published(now))
        return Submission(job=job, created=True)

    def _unfit(self, request: EncodeVideo) -> str | None:
        """Why no job should be made: a source that is not there can only fail (lesson 16)."""
        video = self.videos.find(request.video_id)
        if video is not None and video.tenant != request.tenant:
            return "not_found"  # another tenant's video must not be told apart from none
        if video is not None and video.is_deleted:
            return "not_found"
        try:
            source = self.storage.head(request.file_key)
        except SourceMissing:
            return "not_found"
        if source.size == 0 or (video is not None and not _may_start(video, source)):
            return "not_uploaded"
        return None

    def _envelope(self, job: Job) -> Envelope:
        """The body that the API side publishes too (contracts.md 1.2, the form keyed by job_id)."""
        body = {
            "job_id": job.id,
            "video_id": job.payload["video_id"],
            "tenant_id": job.tenant,
            "file_key": job.payload["file_key"],
            "created_at": datetime.fromtimestamp(job.created_at, UTC).isoformat(),
            "attempt": 1,
        }
        return Envelope(body=json.dumps(body).encode(), key=job.id, priority=job.priority)


def _may_start(video: Video, source: StoredObject) -> bool:
    """PROCESSING passes: an active job is answered with that job, by the ledger. READY passes with a new upload, under
    another key or in place of the old one: the video shows what it has until that is encoded."""
    if video.status is VideoStatus.READY:
        made_from = ((video.result or {}).get("metadata") or {}).get("source_version")
        return video.source_key != source.key or made_from not in (None, source.version)
    return video.status in (VideoStatus.UPLOADED, VideoStatus.PROCESSING, VideoStatus.FAILED)
