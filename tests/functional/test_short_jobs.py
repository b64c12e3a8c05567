"""Short jobs through real worker processes."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.application.ports.ledger import DeadLetterFilter
from src.application.ports.queue import Envelope
from src.domain.job import JobState
from tests.functional.fleet import Fleet, kill, wait_for
from tests.functional.places import place


@pytest.fixture
def fleet(queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Workers on a queue; a server's queue goes with a server's database."""
    database = "sqlite" if queue == "sqlite" else "postgres"
    with place(queue=queue, database=database) as made:
        for name in made.environ:
            if name.startswith("AWS_"):
                # This process publishes and looks, with the SDK's own credentials.
                monkeypatch.setenv(name, made.environ[name])
        workers = Fleet(tmp_path / "data", made.environ)
        try:
            yield workers
        finally:
            workers.close()


def publish(fleet: Fleet, names: list[str], action: str = "noop", *, kind: str = "quick", seconds: float = 0) -> None:
    payload = {"action": action, "seconds": seconds, "diary": str(fleet.diary)}
    bodies = {name: {"id": name, "type": kind, "tenant_id": "acme", "payload": payload} for name in names}
    fleet.adapters.queue_publisher().publish(
        [Envelope(body=json.dumps(body).encode(), key=name) for name, body in bodies.items()]
    )


def names(count: int, prefix: str = "job") -> list[str]:
    return [f"{prefix}-{number:05}" for number in range(count)]


def starts(fleet: Fleet) -> Counter[str]:
    return Counter(line[1] for line in fleet.entries("start"))


def nothing_left(fleet: Fleet) -> bool:
    depth = fleet.adapters.queue_inspector().depth()
    return not (depth.ready or depth.in_flight or depth.delayed)


@pytest.mark.parametrize(
    "queue", ["sqlite", "redis", *(pytest.param(queue, marks=pytest.mark.chaos) for queue in ("postgres", "sqs"))]
)
def test_hundreds_of_short_jobs_run_once_each_and_in_batches(fleet: Fleet) -> None:
    publish(fleet, wanted := names(400))
    assert fleet.drain() == 0
    assert starts(fleet) == Counter(wanted)
    assert set(fleet.states().values()) == {JobState.SUCCEEDED}
    assert nothing_left(fleet)
    settled = [line["jobs"] for line in fleet.events() if line["event"] == "batch.settled"]
    assert sum(settled) == len(wanted)
    assert max(settled) > 10, "one by one is not in batches"
    assert fleet.scratch_folders() == []
    assert fleet.left_running() == []


@pytest.mark.parametrize("queue", ["redis"])
def test_failures_among_short_jobs_are_theirs_alone(fleet: Fleet) -> None:
    fleet.settings = {**fleet.settings, "WORKER_RETRY__DELAY_SCALE": "0.001"}
    publish(fleet, good := names(60))
    publish(fleet, ["refused"], "refuse")
    publish(fleet, ["unlucky"], "be_unlucky")
    publish(fleet, ["crashing"], "abort")
    publish(fleet, more := names(60, "more"))
    assert fleet.drain() == 0
    found = fleet.states()
    assert {found[name] for name in (*good, *more)} == {JobState.SUCCEEDED}
    assert [found[name] for name in ("refused", "unlucky", "crashing")] == [
        JobState.FAILED,
        JobState.DEAD,
        JobState.DEAD,
    ]
    letters = fleet.adapters.dead_letters().list(DeadLetterFilter())
    assert {letter.job_id for letter in letters} == {"refused", "unlucky", "crashing"}
    assert len(fleet.entries("start", "crashing")) == 3, "CRASH_LIMIT"
    counts = starts(fleet)
    assert all(counts[name] == 1 for name in (*good, *more)), "a neighbour's crash runs nobody twice"
    assert nothing_left(fleet)


@pytest.mark.parametrize("queue", ["postgres"])
def test_short_and_long_jobs_share_a_worker(fleet: Fleet) -> None:
    fleet.settings = {**fleet.settings, "WORKER_CONCURRENCY": "2"}
    publish(fleet, names(50))
    publish(fleet, long := names(3, "long"), "sleep", kind="act", seconds=0.3)
    publish(fleet, names(50, "more"))
    assert fleet.drain() == 0
    assert set(fleet.states().values()) == {JobState.SUCCEEDED}
    assert all(count == 1 for count in starts(fleet).values())
    assert all(fleet.job(name).attempts == 1 for name in long)
    assert nothing_left(fleet)


