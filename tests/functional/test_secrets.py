"""Canary secrets everywhere a secret may be, a job that fails with them in its hands: no sink shows one (T22, lesson 28)."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.functional.fleet import ROOT, Fleet

CANARY = "canary7f3a"

SECRETS = {
    "WORKER_REDIS__URL": f"redis://user:{CANARY}-redis@cache:6379/0",
    "WORKER_STORAGE__ACCESS_KEY": f"{CANARY}-access",
    "WORKER_STORAGE__SECRET_KEY": f"{CANARY}-storage",
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}-aws",
}

PRESIGNED = f"https://bucket.s3.amazonaws.com/film.mp4?X-Amz-Credential={CANARY}-id&X-Amz-Signature={CANARY}-sig"

BODY = {
    "id": "leaky-1",
    "type": "leaky",
    "max_retries": 0,
    "payload": {"url": PRESIGNED, "password": f"{CANARY}-password"},
}

NO_JOB = {"what": "is this", "password": f"{CANARY}-stray", "nested": {"api_key": f"{CANARY}-key", "url": PRESIGNED}}

VIDEO = {"job_id": "7d2f3c58-7d0c-4f0e-9a51-0d9a1c0f0001", "video_id": 1, "tenant_id": 1, "file_key": PRESIGNED}

AS_RECEIVED = {
    ("jobs", "payload"),
    ("dead_letters", "body"),
    ("dead_letters", "attributes"),
    ("queue_messages", "body"),
}
"""Columns that keep a message as it came, because it may have to be sent again."""

JOB = """
import logging, os
from dataclasses import dataclass
from src.application.catalog import JobType
from src.domain.errors import FileAccessError

@dataclass(frozen=True)
class Leaky:
    def handle(self, request, run):
        words = " ".join(os.environ[name] for name in %r) + " " + str(request)
        logging.getLogger("src.leaky").error("upstream said %%s", words, extra={"password": words, "url": request["url"]})
        raise %s(words)

JOB_TYPES = [JobType(name="leaky", parse=lambda tenant, payload: payload, handler="leaky_jobs:Leaky", max_attempts=1)]
"""


@pytest.mark.parametrize("error", [pytest.param("RuntimeError", marks=pytest.mark.chaos), "FileAccessError"])
def test_t22_a_failing_job_shows_no_secret_anywhere(
    fleet: Fleet, tmp_path: Path, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaky_jobs.py").write_text(JOB % (sorted(SECRETS), error))
    # This process publishes, so it reads the catalog as well.
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "leaky_jobs", raising=False)
    fleet.settings = {**SECRETS, "WORKER_JOBS__MODULES": "leaky_jobs", "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    for number, body in enumerate((BODY, NO_JOB, VIDEO)):
        fleet.publish(json.dumps(body).encode(), key=f"m{number}")
    assert fleet.drain() == 0

    def shown(*arguments: str) -> str:
        done = fleet.cli(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    letters = json.loads(shown("dlq", "list", "--json"))
    assert len(letters) == 3
    job = next(letter["job"] for letter in letters if letter["type"] == "leaky")
    commands = [
        ("status", job, "--json"),
        ("jobs", "list"),
        ("jobs", "show", job, "--json"),
        ("jobs", "explain", job),
        ("dlq", "list"),
        ("queues", "--json"),
        ("config", "show", "--json"),
        ("doctor", "--json"),
    ]
    for letter in letters:
        commands += [("dlq", "show", letter["id"], "--json"), ("dlq", "show", letter["id"])]
    for arguments in commands:
        assert CANARY not in shown(*arguments), arguments
    assert "upstream said" in fleet.log(), "the job never spoke: nothing was tested"
    assert CANARY not in fleet.log()
    assert told_by_the_database(fleet) == []


def told_by_the_database(fleet: Fleet) -> list[str]:
    connection = sqlite3.connect(fleet.folder / "mediaworker.db")
    found = []
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - names from the database itself
            names = [column[0] for column in rows.description]
            for row in rows:
                for name, value in zip(names, row, strict=True):
                    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                    if CANARY in text and (table, name) not in AS_RECEIVED:
                        found.append(f"{table}.{name}: {text[:200]}")
    finally:
        connection.close()
    return found
