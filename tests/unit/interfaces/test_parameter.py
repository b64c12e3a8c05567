"""Settings from one SSM parameter: all of it is understood, or nothing is started (lesson 27)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from src.domain.errors import ConfigError
from src.interfaces.wiring import parameter
from src.interfaces.wiring.environment import Loaded, fields, load, load_with_origins, variable
from src.interfaces.wiring.parameter import NAMED_BY, TAKEN, parsed, take
from src.interfaces.wiring.reference import effective

NAMED = {NAMED_BY: "/video/worker"}
CANARY = "canary-9c1f"
VARIABLES = {variable(setting): setting for setting, _field in fields()}


@pytest.fixture
def holds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the parameter holds: set item 0. Those after it are the names that were asked for."""
    texts = ["{}"]

    def read(name: str, _environ: Mapping[str, str]) -> str:
        texts.append(name)
        return texts[0]

    monkeypatch.setattr(parameter, "read_ssm", read)
    return texts


def shown(loaded: Loaded, setting: str) -> tuple[object, object]:
    (row,) = [row for row in effective(loaded) if row["setting"] == setting]
    return row["value"], row["source"]


# ---------------------------------------------------------------------- the formats
def test_a_json_object_of_variables() -> None:
    text = '{"WORKER_STORAGE__BUCKET": "media", "WORKER_CONCURRENCY": 2, "WORKER_VIDEO__STORYBOARD": false}'
    found = {"WORKER_STORAGE__BUCKET": "media", "WORKER_CONCURRENCY": "2", "WORKER_VIDEO__STORYBOARD": "false"}
    assert parsed(text, "p") == found


def test_the_older_lines_are_understood_too() -> None:
    text = (
        "# production\n\nR2_BUCKET=media\nexport R2_PREFIX = a/b \nREDIS_PASSWORD='a=b c'\nR2_REGION=\"auto\"\nEMPTY=\n"
    )
    found = {"R2_BUCKET": "media", "R2_PREFIX": "a/b", "REDIS_PASSWORD": "a=b c", "R2_REGION": "auto", "EMPTY": ""}
    assert parsed(text, "p") == found


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "p is empty"),
        (" \n", "p is empty"),
        (f'{{"A": "{CANARY}"', "p is not JSON"),
        (f'["{CANARY}"]', "p is JSON, but no object"),
        (f'"{CANARY}"', "p is JSON, but no object"),
        (f'{{"A": "1", "A": "{CANARY}"}}', "p has A twice"),
        (f'{{"A": {{"B": "{CANARY}"}}}}', "A is dict, not text"),
        ('{"A": null}', "A is null, not text"),
        ('{"A": NaN, "1B": 1}', "'1B' is not a variable's name"),
        (f'{{"A": "{CANARY}\\u0000"}}', "A has a NUL character"),
        (f"A=1\n{CANARY}\n", "line 2 of p is not NAME=VALUE"),
        (f"A=1\nA={CANARY}", "p has A twice"),
    ],
)
def test_lesson_27_what_can_t_be_read_is_refused_whole_and_no_value_is_shown(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named) as raised:
        parsed(text, "p")
    assert CANARY not in str(raised.value)
    assert raised.value.__cause__ is None


# ---------------------------------------------------------------------- what is taken
def test_its_variables_are_settings_and_the_environment_s_own_win(holds: list[str]) -> None:
    holds[0] = json.dumps({"WORKER_QUEUE__NAME": "theirs", "WORKER_STORAGE__PREFIX": "theirs", "R2_REGION": "auto"})
    loaded = load_with_origins({**NAMED, "WORKER_QUEUE__NAME": "own"})
    assert holds[1:] == ["/video/worker"]
    assert shown(loaded, "queue.name") == ("own", "environment")
    assert shown(loaded, "storage.prefix") == ("theirs", "ssm:/video/worker")
    assert shown(loaded, "storage.region") == ("auto", "ssm:/video/worker")
    assert shown(loaded, "concurrency") == (1, None)


