"""A video is not set going once more when there is nothing to encode (lesson 16)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from src.application.dispatch import QueueDispatch
from src.application.operate import RequeueDeadLetters, RetryJob
from src.application.ports.ledger import DeadLetterFilter
from src.application.video.source_there import SourceIsThere
from src.domain.errors import ConfigError, Conflict, ErrorReport, UnsupportedFormat
from src.domain.job import Job
from src.infrastructure.memory.queue import MemoryQueue
from src.infrastructure.memory.storage import MemoryStorage
from tests.fakes.office import KEY, Office


def failed(office: Office) -> Job:
    office.submit()
    row = office.ledger.change("job-1", lambda job, now: job.claim(now, owner="w1", lease_seconds=30)[0])
    error = ErrorReport.of(UnsupportedFormat("text"))
    return office.ledger.change("job-1", lambda job, now: job.fail(now, fence=row.fence, error=error, dice=0))


@pytest.mark.parametrize("body", [None, b""], ids=["gone", "empty"])
def test_lesson_16_a_video_whose_source_is_not_there_is_not_retried(body: bytes | None) -> None:
    office = Office()
    before = failed(office)
    office.post.sent.clear()
    office.storage.delete([KEY])
    if body is not None:
        office.storage.put_bytes(KEY, body, content_type="video/mp4", cache_control="no-cache")
    road, there = QueueDispatch(office.post), SourceIsThere(office.storage, office.videos.find)
    with pytest.raises(Conflict, match="could only fail"):
        RetryJob(office.ledger, road, there).retry("job-1")
    requeue = RequeueDeadLetters(
        office.ledger, office.ledger.dead_letters, MemoryQueue(office.clock), road, office.clock, there
    )
    (answer,) = requeue.requeue(DeadLetterFilter())
    assert (answer.done, "could only fail" in answer.reason) == (False, True)
    assert (office.ledger.find("job-1"), office.post.sent) == (before, [])
    office.storage.put_bytes(KEY, b"film", content_type="video/mp4", cache_control="no-cache")
    assert RetryJob(office.ledger, road, there).retry("job-1").generation == 2


def test_a_job_of_another_type_has_no_source() -> None:
    SourceIsThere(Office().storage, Office().videos.find)(Job(id="x", type="other", tenant="t1", payload={}))


def test_the_job_of_a_deleted_video_is_not_retried_and_says_so() -> None:
    office = Office()
    failed(office)
    office.videos.update("v1", lambda row: row.deleted(office.clock.now()))
    there = SourceIsThere(office.storage, office.videos.find)
    with pytest.raises(Conflict, match="its video v1 was deleted") as told:
        RetryJob(office.ledger, QueueDispatch(office.post), there).retry("job-1")
    assert "another video id" in (told.value.fix or "")
    assert "upload the film again, and submit it" not in (told.value.fix or "")


class NoBucket(MemoryStorage):
    """Says "not there" of each object, as S3 does of a bucket that is not."""

    def check(self) -> Sequence[str]:
        raise ConfigError("there is no bucket nope")


def test_a_bucket_that_is_not_there_is_no_source_that_is_gone() -> None:
    office = Office()
    failed(office)
    there = SourceIsThere(NoBucket(office.clock), office.videos.find)
    with pytest.raises(ConfigError, match="no bucket nope"):
        RetryJob(office.ledger, QueueDispatch(office.post), there).retry("job-1")
