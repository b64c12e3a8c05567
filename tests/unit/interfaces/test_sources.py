"""What becomes of the copy of a film when its job can't be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from src.application.video.request import EncodeVideo
from src.application.video.submit import Submission
from src.domain.errors import (
    BatchNotTaken,
    ConfigError,
    Conflict,
    DatabaseUnavailable,
    NotFound,
    QueueUnavailable,
    StorageUnavailable,
    WorkerError,
)
from src.domain.job import Job
from src.domain.video.video import Video
from src.infrastructure.memory.storage import MemoryStorage
from src.infrastructure.memory.videos import MemoryVideos
from src.interfaces.cli import sources
from src.interfaces.cli.session import Session
from src.interfaces.cli.submit import submission_document
from tests.fakes.clock import FrozenClock


@dataclass
class World:
    """A session on a storage of its own: asking for a job raises `error`, and looking for it afterwards answers."""

    error: WorkerError
    answer: Job | WorkerError | None
    rows: MemoryVideos = field(default_factory=lambda: MemoryVideos(FrozenClock()))
    store: MemoryStorage = field(default_factory=lambda: MemoryStorage(clock=FrozenClock()))

    @property
    def adapters(self) -> World:
        return self

    @property
    def jobs(self) -> World:
        return self

    def storage(self) -> MemoryStorage:
        return self.store

    def find(self, _job_id: str) -> Job | None:
        if isinstance(self.answer, WorkerError):
            raise self.answer
        return self.answer

    def videos(self) -> MemoryVideos:
        return self.rows

    def request(self, _session: object, key: str, tenant: str, video_id: str, *_rest: object) -> Job:
        if isinstance(self.error, BatchNotTaken):
            # The job's row went again; its video's stays.
            self.rows.add(Video(id=video_id, tenant=tenant, source_key=key))
        raise self.error

    def kept(self) -> list[str]:
        return [found.key for found in self.store.list("tenants/")]


JOB = Job(id="j1", type="video", tenant="t", payload={})
GONE = DatabaseUnavailable("locked", fix="wait")


@pytest.mark.parametrize(
    ("error", "answer", "kept"),
    [
        (Conflict("rejected"), None, 0),
        (StorageUnavailable("away"), None, 0),
        (BatchNotTaken("throttled"), None, 1),
        (ConfigError("the queue refuses"), JOB, 1),
        (GONE, None, 1),
        (GONE, GONE, 1),
    ],
)
def test_a_copy_goes_only_when_no_job_can_want_it(
    error: WorkerError,
    answer: Job | WorkerError | None,
    kept: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x")
    world = World(error, answer)
    monkeypatch.setattr(sources, "request_video", world.request)
    with pytest.raises(type(error)) as raised:
        sources.submit_file(cast("Session", world), film, "t", "v1")
    keys = world.kept()
    assert len(keys) == kept
    if isinstance(error, DatabaseUnavailable):
        assert keys[0] in raised.value.message
    if isinstance(error, BatchNotTaken):
        assert f"mediaworker submit video {keys[0]} --tenant t --video-id v1" in capsys.readouterr().err
    if isinstance(error, DatabaseUnavailable):
        assert f"mediaworker submit video {keys[0]} --tenant t --video-id v1" in (raised.value.fix or "")


def test_a_job_that_is_there_after_a_lost_answer_is_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x")
    world = World(GONE, None)

    def request(_session: object, key: str, *_rest: object) -> Job:
        world.answer = Job(id="j1", type="video", tenant="t", payload={"file_key": key})
        raise GONE

    monkeypatch.setattr(sources, "request_video", request)
    assert sources.submit_file(cast("Session", world), film, "t", "v1").job is world.answer
    assert len(world.kept()) == 1


class NotOnTheQueue:
    """Admits the job; its message is refused."""

    def submit(self, request: EncodeVideo, job_id: str) -> Submission:
        job = Job(id=job_id, type="video", tenant=request.tenant, payload={"file_key": request.file_key})
        error = QueueUnavailable("permission denied for sequence x", fix="grant it")
        return Submission(job=job, created=True, rejected="submit_failed", error=error)


@dataclass
class NoSession:
    settings: None = None
    adapters: None = None
    catalog: None = None


def test_a_job_whose_message_is_not_on_the_queue_is_said_to_be_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sources, "make_submitter", lambda *_given: NotOnTheQueue())
    submission = sources.request_video(cast("Session", NoSession()), "tenants/t/video/raw/a.mp4", "t", "v1", "j1")
    said = capsys.readouterr().err
    for words in ("permission denied", "admitted", "fix: grant it", "then: the waker", "mediaworker status j1"):
        assert words in said
    document = submission_document(submission)
    assert (document["id"], document["rejected"]) == ("j1", "submit_failed")
    assert document["submit_error"] == {
        "class": "queue_unavailable",
        "message": "permission denied for sequence x",
        "fix": "grant it",
    }


class NoBucket(MemoryStorage):
    """Says "not there" of each object, as S3 does of a bucket that is not."""

    def check(self) -> Sequence[str]:
        raise ConfigError("can't look at the bucket nope: NoSuchBucket")


def test_a_bucket_that_is_not_there_is_told_and_not_its_object() -> None:
    world = World(GONE, None, store=NoBucket(clock=FrozenClock()))
    with pytest.raises(ConfigError, match="NoSuchBucket"):
        sources.submit_source(cast("Session", world), "tenants/t/video/raw/7/film.mp4", "t", "7")
    with pytest.raises(NotFound, match="no file and no stored object"):
        sources.submit_source(cast("Session", World(GONE, None)), "tenants/t/video/raw/7/film.mp4", "t", "7")
