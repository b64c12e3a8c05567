"""The command line as a real process: what it prints, where, and what it exits with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from src.domain.job import JobState
from src.interfaces.cli.app import COMMANDS
from tests.functional.fleet import ROOT, Fleet

PROMISED = {
    "id",
    "type",
    "state",
    "attempts",
    "max_attempts",
    "created_at",
    "finished_at",
    "progress",
    "error",
    "result",
}
"""mission.md, Names."""


def printed(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which a worker has worked."""
    fleet = Fleet(tmp_path_factory.mktemp("past") / "data")
    try:
        fleet.submit("job-good", "noop")
        fleet.submit("job-bad", "refuse")
        fleet.publish(b"{nonsense")
        assert fleet.drain() == 0
        fleet.submit("job-wait", "noop")
    finally:
        fleet.close()
    return fleet.folder


@pytest.fixture
def ended(fleet: Fleet, past: Path) -> Fleet:
    """A fleet with one job that succeeded, one that FAILED, one that waits, and one message that is no job."""
    shutil.copytree(past, fleet.folder)
    return fleet


def test_the_command_is_installed_as_mediaworker() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["mediaworker"] == "src.interfaces.cli.app:main"


@pytest.mark.parametrize("name", [*COMMANDS, "--help"])
def test_every_command_explains_itself(fleet: Fleet, name: str) -> None:
    done = fleet.cli(*((name, "--help") if name != "--help" else (name,)))
    assert done.returncode == 0, done.stderr
    assert "Usage: mediaworker" in done.stdout


