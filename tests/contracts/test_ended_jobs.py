"""EndedJobs: what ended long ago goes with all that hangs on it, and nothing that somebody goes by."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from src.application.ports.ended_jobs import EndedJobs, Outdated
from src.application.ports.ledger import DeadLetter, DeadLetterFilter
from src.application.ports.outbox import Announced, JobEvent
from src.application.ports.submissions import BatchSubmission
from src.application.video.effects import video_effects
from src.domain.batch import BatchState
from src.domain.cron import tick_id
from src.domain.errors import ErrorReport, InvalidPayload, NotFound, StorageUnavailable
from src.domain.job import Claimed, Job, JobDraft, JobState
from src.domain.progress import ProgressReport
from src.domain.video.video import VideoStatus
from tests.contracts.backends.state import State
from tests.contracts.moves import at_once, claim, draft
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import EffectsLedger

DAY = 86_400.0
RESULT = {"hls_path": "v/1/master.m3u8", "thumbnail_path": "v/1/t.jpg", "duration_seconds": 4.0}


@pytest.fixture
def ledger(state: State) -> EffectsLedger:
    return state.ledger()


@pytest.fixture
def ended(ledger: EffectsLedger, state: State) -> EndedJobs:
    return state.ended_jobs()


def succeed(ledger: EffectsLedger, job_id: str) -> None:
    assert isinstance(claim(ledger, job_id), Claimed)
    ledger.change(job_id, lambda job, now: job.succeed(now, fence=job.fence, result=RESULT))


def fail(ledger: EffectsLedger, job_id: str) -> None:
    assert isinstance(claim(ledger, job_id), Claimed)
    error = ErrorReport.of(InvalidPayload("a picture"))
    ledger.change(job_id, lambda job, now: job.fail(now, fence=job.fence, error=error, dice=0.5))


def cancel(ledger: EffectsLedger, job_id: str) -> None:
    ledger.change(job_id, lambda job, now: job.request_cancel(now))


def found(ended: EndedJobs, before: float) -> list[str]:
    return [job.id for job in ended.outdated(before, 100).jobs]


def gone(ended: EndedJobs, ids: Collection[str], before: float) -> list[str]:
    return sorted(ended.remove(ids, before))


def test_what_ended_before_a_moment_goes_oldest_first(
    ledger: EffectsLedger, ended: EndedJobs, clock: FrozenClock
) -> None:
    asked = clock.now()
    for number, end in enumerate((succeed, cancel, succeed)):
        ledger.admit(draft(f"job-{number}"))
        clock.advance(1)
        end(ledger, f"job-{number}")
        clock.advance(1)
    last = ledger.find("job-2")
    assert last is not None
    assert last.finished_at is not None
    assert found(ended, last.finished_at) == ["job-0", "job-1"], "before, and not at"
    clock.advance(1)
    page = ended.outdated(clock.now(), 100)
    assert page.jobs == [Outdated(f"job-{number}", asked + 2 * number) for number in range(3)]
    assert page.after is None
    assert gone(ended, ["job-0", "job-1", "nobody"], clock.now()) == ["job-0", "job-1"]
    assert gone(ended, [], clock.now()) == []
    assert gone(ended, ["job-0"], clock.now()) == []
    assert [ledger.find(f"job-{number}") for number in range(3)] == [None, None, last]


def test_time_is_the_ledger_s(ledger: EffectsLedger, ended: EndedJobs, clock: FrozenClock) -> None:
    clock.advance(1000)
    ledger.admit(draft())
    row = ledger.find("job-1")
    assert row is not None
    assert ended.now() == pytest.approx(row.created_at, abs=1.0)


def test_pages_leave_out_nothing_and_end(ledger: EffectsLedger, ended: EndedJobs, clock: FrozenClock) -> None:
    for number in range(7):
        ledger.admit(draft(f"job-{number}"))
        (fail if number in (0, 1, 4) else succeed)(ledger, f"job-{number}")
        # Two of each moment: a page may end between them.
        clock.advance(number % 2)
    clock.advance(DAY)
    seen, after, pages = list[str](), None, 0
    while True:
        page = ended.outdated(clock.now(), 2, after)
        seen += [job.id for job in page.jobs]
        pages += 1
        if page.after is None:
            break
        after = page.after
    assert (seen, pages) == (["job-2", "job-3", "job-5", "job-6"], 4)


def test_what_is_active_or_young_or_reopened_stays(ledger: EffectsLedger, ended: EndedJobs, clock: FrozenClock) -> None:
    names = ("queued", "running", "waits", "reopened", "late")
    for name in names:
        ledger.admit(draft(name))
    for name in ("running", "waits"):
        assert isinstance(claim(ledger, name), Claimed)
    error = ErrorReport.of(StorageUnavailable("away"))
    ledger.change("waits", lambda job, now: job.fail(now, fence=1, error=error, dice=0.5))
    succeed(ledger, "reopened")
    ledger.change("reopened", lambda job, now: job.reopen(now))
    clock.advance(DAY)
    succeed(ledger, "late")
    assert found(ended, clock.now()) == []
    assert gone(ended, names, clock.now()) == []
    assert [name for name in names if ledger.find(name) is None] == []


def test_all_that_hangs_on_a_row_goes_with_it_and_nothing_of_others(
    ledger: EffectsLedger, ended: EndedJobs, state: State, clock: FrozenClock
) -> None:
    for name in ("old", "young"):
        ledger.admit(draft(name))
        assert isinstance(claim(ledger, name), Claimed)
        ledger.change(name, lambda job, now: job.hand_back(now, fence=1))
        state.progress().record(name, 1, ProgressReport(percent=50.0, step="upload", step_index=1, step_total=1))
        state.submissions().add(BatchSubmission(batch_id=f"b-{name}", job_id=name, generation=1, attempt=1))
        state.submissions().count(f"b-{name}")
        succeed(ledger, name)
        clock.advance(10)
    assert gone(ended, ["old", "young"], clock.now() - 15) == ["old"]
    assert (ledger.find("old"), list(ledger.attempts("old"))) == (None, [])
    assert state.progress().latest("old") is None
    assert list(state.submissions().of_job("old")) == []
    assert [each.fence for each in ledger.attempts("young")] == [1, 2]
    assert state.progress().latest("young") is not None
    assert [each.batch_id for each in state.submissions().of_job("young")] == ["b-young"]


def test_a_job_stays_while_a_dead_letter_names_it(
    ledger: EffectsLedger, ended: EndedJobs, state: State, clock: FrozenClock
) -> None:
    """A job's own, or that of a message: requeued, it would do the job again."""
    for name in ("own", "told"):
        ledger.admit(draft(name))
    fail(ledger, "own")
    succeed(ledger, "told")
    error = ErrorReport.of(InvalidPayload("broken"))
    letter = DeadLetter(
        id="m-1", job_id="told", type="work", tenant="t1", queue="q", body=b"{", error=error, attempts=1, created_at=1.0
    )
    state.dead_letters().add(letter)
    clock.advance(DAY)
    assert found(ended, clock.now()) == []
    assert gone(ended, ["own", "told"], clock.now()) == []
    assert state.dead_letters().remove([each.id for each in state.dead_letters().list(DeadLetterFilter())]) == 2
    assert found(ended, clock.now()) == ["own", "told"]
    assert gone(ended, ["own", "told"], clock.now()) == ["own", "told"]


