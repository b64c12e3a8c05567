"""What only the ledger in Redis does: versions instead of locks, expiry instead of a sweep, a memory that can be full."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from src.application.ports.ledger import DeadLetter, DeadLetterFilter, JobFilter, Limits
from src.domain.errors import ConfigError, DatabaseUnavailable, ErrorReport, InvalidPayload
from src.domain.job import Job, JobDraft, JobState
from src.infrastructure.redis.dead_letters import RedisDeadLetters
from src.infrastructure.redis.ledger import TRIES, RedisLedger
from tests.adapters.redis_servers import client, cluster, own_server, url
from tests.contracts.moves import at_once, claim, draft, failing
from tests.servers.process import Server

LETTERS = ("letters", "untold", "passing")
"""Their indexes."""

PATIENCE = 60.0
"""Only ends a test that is broken."""


def new_ledger(address: str = "", name: str = "", *, keep_seconds: float = 3600) -> RedisLedger:
    return RedisLedger(address or url(), name or f"l-{uuid.uuid4().hex[:12]}", keep_seconds)


def keys(ledger: RedisLedger) -> set[str]:
    with client(ledger.url or "") as asking:
        return {key.decode().removeprefix(ledger.store.base) for key in asking.scan_iter(f"{ledger.store.base}*")}


def begun(ledger: RedisLedger, *ids: str, subject: str | None = None) -> None:
    assert set(ledger.begin([draft(job_id, subject=subject) for job_id in ids], owner="w1", lease_seconds=30)) == set(
        ids
    )


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def ledger() -> Iterator[RedisLedger]:
    made = new_ledger()
    yield made
    made.close()
    with client() as asking:
        for key in asking.scan_iter(f"{made.store.base}*"):
            asking.delete(key)


# ---------------------------------------------------------------------- versions
def interfere(ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Do `work` between reading a row and writing it."""
    run = ledger.store.run

    def between(name: str, *args: Any) -> Any:
        if name == "ledger_write":
            work()
        return run(name, *args)

    monkeypatch.setattr(ledger.store, "run", between)