@pytest.mark.parametrize(
    ("own", "theirs", "setting", "value"),
    [
        ("R2_BUCKET", "WORKER_STORAGE__BUCKET", "storage.bucket", "own"),
        ("S3_BUCKET", "R2_VIDEO_BUCKET", "storage.bucket", "own"),
        ("REDIS_HOST", "WORKER_REDIS__URL", "redis.url", "redis://own:6379/0"),
        ("WORKER_REDIS__URL", "REDIS_HOST", "redis.url", "own"),
    ],
)
def test_they_win_by_whatever_name_the_setting_has(
    holds: list[str], own: str, theirs: str, setting: str, value: str
) -> None:
    holds[0] = json.dumps({theirs: "theirs"})
    assert shown(load_with_origins({**NAMED, own: "own"}), setting) == (value, "environment")


def test_a_password_may_come_with_the_parameter_and_its_host_with_the_environment(holds: list[str]) -> None:
    holds[0] = f"REDIS_PASSWORD={CANARY}"
    loaded = load_with_origins({**NAMED, "REDIS_HOST": "cache"})
    assert loaded.settings.redis_url == f"redis://:{CANARY}@cache:6379/0"
    assert CANARY not in str(shown(loaded, "redis.url"))


def test_lesson_27_an_unknown_setting_in_it_is_named(holds: list[str]) -> None:
    holds[0] = json.dumps({"WORKER_STORAGE__BUKET": CANARY})
    with pytest.raises(
        ConfigError, match=r"SSM parameter /video/worker: WORKER_STORAGE__BUKET is not a setting"
    ) as raised:
        load(NAMED)
    assert CANARY not in str(raised.value)


def test_it_names_no_other_parameter(holds: list[str]) -> None:
    holds[0] = json.dumps({NAMED_BY: "/another"})
    with pytest.raises(ConfigError, match=f"{NAMED_BY} is not a setting that it may hold"):
        load(NAMED)


def test_lesson_27_a_key_that_is_missing_is_named(holds: list[str]) -> None:
    holds[0] = json.dumps({"WORKER_STORAGE__BACKEND": "s3"})
    with pytest.raises(ConfigError, match=r"WORKER_STORAGE__BACKEND=s3 needs WORKER_STORAGE__BUCKET"):
        load(NAMED)


def test_lesson_27_a_value_that_can_t_be_read_is_named_with_its_source(holds: list[str]) -> None:
    holds[0] = json.dumps({"WORKER_CONCURRENCY": CANARY})
    with pytest.raises(ConfigError, match=r"WORKER_CONCURRENCY \(from ssm:/video/worker\)") as raised:
        load(NAMED)
    assert CANARY not in str(raised.value)


def test_what_is_somebody_else_s_is_not_taken(holds: list[str]) -> None:
    holds[0] = json.dumps({"LD_PRELOAD": "x", "PATH": "x", "DJANGO_SECRET": "x", "AWS_ACCESS_KEY_ID": "id"})
    assert take(NAMED, VARIABLES).values == {"AWS_ACCESS_KEY_ID": "id"}


def test_no_parameter_no_question(holds: list[str]) -> None:
    assert load({}).queue.name == "video"
    assert load({NAMED_BY: ""}).queue.name == "video"
    assert holds[1:] == []


# ---------------------------------------------------------------------- the processes it starts
def test_processes_that_are_started_see_the_same_without_asking_again(
    holds: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "environ", {**NAMED, "WORKER_DATA_DIR": str(tmp_path)})
    holds[0] = json.dumps({"WORKER_QUEUE__NAME": "theirs", "WORKER_DATA_DIR": "/theirs"})
    assert load().queue.name == "theirs"
    assert (os.environ["WORKER_QUEUE__NAME"], os.environ["WORKER_DATA_DIR"]) == ("theirs", str(tmp_path))
    holds[0] = json.dumps({"WORKER_QUEUE__NAME": "changed"})
    again = load_with_origins()
    assert (again.settings.queue.name, holds[1:]) == ("theirs", ["/video/worker"])
    assert shown(again, "queue.name") == ("theirs", "ssm:/video/worker")
    # Another parameter is another question.
    os.environ[NAMED_BY] = "/another"
    load()
    assert holds[1:] == ["/video/worker", "/another"]


def test_a_refused_parameter_leaves_the_environment_alone(holds: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(NAMED))
    holds[0] = json.dumps({"WORKER_QUEUE__NAME": "theirs", "WORKER_CONCURRENCY": "0"})
    with pytest.raises(ConfigError, match="WORKER_CONCURRENCY"):
        load()
    assert os.environ == NAMED
    assert TAKEN not in os.environ
