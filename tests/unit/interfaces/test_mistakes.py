"""What an operator has to mend is told from what passes, by commands and start-up checks alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from src.domain.errors import ConfigError, DatabaseUnavailable, NetworkError, QueueUnavailable
from src.interfaces.cli import errors
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.checks import CHECKS, check_startup, diagnose
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.mistakes import as_mistake
from src.interfaces.workers.runner import refused
from tests.adapters.redis_servers import client, own_server
from tests.servers.process import free_ports
from tests.servers.shared import shared

REDIS = {"WORKER_QUEUE__BACKEND": "redis", "WORKER_LEDGER__BACKEND": "redis"}
REDIS |= {"WORKER_LOCK__BACKEND": "redis", "WORKER_PROGRESS__BACKEND": "redis"}


def test_a_password_that_redis_refuses_is_an_error_of_the_settings_for_commands(
    ask: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"id": "1", "type": "thumbnail", "payload": {"content_id": "c"}}))
    with own_server() as server:
        with client(server.url) as asking:
            asking.config_set("requirepass", "canary-right")
        for login, words in ((":canary-wrong@", "correct user and password"), ("", "needs a password")):
            environ = {**REDIS, "WORKER_REDIS__URL": server.url.replace("//", f"//{login}")}
            for command in (["queues"], ["publish", str(body)], ["status", "1"], ["doctor", "--worker"]):
                assert ask(*command, **environ) == errors.CONFIG, command
                said = "".join(capfd.readouterr())
                assert words in said, command
                assert "HELLO" not in said
                assert "canary" not in said
        queue = build(load({**environ, "WORKER_DATA_DIR": str(tmp_path)}), build_catalog(load({}))).queue()
        with pytest.raises(QueueUnavailable):
            queue.receive(1, wait_seconds=0, visibility_seconds=5)  # a worker that runs waits until it is mended


def test_a_redis_that_is_away_is_no_error_of_the_settings(ask: Callable[..., int]) -> None:
    (port,) = free_ports()
    for command in (["queues"], ["doctor", "--worker"]):
        assert ask(*command, **REDIS, WORKER_REDIS__URL=f"redis://127.0.0.1:{port}/0") == errors.UNREACHABLE


def test_a_database_that_is_away_is_no_error_of_the_settings(ask: Callable[..., int]) -> None:
    (port,) = free_ports()
    url = f"postgresql://nobody@127.0.0.1:{port}/x"
    for command in (["jobs", "list"], ["doctor", "--worker"]):
        assert ask(*command, WORKER_DATABASE__URL=url, WORKER_QUEUE__BACKEND="postgres") == errors.UNREACHABLE


def test_an_error_that_is_its_own_cause_has_an_end() -> None:
    error = NetworkError("away")
    error.__cause__ = error
    assert as_mistake(error) is error


def test_an_error_of_no_library_stays_as_it_is() -> None:
    for error in (NetworkError("away"), DatabaseUnavailable("away"), ConfigError("wrong")):
        assert as_mistake(error) is error


@pytest.mark.parametrize(("url", "words"), [("/nope", "no such database"), ("nobody", "does not let this user in")])
def test_every_check_says_the_same_of_one_cause(tmp_path: Path, url: str, words: str) -> None:
    server = shared("postgres").url
    wrong = f"{server}{url}" if url.startswith("/") else f"{server.replace('//postgres@', f'//{url}@')}/postgres"
    settings = load(
        {"WORKER_DATA_DIR": str(tmp_path), "WORKER_DATABASE__URL": wrong, "WORKER_QUEUE__BACKEND": "postgres"}
    )
    adapters = build(settings, build_catalog(settings))
    others = [name for name, _check in CHECKS if name not in ("database", "queue")]
    found = diagnose(settings, adapters, without=[*others, "ffmpeg", "search", "cache"], content=True)
    assert [each.name for each in found] == ["database", "queue", "platform"]
    assert [words in each.detail for each in found] == [True] * 3
    with pytest.raises(ConfigError):
        check_startup(settings, adapters, without=[*others, "ffmpeg"])
    adapters.database().close()


def test_what_keeps_a_worker_from_starting_is_a_line_each(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "file"
    file.touch()
    more = {"WORKER_DATA_DIR": str(file), "WORKER_SCRATCH_DIR": str(file)}
    settings = load(more)
    adapters = build(settings, build_catalog(settings))
    with pytest.raises(ConfigError) as caught:
        others = [name for name, _check in CHECKS if name not in ("data directory", "scratch")]
        check_startup(settings, adapters, without=[*others, "ffmpeg"])
    censor = SimpleNamespace(text=str)
    lines: list[Any] = [SimpleNamespace(as_json=as_json, censor=censor) for as_json in (False, True)]
    assert [refused(each, caught.value) for each in lines] == [errors.CONFIG] * 2
    said = capfd.readouterr().err.splitlines()
    assert [line.split(": ")[:2] for line in said] == [["mediaworker", "data directory"], ["mediaworker", "scratch"]]
    [record] = [each for each in caplog.records if each.getMessage() == "worker.refused"]
    assert "scratch: " in record.__dict__["error"]
    assert "data directory: " in record.__dict__["error"]
