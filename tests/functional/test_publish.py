"""`mediaworker publish`: what an API would send, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from src.domain.job import JobState
from tests.functional.fleet import Fleet


def message(folder: Path, document: object) -> str:
    path = folder / "message.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_a_published_message_becomes_a_job(fleet: Fleet, tmp_path: Path) -> None:
    payload = {"action": "noop", "seconds": 0, "diary": str(fleet.diary)}
    sent = message(tmp_path, {"id": "from-the-shell", "type": "act", "payload": payload})
    published = fleet.cli("publish", sent)
    assert (published.returncode, published.stdout) == (0, "from-the-shell\n")
    assert fleet.drain() == 0
    job = fleet.job("from-the-shell")
    assert (job.state, job.max_attempts) == (JobState.SUCCEEDED, 5)


def test_e2_a_message_published_twice_is_one_job(fleet: Fleet, tmp_path: Path) -> None:
    payload = {"action": "noop", "seconds": 0, "diary": str(fleet.diary)}
    sent = message(tmp_path, {"id": "twice", "type": "act", "payload": payload})
    assert [fleet.cli("publish", sent).returncode for _ in range(2)] == [0, 0]
    assert fleet.drain() == 0
    assert len(fleet.adapters.ledger().attempts("twice")) == 1


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("hello", "JSON"),
        ({"id": "1", "type": "nobody", "payload": {}}, "nobody"),
        ({"video_id": 7}, "set this message aside"),
    ],
)
def test_a_message_that_would_be_set_aside_is_refused_at_once(
    fleet: Fleet, tmp_path: Path, sent: object, said: str
) -> None:
    refused = fleet.cli("publish", message(tmp_path, sent))
    assert refused.returncode == 2
    assert said in refused.stderr
    assert fleet.adapters.queue_inspector().depth().ready == 0


def test_e11_and_with_anyway_the_worker_keeps_it_with_its_reason(fleet: Fleet, tmp_path: Path) -> None:
    sent = fleet.cli("publish", "--anyway", "--json", message(tmp_path, "hello"))
    assert (sent.returncode, json.loads(sent.stdout)["bytes"]) == (0, 5)
    assert fleet.drain() == 0
    (letter,) = json.loads(fleet.cli("dlq", "list", "--json").stdout)
    assert (letter["job"], letter["error"]["class"]) == (None, "invalid_message")
