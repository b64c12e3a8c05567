"""The facade for producers, on each ledger, with a real worker at the other end."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from src.application.content.job_types import JOB_TYPES
from src.application.content.request import FILE_TYPES, parse_content_file
from src.domain import errors
from src.domain.errors import (
    Conflict,
    InvalidMessage,
    InvalidPayload,
    NotFound,
    QueueUnavailable,
    UnknownJobType,
)
from src.domain.job import JobState
from src.interfaces.contract import AsyncWorkerContract, Rejected, WorkerContract
from tests.functional.fleet import ROOT, Fleet
from tests.functional.places import place

PLACES: dict[str, dict[str, Any]] = {
    "sqlite": {},
    "postgres": {"queue": "postgres", "database": "postgres"},
    "redis": {"queue": "redis", "lock": "redis", "ledger": "redis"},
}
"""{ledger: the deployment}. Redis has lanes besides, and no database at all."""


@pytest.fixture(params=sorted(PLACES))
def deployed(request: pytest.FixtureRequest, fleet: Fleet) -> Iterator[Fleet]:
    with place(**PLACES[request.param]) as found:
        fleet.settings = dict(found.environ)
        if request.param == "redis":
            name = found.environ["WORKER_QUEUE__NAME"]
            fleet.settings["WORKER_QUEUE__LANES"] = f"{name}:high,{name}:normal,{name}:low"
            fleet.settings["WORKER_DATABASE__URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
        if request.param == "postgres":
            assert fleet.cli("db", "upgrade").returncode == 0
        yield fleet


@pytest.fixture
def contract(deployed: Fleet) -> Iterator[WorkerContract]:
    with WorkerContract(deployed.environ()) as made:
        yield made


def act(fleet: Fleet, action: str = "noop") -> dict[str, Any]:
    return {"action": action, "diary": str(fleet.diary)}


def test_c5_a_job_is_asked_for_runs_and_says_where_it_stands(deployed: Fleet, contract: WorkerContract) -> None:
    before = datetime.now(UTC)
    job_id = contract.enqueue("act", act(deployed), tenant="acme")
    asked = contract.get_job_status(job_id)
    assert (asked.status, asked.state, asked.retry_count, asked.is_over) == ("pending", "QUEUED", 0, False)
    assert contract.enqueue("act", act(deployed, "refuse"), job_id="bad-1") == "bad-1"
    assert contract.stats().to_json() == {
        "pending": 2,
        "processing": 0,
        "completed_today": 0,
        "failed_today": 0,
        "queue_size": 2,
    }
    assert deployed.drain() == 0
    done, bad = contract.get_job_status(job_id), contract.get_job_status("bad-1")
    assert (done.status, done.state, done.result, done.is_over) == (
        "completed",
        "SUCCEEDED",
        {"attempt": 1, "fence": 1},
        True,
    )
    assert done.started_at is not None and done.completed_at is not None
    assert before.replace(microsecond=0) <= done.created_at <= done.started_at <= done.completed_at
    assert (bad.status, bad.error and bad.error["class"]) == ("failed", "unsupported_format")
    printed = json.loads(deployed.cli("status", job_id, "--json").stdout)
    told = json.loads(json.dumps(done.to_json()))
    assert told == {
        **printed,
        "status": "completed",
        "retry_count": 0,
        "max_retries": 4,
        "completed_at": printed["finished_at"],
    }
    stats = contract.stats()
    assert (stats.pending, stats.processing, stats.queue_size) == (0, 0, 0)
    # A run over midnight has yesterday's.
    assert stats.completed_today <= 1 and stats.failed_today <= 1


def test_c5_the_same_id_twice_is_one_job_and_another_s_id_is_refused(deployed: Fleet, contract: WorkerContract) -> None:
    for _ in range(3):
        assert contract.enqueue("act", act(deployed), job_id="once", tenant="acme") == "once"
    with pytest.raises(Conflict, match="another's"):
        contract.enqueue("act", act(deployed), job_id="once", tenant="other")
    assert deployed.drain() == 0
    assert contract.enqueue("act", act(deployed), job_id="once", tenant="acme") == "once"
    assert deployed.drain() == 0
    assert len(deployed.entries("start", "once")) == 1


def test_c5_a_job_asked_for_later_is_not_run_before(deployed: Fleet, contract: WorkerContract) -> None:
    contract.enqueue("act", act(deployed), job_id="later", delay_seconds=3600)
    status = contract.get_job_status("later")
    due = datetime.fromisoformat(status.document["due_at"])
    assert (due - status.created_at).total_seconds() == pytest.approx(3600, abs=0.01)
    assert deployed.adapters.queue_inspector().depth().ready == 0
    assert deployed.adapters.queue_inspector().depth().delayed == 1


@pytest.mark.parametrize(
    ("job_type", "payload", "more", "error"),
    [
        ("nothing", {}, {}, UnknownJobType),
        ("act", {"action": 7}, {}, InvalidPayload),
        ("act", {"action": object()}, {}, InvalidPayload),
        ("act", {"action": float("nan")}, {}, InvalidPayload),
        ("act", {"action": "x" * 300_000}, {}, InvalidMessage),
        ("act", {"action": "noop"}, {"delay_seconds": -1}, InvalidPayload),
        ("act", {"action": "noop"}, {"delay_seconds": float("inf")}, InvalidPayload),
        ("act", {"action": "noop"}, {"job_id": "../etc"}, InvalidPayload),
        ("act", {"action": "noop"}, {"tenant": "a/b"}, InvalidPayload),
    ],
)
def test_e11_what_no_worker_would_take_is_refused_before_anything_is_written(
    fleet: Fleet, job_type: str, payload: dict[str, Any], more: dict[str, Any], error: type[Exception]
) -> None:
    with WorkerContract(fleet.environ()) as contract:
        with pytest.raises(error):
            contract.enqueue(job_type, payload, **more)
        assert contract.stats().pending == 0


def test_a_path_outside_the_media_root_is_refused_where_the_root_is_known(fleet: Fleet, tmp_path: Path) -> None:
    outside = {"content_id": "c1", "file_path": "/etc/passwd"}
    assert tuple(each.name for each in JOB_TYPES if each.parse is parse_content_file) == FILE_TYPES
    with WorkerContract(fleet.environ(WORKER_CONTENT__MEDIA_ROOT=str(tmp_path))) as contract:
        for job_type in FILE_TYPES:
            with pytest.raises(InvalidPayload, match="outside the media root"):
                contract.enqueue(job_type, outside, job_id="j1")
        contract.enqueue("metadata", {**outside, "file_path": str(tmp_path / "film.mp4")}, job_id="inside")
        contract.enqueue("metadata", {**outside, "file_path": "film.mp4"}, job_id="key")
        with pytest.raises(NotFound):
            contract.get_job_status("j1")
    with WorkerContract(fleet.environ()) as contract:
        assert contract.enqueue("metadata", outside, job_id="j2") == "j2", "only its workers know their root"


def test_what_is_raised_is_imported_from_where_the_contract_is() -> None:
    from src.interfaces import contract

    said = " ".join(str(each.__doc__) for each in vars(WorkerContract).values() if callable(each))
    named = {name for name in re.findall(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*", said) if hasattr(errors, name)}
    assert {"InvalidPayload", "UnknownJobType", "InvalidMessage", "TenantMismatch", "QueueUnavailable"} <= named
    assert named <= set(contract.__all__)


def test_a_prefix_of_an_id_is_nobody_s_job(fleet: Fleet) -> None:
    with WorkerContract(fleet.environ()) as contract:
        for number in (1, 2):
            contract.enqueue("act", {"action": "noop"}, job_id=f"abcdef-{number}")
        for wanted in ("abcdef", "abcdef-", "nobody-here"):
            with pytest.raises(NotFound):
                contract.get_job_status(wanted)


def test_v10_a_limit_rejects_with_its_reason(fleet: Fleet) -> None:
    with WorkerContract(fleet.environ(WORKER_LIMITS__ACTIVE_PER_TENANT="1")) as contract:
        contract.enqueue("act", {"action": "noop"}, job_id="first", tenant="acme")
        with pytest.raises(Rejected) as refused:
            contract.enqueue("act", {"action": "noop"}, tenant="acme")
        assert refused.value.reason == "tenant_limit"
        assert contract.enqueue("act", {"action": "noop"}, job_id="first", tenant="acme") == "first"
        contract.enqueue("act", {"action": "noop"}, tenant="other")


def test_a_queue_that_is_away_costs_no_job(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """The row is there; its message comes when a worker's waker looks."""
    nowhere = {"WORKER_QUEUE__BACKEND": "redis", "WORKER_REDIS__URL": "redis://127.0.0.1:1/0"}
    with WorkerContract(fleet.environ(**nowhere)) as contract:
        contract.enqueue("act", act(fleet), job_id="kept")
        assert contract.get_job_status("kept").status == "pending"
        with pytest.raises(QueueUnavailable):
            contract.stats()
    assert any("job kept" in line and "127.0.0.1:1" in line for line in caplog.messages), "without a formatter of ours"
    assert "No message is known to have been sent for it" in fleet.cli("jobs", "explain", "kept").stdout
    assert fleet.drain() == 0
    assert fleet.job("kept").state is JobState.SUCCEEDED


