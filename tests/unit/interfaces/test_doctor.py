"""`mediaworker doctor`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from src.interfaces.cli import errors


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
