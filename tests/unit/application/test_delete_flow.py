"""From a message on the memory queue to the empty folder, through the engine: each format, back-off, dead letter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from src.application.catalog import Catalog
from src.application.decoders import Decoders, DecoderSettings
from src.application.engine.held import Held, HeldRuns
from src.application.engine.intake import Intake
from src.application.engine.options import EngineOptions
from src.application.engine.settler import Settler
from src.application.outcome import Done, Run
from src.application.ports.executor import Failed, Snoozed, Succeeded
from src.application.ports.ledger import DeadLetterFilter
from src.application.ports.queue import Envelope
from src.application.video.delete_handler import DeleteObjectsHandler
from src.application.video.job_types import DELETE_OBJECTS_JOB, VIDEO_JOB
from src.domain.errors import ErrorReport, JobError
from src.domain.job import Job, JobState
from src.infrastructure.memory.lock import MemoryIdempotency
from tests.fakes.deletion import Archive, folder_of, source_of


class Desk:
    """One worker on the deletion queue, stepped by the test; its jobs run in this process."""

    def __init__(self) -> None:
        self.archive = Archive()
        clock, held = self.archive.clock, HeldRuns()
        catalog = Catalog([VIDEO_JOB, DELETE_OBJECTS_JOB])
        self.options = EngineOptions(owner="w1", lease_seconds=30.0, scan_seconds=10.0, stall_seconds=200.0)
        self.letters = self.archive.ledger.dead_letters
        lock = MemoryIdempotency(clock)
        self.intake = Intake(
            decoders=Decoders(catalog, DecoderSettings()),
            ledger=self.archive.ledger,
            dead_letters=self.letters,
            lock=lock,
            queue=self.archive.queue,
            held=held,
            clock=clock,
            options=self.options,
            queue_name="delete",
        )
        self.settler = Settler(
            ledger=self.archive.ledger,
            lock=lock,
            queue=self.archive.queue,
            held=held,
            clock=clock,
            options=self.options,
            dice=lambda: 0.5,
        )

    def send(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.archive.queue.publish([Envelope(body=body, key=str(hash(body)))])

    def turn(self) -> Job | None:
        """Take the next message and deal with it; the job's row, or None when there was no job to run."""
        for delivery in self.archive.queue.receive(1, wait_seconds=0, visibility_seconds=60):
            taken = self.intake.take(delivery)
            return None if taken is None else self.work(taken)
        return None

    def work(self, taken: Held) -> Job | None:
        job = taken.job
        handler = DeleteObjectsHandler(self.archive.storage, self.archive.standings, self.archive.chunks)
        run = Run(
            job_id=job.id, tenant=job.tenant, generation=job.generation, fence=job.fence, attempt=job.attempts,
            max_attempts=job.max_attempts, open_scratch=Path, report=lambda _report: None,
        )  # fmt: skip
        try:
            outcome = handler.handle(DELETE_OBJECTS_JOB.parse(job.tenant, job.payload), run)
        except JobError as error:
            return self.settler.settle(Failed(taken.run_id, ErrorReport.of(error)))
        if isinstance(outcome, Done):
            return self.settler.settle(Succeeded(taken.run_id, outcome.result))
        return self.settler.settle(Snoozed(taken.run_id, outcome.seconds, outcome.reason))

    def waiting(self) -> int:
        depth = self.archive.queue.depth()
        return depth.ready + depth.delayed + depth.in_flight


@pytest.fixture
def desk() -> Desk:
    return Desk()


def request(video: str = "1", **more: object) -> dict[str, object]:
    keys = {"file_key": source_of(video), "hls_prefix": folder_of(video)}
    return {
        "action": "delete_r2",
        "tenant_id": "t1",
        "video_id": video,
        **keys,
        "created_at": "2026-02-24T00:00:00Z",
    } | more


WRAPPED = {
    "id": "d-1",
    "type": "delete_objects",
    "tenant_id": "t1",
    "payload": {"video_id": "1", "file_key": source_of("1"), "hls_prefix": folder_of("1")},
}


@pytest.mark.parametrize("document", [request(), WRAPPED, {"Type": "Notification", "Message": json.dumps(request())}])
def test_every_format_deletes_the_video_and_leaves_the_queue(desk: Desk, document: dict[str, object]) -> None:
    if "Type" in document:
        document = document | {"MessageId": "m", "TopicArn": "arn:aws:sns:r:1:t", "Timestamp": "2026-02-24T00:00:00Z"}
    desk.send(document)
    job = desk.turn()
    assert job is not None
    assert (job.type, job.state) == ("delete_objects", JobState.SUCCEEDED)
    assert [desk.archive.left("1"), desk.archive.left("12"), desk.waiting()] == [0, 3, 0]


def test_a_message_that_came_twice_is_one_job(desk: Desk) -> None:
    desk.send(request())
    assert desk.turn() is not None
    desk.send(request())
    assert desk.turn() is None
    assert desk.waiting() == 0


def test_b5_an_object_that_fails_stays_with_its_message_until_the_dead_letter_says_why(desk: Desk) -> None:
    desk.archive.storage.locked = frozenset({f"{folder_of('1')}1-1-00000000/a.m4s"})
    desk.send(request())
    waits = []
    for _ in range(20):
        before = desk.archive.clock.now()
        job = desk.turn()
        if job is not None and job.state.is_terminal:
            break
        assert job is not None
        assert desk.waiting() == 1
        waits.append(round(job.due_at - before, 1))
        desk.archive.clock.advance(job.due_at - before)
    assert job is not None
    assert (job.state, job.attempts) == (JobState.DEAD, 6)
    assert waits == sorted(waits)
    assert len(waits) == 5
    assert waits[-1] > 100
    (letter,) = desk.letters.list(DeadLetterFilter())
    assert (letter.error.code, "a.m4s" in letter.error.message) == ("objects_left", True)
    assert [desk.archive.left("1"), desk.waiting()] == [1, 0]


def test_while_the_video_is_encoded_the_message_waits_and_no_attempt_is_counted(desk: Desk) -> None:
    desk.archive.job(running=True)
    desk.send(request())
    for _ in range(10):
        job = desk.turn()
        assert job is not None
        assert (job.state, job.attempts) == (JobState.QUEUED, 0)
        desk.archive.clock.advance(121)
    desk.archive.ledger.change("job-1", lambda row, now: row.hand_back(now, fence=1))
    job = desk.turn()
    assert job is not None
    assert job.state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (request(tenant_id="t2"), "tenant_mismatch"),
        (request(hls_prefix="tenants/t1/video/hls/"), "invalid_payload"),
        (request(hls_prefix=folder_of("12")), "invalid_payload"),
        (request(file_key="../x"), "invalid_payload"),
        (request(action="restore_r2"), "invalid_message"),
        (WRAPPED | {"tenant_id": "t2"}, "tenant_mismatch"),
    ],
)
def test_t26_what_must_not_be_deleted_is_set_aside_with_the_reason(
    desk: Desk, document: dict[str, object], reason: str
) -> None:
    desk.send(document)
    assert desk.turn() is None
    (letter,) = desk.letters.list(DeadLetterFilter())
    assert letter.error.code == reason
    assert [desk.archive.left("1"), desk.archive.left("12"), desk.waiting()] == [3, 3, 0]
