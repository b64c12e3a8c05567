"""What scripts rely on: exit codes, documents on the right stream, any bytes, readers that go away."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.fleet import ROOT, Fleet
from tests.functional.test_cli import printed


def test_usage_errors_are_json_on_request(fleet: Fleet) -> None:
    for arguments in (("status", "--json"), ("jobs", "list", "--state", "x", "--json"), ("dlq", "requeue", "--json")):
        done = fleet.cli(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert json.loads(done.stderr)["error"]["class"] == "usage"


@pytest.mark.parametrize("arguments", [("db", "sql"), ("jobs", "list", "--json"), ("config", "show")])
def test_a_reader_that_goes_away_is_no_error(fleet: Fleet, arguments: tuple[str, ...]) -> None:
    fleet.cli("db", "upgrade")
    process = subprocess.Popen(
        [sys.executable, "-m", "src.interfaces.cli.app", *arguments],
        cwd=ROOT,
        env=fleet.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert (process.stderr.read(), process.wait(60)) == (b"", 0)


def test_a_table_that_is_piped_has_one_job_a_line(fleet: Fleet) -> None:
    name = "a-job-with-a-long-name-" + "x" * 100
    fleet.submit(name, "noop")
    lines = [line for line in fleet.cli("jobs", "list", COLUMNS="40").stdout.splitlines() if name in line]
    assert len(lines) == 1
    assert "QUEUED" in lines[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("jobs", "list", "--offset", "9" * 20),
        ("dlq", "list", "--offset", "9" * 20),
        ("dlq", "requeue", "--all", "--rate", "nan"),
        ("submit", "video", "film.mp4", "--wait", "--timeout", "nan"),
    ],
)
def test_a_number_that_can_not_be_counted_with_is_refused(fleet: Fleet, arguments: tuple[str, ...]) -> None:
    done = fleet.cli(*arguments, timeout=20)
    assert (done.returncode, "Invalid value" in done.stderr) == (2, True), done.stderr


def test_dead_letters_of_any_bytes_are_shown(fleet: Fleet) -> None:
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    bodies = [
        b'{"a": NaN}',
        b'{"x": "\\ud800"}',
        b"[" * 100_000,
        deep,
        b"\xff\xfe\x00\x1b[31m",
        b'{"n":' + b"9" * 5000 + b"}",
    ]
    for number, body in enumerate(bodies):
        fleet.publish(body, key=f"odd-{number}")
    assert fleet.drain() == 0
    letters = printed(fleet.cli("dlq", "list", "--json"))
    assert len(letters) == len(bodies)
    for letter in letters:
        done = fleet.cli("dlq", "show", letter["id"], "--json")
        json.loads(done.stdout, parse_constant=pytest.fail)
        plain = fleet.cli("dlq", "show", letter["id"])
        assert (done.returncode, plain.returncode) == (0, 0), plain.stderr
        assert "\x1b" not in plain.stdout


def test_t17_an_error_can_not_move_the_cursor(fleet: Fleet, tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[31m\nfolder"
    folder.mkdir()
    done = fleet.cli("submit", "video", str(folder))
    assert (done.returncode, "\x1b" in done.stderr) == (2, False)
    assert "\\x1b[31m\\nfolder" in done.stderr


@pytest.mark.parametrize("place", ["/proc/nowhere", "/etc/passwd"])
def test_db_upgrade_of_a_folder_that_can_not_be_is_a_matter_of_settings(fleet: Fleet, place: str) -> None:
    done = fleet.cli("db", "upgrade", WORKER_DATA_DIR=place)
    assert (done.returncode, "WORKER_DATA_DIR" in done.stderr) == (4, True), done.stderr