def test_a_closed_contract_says_so(fleet: Fleet) -> None:
    contract = WorkerContract(fleet.environ())
    contract.enqueue("act", {"action": "noop"})
    contract.close()
    contract.close()
    with pytest.raises(RuntimeError, match="closed"):
        contract.stats()


def test_c5_the_async_form_leaves_the_loop_free_and_survives_cancelled_calls(fleet: Fleet) -> None:
    async def story() -> None:
        async with AsyncWorkerContract(fleet.environ()) as contract:
            ids = await asyncio.gather(*(contract.enqueue("act", {"action": "noop"}, job_id=f"j{n}") for n in range(8)))
            assert ids == [f"j{n}" for n in range(8)]
            assert (await contract.get_job_status("j3")).status == "pending"
            # All threads stand still: the loop turns, a call that waits is cancelled for good, one that runs ends by itself.
            gate, begun = threading.Event(), threading.Semaphore(0)

            def stand_still() -> bool:
                begun.release()
                return gate.wait(30)

            blocked = [asyncio.ensure_future(contract._aside(stand_still)) for _ in range(4)]
            for _ in range(4):
                assert await asyncio.to_thread(begun.acquire, timeout=30)
            waiting = asyncio.ensure_future(contract.enqueue("act", {"action": "noop"}, job_id="never"))
            await asyncio.sleep(0)
            waiting.cancel()
            blocked[0].cancel()
            for task in (waiting, blocked[0]):
                with pytest.raises(asyncio.CancelledError):
                    await task
            gate.set()
            await asyncio.gather(*blocked[1:])
            with pytest.raises(NotFound):
                await contract.get_job_status("never")
            assert (await contract.stats()).pending == 8
        with pytest.raises(RuntimeError):
            await contract.stats()

    asyncio.run(story())


def test_c5_the_page_s_lines_work_as_printed(fleet: Fleet) -> None:
    page = (ROOT / "docs/publishing.md").read_text()
    (code,) = re.findall(r"```python\n(from src\.interfaces\.contract import WorkerContract\n.*?)```", page, re.DOTALL)
    (later,) = re.findall(
        r"```python\n(from src\.interfaces\.contract import AsyncWorkerContract\n.*?)```", page, re.DOTALL
    )
    both = f"{code}\n{later}\nimport asyncio\n\nasyncio.run(content_created('c2'))"
    done = subprocess.run(
        [sys.executable, "-c", both], env=fleet.environ(), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, ["pending", "pending"]), done.stderr
    assert fleet.states() == dict.fromkeys(("metadata-c1", "thumbnail-c2"), JobState.QUEUED)
