"""Videos with objects, rows and jobs in memory, and everything that deletes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from src.application.catalog import Catalog
from src.application.video.delete_objects import DeleteVideoObjects
from src.application.video.delete_request import DeletionQueue
from src.application.video.delete_video import DeleteVideo
from src.application.video.job_types import DELETE_OBJECTS_JOB, VIDEO_JOB
from src.domain.errors import ObjectsLeft
from src.domain.job import Job, JobDraft
from src.domain.video.video import Video
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.queue import MemoryQueue
from src.infrastructure.memory.standings import MemoryVideoStandings
from src.infrastructure.memory.storage import MemoryStorage
from src.infrastructure.memory.videos import MemoryChunks, MemoryVideos, appliers
from tests.fakes.clock import FrozenClock


class LockedStorage(MemoryStorage):
    """MemoryStorage that refuses to remove some objects, as S3 does in the middle of a good answer."""

    locked: frozenset[str] = frozenset()

    def delete(self, keys: Sequence[str]) -> None:
        super().delete([key for key in keys if key not in self.locked])
        if left := [key for key in keys if key in self.locked]:
            raise ObjectsLeft(f"{len(left)} of {len(keys)} objects were not removed", left=left)


def source_of(video: str, tenant: str = "t1") -> str:
    return f"tenants/{tenant}/video/raw/{video}/film.mp4"


def folder_of(video: str, tenant: str = "t1") -> str:
    return f"tenants/{tenant}/video/hls/{video}/"


@dataclass
class Archive:
    """Tenant t1's videos 1 and 12, and t2's 2: each with a source and two objects."""

    clock: FrozenClock = field(default_factory=FrozenClock)

    def __post_init__(self) -> None:
        self.storage = LockedStorage(self.clock)
        self.videos, self.chunks = MemoryVideos(self.clock), MemoryChunks()
        self.ledger = MemoryLedger(
            self.clock,
            MemoryDeadLetters(self.clock),
            Catalog([VIDEO_JOB, DELETE_OBJECTS_JOB]).effects,
            appliers(self.videos, self.chunks),
        )
        self.standings = MemoryVideoStandings(self.ledger, self.videos)
        self.queue = MemoryQueue(self.clock)
        self.objects = DeleteVideoObjects(self.storage, self.standings, self.chunks)
        self.requests = DeletionQueue(self.queue, self.clock)
        self.deleter = DeleteVideo(
            videos=self.videos,
            standings=self.standings,
            ledger=self.ledger,
            requests=self.requests,
            clock=self.clock,
        )
        for video, tenant in (("1", "t1"), ("12", "t1"), ("2", "t2")):
            self.fill(video, tenant)

    def fill(self, video: str, tenant: str = "t1") -> None:
        self.videos.add(Video(id=video, tenant=tenant, source_key=source_of(video, tenant)))
        for key in (source_of(video, tenant), *(f"{folder_of(video, tenant)}1-1-00000000/{n}.m4s" for n in "ab")):
            self.storage.put_bytes(key, b"x", content_type="a/b", cache_control="")

    def left(self, video: str, tenant: str = "t1") -> int:
        """Objects of the video that are there."""
        mine = (source_of(video, tenant), folder_of(video, tenant))
        return sum(key.startswith(mine) for key in self.storage.objects)

    def job(self, video: str = "1", *, running: bool = False, name: str | None = None) -> Job:
        """An active encode."""
        payload = {"video_id": video, "file_key": source_of(video)}
        draft = JobDraft(
            id=name or f"job-{video}", type="video", tenant="t1", payload=payload, subject=f"video:{video}"
        )
        row = self.ledger.admit(draft).job
        assert row is not None
        return self.claim(row.id) if running else row

    def claim(self, name: str) -> Job:
        return self.ledger.change(name, lambda job, now: job.claim(now, owner="w1", lease_seconds=30)[0])

    def sent(self) -> list[dict[str, object]]:
        """Bodies in the deletion queue."""
        return [json.loads(one.body) for one in self.queue.receive(10, wait_seconds=0, visibility_seconds=0)]
