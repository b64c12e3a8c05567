"""The job that deletes a video's objects."""

from __future__ import annotations

from dataclasses import dataclass

from src.application.outcome import Done, Outcome, Run, Snooze
from src.application.ports.deletion import VideoStandings
from src.application.ports.storage import Storage
from src.application.ports.videos import ChunkRepository
from src.application.video.delete_objects import DeleteVideoObjects
from src.domain.errors import TenantMismatch, VideoBusy
from src.domain.video.deletion import Removal


@dataclass(frozen=True)
class DeleteObjectsHandler:
    """The engine decides about retries, back-off and the dead letter; an object that could not be removed is an error here,
    so the message stays (the origin's Lambda called that a success)."""

    storage: Storage
    standings: VideoStandings
    chunks: ChunkRepository

    def handle(self, request: Removal, run: Run) -> Outcome:
        """See Handler."""
        if run.tenant != request.tenant:
            raise TenantMismatch(f"the message says tenant {request.tenant!r}, the job {run.tenant!r}")
        try:
            removed = DeleteVideoObjects(self.storage, self.standings, self.chunks).delete(request)
        except VideoBusy as error:
            # Waiting for an encode is no failure of this job: its attempts are for the storage's troubles.
            return Snooze(error.seconds, str(error))
        return Done(removed.to_json())