def test_a_row_that_was_written_in_between_is_moved_from_its_new_state(
    ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(ledger, "job-1")
    other, beaten = new_ledger(name=ledger.name), iter([True, True])
    interfere(ledger, monkeypatch, lambda: next(beaten, None) and other.beat({"job-1": 1}, lease_seconds=900))
    seen: list[float | None] = []

    def move(job: Job, now: float) -> Job:
        seen.append(job.lease_until)
        return job.request_cancel(now)

    done = ledger.change("job-1", move)
    assert (len(seen), len(set(seen))) == (3, 3)
    assert (done.lease_until, ledger.find("job-1")) == (seen[-1], done)


def test_a_row_that_others_never_leave_alone_is_unavailable_in_the_end(
    ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(ledger, "job-1")
    other, moves = new_ledger(name=ledger.name), list[float]()
    interfere(ledger, monkeypatch, lambda: other.beat({"job-1": 1}, lease_seconds=30))

    def move(job: Job, now: float) -> Job:
        moves.append(now)
        return job.request_cancel(now)

    with pytest.raises(DatabaseUnavailable):
        ledger.change("job-1", move)
    assert len(moves) == TRIES
    assert not other.watch({"job-1": 1})["job-1"].cancel_requested


def test_a_process_that_stood_still_over_its_move_makes_it_again(
    ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease reckoned from a time long past would have ended before it began."""
    ledger.admit(draft())
    run, stood = ledger.store.run, list[int]()

    def late(name: str, *args: Any) -> Any:
        if name == "ledger_write" and not stood:
            stood.append(args[2])
            return run(name, *args[:2], args[2] - 6_000_000, *args[3:])
        return run(name, *args)

    monkeypatch.setattr(ledger.store, "run", late)
    moves: list[float] = []

    def move(job: Job, now: float) -> Job:
        moves.append(now)
        return job.claim(now, owner="w1", lease_seconds=30)[0]

    assert ledger.change("job-1", move).fence == 1
    assert len(moves) == 2


def test_an_id_that_expired_and_came_again_is_another_row(ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(ledger, "job-1")
    other, once = new_ledger(name=ledger.name), iter([True])

    def replace() -> None:
        if next(once, False):
            with client() as asking:
                asking.delete(ledger.store.key("job", "job-1"))
            begun(other, "job-1")

    interfere(ledger, monkeypatch, replace)
    ledger.change("job-1", lambda job, now: job.request_cancel(now))
    row = ledger.find("job-1")
    assert row is not None
    assert row.cancel_requested_at is not None
    assert row.started_at is not None
    assert row.cancel_requested_at >= row.started_at


def test_of_many_given_back_one_that_was_written_in_between_is_left_out(
    ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.begin([draft(name) for name in ("a", "b", "c")], owner="w1", lease_seconds=30)
    other, done = new_ledger(name=ledger.name), list[str]()

    def cancel() -> None:
        if not done:
            done.append(other.change("b", lambda job, now: job.request_cancel(now)).id)

    interfere(ledger, monkeypatch, cancel)
    assert set(ledger.hand_back({"a": 1, "b": 1, "c": 1})) == {"a", "c"}
    row = ledger.find("b")
    assert row is not None
    assert (row.state, row.attempts) == (JobState.RUNNING, 1)
    assert [one.outcome for one in ledger.attempts("b")] == [None]


@pytest.mark.parametrize("lost", ["ledger_admit", "ledger_write", "ledger_begin", "ledger_beat", "ledger_succeed"])
def test_f08_a_lost_reply_to_any_script_is_safe_to_repeat(
    ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """The script ran, and the connection broke before its answer: the caller does the same again."""
    run, happened = ledger.store.run, list[str]()

    def losing(name: str, *args: Any) -> Any:
        answer = run(name, *args)
        if name == lost and not happened:
            happened.append(name)
            raise DatabaseUnavailable(f"scripted: the answer to {name} was lost")
        return answer

    def again(work: Callable[[], object]) -> None:
        try:
            work()
        except DatabaseUnavailable:
            work()

    monkeypatch.setattr(ledger.store, "run", losing)
    again(lambda: ledger.admit(draft("job-1", subject="v1")))
    again(lambda: claim(ledger))
    again(lambda: ledger.begin([draft("job-2", subject="v2")], owner="w1", lease_seconds=30))
    again(lambda: ledger.beat({"job-1": 1, "job-2": 1}, lease_seconds=60))
    again(lambda: ledger.succeed({"job-1": (1, {"n": 1}), "job-2": (1, {"n": 2})}))
    assert happened
    assert dict(ledger.counts()) == {("work", JobState.SUCCEEDED): 2}
    history = [one for job_id in ("job-1", "job-2") for one in ledger.attempts(job_id)]
    assert [(one.owner, one.fence, one.outcome) for one in history] == [("w1", 1, "SUCCEEDED")] * 2
    assert not [key for key in keys(ledger) if key.startswith(("tenant:", "RUNNING:", "QUEUED:"))]


# ---------------------------------------------------------------------- many at once
def test_eight_threads_lose_and_double_nothing(ledger: RedisLedger) -> None:
    handles = [new_ledger(name=ledger.name) for _ in range(8)]
    ids = [f"job-{number}" for number in range(300)]

    def work(number: int) -> int:
        mine = handles[number]
        taken = mine.begin([draft(name, subject=name) for name in ids], owner=f"w{number}", lease_seconds=30)
        for name in list(taken)[::7]:
            mine.change(name, failing(1, InvalidPayload("bad input")))
        return len(taken) + len(mine.succeed({name: (1, {}) for name in taken}))

    assert sum(at_once(8, work)) > len(ids)
    counts = dict(ledger.counts())
    assert set(counts) == {("work", JobState.SUCCEEDED), ("work", JobState.FAILED)}
    assert sum(counts.values()) == len(ids)
    letters = RedisDeadLetters(url(), ledger.name)
    assert sum(letters.groups().values()) == counts["work", JobState.FAILED]
    assert not [key for key in keys(ledger) if key.startswith(("tenant:", "RUNNING:"))]


CLAIMS = """
import sys
from src.infrastructure.redis.ledger import RedisLedger
from src.domain.job import Claimed
from tests.contracts.moves import claim
ledger = RedisLedger(sys.argv[1], sys.argv[2])
sys.stdin.readline()
print(sum(isinstance(claim(ledger, f"job-{number}", owner=sys.argv[3]), Claimed) for number in range(40)))
"""


def test_two_processes_that_claim_the_same_jobs_get_each_of_them_once(ledger: RedisLedger) -> None:
    for number in range(40):
        ledger.admit(draft(f"job-{number}"))
    command = [sys.executable, "-c", CLAIMS, url(), ledger.name]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*command, owner], **pipes) for owner in ("w1", "w2")]  # type: ignore[call-overload]
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    assert sum(int(process.communicate(timeout=PATIENCE)[0]) for process in both) == 40
    assert all(job.fence == 1 for job in ledger.list(JobFilter(limit=99)))


# ---------------------------------------------------------------------- expiry
def test_ended_jobs_leave_with_all_that_is_theirs_and_nobody_sweeps() -> None:
    ledger = new_ledger(keep_seconds=1)
    begun(ledger, "succeeded", subject="v1")
    begun(ledger, "failed", subject="v2")
    begun(ledger, "retried", "running")
    ledger.change("retried", failing(1, RuntimeError("once")))
    ledger.change("retried", lambda job, now: job.request_cancel(now))
    ledger.change("failed", failing(1, InvalidPayload("bad input")))
    ledger.succeed({"succeeded": (1, {"n": 1})})
    assert {"past:retried", "letter:failed.1", 'about:work\t"v1"', "SUCCEEDED:work"} <= keys(ledger)
    until(lambda: keys(ledger) <= {"types", "RUNNING:work", "tenant:work\tt1", "job:running", *LETTERS})
    letters = RedisDeadLetters(url(), ledger.name)
    assert (letters.unnotified(5), list(letters.list(DeadLetterFilter()))) == ([], [])
    assert keys(ledger) == {"types", "RUNNING:work", "tenant:work\tt1", "job:running"}
    assert dict(ledger.counts()) == {("work", JobState.RUNNING): 1}
    assert [job.id for job in ledger.list(JobFilter())] == ["running"]
    ledger.succeed({"running": (1, {})})
    until(lambda: keys(ledger) == {"types"})
    ledger.close()


def test_indexes_of_a_busy_ledger_forget_what_has_expired() -> None:
    ledger = new_ledger(keep_seconds=1)
    begun(ledger, "old")
    ledger.succeed({"old": (1, {})})
    until(lambda: ledger.find("old") is None)
    with client() as asking:
        asking.persist(ledger.store.key("SUCCEEDED", "work"))
    assert (ledger.counts(), list(ledger.list(JobFilter()))) == ({}, [])
    begun(ledger, "new")
    ledger.succeed({"new": (1, {})})
    with client() as asking:
        assert asking.zrange(ledger.store.key("SUCCEEDED", "work"), 0, -1) == [b"new"]
    ledger.close()


def test_letters_that_have_expired_leave_the_indexes_although_nobody_reads_them() -> None:
    ledger = new_ledger(keep_seconds=0.5)
    letters = RedisDeadLetters(url(), ledger.name)
    letters.add(_letter())
    for name in ("job-1", "job-2", "job-3"):
        begun(ledger, name)
        ledger.change(name, failing(1, InvalidPayload("bad input")))
    until(lambda: not any(key.startswith("job:") for key in keys(ledger)))
    begun(ledger, "job-1")
    ledger.change("job-1", failing(1, InvalidPayload("bad input")))
    with client() as asking:
        found = [asking.zrange(ledger.store.key(index), 0, -1) for index in LETTERS]
    assert list(map(set, found)) == [{b"letter-1", b"job-1.1"}, {b"letter-1", b"job-1.1"}, {b"job-1.1"}]
    letters.remove(["letter-1", "job-1.1"])
    assert not keys(ledger) & set(LETTERS)
    ledger.close()


def test_a_list_by_end_skips_nobody_for_what_expires_while_it_is_read(ledger: RedisLedger) -> None:
    """Pages of 200; two batches are wider than one, two end within one."""
    ids = [f"job-{number:03}" for number in range(700)]
    for start, stop in ((0, 50), (50, 350), (350, 400), (400, 700)):
        begun(ledger, *ids[start:stop])
        assert len(ledger.succeed({job_id: (1, {}) for job_id in ids[start:stop]})) == stop - start
    every = JobFilter(type="work", ended_from=0.0, limit=1000)
    assert [job.id for job in ledger.list(every)] == ids
    assert [job.id for job in ledger.list(JobFilter(limit=1000))] == ids[::-1]
    with client() as asking:
        asking.delete(*(ledger.store.key("job", job_id) for job_id in ids[:350]))
    assert [job.id for job in ledger.list(every)] == ids[350:]


def test_the_place_of_an_end_that_expired_is_not_the_next_life_s(ledger: RedisLedger) -> None:
    begun(ledger, "job-1")
    ledger.succeed({"job-1": (1, {})})
    first = ledger.change("job-1", lambda job, now: job).finished_at
    with client() as asking:
        asking.delete(ledger.store.key("job", "job-1"))
    begun(ledger, "job-1")
    ledger.change("job-1", failing(1, InvalidPayload("bad input")))
    assert list(ledger.list(JobFilter(ended_to=first))) == []
    assert [job.state for job in ledger.list(JobFilter(ended_from=first))] == [JobState.FAILED]


def test_a_reopened_job_and_its_history_stay_until_it_ends_again() -> None:
    ledger = new_ledger(keep_seconds=2)
    begun(ledger, "job-1", subject="v1")
    ledger.change("job-1", failing(1, InvalidPayload("bad input")))
    ledger.change("job-1", lambda job, now: job.reopen(now))
    with client() as asking:
        assert {asking.ttl(ledger.store.base + key) for key in keys(ledger)} == {-1}
    assert len(ledger.attempts("job-1")) == 1
    assert ledger.admit(draft("job-2", subject="v1")).created is False
    ledger.change("job-1", lambda job, now: job.request_cancel(now))
    assert ledger.admit(draft("job-2", subject="v1"), Limits(total_per_subject=1)).rejected == "per_video_limit"
    until(lambda: ledger.admit(draft("job-2", subject="v1"), Limits(total_per_subject=1)).created)
    ledger.change("job-2", lambda job, now: job.request_cancel(now))
    ledger.close()


def test_a_row_that_was_taken_away_by_hand_does_not_stop_the_others(ledger: RedisLedger) -> None:
    ledger.admit(draft("gone", subject="v1"))
    ledger.admit(draft("there"))
    with client() as asking:
        asking.delete(ledger.store.key("job", "gone"))
    assert [job.id for job in ledger.to_wake(5)] == ["there"]
    assert [job.id for job in ledger.list(JobFilter())] == ["there"]
    assert ledger.admit(draft("next", subject="v1")).created


# ---------------------------------------------------------------------- reading
def test_long_lists_are_complete_in_order_and_paged(ledger: RedisLedger) -> None:
    ids = [f"job-{number:04}" for number in range(700)]
    for start in range(0, 700, 50):
        begun(ledger, *ids[start : start + 50])
    ledger.succeed({name: (1, {}) for name in ids[::-3]})
    for name in ids[1::99]:
        ledger.change(name, failing(1, InvalidPayload("bad input")))
    newest = [job.id for job in ledger.list(JobFilter(limit=1000))]
    assert newest == sorted(ids, reverse=True)
    assert [job.id for job in ledger.list(JobFilter(limit=10, offset=333))] == newest[333:343]
    done = ledger.list(JobFilter(limit=1000, ended_from=0.0))
    assert {job.id for job in done} == {*ids[::-3], *ids[1::99]}
    assert done == sorted(done, key=lambda job: (job.finished_at, job.id))


def test_jobs_that_wait_longest_do_not_hide_the_newest(ledger: RedisLedger) -> None:
    """Those whose message is in the queue are due an hour later than those that came after them."""
    ids = [f"job-{number:03}" for number in range(250)]
    for name in ids:
        ledger.admit(draft(name))
    for name in ids[:220]:
        ledger.change(name, lambda job, now: job.published(now))
    assert [job.id for job in ledger.list(JobFilter(limit=1))] == ids[-1:]
    assert [job.id for job in ledger.list(JobFilter(limit=5, offset=28))] == ids[221:216:-1]


def test_names_of_any_kind_stay_apart(ledger: RedisLedger) -> None:
    odd = ["a\tb", "a\\tb", "a\nb", 'a"b', "ä", "a:b", "\ud800", "*", "a\u2028b"]
    for number, name in enumerate(odd):
        ledger.begin(
            [JobDraft(id=f"{name}-{number}", type=name, tenant=name, subject=name, payload={name: name})],
            owner=name,
            lease_seconds=30,
        )
    rows = {job.id: job for job in ledger.list(JobFilter(limit=99))}
    assert {(job.type, job.tenant, job.subject, job.lease_owner) for job in rows.values()} == {(n,) * 4 for n in odd}
    assert {name for name, _ in ledger.counts()} == set(odd)
    assert len(ledger.succeed({job_id: (1, {job_id: job_id}) for job_id in rows})) == len(odd)
    found = ledger.find(f"{odd[0]}-0")
    assert found is not None
    assert found.result == {found.id: found.id}


# ---------------------------------------------------------------------- servers
def test_i1_what_was_answered_survives_a_killed_server() -> None:
    with own_server(durable=True) as server:
        ledger = new_ledger(server.url)
        begun(ledger, "job-1", "job-2")
        server.kill()
        with pytest.raises(DatabaseUnavailable, match="did not do as asked"):
            ledger.succeed({"job-1": (1, {})})
        server.start()
        assert set(ledger.succeed({"job-1": (1, {})})) == {"job-1"}
        ledger.change("job-2", failing(1, InvalidPayload("bad input")))
        server.kill()
        server.start()
        states = {job.id: job.state for job in ledger.list(JobFilter())}
        assert states == {"job-1": JobState.SUCCEEDED, "job-2": JobState.FAILED}
        assert len(RedisDeadLetters(server.url, ledger.name).list(DeadLetterFilter())) == 1
        with client(server.url) as asking:
            assert asking.pttl(ledger.store.key("job", "job-1")) > 0
        ledger.close()


def test_a_full_memory_takes_no_new_jobs_and_lets_the_others_end() -> None:
    with own_server("--maxmemory", "4mb") as server:
        ledger = new_ledger(server.url)
        begun(ledger, "job-1", "job-2", "job-3")
        _fill(server)
        before = keys(ledger)
        for work in (
            lambda: ledger.begin([draft("new", subject="v1")], owner="w1", lease_seconds=30),
            lambda: ledger.admit(draft("new", subject="v1")),
            lambda: RedisDeadLetters(server.url, ledger.name).add(_letter()),
        ):
            with pytest.raises(DatabaseUnavailable, match="maxmemory"):
                work()
        assert keys(ledger) == before
        assert ledger.beat({"job-1": 1}, lease_seconds=60)["job-1"].held
        assert set(ledger.succeed({"job-1": (1, {}), "job-2": (1, {})})) == {"job-1", "job-2"}
        ledger.change("job-3", failing(1, InvalidPayload("bad input")))
        assert [job.id for job in ledger.list(JobFilter(state=JobState.FAILED))] == ["job-3"]
        ledger.close()


def _fill(server: Server) -> None:
    with client(server.url) as asking:
        number = 0
        try:
            while True:
                asking.set(f"other-{number}", b"x" * 1000)
                number += 1
        except redis.exceptions.OutOfMemoryError:
            assert number


def _letter() -> DeadLetter:
    return DeadLetter(
        id="letter-1",
        job_id=None,
        type=None,
        tenant=None,
        queue=None,
        body=b"",
        error=ErrorReport("x", "", retryable=False),
        attempts=1,
        created_at=1.0,
    )


def test_every_method_works_on_a_cluster() -> None:
    with cluster() as (address, _server):
        ledger = RedisLedger(address, "ledger")
        letters = RedisDeadLetters(address, "ledger")
        begun(ledger, "abcdef-1", "abcdef-2", subject=None)
        ledger.admit(draft("abcdef-3", subject="v1"))
        ledger.change("abcdef-2", failing(1, InvalidPayload("bad input")))
        assert ledger.beat({"abcdef-1": 1}, lease_seconds=30)["abcdef-1"].held
        assert set(ledger.succeed({"abcdef-1": (1, {})})) == {"abcdef-1"}
        assert [job.id for job in ledger.to_wake(5)] == ["abcdef-3"]
        assert len(ledger.list(JobFilter())) == len(ledger.list(JobFilter(ended_from=0.0))) + 1 == 3
        found = ledger.find("abcdef-1")
        assert found is not None
        assert ledger.find("abcde") is None
        assert letters.get("abcdef-2") is not None
        letters.notified(["abcdef-2.1"])
        assert letters.remove(["abcdef-2.1"]) == 1
        assert sum(ledger.counts().values()) == 3
        assert ledger.check()
        ledger.close()


def test_a_check_leaves_nothing_behind_and_says_what_a_restart_forgets(ledger: RedisLedger) -> None:
    facts = ledger.check()
    assert keys(ledger) == set()
    assert any("forgets jobs when it restarts" in fact for fact in facts)


def test_a_server_that_throws_keys_away_is_refused() -> None:
    with own_server("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru") as server:
        ledger = new_ledger(server.url)
        with pytest.raises(ConfigError, match="throws keys away") as caught:
            ledger.check()
        assert "use another Redis for the ledger" in str(caught.value)
        ledger.close()


def test_a_user_who_may_touch_nothing_but_the_ledger_is_enough() -> None:
    allowed = ("~{ledger}:*", "+@read", "+@write", "+@scripting", "+@connection", "+time", "+info")
    with own_server() as server:
        with client(server.url) as asking:
            asking.execute_command("ACL", "SETUSER", "worker", "on", ">pw", *allowed)
            asking.execute_command("ACL", "SETUSER", "other", "on", ">pw", "~elsewhere:*", *allowed[1:])
        ledger = new_ledger(server.url.replace("//", "//worker:pw@"), "ledger")
        assert ledger.check()
        begun(ledger, "job-1")
        assert set(ledger.succeed({"job-1": (1, {})})) == {"job-1"}
        ledger.close()
        other = new_ledger(server.url.replace("//", "//other:pw@"), "ledger")
        with pytest.raises(ConfigError, match="give this Redis user"):
            other.check()
        other.close()


def test_a_name_that_a_cluster_would_tear_apart_is_refused() -> None:
    with pytest.raises(ConfigError):
        RedisLedger(url(), "a{b}")