def test_help_and_run_load_nothing_they_do_not_need() -> None:
    script = (
        "import sys; import src.interfaces.cli.app, src.interfaces.workers.runner\n"
        "print(sorted({'rich', 'sqlalchemy', 'pydantic', 'alembic', 'av', 'boto3', 'redis'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------------- status and jobs
def test_status_prints_what_was_promised(ended: Fleet) -> None:
    document = printed(ended.cli("status", "job-good", "--json"))
    assert set(document) >= PROMISED
    assert set(document["progress"]) >= {"percent", "step", "step_index", "step_total", "eta_seconds"}
    assert (document["state"], document["attempts"], document["error"]) == ("SUCCEEDED", 1, None)
    assert document["progress"]["percent"] == 100
    assert document["created_at"].endswith("Z")
    assert document["finished_at"] >= document["created_at"]


def test_status_of_a_failed_job_has_its_error(ended: Fleet) -> None:
    document = printed(ended.cli("status", "job-bad", "--json"))
    assert document["state"] == "FAILED"
    assert set(document["error"]) == {"class", "message", "retryable"}
    assert document["error"]["retryable"] is False


def test_watching_an_ended_job_ends(ended: Fleet) -> None:
    done = ended.cli("status", "job-good", "--watch", "--json")
    assert [json.loads(line)["state"] for line in done.stdout.splitlines()] == ["SUCCEEDED"]


def test_an_id_may_be_shortened(ended: Fleet) -> None:
    assert printed(ended.cli("status", "job-goo", "--json"))["id"] == "job-good"


def test_jobs_are_listed_by_state(ended: Fleet) -> None:
    assert [job["id"] for job in printed(ended.cli("jobs", "list", "--state", "queued", "--json"))] == ["job-wait"]
    assert {job["id"] for job in printed(ended.cli("jobs", "list", "--json"))} == {"job-good", "job-bad", "job-wait"}
    table = ended.cli("jobs", "list").stdout
    assert "job-good" in table
    assert "SUCCEEDED" in table


def test_a_job_is_shown_with_its_attempts(ended: Fleet) -> None:
    document = printed(ended.cli("jobs", "show", "job-bad", "--json"))
    assert [(past["number"], past["outcome"]) for past in document["history"]] == [(1, "FAILED")]
    assert document["payload"]["action"] == "refuse"
    assert "FAILED" in ended.cli("jobs", "show", "job-bad").stdout


def test_a_waiting_job_is_cancelled(ended: Fleet) -> None:
    assert printed(ended.cli("jobs", "cancel", "job-wait", "--json"))["state"] == "CANCELLED"
    assert ended.job("job-wait").state is JobState.CANCELLED


def test_a_failed_job_is_retried(ended: Fleet) -> None:
    assert printed(ended.cli("jobs", "retry", "job-bad", "--json"))["generation"] == 2
    assert ended.drain() == 0
    assert (ended.job("job-bad").state, ended.job("job-bad").generation) == (JobState.FAILED, 2)


def test_a_job_is_explained(ended: Fleet) -> None:
    assert "the same input would fail again" in ended.cli("jobs", "explain", "job-bad").stdout
    document = printed(ended.cli("jobs", "explain", "job-wait", "--json"))
    assert any("a free worker receives its message" in line for line in document["explanation"])


# ---------------------------------------------------------------------- dead letters and queues
def test_dead_letters_are_listed_and_shown(ended: Fleet) -> None:
    letters = printed(ended.cli("dlq", "list", "--json"))
    assert {letter["error"]["class"] for letter in letters} == {"unsupported_format", "invalid_message"}
    broken = next(letter for letter in letters if letter["job"] is None)
    assert printed(ended.cli("dlq", "show", broken["id"], "--json"))["body"] == "{nonsense"


def test_a_group_of_letters_is_requeued(ended: Fleet) -> None:
    dry = printed(ended.cli("dlq", "requeue", "--group", "unsupported_format", "--dry-run", "--json"))
    assert (dry["requeued"], dry["matched"]) == (0, 1)
    assert (
        printed(ended.cli("dlq", "requeue", "--group", "unsupported_format", "--rate", "50", "--json"))["requeued"] == 1
    )
    assert ended.job("job-bad").state is JobState.QUEUED
    assert len(printed(ended.cli("dlq", "list", "--json"))) == 1


def test_a_named_letter_that_can_not_be_requeued_is_an_error(ended: Fleet) -> None:
    [letter] = printed(ended.cli("dlq", "list", "--group", "unsupported_format", "--json"))
    row = ended.adapters.dead_letters().get(letter["id"])
    assert ended.cli("dlq", "requeue", letter["id"]).returncode == 0
    ended.adapters.dead_letters().add(row)
    done = ended.cli("dlq", "requeue", letter["id"], "--json")
    assert (done.returncode, json.loads(done.stdout)["requeued"]) == (2, 0)
    assert ended.cli("dlq", "requeue", "--group", "unsupported_format").returncode == 0


def test_a_purge_needs_a_backup_and_never_overwrites_one(ended: Fleet, tmp_path: Path) -> None:
    backup = tmp_path / "letters.jsonl"
    assert ended.cli("dlq", "purge", "--all").returncode == 2
    assert printed(ended.cli("dlq", "purge", "--all", "--backup", str(backup), "--json"))["purged"] == 2
    kept = [json.loads(line) for line in backup.read_text().splitlines()]
    assert {letter["error"]["class"] for letter in kept} == {"unsupported_format", "invalid_message"}
    assert all("traceback" in letter["error"] and "body_base64" in letter for letter in kept)
    assert backup.stat().st_mode & 0o077 == 0
    assert ended.cli("dlq", "purge", "--all", "--backup", str(backup)).returncode == 2


def test_a_backup_that_can_not_be_written_keeps_the_letters(ended: Fleet) -> None:
    assert ended.cli("dlq", "purge", "--all", "--backup", "/dev/full").returncode == 2
    assert ended.cli("dlq", "purge", "--all", "--backup", "/no/such/folder/x").returncode == 2
    assert len(printed(ended.cli("dlq", "list", "--json"))) == 2


def test_queues_count_messages_jobs_and_letters(ended: Fleet) -> None:
    document = printed(ended.cli("queues", "--json"))
    assert document["queues"][0]["ready"] == 1
    assert {"type": "act", "state": "QUEUED", "jobs": 1} in document["jobs"]
    assert sum(row["letters"] for row in document["dead_letters"]) == 2
    assert "video" in ended.cli("queues").stdout


# ---------------------------------------------------------------------- exit codes
@pytest.mark.parametrize(
    "arguments", [("status", "nobody-1"), ("jobs", "cancel", "nobody-1"), ("dlq", "show", "nobody-1")]
)
def test_exit_3_for_what_does_not_exist(fleet: Fleet, arguments: tuple[str, ...]) -> None:
    done = fleet.cli(*arguments)
    assert (done.returncode, done.stdout) == (3, "")
    assert "nobody-1" in done.stderr
    assert "fix:" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("jobs", "lst"), ("nonsense",), ("status",), ("dlq", "requeue"), ("jobs", "list", "--state", "x")]
)
def test_exit_2_for_a_wrong_command_line(fleet: Fleet, arguments: tuple[str, ...]) -> None:
    done = fleet.cli(*arguments)
    assert done.returncode == 2
    assert "Error" in done.stderr


