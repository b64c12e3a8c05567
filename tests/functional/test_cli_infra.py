"""`mediaworker infra`, as it is typed: exit codes, documents, and words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from src.interfaces.cli.app import run_command
from tests.infra.roles import FILES, VALUES
from tests.servers.kinds import start_sqs

DEFINITION = "batch/video_job_definition.json"


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Values from the environment, as an operator sets them."""
    monkeypatch.chdir(tmp_path)
    for name, value in {**VALUES, "ACCOUNT_ID": "000000000000"}.items():
        monkeypatch.setenv(f"INFRA_{name}", value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return monkeypatch


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    server = start_sqs()
    yield server.url
    server.remove()


def copied(tmp_path: Path, **changes: Any) -> Path:
    """The project's files, with members of the job definition changed."""
    folder = tmp_path / "files"
    shutil.copytree(FILES, folder)
    document = json.loads((folder / DEFINITION).read_text())
    (folder / DEFINITION).write_text(json.dumps({**document, **changes}))
    return folder


def test_validate_is_content_with_the_projects_files(
    given: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["infra", "validate"]) == 0
    assert capsys.readouterr().out == "Nothing is wrong with 17 files, 13 resources.\n"
    assert run_command(["infra", "validate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_validate_names_file_path_and_way_out(
    given: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(tmp_path, retryStrategy={"attempts": 3}, timeout={})
    assert run_command(["infra", "validate", "--files", str(folder), "--json"]) == 4
    document = json.loads(capsys.readouterr().out)
    assert {(one["file"], one["path"]) for one in document["problems"]} == {
        (DEFINITION, "$.retryStrategy.attempts"),
        (DEFINITION, "$.timeout.attemptDurationSeconds"),
    }
    assert all(one["fix"] for one in document["problems"])
    assert run_command(["infra", "validate", "--files", str(folder)]) == 4
    assert f"FAIL  {DEFINITION} $.retryStrategy.attempts: is 3, must be 1" in capsys.readouterr().out


def test_a_placeholder_without_a_value_is_named(given: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given.delenv("INFRA_IMAGE")
    assert run_command(["infra", "validate"]) == 4
    assert "${IMAGE} has no value" in capsys.readouterr().out
    assert run_command(["infra", "register"]) == 4
    assert "${IMAGE} has no value" in capsys.readouterr().err
    assert run_command(["infra", "validate", "--set", f"IMAGE={VALUES['IMAGE']}"]) == 0


def test_lesson_26_bucket_prefix_and_region_are_those_of_the_workers_settings(given: pytest.MonkeyPatch) -> None:
    for name in ("BUCKET", "PREFIX", "REGION"):
        given.delenv(f"INFRA_{name}")
    assert run_command(["infra", "validate"]) == 4
    given.setenv("WORKER_STORAGE__BACKEND", "s3")
    given.setenv("R2_BUCKET", "media-bucket")
    given.setenv("AWS_REGION", "eu-west-1")
    assert run_command(["infra", "validate"]) == 0


def test_mistyped_asking_is_usage(given: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run_command(["infra", "validate", "--set", "IMAGE"]) == 2
    assert run_command(["infra", "validate", "--files", str(tmp_path)]) == 4
    assert run_command(["infra", "validate", "--set", "STAGE=x"]) == 4


def test_one_problem_is_one(given: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["infra", "validate", "--set", "ACCOUNT_ID=12"]) == 4
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 problem in 1")


def test_plan_and_register_say_what_is_done(
    given: pytest.MonkeyPatch, emulator: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The emulator loses retry strategy and timeout of a job definition: the last step has to fail, and say so."""
    given.setenv("WORKER_AWS__ENDPOINT_URL", emulator)
    assert run_command(["infra", "plan"]) == 0
    said = capsys.readouterr().out
    assert "create  job-definition       academy-video-batch-jobdef  (batch/video_job_definition.json)" in said
    assert said.endswith("13 would be created, 0 would be changed, 0 equal.\n")
    assert run_command(["infra", "register"]) == 4
    said, error = capsys.readouterr()
    assert said.count("create ") == 12
    assert "reads back differently: " in error
    assert "$.timeout.attemptDurationSeconds is None, not 14400" in error
    assert run_command(["infra", "plan", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["create"], document["change"], document["equal"]) == (0, 1, 12)
    (changed,) = [one for one in document["resources"] if one["action"] == "change"]
    assert {"path": "$.retryStrategy.attempts", "found": None, "wanted": 1} in changed["changes"]


def test_another_account_is_left_alone(
    given: pytest.MonkeyPatch, emulator: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given.setenv("WORKER_AWS__ENDPOINT_URL", emulator)
    given.setenv("INFRA_ACCOUNT_ID", "123456789012")
    assert run_command(["infra", "register", "--json"]) == 4
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["class"] == "infra_refused"
    assert "the credentials are of account 000000000000" in error["message"]


def test_nobody_there_is_unreachable(given: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given.setenv("WORKER_AWS__ENDPOINT_URL", "http://127.0.0.1:9")
    assert run_command(["infra", "plan", "--json"]) == 7
    assert json.loads(capsys.readouterr().err)["error"]["class"] == "infra_unavailable"


def test_the_sdk_is_imported_only_when_it_is_asked() -> None:
    code = "import sys, src.interfaces.cli.infra; print(sorted({'boto3', 'botocore'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FILES.parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
