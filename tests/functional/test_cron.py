"""Cron with real processes on one SQLite file, and its command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from src.domain.job import JobState
from src.interfaces.cli.app import run_command
from tests.functional.cron_crowd import CROWD, check, crontab, crowd, end, jobs
from tests.functional.fleet import Fleet, wait_for


def test_f39_i10_five_schedulers_fire_every_second_once_and_a_worker_runs_each_job(fleet: Fleet) -> None:
    crowd(fleet, ticks=5, deaths=1, seed=1)
    count = check(fleet)
    fired = [sum(event["event"] == "cron.fired" for event in fleet.events(n)) for n in range(len(fleet.processes))]
    assert len(fleet.processes) == 1 + CROWD + 1
    # Those that were killed may not have had the time to say so.
    assert count - 2 <= sum(fired) <= count
    worker = fleet.start()
    wait_for(lambda: all(job.state is JobState.SUCCEEDED for job in jobs(fleet)), 60, "every job is done")
    assert len(jobs(fleet)) == count
    end([worker])


def test_a_scheduler_says_how_it_is_and_refuses_what_it_can_not_run(fleet: Fleet) -> None:
    settings = crontab(fleet)
    Path(settings["WORKER_CRON__FILE"]).write_text("* * * * * unheard_of\n")
    refused = fleet.scheduler(**settings)
    assert refused.wait(60) == 4
    assert "crontab, line 1: no job type 'unheard_of'" in fleet.log()


# ---------------------------------------------------------------------- the command line
TEXT = """# of the tests
30 2 * * * act ?id=night&tz=Europe/Berlin&fill=2d {action: "noop"}
0 19 * * * act ?id=evening&missed=skip&max=2 {"action": "noop"}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with a crontab, for commands in this process."""
    (tmp_path / "crontab").write_text(TEXT)
    environ = {
        "WORKER_DATA_DIR": str(tmp_path / "data"),
        "WORKER_JOBS__MODULES": "tests.jobs",
        "WORKER_CRON__FILE": str(tmp_path / "crontab"),
    }
    for name in ("CACHE_CLEANUP", "SESSION_CLEANUP", "FULL_REINDEX", "DAILY_STATISTICS"):
        environ[f"WORKER_CRON__{name}"] = "off"
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """What a command prints as JSON."""
    assert run_command(["cron", *arguments, "--json"]) == code
    out = capsys.readouterr()
    return json.loads(out.out if code == 0 else out.err)


def test_cron_next_shows_the_zones_clock_and_utc(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "next", "night", "--after", "2026-10-24T12:00", "--count", "2")
    assert found == [
        {"name": "night", "zone": "Europe/Berlin", "local": "2026-10-25T02:30:00+02:00", "utc": "2026-10-25T00:30:00.000Z"},
        {"name": "night", "zone": "Europe/Berlin", "local": "2026-10-26T02:30:00+01:00", "utc": "2026-10-26T01:30:00.000Z"},
    ]  # fmt: skip
    assert [each["name"] for each in said(capsys, "next", "--after", "2026-10-24T12:00", "--count", "1")] == [
        "evening",
        "night",
    ]
    assert run_command(["cron", "next", "--after", "2026-10-24T12:00", "--count", "1"]) == 0
    assert "2026-10-25 02:30:00 +0200" in capsys.readouterr().out
    assert not (place / "data").exists()


def test_cron_run_asks_once_and_uses_no_moment_up(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = said(capsys, "run", "evening"), said(capsys, "run", "evening")
    assert (first["created"], first["published"]) == (True, True)
    assert first["job"] != second["job"]
    assert run_command(["jobs", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {(job["id"], job["max_attempts"]) for job in listed} == {(first["job"], 2), (second["job"], 2)}
    assert all(entry["last"] is None for entry in said(capsys, "list") if entry["scheduled"])
    assert run_command(["queues", "--json"]) == 0
    assert '"ready": 2' in capsys.readouterr().out


def test_cron_list_says_all_there_is_to_say(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night, evening, *off = said(capsys, "list")
    assert not (place / "data").exists()
    upcoming = night.pop("next")
    assert upcoming["utc"].endswith(":30:00.000Z")
    assert night == {
        "name": "night",
        "type": "act",
        "scheduled": True,
        "schedule": "30 2 * * *",
        "zone": "Europe/Berlin",
        "missed": "all",
        "fill_seconds": 172_800.0,
        "origin": f"{place / 'crontab'}, line 2",
        "last": None,
    }
    assert (evening["missed"], evening["fill_seconds"], evening["zone"]) == ("skip", None, "UTC")
    assert {(entry["name"], entry["why"]) for entry in off} == {
        (name, "switched off") for name in ("cache_cleanup", "session_cleanup", "full_reindex", "daily_statistics")
    }
    assert run_command(["cron", "list"]) == 0
    assert "all, 172800 s back" in capsys.readouterr().out


def test_cron_tells_what_is_not_there_and_what_is_off(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "run", "nothing", code=3)["error"]["message"] == "no entry 'nothing'"
    assert said(capsys, "next", "full_reindex", code=3)["error"]["message"] == "entry 'full_reindex': switched off"


def test_a_file_that_can_not_be_read_is_a_matter_of_settings(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "crontab").write_text("30 2 * * * act\n")
    refused = said(capsys, "list", code=4)["error"]["message"]
    assert refused == f"{place / 'crontab'}, line 1: job type 'act' refuses the payload: action must be a string"
    (place / "crontab").unlink()
    assert "can't be read: No such file" in said(capsys, "list", code=4)["error"]["message"]
    assert run_command(["run", "scheduler", "--drain"]) == 2
