"""The video job: one uploaded file becomes one HLS stream, exactly once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from src.application.outcome import Done, Outcome, Run
from src.application.ports.clock import Clock
from src.application.ports.media import Encoder, Pictures, Prober
from src.application.ports.scratch import Scratch
from src.application.ports.storage import Storage
from src.application.ports.videos import ChunkRepository, VideoRepository
from src.application.video.attempt import Attempt
from src.application.video.guard import result_of_this_source
from src.application.video.request import EncodeVideo
from src.application.video.settings import VideoSettings
from src.application.video.steady import Steady
from src.application.video.steps import Steps
from src.application.video.sweep import AttemptSweeper
from src.application.video.uploads import Uploads
from src.domain.errors import Cancelled, InvalidPayload, NetworkError, Permanent, TenantMismatch
from src.domain.ids import check_tenant, tenant_of_key
from src.domain.video.keys import attempt_prefix
from src.domain.video.video import Video

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProcessVideoJobHandler:
    """The engine has locked and claimed the job (and with that marked the video PROCESSING), and commits what `handle`
    returns together with the video's READY. Nothing here must be cleaned up to be correct: kill -9 at any line leaves
    objects that nobody names, and the next attempt takes the finished chunks among them."""

    videos: VideoRepository
    chunks: ChunkRepository
    storage: Storage
    scratch: Scratch
    prober: Prober
    encoder: Encoder
    pictures: Pictures
    settings: VideoSettings
    clock: Clock

    def handle(self, request: EncodeVideo, run: Run) -> Outcome:
        """See Handler. Raises JobErrors; TenantMismatch when message, row and key do not agree whose video this is."""
        steady = Steady(self.clock, self.settings.tries)
        video = steady.call(lambda: self.videos.find(request.video_id))
        self._check_tenant(request, run, video)
        if video is not None and video.is_deleted:
            raise Cancelled(f"video {request.video_id} was deleted")
        if video is not None and (made := self._result_of_this_source(video, request, steady)) is not None:
            steady.call(lambda: self.chunks.forget(request.video_id))
            return Done(made)
        prefix = attempt_prefix(
            request.tenant, request.video_id, job_id=run.job_id, generation=run.generation, fence=run.fence
        )
        if video is not None and video.is_ready and video.job_id == run.job_id and video.fence >= run.fence:
            # An attempt after this one made what is shown. This one can't be late if it counts: its job was asked for again after
            # its row had gone (purge-jobs), may meet its first life's folders, and its outcome would reach no row.
            raise InvalidPayload(
                f"job id {run.job_id} was used before: video {request.video_id} shows what that job made, {video.hls_path}",
                fix="ask for the video with a new job id; what it shows stays as it is",
            )
        uploads = Uploads(self.storage, prefix, steady, self.settings.upload_concurrency)
        attempt = Attempt(
            request=request,
            run=run,
            storage=self.storage,
            scratch=self.scratch,
            chunks=self.chunks,
            prober=self.prober,
            encoder=self.encoder,
            pictures=self.pictures,
            settings=self.settings,
            clock=self.clock,
            steady=steady,
            uploads=uploads,
            steps=Steps(run.report, self.clock),
            replaced_path=video.hls_path if video is not None else None,
        )
        try:
            result = attempt.perform()
        except BaseException as error:
            steady.over.set()
            self.encoder.stop()
            self.pictures.stop()
            uploads.close()
            if isinstance(error, (Permanent, Cancelled)) or self._came_late(request, run):
                self._remove_output(request, run)
            raise
        uploads.close()
        if self._deleted(request):
            # Its objects were removed while this attempt still wrote: nobody comes by for these again.
            self._remove_output(request, run)
            raise Cancelled(f"video {request.video_id} was deleted meanwhile")
        if self._came_late(request, run):
            self._remove_output(request, run)
        else:
            self._sweep_losers(request, run)
        return Done(result)

    def _result_of_this_source(self, video: Video, request: EncodeVideo, steady: Steady) -> Mapping[str, Any] | None:
        return result_of_this_source(video, request.file_key, lambda key: steady.call(lambda: self.storage.head(key)))

    def _check_tenant(self, request: EncodeVideo, run: Run, video: Video | None) -> None:
        if run.tenant != request.tenant:
            raise TenantMismatch(f"the message says tenant {request.tenant!r}, the job {run.tenant!r}")
        if video is not None and video.tenant != request.tenant:
            raise TenantMismatch(f"video {request.video_id} is not of tenant {request.tenant!r}")
        check_tenant(request.file_key, request.tenant)
        if self.settings.require_tenant_prefix and tenant_of_key(request.file_key) != request.tenant:
            raise TenantMismatch(f"the source key is not under tenants/{request.tenant}/", fix="upload it there")

    def _deleted(self, request: EncodeVideo) -> bool:
        try:
            video = self.videos.find(request.video_id)
        except NetworkError as error:
            # A whole, verified stream must not be lost over a question; the orphan sweep comes by later.
            log.warning("video.deletion_unknown", extra={"video": request.video_id, "error": str(error)})
            return False
        return video is not None and video.is_deleted

    def _came_late(self, request: EncodeVideo, run: Run) -> bool:
        """Whether a later attempt of this job has made the video READY: a worker that was frozen goes on uploading for a
        moment, and that attempt has swept already. While it still runs, it may be taking over chunks from here, and
        sweeps at its end."""
        try:
            video = self.videos.find(request.video_id)
        except NetworkError as error:
            # An attempt's outcome does not hang on this; the orphan sweep comes by later.
            log.warning("video.cleanup_failed", extra={"video": request.video_id, "error": str(error)})
            return False
        return video is not None and video.is_ready and video.job_id == run.job_id and video.fence > run.fence

    def _sweep_losers(self, request: EncodeVideo, run: Run) -> None:
        """The chunks' rows stay until the video is READY: they name this attempt's objects, and save the encode when the
        commit that follows is lost."""
        try:
            AttemptSweeper(self.storage, self.videos, self.chunks).losers(
                tenant=request.tenant,
                video_id=request.video_id,
                job_id=run.job_id,
                generation=run.generation,
                fence=run.fence,
            )
        except NetworkError as error:
            # A whole, verified stream must not be lost over litter; the orphan sweep comes by later.
            log.warning("video.sweep_failed", extra={"video": request.video_id, "error": str(error)})

    def _remove_output(self, request: EncodeVideo, run: Run) -> None:
        try:
            AttemptSweeper(self.storage, self.videos, self.chunks).abandon(
                tenant=request.tenant,
                video_id=request.video_id,
                job_id=run.job_id,
                generation=run.generation,
                fence=run.fence,
            )
        except NetworkError as error:
            # The attempt's own error is what the owner has to read; the orphan sweep comes by later.
            log.warning("video.cleanup_failed", extra={"video": request.video_id, "error": str(error)})