def test_exit_2_for_what_a_state_does_not_allow(ended: Fleet) -> None:
    done = ended.cli("jobs", "cancel", "job-good", "--json")
    assert done.returncode == 2
    assert json.loads(done.stderr)["error"]["class"] == "conflict"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"WORKER_QUEUE__BACKND": "sqs"}, "did you mean WORKER_QUEUE__BACKEND"),
        ({"WORKER_QUEUE__BACKEND": "kafka"}, "not in this build yet"),
        ({"WORKER_JOBS__MODULES": "no.such.module"}, "no.such.module"),
        ({"WORKER_LEASE__TTL_SECONDS": "soon"}, "WORKER_LEASE__TTL_SECONDS"),
        ({"WORKER_FFMPEG__PATH": "/no/such/ffmpeg"}, "/no/such/ffmpeg"),
        ({"WORKER_DATA_DIR": "/proc/nowhere"}, "WORKER_DATA_DIR"),
        ({"WORKER_SCRATCH_RESERVE_BYTES": str(1 << 60)}, "less than the reserve"),
    ],
)
def test_lesson_26_wrong_settings_stop_a_worker_before_its_first_receive(
    fleet: Fleet, environment: dict[str, str], words: str
) -> None:
    done = fleet.cli("run", "video", "--drain", timeout=60, **environment)
    assert done.returncode == 4, done.stderr
    assert words in done.stderr
    assert "worker.receiving" not in done.stderr


def test_exit_2_for_a_worker_that_does_not_exist(fleet: Fleet) -> None:
    done = fleet.cli("run", "nonsense")
    assert (done.returncode, "this build has video" in done.stderr) == (2, True), done.stderr


def test_errors_are_json_on_request(fleet: Fleet) -> None:
    done = fleet.cli("status", "nobody-1", "--json")
    error = json.loads(done.stderr)["error"]
    assert (error["class"], error["exit_code"], done.stdout) == ("not_found", 3, "")
    assert error["fix"]


def test_exit_7_for_a_database_that_does_not_answer(fleet: Fleet) -> None:
    fleet.folder.mkdir(parents=True)
    (fleet.folder / "mediaworker.db").write_bytes(b"this is no database" * 1000)
    done = fleet.cli("jobs", "list")
    assert done.returncode == 7, done.stderr


def test_lesson_32_doctor_tries_everything(fleet: Fleet) -> None:
    document = printed(fleet.cli("doctor", "--json"))
    assert document["ok"]
    names = {check["check"] for check in document["checks"]}
    assert names == {
        "batch",
        "clock",
        "data directory",
        "scratch",
        "database",
        "ledger",
        "queue",
        "lock",
        "progress",
        "notify",
        "storage",
        "deletion",
        "ffmpeg",
        "sandbox",
        "events",
        "cron",
        "job types",
    }
    assert "act" in document["job_types"]


