"""What somebody meets who follows the README for the first time, and mistypes now and then."""

from __future__ import annotations

import json
import os
import pty
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from src.domain.job import JobState
from tests.functional.fleet import ROOT, Fleet

READERS = ("jobs show", "jobs explain", "jobs cancel", "status", "dlq show")


def on_terminal(fleet: Fleet, *arguments: str, columns: int = 80) -> list[str]:
    """What a command prints on a terminal that is so wide."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "src.interfaces.cli.app", *arguments],
        cwd=ROOT,
        env=fleet.environ(COLUMNS=str(columns), TERM="xterm"),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 65_536):
            text += part
    except OSError:  # the other end was closed
        pass
    finally:
        os.close(ours)
    _out, errors = done.communicate(timeout=60)
    assert done.returncode == 0, errors
    return text.decode().splitlines()


def test_lists_fit_a_terminal_of_80_columns(fleet: Fleet) -> None:
    job = "0f3c9a52-8a11-4c0e-9d5f-6f1b1f2f3a4b"
    fleet.submit(job, "refuse")
    assert fleet.drain() == 0
    for arguments in (("jobs", "list"), ("dlq", "list")):
        lines = on_terminal(fleet, *arguments)
        assert [line[:10] for line in lines] == ["id        ", "--------  ", "0f3c9a52  "]
        assert all(len(line) <= 80 for line in lines)
        piped = fleet.cli(*arguments).stdout.splitlines()
        assert [line.startswith(job) for line in piped] == [False, True]
    assert fleet.cli("status", "0f3c9a52").returncode == 0


def test_lists_without_a_database_say_so_and_make_nothing(fleet: Fleet) -> None:
    lists = {
        ("jobs", "list"): "No jobs.",
        ("dlq", "list"): "No dead letters.",
        ("events", "list"): "No events.",
        ("queues",): "0",
    }
    for arguments, words in lists.items():
        done = fleet.cli(*arguments)
        assert (done.returncode, words in done.stdout) == (0, True), done.stderr
        assert str(fleet.folder / "mediaworker.db") in done.stderr
        as_json = fleet.cli(*arguments, "--json")
        assert as_json.returncode == 0
        json.loads(as_json.stdout)
    assert not fleet.folder.exists()


@pytest.mark.parametrize("command", READERS)
def test_one_id_without_a_database_is_not_found_and_makes_nothing(fleet: Fleet, command: str) -> None:
    done = fleet.cli(*command.split(), "0f3c9a52")
    assert (done.returncode, done.stdout) == (3, "")
    assert str(fleet.folder / "mediaworker.db") in done.stderr
    assert not fleet.folder.exists()


def test_an_empty_file_is_no_database_and_stays_empty(fleet: Fleet) -> None:
    fleet.folder.mkdir()
    (fleet.folder / "mediaworker.db").touch()
    assert "there is no database" in fleet.cli("jobs", "list").stderr
    assert [(path.name, path.stat().st_size) for path in fleet.folder.iterdir()] == [("mediaworker.db", 0)]


def test_a_film_whose_admission_is_unknown_is_kept_and_named(fleet: Fleet, tmp_path: Path) -> None:
    film = tmp_path / "a film.mp4"
    film.write_bytes(b"x" * 1000)
    assert fleet.cli("db", "upgrade").returncode == 0
    with sqlite3.connect(fleet.folder / "mediaworker.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        done = fleet.cli("submit", "video", str(film), "--json", WORKER_DATABASE__BUSY_SECONDS="0.1")
        other.execute("ROLLBACK")
    other.close()
    error = json.loads(done.stderr)["error"]
    assert (done.returncode, error["class"]) == (7, "database_unavailable")
    [kept] = [path for path in (fleet.folder / "storage").rglob("*") if path.is_file()]
    assert str(kept.relative_to(fleet.folder / "storage")) in error["message"]
    again = shlex.split(error["fix"].rpartition("submit the copy again: ")[2])
    assert again[0] == "mediaworker"
    first, second = (fleet.cli(*again[1:]) for _ in range(2))
    assert (first.returncode, first.stdout) == (0, second.stdout), first.stderr
    assert fleet.job(first.stdout.strip()).state is JobState.QUEUED


def test_a_worker_module_parses_its_arguments(fleet: Fleet) -> None:
    module = [sys.executable, "-m", "src.interfaces.workers.video.main"]
    for argument, code, words in (("--help", 0, "--drain"), ("--drian", 2, "--drian"), ("more", 2, "more")):
        done = subprocess.run(
            [*module, argument], cwd=ROOT, env=fleet.environ(), capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, words in done.stdout + done.stderr) == (code, True), done.stderr
    assert not fleet.folder.exists()


@pytest.mark.parametrize(("form", "lines_of"), [("json", '"event": "worker.refused"'), ("console", "mediaworker: ")])
def test_a_refused_worker_says_why_once(fleet: Fleet, form: str, lines_of: str) -> None:
    done = fleet.cli(
        "run", "video", "--drain", WORKER_FFMPEG__PATH="/no/such/ffmpeg", WORKER_LOG__FORMAT=form, timeout=60
    )
    assert done.returncode == 4
    [line] = [line for line in done.stderr.splitlines() if "/no/such/ffmpeg" in line]
    assert lines_of in line


def test_jobs_show_has_the_result(fleet: Fleet) -> None:
    fleet.submit("job-good", "noop")
    assert fleet.drain() == 0
    shown = fleet.cli("jobs", "show", "job-good").stdout
    assert 'Result:\n  {\n    "attempt": 1,\n' in shown


def test_a_dry_run_says_what_would_happen(fleet: Fleet) -> None:
    fleet.submit("job-bad", "refuse")
    fleet.publish(b"{nonsense")
    assert fleet.drain() == 0
    said = fleet.cli("dlq", "requeue", "--all", "--dry-run").stdout
    assert "job job-bad would start again" in said
    assert "its message would go back to the queue" in said
    assert said.endswith("2 would be requeued; nothing was changed.\n")


def test_a_message_with_a_bad_payload_is_found_by_the_id_that_it_names(fleet: Fleet) -> None:
    fleet.publish(json.dumps({"id": "refused-1", "type": "act", "payload": {"action": 7}}).encode())
    assert fleet.drain() == 0
    (letter,) = json.loads(fleet.cli("dlq", "list", "--json").stdout)
    assert (letter["job"], letter["type"]) == ("refused-1", "act")
    for command in (("status",), ("jobs", "explain")):
        done = fleet.cli(*command, "refused-1")
        assert done.returncode == 3
        assert "invalid_payload: action must be a string" in done.stderr
        assert f"mediaworker dlq show {letter['id']}" in done.stderr
    assert "Traceback" not in fleet.cli("dlq", "show", letter["id"]).stdout
    assert fleet.cli("dlq", "requeue", letter["id"]).stdout.endswith("1 of 1 requeued.\n")


def test_a_refusal_says_what_to_do_and_nothing_empty(fleet: Fleet, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x" * 1000)
    assert fleet.cli("submit", "video", str(film), "--video-id", "v1").returncode == 0
    assert fleet.drain() == 0
    done = fleet.cli("submit", "video", str(film), "--video-id", "v1", "--tenant", "other")
    assert (done.returncode, "not_found" in done.stderr, "why:" in done.stderr) == (2, True, False)
    assert "another --video-id" in done.stderr
    assert [path for path in (fleet.folder / "storage" / "tenants").glob("other/**/*") if path.is_file()] == []


def test_a_failed_demo_does_not_blame_its_worker_for_the_source(fleet: Fleet, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 100)
    done = fleet.cli("demo", str(text))
    assert (done.returncode, "jobs explain" in done.stderr, "worker" in done.stderr.replace("mediaworker", "")) == (
        5,
        True,
        False,
    )


def test_no_summary_in_a_help_is_cut(fleet: Fleet) -> None:
    for group in ("jobs", "dlq", "events", "config", "db", "submit"):
        listed = fleet.cli(group, "--help", COLUMNS="80").stdout.partition("Commands:")[2]
        assert listed
        assert "..." not in listed


def test_a_message_of_an_unknown_type_is_found_by_the_id_that_it_names(fleet: Fleet) -> None:
    fleet.publish(json.dumps({"id": "bad3", "type": "nosuch", "payload": {}}).encode())
    assert fleet.drain() == 0
    (letter,) = json.loads(fleet.cli("dlq", "list", "--json").stdout)
    assert (letter["job"], letter["type"], letter["error"]["class"]) == ("bad3", "nosuch", "unknown_job_type")
    done = fleet.cli("status", "bad3")
    assert (done.returncode, "its message was set aside: unknown_job_type" in done.stderr) == (3, True), done.stderr
    by_job = fleet.cli("dlq", "show", "bad3")
    assert (by_job.returncode, f"mediaworker dlq show {letter['id']}" in by_job.stderr) == (3, True), by_job.stderr


def test_a_job_s_id_in_the_place_of_a_letter_s_names_the_letter(fleet: Fleet) -> None:
    fleet.submit("bad2", "refuse")
    assert fleet.drain() == 0
    done = fleet.cli("dlq", "show", "bad2")
    assert (done.returncode, "mediaworker dlq show bad2.1" in done.stderr) == (3, True), done.stderr
    unclear = fleet.cli("dlq", "purge", "bad2.1", "--yes", "--dry-run")
    assert (unclear.returncode, "say one of them" in unclear.stderr) == (2, True)
    assert fleet.cli("dlq", "purge", "bad2.1", "--yes").returncode == 2, "a backup, or none, is still to be said"
    assert fleet.cli("dlq", "purge", "bad2.1", "--yes", "--no-backup").returncode == 0


def test_the_table_of_owners_is_there_for_programs(fleet: Fleet) -> None:
    rows = json.loads(fleet.cli("recover", "owners", "--json").stdout)
    assert {"entity": "job on a queue", "state": "QUEUED", "owner": "waker"}.items() <= rows[0].items()
