"""What a killed attempt left is removed after its job ended, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from src.application.ports.storage import StoredObject
from src.application.ports.videos import FinishedChunk
from src.application.video.abandoned import SweepAbandoned
from src.application.video.effects import video_effects
from src.domain.errors import StorageUnavailable
from src.domain.job import Job, JobDraft
from src.domain.video.keys import attempt_prefix, own_attempts
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.storage import MemoryStorage
from src.infrastructure.memory.videos import MemoryChunks, MemoryVideos, appliers
from tests.fakes.clock import FrozenClock

RESULT = {"hls_path": "", "thumbnail_path": "t.jpg", "duration_seconds": 4.0}


@dataclass
class Yard:
    clock: FrozenClock
    ledger: MemoryLedger
    storage: MemoryStorage
    videos: MemoryVideos
    chunks: MemoryChunks
    sweeper: SweepAbandoned

    def claim(self, job_id: str = "job-1") -> Job:
        return self.ledger.change(job_id, lambda job, now: job.claim(now, owner="w", lease_seconds=30)[0])

    def leave(self, job: Job, *, generation: int | None = None, fence: int | None = None) -> str:
        video_id = str(job.payload["video_id"])
        prefix = attempt_prefix(
            "t1", video_id, job_id=job.id, generation=generation or job.generation, fence=fence or job.fence
        )
        key = f"{prefix}480p/seg_00000.ts"
        self.storage.put_bytes(key, b"x", content_type="video/MP2T", cache_control="no-cache")
        self.chunks.add(FinishedChunk(video_id=video_id, source_sha256="s", plan_hash="p", index=0, segments=()))
        return key

    def cancel(self, job: Job) -> None:
        self.ledger.change(job.id, lambda row, now: row.cancelled(now, fence=job.fence))

    def keys(self) -> list[str]:
        return [stored.key for stored in self.storage.list("tenants/")]


def admit(ledger: MemoryLedger, job_id: str) -> None:
    payload = {"video_id": "v1", "file_key": "raw/a.mp4"}
    ledger.admit(JobDraft(id=job_id, type="video", tenant="t1", subject="v1", payload=payload))


@pytest.fixture
def yard() -> Yard:
    clock = FrozenClock()
    storage, videos, chunks = MemoryStorage(clock), MemoryVideos(clock), MemoryChunks()
    ledger = MemoryLedger(clock, MemoryDeadLetters(clock), video_effects, appliers(videos, chunks))
    admit(ledger, "job-1")
    return Yard(clock, ledger, storage, videos, chunks, SweepAbandoned(ledger, storage, videos, chunks, clock))


def test_lesson_30_what_a_killed_run_of_a_cancelled_job_left_is_removed(yard: Yard) -> None:
    job = yard.claim()
    yard.leave(job)
    yard.cancel(job)
    yard.clock.advance(61)
    assert yard.sweeper.tick() == 1
    assert yard.keys() == []
    assert list(yard.chunks.finished("v1", "s", "p")) == []
    assert yard.sweeper.tick() == 0


def test_output_is_left_alone_while_a_killed_attempt_may_still_write(yard: Yard) -> None:
    job = yard.claim()
    key = yard.leave(job)
    yard.cancel(job)
    yard.clock.advance(30)
    assert yard.sweeper.tick() == 0
    assert yard.keys() == [key]


def test_an_active_job_keeps_its_output_and_its_chunks(yard: Yard) -> None:
    key = yard.leave(yard.claim())
    yard.clock.advance(1000)
    assert yard.sweeper.tick() == 0
    assert yard.keys() == [key]
    assert yard.chunks.finished("v1", "s", "p")


def test_another_job_of_the_video_keeps_what_it_made(yard: Yard) -> None:
    first = yard.claim()
    yard.leave(first)
    yard.cancel(first)
    admit(yard.ledger, "job-2")
    key = yard.leave(yard.claim("job-2"))
    yard.clock.advance(61)
    assert yard.sweeper.tick() == 1
    assert yard.keys() == [key]
    assert yard.chunks.finished("v1", "s", "p")


def test_the_stream_that_a_video_shows_outlives_a_cancelled_run_of_its_job_again(yard: Yard) -> None:
    job = yard.claim()
    shown = yard.leave(job)
    master = attempt_prefix("t1", "v1", job_id=job.id, generation=1, fence=job.fence) + "master.m3u8"
    yard.ledger.change(
        job.id, lambda row, now: row.succeed(now, fence=job.fence, result={**RESULT, "hls_path": master})
    )
    yard.ledger.change(job.id, lambda row, now: row.reopen(now))
    again = yard.claim()
    yard.leave(again)
    yard.cancel(again)
    yard.clock.advance(61)
    assert yard.sweeper.tick() == 1
    assert yard.keys() == [shown]


def test_an_old_job_that_ended_just_now_is_swept_behind_many_newer_ones(yard: Yard) -> None:
    old = yard.claim()
    yard.leave(old)
    yard.sweeper.batch = 2
    for number in range(5):
        yard.clock.advance(1)
        payload = {"video_id": f"other-{number}", "file_key": "raw/a.mp4"}
        yard.ledger.admit(JobDraft(id=f"new-{number}", type="video", tenant="t1", payload=payload))
        yard.cancel(yard.claim(f"new-{number}"))
    yard.clock.advance(1)
    yard.cancel(old)
    yard.clock.advance(61)
    assert [yard.sweeper.tick() for _ in range(4)] == [0, 0, 1, 0]
    assert yard.keys() == []


def test_jobs_that_ended_at_one_moment_are_all_swept(yard: Yard) -> None:
    yard.sweeper.batch = 1
    keys = [yard.leave(yard.claim())]
    for name in ("job-2", "job-3"):
        yard.ledger.admit(
            JobDraft(id=name, type="video", tenant="t1", payload={"video_id": "v1", "file_key": "raw/a.mp4"})
        )
        keys.append(yard.leave(yard.claim(name)))
    for name in ("job-1", "job-2", "job-3"):
        yard.ledger.change(name, lambda row, now: row.cancelled(now, fence=1))
    yard.clock.advance(61)
    assert [yard.sweeper.tick() for _ in range(4)] == [1, 1, 1, 0]


def test_a_sweep_that_failed_goes_on_where_it_stopped(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    job = yard.claim()
    yard.leave(job)
    yard.cancel(job)
    yard.clock.advance(61)

    def away(_prefix: str) -> None:
        raise StorageUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(yard.storage, "list", away)
        assert yard.sweeper.tick() == 0
    assert yard.sweeper.tick() == 1
    assert yard.sweeper.tick() == 0


def test_a_sweep_that_keeps_failing_does_not_hold_up_the_others(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.leave(stuck := yard.claim())
    yard.cancel(stuck)
    yard.clock.advance(1)
    yard.ledger.admit(JobDraft(id="job-2", type="video", tenant="t1", payload={"video_id": "v2", "file_key": "raw/a"}))
    yard.leave(yard.claim("job-2"))
    yard.ledger.change("job-2", lambda row, now: row.cancelled(now, fence=1))
    yard.clock.advance(61)
    listed = yard.storage.list

    def half_away(prefix: str) -> Iterator[StoredObject]:
        if "/v1/" in prefix:
            raise StorageUnavailable("away")
        return listed(prefix)

    monkeypatch.setattr(yard.storage, "list", half_away)
    assert [yard.sweeper.tick() for _ in range(3)] == [1, 0, 0]
    monkeypatch.undo()
    assert yard.sweeper.tick() == 1


def test_a_successor_attempt_of_the_same_job_is_not_its_own() -> None:
    last = attempt_prefix("t1", "v1", job_id="j", generation=1, fence=2)
    older, newer, other = (
        attempt_prefix("t1", "v1", job_id=job_id, generation=1, fence=fence) + "a.ts"
        for job_id, fence in (("j", 1), ("j", 3), ("k", 1))
    )
    assert own_attempts([older, f"{last}a.ts", newer, other, "tenants/t1/video/raw/v1/a.mp4"], last) == [
        older,
        f"{last}a.ts",
    ]