def test_doctor_prints_its_table_and_no_log_beside_it(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(
        'import logging\nlogging.getLogger("src.noisy").warning("bare")\nJOB_TYPES = []\n'
    )
    done = fleet.cli("doctor", WORKER_JOBS__MODULES="noisy", PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("command", [("doctor",), ("run", "video", "--drain")])
def test_lesson_26_doctor_and_start_refuse_a_job_type_without_its_handler(
    fleet: Fleet, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "half_a_job.py").write_text(
        "from src.application.catalog import JobType\n"
        "JOB_TYPES = [JobType(name='half', parse=lambda tenant, payload: payload, handler='half_a_job:Missing')]\n"
    )
    done = fleet.cli(*command, WORKER_JOBS__MODULES="half_a_job", PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert done.returncode == 4, done.stderr
    assert "half_a_job has no Missing" in done.stdout + done.stderr


def test_doctor_names_what_is_wrong_and_how_to_mend_it(fleet: Fleet, tmp_path: Path) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho not ffmpeg\n")
    fake.chmod(0o755)
    done = fleet.cli("doctor", WORKER_FFMPEG__PATH=str(fake))
    assert done.returncode == 4
    assert "FAIL  ffmpeg" in done.stdout
    assert "fix:" in done.stdout


# ---------------------------------------------------------------------- the rest
def test_config_show_names_the_alias_in_use_and_no_secret(fleet: Fleet) -> None:
    done = fleet.cli(
        "config", "show", "--set", "--json", R2_SECRET_KEY="canary", R2_ACCESS_KEY="canary", HLS_TIME_SECONDS="6"
    )
    rows = {row["setting"]: row for row in printed(done)}
    assert (rows["video.segment_seconds"]["origin"], rows["video.segment_seconds"]["alias"]) == (
        "HLS_TIME_SECONDS",
        True,
    )
    assert rows["video.segment_seconds"]["value"] == 6
    assert "canary" not in done.stdout


def test_config_schema_is_the_page_and_a_json_schema(fleet: Fleet) -> None:
    assert fleet.cli("config", "schema", "--markdown").stdout == (ROOT / "docs" / "settings.md").read_text()
    assert "queue" in printed(fleet.cli("config", "schema", "--json"))["properties"]


def test_db_upgrade_may_be_repeated(fleet: Fleet) -> None:
    first = printed(fleet.cli("db", "upgrade", "--json"))
    again = printed(fleet.cli("db", "upgrade", "--json"))
    assert (first["before"], again["before"]) == (None, first["now"])


def test_db_sql_prints_the_tables(fleet: Fleet) -> None:
    assert "CREATE TABLE" in fleet.cli("db", "sql").stdout
    assert "CREATE TABLE" in printed(fleet.cli("db", "sql", "--json"))["sql"]


def test_version_names_the_tools(fleet: Fleet) -> None:
    shown = printed(fleet.cli("version", "--json"))
    assert set(shown) == {"mediaworker", "python", "ffmpeg"}
    with (ROOT / "pyproject.toml").open("rb") as project:
        assert shown["mediaworker"] == tomllib.load(project)["project"]["version"]


def test_t22_no_secret_leaves_through_any_error(fleet: Fleet) -> None:
    secrets = {
        "R2_ACCESS_KEY": "canary-id",
        "R2_SECRET_KEY": "canary-secret",
        "REDIS_HOST": "cache",
        "REDIS_PASSWORD": "canary-redis",
    }
    for arguments in (("doctor",), ("config", "show"), ("run", "video", "--drain"), ("queues", "--json")):
        for broken in ({}, {"WORKER_LOCK__BACKEND": "redis"}, {"WORKER_DATABASE__URL": "postgresql://u:canary-pg@h/d"}):
            done = fleet.cli(*arguments, timeout=60, **secrets, **broken)
            assert "canary" not in done.stdout + done.stderr
