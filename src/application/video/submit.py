"""Asks for a video to be encoded: row first, dispatch after the commit (lesson 7)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from src.application.catalog import JobType
from src.application.ports.dispatch import NOT_TAKEN, Dispatch
from src.application.ports.ledger import Limits, RevocableLedger
from src.application.ports.ops_events import EventType, OpsEvent, OpsEvents, Severity
from src.application.ports.queue import Envelope
from src.application.ports.storage import Storage, StoredObject
from src.application.ports.videos import VideoRepository
from src.application.video.request import EncodeVideo
from src.domain.errors import BatchRefused, BatchUnavailable, QueueUnavailable, SourceMissing, WorkerError
from src.domain.ids import check_tenant, identifier, storage_key
from src.domain.job import Job, JobDraft
from src.domain.video.video import Video, VideoStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Either a job (`created`: by this call; else it was active before) or a reason of contracts.md 1.8.

    `submit_failed` says with its `error` why nothing could be set going. Without a job: certainly nothing is on its way, and
    nothing stays but the video, UPLOADED. With the job: nobody knows. It stays QUEUED for the recovery owner of its road (the
    waker, or `scan-stuck`), because taking the row back could lose a job whose message or container is on its way."""

    job: Job | None
    created: bool = False
    rejected: str | None = None
    error: WorkerError | None = None


@dataclass(frozen=True)
class SubmitVideo:
    """`job_type` is the registration of video jobs."""

    ledger: RevocableLedger
    dispatch: Dispatch
    videos: VideoRepository
    storage: Storage
    events: OpsEvents
    job_type: JobType
    limits: Limits

    def submit(self, request: EncodeVideo, job_id: str, *, asked: bool = True) -> Submission:
        """`asked`: by somebody, who expected it to begin now, so that a limit in the way is an event. Raises InvalidPayload,
        TenantMismatch, StorageUnavailable, DatabaseUnavailable (then the job may be there, and is found by asking again)."""
        if not request.tenant:
            return Submission(job=None, rejected="no_tenant")
        tenant = identifier(request.tenant, "tenant")
        check_tenant(storage_key(request.file_key, "file_key"), tenant)
        if (reason := self._unfit(request)) is not None:
            return Submission(job=None, rejected=reason)
        admission = self.ledger.admit(self._draft(request, identifier(job_id, "job id")), self.limits)
        if admission.job is None:
            if asked and admission.rejected == "tenant_limit":
                self._tell_limit(request)
            return Submission(job=None, rejected=admission.rejected)
        if not admission.created:
            return Submission(job=admission.job)
        return self._set_going(admission.job)

    def _set_going(self, job: Job) -> Submission:
        try:
            self.dispatch.dispatch(job)
        except NOT_TAKEN as error:
            self._tell_failure(job, error, nothing_done=True)
            row = self.ledger.withdraw(job.id)
            if row is None:
                return Submission(job=None, rejected="submit_failed", error=error)
            # Somebody else brought it to a worker meanwhile, so it does run.
            return Submission(job=row, created=True)
        except BatchUnavailable as error:
            self._tell_failure(job, error, nothing_done=False)
            return Submission(job=job, created=True, rejected="submit_failed", error=error)
        except QueueUnavailable as error:
            return Submission(job=job, created=True, rejected="submit_failed", error=error)
        return Submission(job=self.ledger.change(job.id, lambda row, now: row.published(now)), created=True)

    def _draft(self, request: EncodeVideo, job_id: str) -> JobDraft:
        payload = {"video_id": request.video_id, "file_key": request.file_key}
        return JobDraft(
            id=job_id,
            type=self.job_type.name,
            tenant=request.tenant,
            payload=payload if request.ladder is None else payload | {"ladder": request.ladder},
            subject=self.job_type.subject(request.tenant, payload),
            max_attempts=self.job_type.max_attempts,
        )

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

    # ------------------------------------------------------------------ for operators
    def _tell_limit(self, request: EncodeVideo) -> None:
        self.events.add(
            OpsEvent(
                type=EventType.TENANT_LIMIT_EXCEEDED,
                severity=Severity.WARNING,
                tenant=request.tenant,
                video_id=request.video_id,
                payload={"limit": self.limits.active_per_tenant},
            )
        )

    def _tell_failure(self, job: Job, error: BatchRefused | BatchUnavailable, *, nothing_done: bool) -> None:
        self.events.add(
            OpsEvent(
                type=EventType.BATCH_SUBMIT_FAILED,
                # A refusal does not pass by itself.
                severity=Severity.ERROR if isinstance(error, BatchRefused) else Severity.WARNING,
                tenant=job.tenant,
                video_id=str(job.payload["video_id"]),
                job_id=job.id,
                payload={
                    "error_class": error.code,
                    "error": error.message,
                    "fix": error.fix,
                    "outcome": "nothing was done" if nothing_done else "unknown",
                },
            )
        )


def video_message(job: Job) -> Envelope:
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
