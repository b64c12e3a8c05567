"""`mediaworker doctor`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from src.interfaces.cli import errors
from src.interfaces.cli.app import run_command


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    def run(*arguments: str, **environ: str) -> int:
        for name in [name for name in os.environ if name.startswith("WORKER_")]:
            monkeypatch.delenv(name)
        for name, value in {"WORKER_DATA_DIR": str(tmp_path / "data"), **environ}.items():
            monkeypatch.setenv(name, value)
        return run_command(list(arguments))

    return run


@pytest.mark.parametrize(
    ("environ", "check", "words"),
    [
        (
            {"SINKS": "webhook", "WEBHOOK_URL": "https://x.example", "WEBHOOK_SECRET": "abc"},
            "events",
            "WORKER_EVENTS__WEBHOOK_SECRET",
        ),
        ({"LISTEN": "stream"}, "events in", "redis.url is not set"),
        ({"FILE": "/nope"}, "cron", "the crontab /nope can't be read"),
    ],
)
def test_doctor_tries_what_the_other_processes_start_with(
    ask: Callable[..., int],
    capfd: pytest.CaptureFixture[str],
    environ: dict[str, str],
    check: str,
    words: str,
) -> None:
    group = "CRON" if check == "cron" else "EVENTS"
    assert (
        ask("doctor", "--json", **{f"WORKER_{group}__{name}": value for name, value in environ.items()})
        == errors.CONFIG
    )
    found = {each["check"]: each for each in json.loads(capfd.readouterr().out)["checks"]}
    assert words in f"{found[check]['detail']} {found[check]['fix']}"
    assert [name for name, each in found.items() if not each["ok"]] == [check]
