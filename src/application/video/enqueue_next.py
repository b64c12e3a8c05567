"""A job that ends makes room: the next video that waits for it is submitted then, not with the next cron (lesson 14)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from src.application.ports.videos import VideoRepository, Waiting
from src.application.video.request import EncodeVideo
from src.application.video.submit import SubmitVideo
from src.domain.errors import Permanent, WorkerError
from src.domain.job import Job
from src.domain.video.video import Video

log = logging.getLogger(__name__)

PAGE = 20
LOOKS = 100
"""Videos that are tried at one end before the rest is left to `enqueue-uploaded`: sources that are gone must not keep a
worker busy that has a job to run."""

FULL = frozenset({"tenant_limit", "global_limit", "submit_failed"})
"""Reasons that the next video would meet too."""


@dataclass(frozen=True, slots=True)
class EnqueueNext:
    """The seam: `after` is called by whoever wrote the end of a job (queue worker, container, recovery, an operator's cancel),
    after that commit and after the message was settled. Calling it twice, or at the same time, submits no video twice: one
    active job per video. Not calling it costs time only; `enqueue-uploaded` looks at everything now and then."""

    submitter: SubmitVideo
    videos: VideoRepository
    new_id: Callable[[], str]
    """makes the id of a job"""

    def after(self, job: Job) -> Job | None:
        """The job that was submitted now that this one has ended, or None. Never raises: the end is written, and nothing that
        happens here may change how it is told."""
        if not job.state.is_terminal or job.type != self.submitter.job_type.name:
            return None
        try:
            return self.next_of(job.tenant)
        except WorkerError as error:
            log.warning(
                "next.failed",
                extra={
                    "after": job.id,
                    "tenant": job.tenant,
                    "error_class": error.code,
                    "error": str(error),
                    "then": "enqueue-uploaded finds it",
                },
            )
        except Exception:
            log.exception("next.broken", extra={"after": job.id, "tenant": job.tenant})
        return None

    def next_of(self, tenant: str) -> Job | None:
        """Submit the video of this tenant that has waited longest; when none of them could begin, and there is a limit that
        all tenants share, the one of anybody. Raises StorageUnavailable, DatabaseUnavailable."""
        made, full = self._first_of(tenant)
        if made is None and not full and self.submitter.limits.active_total:
            made, _full = self._first_of(None)
        return made

    def _first_of(self, tenant: str | None) -> tuple[Job | None, bool]:
        for video in self._oldest_first(tenant):
            request = EncodeVideo(video_id=video.id, tenant=video.tenant, file_key=video.source_key)
            try:
                submission = self.submitter.submit(request, self.new_id(), asked=False)
            except Permanent as error:
                # A row that no submission would take: ids or a key of an older publisher.
                log.warning("next.unfit", extra={"video": video.id, "tenant": video.tenant, "error": str(error)})
                continue
            if submission.created:
                log.info("next.submitted", extra={"video": video.id, "tenant": video.tenant})
                return submission.job, False
            # Of all tenants' videos, one whose tenant is full tells nothing about the others.
            if submission.rejected in FULL and not (tenant is None and submission.rejected == "tenant_limit"):
                return None, True
            if submission.rejected is not None:
                log.info("next.unfit", extra={"video": video.id, "tenant": video.tenant, "reason": submission.rejected})
        return None, False

    def _oldest_first(self, tenant: str | None) -> Iterator[Video]:
        after: Waiting | None = None
        for _page in range(LOOKS // PAGE):
            page = self.videos.waiting(tenant=tenant, limit=PAGE, after=after)
            yield from page
            if len(page) < PAGE:
                return
            after = (page[-1].created_at, page[-1].id)