def test_a_job_stays_until_all_its_events_are_sent(state: State, clock: FrozenClock) -> None:
    def tell(old: Job | None, new: Job) -> list[Announced]:
        event = JobEvent(
            id=new.id, type="worker.done", at=1.0, job_id=new.id, tenant="t1", subject=None, data={}, trace=None
        )
        return [Announced(event, ("a", "b"))] if new.state is JobState.SUCCEEDED else []

    ledger = state.ledger(tell)
    ledger.admit(draft())
    succeed(ledger, "job-1")
    clock.advance(DAY)
    ended, outbox = state.ended_jobs(), state.outbox()
    for sink in ("a", "b"):
        assert found(ended, clock.now()) == []
        assert gone(ended, ["job-1"], clock.now()) == []
        outbox.hold(sink, "job-1", tries=12, error="never", seconds=None)
        assert gone(ended, ["job-1"], clock.now()) == [], "parked is not sent"
        outbox.sent(sink, ["job-1"])
    assert gone(ended, ["job-1"], clock.now()) == ["job-1"]


def test_a_job_stays_until_its_submissions_are_accounted_for(
    ledger: EffectsLedger, ended: EndedJobs, state: State, clock: FrozenClock
) -> None:
    ledger.admit(draft())
    state.submissions().add(BatchSubmission(batch_id="b1", job_id="job-1", generation=1, attempt=1))
    state.submissions().seen("b1", BatchState.SUCCEEDED, "")
    succeed(ledger, "job-1")
    clock.advance(DAY)
    assert found(ended, clock.now()) == []
    assert gone(ended, ["job-1"], clock.now()) == []
    state.submissions().count("b1")
    assert gone(ended, ["job-1"], clock.now()) == ["job-1"]


def ask(ledger: EffectsLedger, job_id: str, video: str = "1") -> None:
    payload = {"video_id": video, "file_key": "tenants/t1/video/raw/1/film.mp4"}
    ledger.admit(JobDraft(id=job_id, type="video", tenant="t1", subject=f"video:{video}", payload=payload))


def test_a_cancelled_video_is_not_asked_for_again_because_its_job_is_old(state: State, clock: FrozenClock) -> None:
    ledger = state.ledger(video_effects)
    ask(ledger, "job-1")
    cancel(ledger, "job-1")
    ended = state.ended_jobs()
    clock.advance(DAY)
    assert found(ended, clock.now()) == []
    assert gone(ended, ["job-1"], clock.now()) == []
    assert list(state.videos().waiting(limit=10)) == []
    ask(ledger, "job-2")
    clock.advance(1)
    assert gone(ended, ["job-1"], clock.now()) == ["job-1"], "another job speaks for the video by now"
    cancel(ledger, "job-2")
    clock.advance(1)
    state.videos().update("1", lambda row: row.deleted(1.0))
    assert gone(ended, ["job-2"], clock.now()) == ["job-2"], "nobody asks for a deleted video"


