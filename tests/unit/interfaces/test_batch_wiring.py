"""AWS Batch: built when it is configured, tried by `doctor`, imported by nobody else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from src.application.catalog import Catalog
from src.application.outcome import Done, Outcome, Run
from src.application.ports.batch import BatchService
from src.domain.errors import BatchUnavailable, ConfigError
from src.interfaces.cli.errors import CONFIG, OK
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.assemble import Assembler
from src.interfaces.wiring.checks import CHECKS, check_batch
from src.interfaces.wiring.environment import load, load_with_origins
from src.interfaces.wiring.settings import Settings
from tests.servers.batch import BatchServer
from tests.servers.process import free_ports

ROOT = Path(__file__).resolve().parents[3]
CONFIGURED = {"WORKER_BATCH__QUEUE": "video-queue", "WORKER_BATCH__DEFINITION": "video-definition"}
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass(frozen=True, slots=True)
class Submits:
    """Asks for Batch."""

    batch: BatchService

    def handle(self, request: object, run: Run) -> Outcome:
        """Nothing to do."""
        return Done({})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BatchServer]:
    with BatchServer(tmp_path) as made:
        made.define("video-definition", ["python", "-m", "src.interfaces.workers.batch.main", "Ref::job_id"])
        yield made


def wired(environ: dict[str, str]) -> tuple[Settings, Adapters]:
    settings = load(environ)
    return settings, build(settings, Catalog(()))


def test_the_origins_names_of_both_settings_are_understood() -> None:
    names = {"VIDEO_BATCH_JOB_QUEUE": "academy-video-batch-queue", "VIDEO_BATCH_JOB_DEFINITION": "jobdef"}
    loaded = load_with_origins(names)
    assert (loaded.settings.batch.queue, loaded.settings.batch.definition) == ("academy-video-batch-queue", "jobdef")
    assert loaded.origins["batch.queue"].variable == "VIDEO_BATCH_JOB_QUEUE"
    assert load({**names, **CONFIGURED}).batch.queue == "video-queue"


@pytest.mark.parametrize("name", sorted(CONFIGURED))
def test_one_without_the_other_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="WORKER_BATCH__QUEUE and WORKER_BATCH__DEFINITION belong together"):
        load({name: CONFIGURED[name]})


def test_the_settings_reach_the_adapter() -> None:
    aws = {"WORKER_AWS__ENDPOINT_URL": "http://127.0.0.1:9", "WORKER_AWS__REGION": "ap-northeast-2"}
    _settings, adapters = wired({**CONFIGURED, **aws})
    batch = adapters.batch()
    assert (batch.queue, batch.definition) == ("video-queue", "video-definition")
    assert (batch.endpoint_url, batch.region) == ("http://127.0.0.1:9", "ap-northeast-2")
    assert adapters.batch() is batch


def test_without_settings_there_is_none() -> None:
    settings, adapters = wired({})
    assert check_batch(settings, adapters) == "not used"
    with pytest.raises(ConfigError, match="AWS Batch is not configured"):
        adapters.batch()


def test_a_handler_may_ask_for_it_where_it_is_configured() -> None:
    _settings, adapters = wired(CONFIGURED)
    handler: Any = Assembler(adapters).make(f"{__name__}:Submits")
    assert handler.batch is adapters.batch()
    with pytest.raises(ConfigError, match="batch: BatchService, which needs WORKER_BATCH__QUEUE"):
        Assembler(wired({})[1]).make(f"{__name__}:Submits")


def test_e14_its_sdk_is_imported_when_it_is_configured_and_not_before(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from src.application.catalog import Catalog\n"
        "from src.interfaces.wiring.adapters import build\n"
        "from src.interfaces.wiring.checks import check_batch\n"
        "from src.interfaces.wiring.environment import load\n"
        "settings = load()\n"
        "adapters = build(settings, Catalog(()))\n"
        "if settings.batch.queue: adapters.batch()\n"
        "else: check_batch(settings, adapters)\n"
        "print('boto3' in sys.modules)\n"
    )
    for environ, there in (({}, "False"), (CONFIGURED, "True")):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == there


# ---------------------------------------------------------------------- the start-up check
def test_the_start_up_check_asks_the_service(server: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ("batch", check_batch) in CHECKS
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    settings, adapters = wired({**CONFIGURED, "WORKER_AWS__ENDPOINT_URL": server.url})
    assert "video-definition:1 is ACTIVE" in check_batch(settings, adapters)
    server.api.queues[0]["state"] = "DISABLED"
    with pytest.raises(ConfigError, match="DISABLED"):
        check_batch(settings, adapters)
    (port,) = free_ports()
    away = wired({**CONFIGURED, "WORKER_AWS__ENDPOINT_URL": f"http://127.0.0.1:{port}"})
    with pytest.raises(BatchUnavailable):
        check_batch(*away)


def doctor(tmp_path: Path, url: str) -> tuple[int, dict[str, Any]]:
    environ = {**CONFIGURED, **KEYS, "WORKER_AWS__ENDPOINT_URL": url, "WORKER_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "src.interfaces.cli.app", "doctor", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    checks = {each["check"]: each for each in json.loads(done.stdout)["checks"]}
    return done.returncode, checks["batch"]


def test_doctor_tries_it_and_says_how_to_mend_it(server: BatchServer, tmp_path: Path) -> None:
    code, found = doctor(tmp_path, server.url)
    assert (code, found["ok"]) == (OK, True), found
    server.api.definitions[0]["retryStrategy"]["attempts"] = 3
    code, found = doctor(tmp_path, server.url)
    assert (code, found["ok"]) == (CONFIG, False)
    assert "retryStrategy.attempts is 3, not 1" in found["detail"]
    assert "register the job definition again" in found["fix"]
