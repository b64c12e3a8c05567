"""Every row of contracts.md 1.7: how a container for one job ends, by event and exit code, and what its row then says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.application.engine.options import OnLockFailure
from src.application.engine.verdict import Event
from src.application.ports.executor import Failed, Progressed, Snoozed, Succeeded, WorkOrder
from src.domain.errors import (
    CorruptSource,
    Crashed,
    DatabaseUnavailable,
    DiskFull,
    ErrorReport,
    FileAccessError,
    LockUnavailable,
    StorageUnavailable,
    UnknownJobType,
)
from src.domain.job import JobState
from src.domain.progress import ProgressReport
from src.domain.video.video import VideoStatus
from tests.fakes.box import KEY, LEASE, STALL, Box, Step, ends_well, fails, meanwhile


@pytest.fixture
def box() -> Box:
    return Box()


def ended(box: Box, *steps: object, name: str = "j1") -> tuple[Event, int]:
    verdict = box.run(*steps, name=name)  # type: ignore[arg-type]
    return verdict.event, verdict.exit_code


def untouched(box: Box) -> None:
    """Nothing was started, and nothing was tried that only work needs."""
    assert (box.executor.started, box.prepared) == ([], [])


# ---------------------------------------------------------------------- exit 0
def test_done(box: Box) -> None:
    box.admit()
    report = ProgressReport(percent=40.0, step="transcoding", step_index=4, step_total=7)

    def halfway(order: WorkOrder) -> Progressed:
        return Progressed(order.run_id, report)

    assert ended(box, halfway, ends_well()) == (Event.COMPLETED, 0)
    assert (box.job().state, box.job().attempts, box.videos.get("v1").status) == (
        JobState.SUCCEEDED,
        1,
        VideoStatus.READY,
    )
    assert (box.bound, box.prepared, [job.id for job in box.told]) == (["j1"], ["looked"], ["j1"])
    shown = box.progress.latest("j1")
    assert shown is not None
    assert shown.percent == 100


def test_already_done(box: Box) -> None:
    box.admit()
    box.run(ends_well())
    box.prepared.clear()
    before = box.job()
    assert ended(box) == (Event.DONE, 0)
    assert box.job() == before
    untouched(box)


def make_ready(box: Box, version: str) -> None:
    made = {"hls_path": "old/master.m3u8", "duration_seconds": 4.0, "metadata": {"source_version": version}}
    box.videos.update("v1", lambda video: video.ready(job_id="j0", fence=9, source_key=KEY, result=made))


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RETRY_WAIT, JobState.RUNNING])
def test_a_video_that_is_ready_completes_its_job_first(box: Box, state: JobState) -> None:
    box.admit()
    if state is not JobState.QUEUED:
        box.claimed_elsewhere(seconds=-1 if state is JobState.RUNNING else LEASE)
    if state is JobState.RETRY_WAIT:
        box.ledger.change("j1", lambda job, now: job.wait_untried(now, fence=1))
    make_ready(box, box.storage.head(KEY).version)
    assert ended(box) == (Event.READY, 0)
    assert box.job().state is JobState.SUCCEEDED
    assert (box.job().result or {})["hls_path"] == "old/master.m3u8"
    assert box.videos.get("v1").hls_path == "old/master.m3u8"
    untouched(box)


def test_one_that_is_ready_from_another_upload_is_encoded(box: Box) -> None:
    box.admit()
    make_ready(box, box.storage.head(KEY).version)
    box.upload(b"another film, by the same name")
    assert ended(box, ends_well()) == (Event.COMPLETED, 0)
    assert box.videos.get("v1").hls_path == "new/master.m3u8"


def test_no_such_job(box: Box) -> None:
    assert ended(box, name="0190a5e2") == (Event.NOT_FOUND, 0)
    untouched(box)


def test_f34_taken_by_a_live_lease(box: Box) -> None:
    box.admit()
    before = box.claimed_elsewhere()
    assert ended(box) == (Event.TAKEN, 0)
    assert box.job() == before
    untouched(box)


def test_f34_the_second_of_two_that_look_at_the_same_instant_takes_nothing(box: Box) -> None:
    box.admit()
    box.prepare = box.claimed_elsewhere
    assert ended(box) == (Event.TAKEN, 0)
    assert (box.executor.started, box.job().lease_owner, box.job().attempts) == ([], "other", 1)
    assert box.lock.acquire("job:j1:lock", ttl_seconds=LEASE), "it was released"


def test_lesson_8_one_whose_container_died_is_taken_after_its_lease_and_not_before(box: Box) -> None:
    box.admit()
    box.claimed_elsewhere()
    box.clock.advance(LEASE - 1)
    assert ended(box) == (Event.TAKEN, 0)
    box.clock.advance(1)
    assert ended(box, ends_well()) == (Event.COMPLETED, 0)
    assert (box.job().attempts, box.job().fence) == (2, 2)


@pytest.mark.parametrize("orphan", [False, True])
def test_lesson_14_a_deleted_video_s_job_is_closed_and_the_video_stays_deleted(box: Box, orphan: bool) -> None:
    box.admit()
    if orphan:
        box.claimed_elsewhere(seconds=-1)
    box.videos.put_back("v1", None)
    assert ended(box) == (Event.DELETED, 0)
    assert (box.job().state, box.videos.find("v1")) == (JobState.CANCELLED, None)
    untouched(box)


def test_lesson_15_a_stale_completion_is_ignored(box: Box) -> None:
    box.admit()

    def frozen_and_overtaken() -> None:
        # Too late for the keeper to notice: it never sees a job whose end is being written.
        box.clock.advance(LEASE + 1)
        box.claimed_elsewhere()

    def overtaken(order: WorkOrder) -> Succeeded:
        frozen_and_overtaken()
        return Succeeded(order.run_id, {"hls_path": "stale", "duration_seconds": 1.0})

    assert ended(box, overtaken) == (Event.STALE, 0)
    row = box.job()
    assert (row.state, row.lease_owner, row.fence, row.result) == (JobState.RUNNING, "other", 2, None)
    assert box.told == []


def test_a_lease_that_is_lost_stops_the_work_and_writes_nothing(box: Box) -> None:
    box.admit()

    def overtaken() -> None:
        box.memory.change("j1", lambda job, now: replace(job, fence=job.fence + 1, lease_owner="other"))

    assert ended(box, meanwhile(overtaken)) == (Event.STALE, 0)
    assert box.executor.reasons == ["lease_lost"]
    assert box.job().lease_owner == "other"


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.DEAD])
def test_ended_without_success_before_it_began(box: Box, state: JobState) -> None:
    box.admit(max_attempts=1)
    box.run(fails(CorruptSource("x") if state is JobState.FAILED else FileAccessError("x")))
    assert box.job().state is state
    assert ended(box) == (Event.ENDED, 0)
    assert box.executor.started == []


# ---------------------------------------------------------------------- exit 1
def test_a_failure_waits_for_its_retry(box: Box) -> None:
    box.admit()
    assert ended(box, fails(FileAccessError("busy"))) == (Event.FAILED, 1)
    row = box.job()
    assert (row.state, row.attempts, row.due_at) == (JobState.RETRY_WAIT, 1, box.clock.now() + 60)
    assert box.videos.get("v1").status is VideoStatus.PROCESSING
    assert box.told == []


def test_the_next_container_does_not_wait_for_that_time(box: Box) -> None:
    box.admit()
    box.run(fails(FileAccessError("busy")))
    assert ended(box, ends_well()) == (Event.COMPLETED, 0)
    assert box.job().attempts == 2


def test_a_permanent_failure_is_the_end_of_job_and_video(box: Box) -> None:
    box.admit()
    assert ended(box, fails(CorruptSource("no frame can be decoded"))) == (Event.FAILED, 1)
    assert (box.job().state, box.videos.get("v1").status) == (JobState.FAILED, VideoStatus.FAILED)
    assert [job.state for job in box.told] == [JobState.FAILED]


def test_b3_the_fifth_execution_is_the_last(box: Box) -> None:
    box.admit()
    kinds = [FileAccessError("a"), DiskFull("b"), Crashed("c"), FileAccessError("d"), Crashed("e")]
    events = [ended(box, fails(error))[0] for error in kinds]
    assert events == [Event.FAILED] * 4 + [Event.DEAD]
    assert (box.job().state, box.job().attempts) == (JobState.DEAD, 5)
    assert box.videos.get("v1").status is VideoStatus.FAILED


def test_b3_five_containers_that_vanished_are_five_executions(box: Box) -> None:
    box.admit()
    for _ in range(5):
        box.claimed_elsewhere(seconds=-1)
    assert ended(box) == (Event.DEAD, 1)
    assert (box.job().state, box.videos.get("v1").status) == (JobState.DEAD, VideoStatus.FAILED)
    assert box.executor.started == []


def test_e8_a_cancel_reaches_it(box: Box) -> None:
    box.admit()
    cancel = meanwhile(lambda: box.ledger.change("j1", lambda job, now: job.request_cancel(now)))
    assert ended(box, cancel) == (Event.CANCELLED, 1)
    assert (box.executor.reasons, box.job().state) == (["cancelled"], JobState.CANCELLED)
    assert box.videos.get("v1").status is VideoStatus.UPLOADED
    assert ended(box) == (Event.CANCELLED, 1)
    assert box.executor.started == []


def test_a_cancelled_orphan_is_not_run_again(box: Box) -> None:
    box.admit()
    box.claimed_elsewhere(seconds=-1)
    box.ledger.change("j1", lambda job, now: job.request_cancel(now))
    assert ended(box) == (Event.CANCELLED, 1)
    assert (box.executor.started, box.job().state) == ([], JobState.CANCELLED)


def test_a_cancel_is_heeded_although_the_video_is_ready(box: Box) -> None:
    box.admit()
    box.claimed_elsewhere(seconds=-1)
    box.ledger.change("j1", lambda job, now: job.request_cancel(now))
    make_ready(box, box.storage.head(KEY).version)
    assert ended(box) == (Event.CANCELLED, 1)
    assert box.videos.get("v1").status is VideoStatus.READY


def test_lesson_9_what_gets_no_further_is_stopped(box: Box) -> None:
    box.admit()
    # One step at a time, so that the lease is renewed meanwhile.
    assert ended(box, meanwhile(lambda: box.clock.advance(STALL))) == (Event.FAILED, 1)
    assert box.executor.reasons == ["stalled"]
    error = box.job().error
    assert error is not None
    assert (box.job().state, error.code) == (JobState.RETRY_WAIT, "stalled")


def test_what_gets_further_goes_on(box: Box) -> None:
    box.admit()
    # The keeper's own thread looks once; the rest is done here.
    box.watch_seconds = 3600.0

    def later(percent: float) -> Step:
        def step(order: WorkOrder) -> Progressed:
            box.clock.advance(STALL - 1)
            report = ProgressReport(percent=percent, step="transcoding", step_index=4, step_total=7)
            return Progressed(order.run_id, report)

        return step

    def looked(_order: WorkOrder) -> None:
        box.keeper.tick()

    steps = [later(10), looked, later(20), looked, later(30), looked, ends_well()]
    assert ended(box, *steps) == (Event.COMPLETED, 0)
    assert box.executor.reasons == []


# ---------------------------------------------------------------------- signals
def sigterm(box: Box) -> None:
    box.stop.request("SIGTERM")


def test_b2_a_signal_leaves_the_job_waiting_and_its_attempt_uncounted(box: Box) -> None:
    box.admit()
    assert ended(box, meanwhile(lambda: sigterm(box))) == (Event.TERMINATED, 1)
    row = box.job()
    assert (row.state, row.attempts, row.due_at, box.executor.reasons) == (
        JobState.RETRY_WAIT,
        0,
        box.clock.now(),
        ["drained"],
    )
    assert row.error is not None
    assert row.error.message.startswith("TERMINATED")
    assert box.videos.get("v1").status is VideoStatus.PROCESSING


def test_lesson_15_a_signal_does_not_write_over_what_has_succeeded(box: Box) -> None:
    box.admit()

    def as_it_ends(order: WorkOrder) -> Succeeded:
        sigterm(box)
        return Succeeded(order.run_id, {"hls_path": "new", "duration_seconds": 1.0})

    assert ended(box, as_it_ends) == (Event.COMPLETED, 0)
    assert box.job().state is JobState.SUCCEEDED


def test_a_failure_is_counted_although_a_signal_came_with_it(box: Box) -> None:
    box.admit()

    def as_it_fails(order: WorkOrder) -> Failed:
        sigterm(box)
        return Failed(order.run_id, ErrorReport.of(FileAccessError("busy")))

    assert ended(box, as_it_fails) == (Event.FAILED, 1)
    assert (box.job().state, box.job().attempts) == (JobState.RETRY_WAIT, 1)


def test_lesson_15_nor_over_a_cancel(box: Box) -> None:
    box.admit()

    def both() -> None:
        sigterm(box)
        box.memory.change("j1", lambda job, now: job.request_cancel(now))

    assert ended(box, meanwhile(both)) == (Event.CANCELLED, 1)
    assert box.job().state is JobState.CANCELLED


def test_lesson_15_nor_over_a_job_that_another_has(box: Box) -> None:
    box.admit()

    def overtaken() -> None:
        sigterm(box)
        box.memory.change("j1", lambda job, now: replace(job, fence=job.fence + 1, lease_owner="other"))

    assert ended(box, meanwhile(overtaken)) == (Event.STALE, 0)
    assert (box.job().state, box.job().lease_owner) == (JobState.RUNNING, "other")


@pytest.mark.parametrize("when", ["before", "while checking"])
def test_a_signal_before_the_work_changes_nothing(box: Box, when: str) -> None:
    box.admit()
    before = box.job()
    if when == "before":
        sigterm(box)
    else:
        box.prepare = lambda: sigterm(box)
    assert ended(box) == (Event.TERMINATED, 1)
    assert (box.job(), box.executor.started) == (before, [])


def test_a_signal_ends_the_wait_for_a_database_that_is_away(box: Box) -> None:
    box.admit()

    def away() -> None:
        sigterm(box)
        box.ledger.fault = "down"

    assert ended(box, meanwhile(away)) == (Event.TERMINATED, 1)
    assert (box.job().state, box.job().lease_owner) == (JobState.RUNNING, "box")


# ---------------------------------------------------------------------- backends
def test_a_claim_whose_answer_was_lost_is_known_again(box: Box) -> None:
    box.admit()

    def lose() -> None:
        box.ledger.fault = "after"

    box.prepare = lose
    assert ended(box, ends_well()) == (Event.COMPLETED, 0)
    assert (box.job().attempts, box.job().fence) == (1, 1)


def test_f07_a_completion_whose_answer_was_lost_is_known_again(box: Box) -> None:
    box.admit()

    def lost(order: WorkOrder) -> Succeeded:
        box.ledger.fault = "after"
        return Succeeded(order.run_id, {"hls_path": "new", "duration_seconds": 1.0})

    assert ended(box, lost) == (Event.COMPLETED, 0)


def test_a_database_that_stays_away_ends_it_with_nothing_changed(box: Box) -> None:
    box.admit()
    before = box.job()
    box.ledger.fault = "down"
    with pytest.raises(DatabaseUnavailable):
        box.run(ends_well())
    assert box.clock.monotonic() > 30
    assert box.job() == before
    untouched(box)


def test_an_outage_is_nobody_s_attempt(box: Box) -> None:
    box.admit()
    box.outage = True
    assert ended(box, fails(StorageUnavailable("503"))) == (Event.FAILED, 1)
    row = box.job()
    assert (row.state, row.attempts) == (JobState.RETRY_WAIT, 0)
    assert row.error is not None
    assert row.error.code == "storage_unavailable"


def test_a_job_that_wants_to_be_asked_again_later_waits_uncounted(box: Box) -> None:
    box.admit()
    assert ended(box, lambda order: Snoozed(order.run_id, 40.0, "later")) == (Event.FAILED, 1)
    row = box.job()
    assert (row.state, row.attempts, row.due_at) == (JobState.RETRY_WAIT, 0, box.clock.now() + 40)
    assert row.error is not None
    assert (row.error.code, row.error.message) == ("snoozed", "later")


def test_lesson_1_a_lock_that_outlived_its_owner_is_waited_for(box: Box) -> None:
    box.admit()
    assert box.lock.acquire("job:j1:lock", ttl_seconds=LEASE)
    assert ended(box, ends_well()) == (Event.COMPLETED, 0)
    assert box.lock.acquire("job:j1:lock", ttl_seconds=LEASE), "it was released"


def test_a_lock_that_somebody_keeps_for_good_is_not_taken_away(box: Box) -> None:
    box.admit()
    assert box.lock.acquire("job:j1:lock", ttl_seconds=10 * LEASE)
    assert ended(box) == (Event.TAKEN, 0)
    assert box.job().state is JobState.QUEUED


def test_a_lock_server_that_is_away_is_done_without_or_ends_it_as_the_settings_say(box: Box) -> None:
    box.admit()
    box.lock.down = True
    box.on_lock_failure = OnLockFailure.PAUSE
    with pytest.raises(LockUnavailable):
        box.run(ends_well())
    assert box.job().state is JobState.QUEUED
    box.on_lock_failure = OnLockFailure.DEGRADE
    assert ended(box, ends_well()) == (Event.COMPLETED, 0)


@pytest.mark.parametrize("steps", [[ends_well()], [fails(CorruptSource("x"))]])
def test_lesson_5_the_lock_is_free_after_every_end(box: Box, steps: list[object]) -> None:
    box.admit()
    ended(box, *steps)
    assert box.lock.acquire("job:j1:lock", ttl_seconds=LEASE)


# ---------------------------------------------------------------------- the rest
def test_a_job_of_a_type_that_is_not_built_in_is_left_alone(box: Box) -> None:
    box.admit(kind="strange")
    before = box.job()
    with pytest.raises(UnknownJobType):
        box.run(ends_well())
    assert box.job() == before


def test_what_follows_from_an_end_can_t_take_it_back(box: Box) -> None:
    box.admit()

    def trouble(_job: object) -> None:
        raise RuntimeError("nobody foresaw this")

    box.ended = trouble
    assert ended(box, ends_well()) == (Event.COMPLETED, 0)
    assert box.job().state is JobState.SUCCEEDED