@pytest.mark.parametrize("queue", ["redis", pytest.param("postgres", marks=pytest.mark.chaos)])
def test_what_waits_behind_a_stuck_short_job_is_done_by_others(fleet: Fleet) -> None:
    fleet.start()
    publish(fleet, names(20))
    wait_for(lambda: len(starts(fleet)) == 20, 30, "the worker is warm")
    publish(fleet, ["stuck"], "sleep", seconds=60)
    publish(fleet, rest := names(40, "rest"))
    wait_for(lambda: fleet.entries("start", "stuck"), 30, "it runs")
    fleet.start()
    wait_for(lambda: {fleet.states().get(name) for name in rest} == {JobState.SUCCEEDED}, 30, "the others are done")
    assert fleet.entries("end", "stuck") == []
    assert all(count == 1 for count in starts(fleet).values())


@pytest.mark.parametrize("queue", ["redis", pytest.param("postgres", marks=pytest.mark.chaos)])
def test_g1_kills_in_the_middle_of_batches_lose_nothing(fleet: Fleet) -> None:
    dice = random.Random(7)
    publish(fleet, wanted := names(300), "sleep", seconds=0.01)
    running = [fleet.start() for _ in range(2)]
    for share in (40, 80, 120, 160):
        wait_for(lambda share=share: len(starts(fleet)) > share, 30, "work goes on")  # type: ignore[misc]
        victim = dice.randrange(2)
        kill(running[victim])
        running[victim] = fleet.start()
    wait_for(
        lambda: set(fleet.states().values()) == {JobState.SUCCEEDED} and len(fleet.states()) == 300, 90, "all done"
    )
    for worker in running:
        worker.terminate()
    assert [worker.wait(60) for worker in running] == [0, 0]
    assert set(starts(fleet)) == set(wanted)
    assert fleet.left_running() == []


@pytest.mark.parametrize("queue", [pytest.param("sqs", marks=pytest.mark.chaos), "postgres"])
def test_a_drain_gives_back_what_has_not_begun(fleet: Fleet) -> None:
    worker = fleet.start()
    publish(fleet, names(20))
    wait_for(lambda: len(starts(fleet)) == 20, 30, "the worker is warm")
    publish(fleet, ["slow"], "sleep", seconds=1.5)
    publish(fleet, names(50, "rest"))
    wait_for(lambda: fleet.entries("start", "slow"), 30, "it runs")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(40) == 0
    assert fleet.job("slow").state is JobState.SUCCEEDED
    rest = [row for name, row in ((name, fleet.adapters.ledger().find(name)) for name in names(50, "rest")) if row]
    assert all(row.state is JobState.SUCCEEDED or row.attempts == 0 for row in rest), "an attempt was burnt"
    assert fleet.drain() == 0
    assert set(fleet.states().values()) == {JobState.SUCCEEDED}
    assert all(count == 1 for count in starts(fleet).values())


@pytest.mark.parametrize("queue", ["sqlite"])
def test_f03_a_worker_frozen_with_a_batch_in_hand_writes_nothing_afterwards(fleet: Fleet) -> None:
    worker = fleet.start()
    publish(fleet, names(20))
    wait_for(lambda: len(starts(fleet)) == 20, 30, "the worker is warm")
    publish(fleet, held := names(10, "held"), "sleep", seconds=0.3)
    wait_for(lambda: fleet.entries("start", held[0]), 30, "they run")
    # In the middle of the first one: frozen in a transaction, which begins or ends jobs, it would keep everybody from writing
    # to the embedded file (docs/guarantees.md).
    time.sleep(0.15)
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        other = fleet.start()
        wait_for(lambda: {fleet.states().get(name) for name in held} == {JobState.SUCCEEDED}, 60, "another did them")
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    before = {name: fleet.job(name) for name in held}
    time.sleep(2)
    assert {name: fleet.job(name) for name in held} == before
    # A message that the frozen one held may have to come back once more before it is known to be done.
    wait_for(lambda: nothing_left(fleet), 30, "every message is acknowledged")
    for process in (worker, other):
        process.terminate()
        assert process.wait(40) == 0
