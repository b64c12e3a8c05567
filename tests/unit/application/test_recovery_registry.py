"""Every state that is not an end has one owner (mission.md E3, lesson 13): one thing is aged in each, and everybody has a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from src.application.ports.batch import BatchState
from src.application.ports.ops_events import EventType, OpsEvent, Severity
from src.application.video.recovery.owners import ALARM, LIFECYCLE, OWNERS, REDELIVERY, WAKER, markdown
from src.application.video.recovery.schedule import INTERVALS
from src.domain.errors import BatchUnavailable, NetworkError, SourceEmpty, Stalled
from src.domain.job import ACTIVE_STATES, Job, JobDraft, JobState
from src.domain.video.keys import attempt_prefix
from src.domain.video.video import Video, VideoStatus
from tests.fakes.clinic import DAY, HOUR, Clinic
from tests.fakes.office import KEY

PAGE = Path(__file__).parents[3] / "docs" / "recovery.md"
QUEUE, BATCH = "job on a queue", "job on AWS Batch"


def queued(clinic: Clinic) -> None:
    """Admitted, and its caller died."""
    payload = {"video_id": "v1", "file_key": KEY}
    clinic.office.ledger.admit(JobDraft(id="job-1", type="video", tenant="t1", payload=payload, subject="video:v1"))


def running(clinic: Clinic) -> None:
    clinic.office.submit()
    clinic.claim(owner=None if clinic.on_batch else "w")
    closed(clinic, 137)


def retry_wait(clinic: Clinic) -> None:
    clinic.office.submit()
    clinic.claim(owner="w")
    clinic.fail(NetworkError("reset"))
    closed(clinic, 1)


def closed(clinic: Clinic, code: int) -> None:
    """Its batch job has ended, and reconcile has seen that."""
    if clinic.on_batch:
        clinic.office.batch.move(clinic.batch_id(), BatchState.RUNNING)
        clinic.office.batch.end(clinic.batch_id(), code)
        clinic.office.submissions.count(clinic.batch_id())


def submitted(clinic: Clinic) -> None:
    clinic.office.submit()
    clinic.office.batch.end(clinic.batch_id(), 1)


def asked(clinic: Clinic) -> None:
    """Its answer was lost."""
    clinic.office.batch.fail("submit", BatchUnavailable("reset"), after=True)
    clinic.office.submit()


def unwritten(clinic: Clinic) -> None:
    """Its answer was lost, and its row was taken for one of which nothing came."""
    asked(clinic)
    clinic.office.submissions.forget(clinic.batch_id())
    # Its job is looked at by its own owner as well; here its turn has just been.
    clinic.office.ledger.change("job-1", lambda row, now: row.published(now + DAY))


def video(status: VideoStatus) -> Callable[[Clinic], None]:
    def make(clinic: Clinic) -> None:
        clinic.office.videos.add(Video(id="v1", tenant="t1", source_key=KEY, status=status))

    return make


def letter(clinic: Clinic) -> None:
    """Of a job that failed for good."""
    clinic.office.submit()
    clinic.claim(owner="w")
    clinic.fail(SourceEmpty("nothing in it"))
    closed(clinic, 1)


def event(clinic: Clinic) -> None:
    clinic.office.events.add(OpsEvent(type=EventType.BATCH_DESYNC, severity=Severity.ERROR))


def old_event(clinic: Clinic) -> None:
    clinic.office.events.add(OpsEvent(type=EventType.ORPHAN_CANCELLED, severity=Severity.INFO))
    clinic.clock.advance(90 * DAY)


def old_job(clinic: Clinic) -> None:
    clinic.office.ledger.admit(JobDraft(id="job-1", type="work", tenant="t1", payload={}))
    clinic.claim(owner="w")
    clinic.office.ledger.change("job-1", lambda row, now: row.succeed(now, fence=1, result={}))
    clinic.clock.advance(90 * DAY)


def dead(clinic: Clinic) -> None:
    clinic.office.submit()
    while not clinic.job().state.is_terminal:
        clinic.claim(owner="w")
        clinic.fail(Stalled("no progress"))
    closed(clinic, 1)
    clinic.office.ledger.dead_letters.notified(["job-1.1"])


def source(status: VideoStatus) -> Callable[[Clinic], None]:
    def make(clinic: Clinic) -> None:
        clinic.office.videos.add(Video(id="v1", tenant="t1", source_key=KEY, status=status))
        clinic.clock.advance(40 * DAY)

    return make


def abandoned(clinic: Clinic) -> None:
    letter(clinic)
    clinic.office.ledger.dead_letters.notified(["job-1.1"])
    put(clinic, "job-1")


def orphaned(clinic: Clinic) -> None:
    put(clinic, "nobody")
    clinic.clock.advance(40 * DAY)


def forgotten_source(clinic: Clinic) -> None:
    """Whoever deleted the video died before it asked for its objects."""
    clinic.office.videos.add(Video(id="v1", tenant="t1", source_key=KEY, status=VideoStatus.UPLOADED))
    clinic.office.videos.update("v1", lambda row: row.deleted(clinic.clock.now()))
    clinic.clock.advance(4 * DAY)


def forgotten_stream(clinic: Clinic) -> None:
    put(clinic, "job-1")
    shown = "tenants/t1/video/hls/v1/job-1-1-1/master.m3u8"
    row = Video(id="v1", tenant="t1", source_key="", status=VideoStatus.READY, result={"hls_path": shown})
    clinic.office.videos.add(row)
    clinic.office.videos.update("v1", lambda row: row.deleted(clinic.clock.now()).source_purged(clinic.clock.now()))
    clinic.clock.advance(4 * DAY)


def begun(clinic: Clinic) -> None:
    clinic.uploads.begin(KEY)
    clinic.clock.advance(DAY)


def put(clinic: Clinic, job_id: str) -> None:
    prefix = attempt_prefix("t1", "v1", job_id=job_id, generation=1, fence=1)
    clinic.office.storage.put_bytes(f"{prefix}a.m4s", b"x", content_type="video/mp4", cache_control="")


AGED: dict[tuple[str, str], Callable[[Clinic], None]] = {
    (QUEUE, "QUEUED"): queued,
    (QUEUE, "RUNNING"): running,
    (QUEUE, "RETRY_WAIT"): retry_wait,
    (BATCH, "QUEUED"): queued,
    (BATCH, "RUNNING"): running,
    (BATCH, "RETRY_WAIT"): retry_wait,
    ("submission", "open"): submitted,
    ("submission", "SUBMITTING"): asked,
    ("batch job without a submission", "alive"): unwritten,
    ("video", "PENDING"): video(VideoStatus.PENDING),
    ("video", "UPLOADED"): video(VideoStatus.UPLOADED),
    ("video", "PROCESSING"): video(VideoStatus.PROCESSING),
    ("video", "READY_PARTIAL"): video(VideoStatus.READY_PARTIAL),
    ("dead letter", "not told"): letter,
    ("event to be told", "not told"): event,
    ("event", "told, or not to be told"): old_event,
    ("ended job", "without dead letter, unsent event or open submission"): old_job,
    ("dead job of circumstances", "first generation"): dead,
    ("source", "READY video"): source(VideoStatus.READY),
    ("source", "FAILED video"): source(VideoStatus.FAILED),
    ("source", "deleted video"): forgotten_source,
    ("attempt's folder", "of a deleted video"): forgotten_stream,
    ("attempt's folder", "its job has ended"): abandoned,
    ("attempt's folder", "shown by no video"): orphaned,
    ("multipart upload", "begun"): begun,
}
ELSEWHERE = {LIFECYCLE, REDELIVERY}
"""Owners that are no code of ours: S3, and the queue itself (tests/contracts/test_queue.py)."""


def acted(entity: str, state: str) -> list[str]:
    """Who does something, each asked in a world of its own."""
    found = []
    for name in [*INTERVALS, *Clinic().others()]:
        clinic = Clinic(batch=entity != QUEUE)
        AGED[entity, state](clinic)
        clinic.clock.advance(2 * HOUR)
        if name in clinic.jobs:
            run = clinic.run(name)
            assert not run.counts["error"], run.notes
            done = sum(count for action, count in run.counts.items() if action != "skipped")
        else:
            done = clinic.others()[name]()
        found += [name] if done else []
    return found


@pytest.mark.parametrize(
    "row", [row for row in OWNERS if row.owner not in ELSEWHERE], ids=lambda r: f"{r.entity} {r.state}"
)
def test_e3_its_owner_acts_and_nobody_else(row: object) -> None:
    assert acted(row.entity, row.state) == [row.owner]  # type: ignore[attr-defined]


def test_every_row_can_be_aged_and_stands_there_once() -> None:
    rows = Counter((row.entity, row.state) for row in OWNERS)
    assert set(rows.values()) == {1}
    assert {(row.entity, row.state) for row in OWNERS if row.owner not in ELSEWHERE} == AGED.keys()
    assert {row.owner for row in OWNERS} <= {*INTERVALS, *Clinic().others(), ALARM, WAKER, *ELSEWHERE}


def test_every_state_that_is_not_an_end_is_there() -> None:
    for entity in (QUEUE, BATCH):
        assert {row.state for row in OWNERS if row.entity == entity} == {state.value for state in ACTIVE_STATES}
    ends = {VideoStatus.READY, VideoStatus.FAILED}
    assert {row.state for row in OWNERS if row.entity == "video"} == {s.value for s in VideoStatus} - {
        s.value for s in ends
    }


def test_an_end_has_no_owner() -> None:
    for state in JobState:
        if state.is_terminal:
            assert Job(id="x", type="t", tenant="a", payload={}, state=state).wake_at is None


def test_every_recovery_job_owns_something_and_has_an_interval() -> None:
    assert INTERVALS.keys() == Clinic().jobs.keys() == {row.owner for row in OWNERS} & INTERVALS.keys()


def test_the_page_has_the_table_of_the_code() -> None:
    _before, _, rest = PAGE.read_text().partition("<!-- owners -->\n")
    table, found, _after = rest.partition("<!-- /owners -->\n")
    assert found
    assert table == markdown(), "print it again: mediaworker recover owners"