def test_a_stream_whose_job_is_gone_counts_as_asked_for_when_it_was_shown(state: State, clock: FrozenClock) -> None:
    """A late request for the deletion of what was there before it must not take it away (DeleteVideoObjects)."""
    ledger = state.ledger(video_effects)
    ask(ledger, "job-1")
    clock.advance(100)
    succeed(ledger, "job-1")
    shown = clock.now()
    clock.advance(DAY)
    assert gone(state.ended_jobs(), ["job-1"], clock.now()) == ["job-1"]
    standing = state.standings().standing("1", None)
    assert standing.video is not None
    assert standing.video.is_ready
    assert standing.encode_asked_at == shown


def test_a_video_moves_with_the_second_life_of_a_job_whose_first_got_further(state: State, clock: FrozenClock) -> None:
    """Old bodies and events make the job's id of what they say, so that the same one, sent again after years, has the same id."""
    ledger = state.ledger(video_effects)
    ask(ledger, "job-1")
    for _ in range(2):
        assert isinstance(claim(ledger, "job-1"), Claimed)
        ledger.change("job-1", lambda job, now: job.hand_back(now, fence=job.fence))
    fail(ledger, "job-1")
    assert state.videos().get("1").fence == 3
    state.dead_letters().remove([each.id for each in state.dead_letters().list(DeadLetterFilter())])
    clock.advance(DAY)
    assert gone(state.ended_jobs(), ["job-1"], clock.now()) == ["job-1"]

    ask(ledger, "job-1")
    assert isinstance(claim(ledger, "job-1"), Claimed)
    assert state.videos().get("1").status is VideoStatus.PROCESSING
    ledger.change("job-1", lambda job, now: job.succeed(now, fence=1, result=RESULT))
    video = state.videos().get("1")
    assert (video.is_ready, video.hls_path, video.fence) == (True, RESULT["hls_path"], 1)

    clock.advance(DAY)
    assert gone(state.ended_jobs(), ["job-1"], clock.now()) == ["job-1"]
    ask(ledger, "job-1")
    assert state.videos().get("1") == video, (
        "what viewers see keeps its maker, by whom the handler knows what it must not touch"
    )


def test_a_moment_of_cron_whose_job_is_gone_does_not_fire_again(
    ledger: EffectsLedger, ended: EndedJobs, state: State, clock: FrozenClock
) -> None:
    ticks, at = state.cron_ticks(), clock.now()
    job_id = tick_id("daily", at)
    ticks.know({"daily": "0 0 * * * UTC"})
    assert ticks.fire("daily", at, draft(job_id)) is not None
    succeed(ledger, job_id)
    clock.advance(DAY)
    assert gone(ended, [job_id], clock.now()) == [job_id]
    assert state.cron_ticks().fire("daily", at, draft(job_id)) is None
    assert ledger.find(job_id) is None
    last = ticks.board({"daily": "0 0 * * * UTC"}).entries["daily"].last
    assert last is not None
    assert last.job_id == job_id


def test_ended_jobs_count_for_a_subject_s_limit_and_for_the_figures_until_they_go(
    ledger: EffectsLedger, ended: EndedJobs, clock: FrozenClock
) -> None:
    ledger.admit(draft(subject="v1"))
    succeed(ledger, "job-1")
    clock.advance(DAY)
    assert ledger.counts() == {("work", JobState.SUCCEEDED): 1}
    assert gone(ended, ["job-1"], clock.now()) == ["job-1"]
    assert ledger.counts() == {}
    assert ledger.admit(draft(subject="v1")).created, "a message that comes this late is a new job"


def test_a_job_that_is_reopened_at_that_moment_stays_or_is_not_there(state: State, clock: FrozenClock) -> None:
    ledger = state.ledger()
    names = [f"job-{number}" for number in range(10)]
    for name in names:
        ledger.admit(draft(name))
        cancel(ledger, name)
    clock.advance(DAY)
    state.ended_jobs()

    for name in names:

        def run(number: int, name: str = name) -> bool:
            if number:
                return name in state.ended_jobs().remove([name], clock.now())
            try:
                state.ledger().change(name, lambda job, now: job.reopen(now))
            except NotFound:
                return False
            return True

        reopened, removed = at_once(2, run)
        row = ledger.find(name)
        assert reopened != removed
        assert (row is not None) == reopened
        assert row is None or row.state is JobState.QUEUED


def test_two_that_remove_at_once_remove_each_row_once(state: State, clock: FrozenClock) -> None:
    ledger = state.ledger()
    names = [f"job-{number}" for number in range(20)]
    for name in names:
        ledger.admit(draft(name))
        cancel(ledger, name)
    clock.advance(DAY)
    state.ended_jobs()
    told = at_once(3, lambda _number: list(state.ended_jobs().remove(names, clock.now())))
    # What another one has locked is left to it.
    assert sorted(name for each in told for name in each) == sorted(names)
    assert ledger.counts() == {}
