"""A second upload of a video that is READY, from the message to the commit, with everything in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from src.application.catalog import Catalog
from src.application.decoders import Decoders, DecoderSettings
from src.application.engine.held import Held, HeldRuns
from src.application.engine.intake import Intake
from src.application.engine.options import EngineOptions
from src.application.engine.settler import Settler
from src.application.explain import explain
from src.application.outcome import Done, Run
from src.application.ports.executor import Failed, Succeeded
from src.application.ports.queue import Envelope
from src.application.video.abandoned import SweepAbandoned
from src.application.video.handler import ProcessVideoJobHandler
from src.application.video.job_types import VIDEO_JOB
from src.application.video.settings import VideoSettings
from src.domain.errors import CorruptSource, ErrorReport, FfmpegFailed, JobError
from src.domain.job import Job, JobState
from src.domain.video.ladder import step
from src.domain.video.planning import PlanSettings
from src.domain.video.video import Video, VideoStatus
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.lock import MemoryIdempotency
from src.infrastructure.memory.queue import MemoryQueue
from src.infrastructure.memory.scratch import MemoryScratch
from src.infrastructure.memory.storage import MemoryStorage
from src.infrastructure.memory.videos import MemoryChunks, MemoryVideos, appliers
from tests.fakes.clock import FrozenClock
from tests.fakes.media import ScriptedEncoder, ScriptedPictures, ScriptedProber

RAW = "tenants/t1/video/raw/"
OUT = "tenants/t1/video/hls/v1/"
PLAN = PlanSettings(ladder=(step(144, 200_000),), chunk_seconds=4)


@dataclass
class Shop:
    """One worker; `work` takes the next message as the engine does and runs its job in this process."""

    folder: Path
    clock: FrozenClock = field(default_factory=FrozenClock)
    chunks: MemoryChunks = field(default_factory=MemoryChunks)
    held: HeldRuns = field(default_factory=HeldRuns)
    encoder: ScriptedEncoder = field(default_factory=ScriptedEncoder)

    def __post_init__(self) -> None:
        self.storage, self.videos = MemoryStorage(self.clock), MemoryVideos(self.clock)
        self.catalog, self.queue = Catalog([VIDEO_JOB]), MemoryQueue(self.clock)
        self.scratch, letters = MemoryScratch(self.folder), MemoryDeadLetters(self.clock)
        self.ledger = MemoryLedger(self.clock, letters, self.catalog.effects, appliers(self.videos, self.chunks))
        lock, options = MemoryIdempotency(self.clock), EngineOptions(owner="w1")
        self.intake = Intake(
            decoders=Decoders(self.catalog, DecoderSettings()),
            ledger=self.ledger,
            dead_letters=letters,
            lock=lock,
            queue=self.queue,
            held=self.held,
            clock=self.clock,
            options=options,
            queue_name="video",
        )
        self.settler = Settler(
            ledger=self.ledger,
            lock=lock,
            queue=self.queue,
            held=self.held,
            clock=self.clock,
            options=options,
            dice=lambda: 0.0,
        )
        self.sweeper = SweepAbandoned(self.ledger, self.storage, self.videos, self.chunks, self.clock)

    def upload(self, name: str, content: bytes) -> str:
        self.storage.put_bytes(RAW + name, content * 60, content_type="video/mp4", cache_control="")
        return RAW + name

    def legacy(self, key: str) -> None:
        body = {"video_id": "v1", "file_key": key, "tenant_code": "t1", "attempt": 1}
        self.queue.publish([Envelope(body=json.dumps(body).encode(), key=key)])

    def s3(self, key: str) -> None:
        thing = {"key": key, "versionId": self.storage.head(key).version}
        record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}}}
        record["s3"]["object"] = thing  # type: ignore[index]
        self.queue.publish([Envelope(body=json.dumps({"Records": [record]}).encode(), key=key)])

    def take(self) -> Held | None:
        [delivery] = self.queue.receive(1, wait_seconds=0, visibility_seconds=60)
        return self.intake.take(delivery)

    def work(self) -> Job | None:
        """The job as it stands after this message; None when the message was dealt with without one."""
        taken = self.take()
        return None if taken is None else self.finish(taken)

    def finish(self, taken: Held) -> Job | None:
        try:
            outcome = self.handle(taken.job)
        except JobError as error:
            return self.settler.settle(Failed(taken.run_id, ErrorReport.of(error)))
        return self.settler.settle(Succeeded(taken.run_id, outcome))

    def handle(self, job: Job) -> Mapping[str, Any]:
        handler = ProcessVideoJobHandler(
            videos=self.videos,
            chunks=self.chunks,
            storage=self.storage,
            scratch=self.scratch,
            prober=ScriptedProber(),
            encoder=self.encoder,
            pictures=ScriptedPictures(),
            settings=VideoSettings(plan=PLAN),
            clock=self.clock,
        )
        run = Run(
            job_id=job.id,
            tenant=job.tenant,
            generation=job.generation,
            fence=job.fence,
            attempt=job.attempts,
            max_attempts=job.max_attempts,
            open_scratch=cache(lambda: self.scratch.open(f"{job.id}-{job.fence}")),
            report=lambda _report: None,
        )
        outcome = handler.handle(VIDEO_JOB.parse(job.tenant, job.payload), run)
        assert isinstance(outcome, Done)
        return outcome.result

    def video(self) -> Video:
        return self.videos.get("v1")

    def shown(self) -> list[str]:
        prefix = (self.video().hls_path or "").removesuffix("master.m3u8")
        return [stored.key for stored in self.storage.list(prefix)]

    def outputs(self) -> list[str]:
        return [stored.key for stored in self.storage.list(OUT)]

    def first_letters(self) -> bytes:
        """What the shown segments were made of."""
        return next(self.storage.objects[key].content for key in self.shown() if "144p/seg_00000" in key)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path / "scratch")
    made.legacy(made.upload("a/v1.mp4", b"the first film "))
    assert _state(made.work()) is JobState.SUCCEEDED
    return made


def _state(job: Job | None) -> JobState | None:
    return None if job is None else job.state


def test_a_second_upload_under_another_key_is_encoded_and_shown(shop: Shop) -> None:
    before = shop.video()
    key = shop.upload("b/v1.mp4", b"SECOND film ")
    shop.legacy(key)
    job = shop.work()
    after = shop.video()
    assert _state(job) is JobState.SUCCEEDED
    assert after.hls_path != before.hls_path
    assert (after.status, after.source_key, after.job_id) == (VideoStatus.READY, key, job.id if job else None)
    assert b"SECOND" in shop.first_letters()


def test_an_s3_event_about_new_content_under_the_same_key_is_encoded(shop: Shop) -> None:
    shop.upload("a/v1.mp4", b"SECOND film ")
    shop.s3(RAW + "a/v1.mp4")
    assert _state(shop.work()) is JobState.SUCCEEDED
    assert b"SECOND" in shop.first_letters()


def test_an_s3_event_about_the_content_that_is_shown_costs_no_encode(shop: Shop) -> None:
    before, encoded = shop.video(), list(shop.encoder.encoded)
    shop.s3(RAW + "a/v1.mp4")
    job = shop.work()
    assert _state(job) is JobState.SUCCEEDED
    assert shop.encoder.encoded == encoded
    assert shop.video().hls_path == before.hls_path
    assert job is not None
    assert "Nothing was encoded" in " ".join(explain(job, [], shop.clock.now()))


def test_a_job_that_was_encoded_is_not_said_to_have_found_its_result(shop: Shop) -> None:
    shop.upload("b/v1.mp4", b"other")
    shop.legacy(RAW + "b/v1.mp4")
    job = shop.work()
    assert _state(job) is JobState.SUCCEEDED
    assert job is not None
    assert "Nothing was encoded" not in " ".join(explain(job, [], shop.clock.now()))


def test_a_source_that_was_purged_after_success_leaves_the_old_result(shop: Shop) -> None:
    before = shop.video()
    shop.s3(RAW + "a/v1.mp4")
    shop.storage.delete([RAW + "a/v1.mp4"])
    assert _state(shop.work()) is JobState.SUCCEEDED
    assert shop.video().hls_path == before.hls_path


def test_k11_a_redelivery_of_a_finished_job_is_acked_without_ffmpeg(shop: Shop) -> None:
    encoded = list(shop.encoder.encoded)
    shop.legacy(RAW + "a/v1.mp4")
    assert shop.work() is None
    depth = shop.queue.depth()
    assert (depth.ready, depth.in_flight, depth.delayed) == (0, 0, 0)
    assert shop.encoder.encoded == encoded


def test_a_video_stays_whole_and_ready_until_its_second_upload_is_committed(shop: Shop) -> None:
    before, objects = shop.video(), shop.shown()
    shop.legacy(shop.upload("b/v1.mp4", b"SECOND film "))
    taken = shop.take()
    assert taken is not None
    assert shop.video() == before
    result = shop.handle(taken.job)
    shop.clock.advance(100_000)
    shop.sweeper.tick()
    assert shop.video() == before
    assert shop.shown() == objects
    shop.settler.settle(Succeeded(taken.run_id, result))
    assert shop.video().hls_path == result["hls_path"]


@pytest.mark.parametrize("error", [CorruptSource("no film"), FfmpegFailed("died")])
def test_a_second_upload_that_fails_takes_nothing_from_the_video(shop: Shop, error: JobError) -> None:
    before, objects = shop.video(), shop.outputs()

    def fail(_index: int) -> None:
        raise error

    shop.encoder = ScriptedEncoder(fault=fail)
    shop.legacy(shop.upload("b/v1.mp4", b"SECOND film "))
    job = shop.work()
    assert _state(job) in (JobState.FAILED, JobState.RETRY_WAIT)
    shop.clock.advance(61)
    shop.sweeper.tick()
    assert shop.video() == before
    assert set(objects) <= set(shop.outputs())


def test_the_replaced_stream_is_removed_when_no_player_reads_it_any_more(shop: Shop) -> None:
    old = shop.shown()
    shop.clock.advance(1_000_000)
    shop.legacy(shop.upload("b/v1.mp4", b"SECOND film "))
    shop.work()
    new = shop.shown()
    shop.clock.advance(shop.sweeper.replaced_seconds - 1)
    assert shop.sweeper.tick() == 0
    assert set(old) < set(shop.outputs())
    shop.clock.advance(1)
    assert shop.sweeper.tick() == len(old)
    assert shop.outputs() == new
    assert shop.sweeper.tick() == 0


def test_the_replaced_stream_is_removed_when_its_own_job_was_replayed(shop: Shop) -> None:
    first = shop.video()
    assert first.job_id is not None
    shop.upload("a/v1.mp4", b"SECOND film ")
    shop.ledger.change(first.job_id, lambda job, now: job.reopen(now))
    shop.legacy(RAW + "a/v1.mp4")
    assert _state(shop.work()) is JobState.SUCCEEDED
    assert shop.video().hls_path != first.hls_path
    shop.clock.advance(shop.sweeper.replaced_seconds)
    shop.sweeper.tick()
    assert shop.outputs() == shop.shown()


def test_a_third_upload_under_way_keeps_its_objects_while_the_first_stream_is_removed(shop: Shop) -> None:
    shop.legacy(shop.upload("b/v1.mp4", b"SECOND film "))
    shop.work()
    shop.clock.advance(shop.sweeper.replaced_seconds)
    second = shop.shown()
    shop.legacy(shop.upload("c/v1.mp4", b"THIRD film "))
    taken = shop.take()
    assert taken is not None
    result = shop.handle(taken.job)
    assert shop.sweeper.tick() > 0
    third = [key for key in shop.outputs() if key not in second]
    assert result["hls_path"] in third
    assert set(second) < set(shop.outputs())


def test_a_path_that_is_no_attempt_of_ours_is_never_swept_as_replaced(shop: Shop) -> None:
    """A row of an older layout: its playlist lies where every attempt of the video lies."""
    shop.videos.update(
        "v1",
        lambda video: video.ready(
            job_id="old", fence=1, source_key="k", result={"hls_path": OUT + "master.m3u8", "duration_seconds": 1.0}
        ),
    )
    shop.legacy(shop.upload("b/v1.mp4", b"SECOND film "))
    shop.work()
    objects = shop.outputs()
    shop.clock.advance(shop.sweeper.replaced_seconds)
    shop.sweeper.tick()
    assert shop.outputs() == objects
