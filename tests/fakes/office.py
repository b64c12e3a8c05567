"""Where videos are asked for: everything in memory, on either road."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from src.application.catalog import Catalog
from src.application.dispatch import BatchDispatch, DispatchByType, QueueDispatch
from src.application.ports.dispatch import Dispatch
from src.application.ports.ledger import Limits
from src.application.ports.ops_events import EventFilter, OpsEvent
from src.application.ports.queue import Envelope
from src.application.video.job_types import VIDEO_JOB
from src.application.video.request import EncodeVideo
from src.application.video.submit import Submission, SubmitVideo, video_message
from src.domain.errors import QueueUnavailable
from src.infrastructure.memory.batch import MemoryBatch
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.ops_events import MemoryOpsEvents
from src.infrastructure.memory.storage import MemoryStorage
from src.infrastructure.memory.submissions import MemorySubmissions
from src.infrastructure.memory.videos import MemoryVideos, appliers
from tests.fakes.clock import FrozenClock

KEY = "tenants/t1/video/raw/s/film.mp4"


@dataclass
class Post:
    """A queue's producer side that may be away."""

    away: bool = False
    sent: list[Envelope] = field(default_factory=list)

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        if self.away:
            raise QueueUnavailable("no route")
        self.sent += envelopes


class Office:
    """On the queue's road."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.clock = clock = FrozenClock()
        self.videos = MemoryVideos(clock)
        self.events = MemoryOpsEvents(clock)
        self.submissions = MemorySubmissions(clock)
        self.batch = MemoryBatch(clock)
        self.storage = MemoryStorage(clock)
        self.storage.put_bytes(KEY, b"film", content_type="video/mp4", cache_control="no-cache")
        self.post = Post()
        self.ledger = MemoryLedger(
            clock=clock,
            effects=Catalog([VIDEO_JOB]).effects,
            appliers=appliers(self.videos, events=self.events),
            dead_letters=MemoryDeadLetters(clock),
        )
        self.videos.jobs = self.ledger.rows
        self.submitter = SubmitVideo(
            ledger=self.ledger,
            dispatch=self.road(),
            videos=self.videos,
            storage=self.storage,
            events=self.events,
            job_type=VIDEO_JOB,
            limits=limits or Limits(),
        )

    def road(self) -> Dispatch:
        return QueueDispatch(self.post, {"video": video_message})

    def told(self) -> list[OpsEvent]:
        return list(reversed(self.events.list(EventFilter())))

    def submit(self, job_id: str = "job-1", *, video: str = "v1", tenant: str = "t1", key: str = KEY) -> Submission:
        return self.submitter.submit(EncodeVideo(video_id=video, tenant=tenant, file_key=key), job_id)


class BatchOffice(Office):
    """On the road of AWS Batch."""

    def road(self) -> Dispatch:
        return DispatchByType(QueueDispatch(self.post), {"video": BatchDispatch(self.batch, self.submissions)})
