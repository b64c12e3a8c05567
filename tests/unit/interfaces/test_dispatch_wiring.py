"""Which road a job takes, by the settings alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from src.application.dispatch import BatchDispatch, DispatchByType, QueueDispatch
from src.application.ports.ledger import Limits
from src.domain.errors import ConfigError
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.checks import CHECKS, check_startup, diagnose
from src.interfaces.wiring.deletions import delete_video
from src.interfaces.wiring.dispatches import batch_types, check_road, make_enqueue_next, make_submitter, queue_types
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.queues import UNUSED, queue_is_used
from src.interfaces.wiring.settings import Settings
from src.interfaces.wiring.worker import build_worker
from tests.fakes.box import ScriptedExecutor

ROOT = Path(__file__).resolve().parents[3]
BATCH = {
    "WORKER_DISPATCH__BACKEND": "batch",
    "WORKER_BATCH__QUEUE": "video-queue",
    "WORKER_BATCH__DEFINITION": "video-definition",
    "WORKER_AWS__ENDPOINT_URL": "http://127.0.0.1:9",
    "WORKER_JOBS__MODULES": "tests.jobs",
}


def wired(environ: dict[str, str], folder: Path) -> tuple[Settings, Adapters]:
    settings = load({**environ, "WORKER_DATA_DIR": str(folder)})
    return settings, build(settings, build_catalog(settings))


def test_jobs_go_by_the_queue_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    settings, adapters = wired({"WORKER_JOBS__MODULES": "tests.jobs"}, tmp_path)
    assert isinstance(adapters.dispatch(), QueueDispatch)
    assert batch_types(settings) == ()
    assert set(queue_types(settings, build_catalog(settings))) >= {"video", "act"}


def test_on_the_batch_road_videos_go_by_batch_and_other_jobs_by_the_queue(tmp_path: Path) -> None:
    settings, adapters = wired(BATCH, tmp_path)
    road = adapters.dispatch()
    assert isinstance(road, DispatchByType)
    assert isinstance(road.roads["video"], BatchDispatch)
    assert set(road.roads) == {"video"} == set(batch_types(settings))
    assert isinstance(road.default, QueueDispatch)


def test_lesson_13_every_job_type_has_exactly_one_recovery_owner(tmp_path: Path) -> None:
    for environ in (BATCH, {"WORKER_JOBS__MODULES": "tests.jobs"}):
        settings, adapters = wired(environ, tmp_path)
        catalog = build_catalog(settings)
        assert sorted([*queue_types(settings, catalog), *batch_types(settings)]) == catalog.names()
        waker = build_worker(settings, adapters, catalog, ScriptedExecutor()).waker
        assert waker is not None
        assert list(waker.types or ()) == queue_types(settings, catalog)


@pytest.mark.parametrize(
    ("more", "said", "fix"),
    [
        ({"WORKER_BATCH__QUEUE": "", "WORKER_BATCH__DEFINITION": ""}, "needs WORKER_BATCH__QUEUE", "infra plan"),
        (
            {"WORKER_BATCH__DEFINITION": ""},
            "belong together",
            "set WORKER_BATCH__DEFINITION too, or unset WORKER_BATCH__QUEUE",
        ),
        ({"WORKER_NOTIFY__WEBHOOK_URL": "https://h"}, "belong together", "set WORKER_NOTIFY__WEBHOOK_SECRET too"),
        (
            {"WORKER_LEDGER__BACKEND": "redis", "WORKER_REDIS__URL": "redis://h"},
            "needs WORKER_LEDGER__BACKEND=database",
            "set WORKER_LEDGER__BACKEND to database",
        ),
        ({"WORKER_STORAGE__BACKEND": "memory"}, "a container shares", "set WORKER_STORAGE__BACKEND to s3"),
        (
            {"WORKER_AWS__ENDPOINT_URL": ""},
            "needs a server in WORKER_DATABASE__URL",
            "set WORKER_DATABASE__URL to postgresql://",
        ),
        ({"WORKER_DISPATCH__BACKEND": "lambda"}, "queue", "docs/settings.md lists"),
    ],
)
def test_lesson_26_settings_that_contradict_the_batch_road_are_refused(
    more: dict[str, str], said: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load({**BATCH, **more})
    assert said in raised.value.message
    assert fix in (raised.value.fix or "")


def test_a_server_and_aws_itself_are_the_batch_road(tmp_path: Path) -> None:
    environ = {**BATCH, "WORKER_DATABASE__URL": "postgresql://db.example/videos", "WORKER_QUEUE__BACKEND": "postgres"}
    settings, _adapters = wired({**environ, "WORKER_AWS__ENDPOINT_URL": ""}, tmp_path)
    assert settings.dispatch.backend == "batch"


SERVER = {
    **{name: value for name, value in BATCH.items() if name != "WORKER_AWS__ENDPOINT_URL"},
    "WORKER_DATABASE__URL": "postgresql://db.example/videos",
}
"""Videos by AWS Batch, jobs on a server, and not a word about a queue."""


@pytest.mark.parametrize(
    ("more", "used"),
    [
        ({}, False),
        ({"WORKER_QUEUE__BACKEND": "sqs"}, False),
        ({"WORKER_QUEUE__BACKEND": "sqs", "WORKER_QUEUE__NAME": "content"}, True),
        ({"WORKER_QUEUE__BACKEND": "sqs", "WORKER_QUEUE__URL": "https://sqs.eu-west-1.amazonaws.com/1/content"}, True),
        ({"WORKER_QUEUE__BACKEND": "postgres"}, True),
    ],
)
def test_where_videos_go_by_batch_a_queue_is_used_when_somebody_chose_one(more: dict[str, str], used: bool) -> None:
    assert queue_is_used(load({**SERVER, **more})) is used
    assert queue_is_used(load({}))


def test_the_batch_road_needs_no_queue_beside_its_database(tmp_path: Path) -> None:
    settings, adapters = wired(SERVER, tmp_path)
    assert isinstance(adapters.dispatch(), DispatchByType)
    check_road(settings, "video")
    delete_video(settings, adapters, asks=False)
    for needs in (
        adapters.queue_publisher,
        lambda: check_road(settings, "act"),
        lambda: delete_video(settings, adapters),
    ):
        with pytest.raises(ConfigError, match="WORKER_QUEUE__BACKEND=sqlite needs an embedded database"):
            needs()
    with pytest.raises(ConfigError, match="needs an embedded database"):
        wired({**SERVER, "WORKER_DISPATCH__BACKEND": "queue"}, tmp_path)
    with pytest.raises(ConfigError, match="queue: WORKER_QUEUE__BACKEND=sqlite needs an embedded database"):
        check_startup(settings, adapters, without=[name for name, _ in CHECKS if name != "queue"] + ["ffmpeg"])
    said = diagnose(
        settings,
        adapters,
        without=[name for name, _ in CHECKS if name != "queue"] + ["ffmpeg"],
        unused={"queue": UNUSED},
    )
    assert [(found.ok, found.detail) for found in said] == [(True, UNUSED)]


def test_limits_reach_the_submitter_and_what_follows_an_end(tmp_path: Path) -> None:
    limits = {
        "WORKER_LIMITS__ACTIVE_PER_TENANT": "2",
        "WORKER_LIMITS__ACTIVE_TOTAL": "20",
        "WORKER_LIMITS__TOTAL_PER_SUBJECT": "10",
    }
    settings, adapters = wired({**BATCH, **limits}, tmp_path)
    catalog = build_catalog(settings)
    expected = Limits(active_per_tenant=2, active_total=20, total_per_subject=10)
    assert make_submitter(settings, adapters, catalog).limits == expected
    following = make_enqueue_next(settings, adapters, catalog)
    assert following is not None
    assert following.submitter.limits == expected


def test_a_ledger_without_video_jobs_has_nothing_that_follows(tmp_path: Path) -> None:
    redis = {
        "WORKER_LEDGER__BACKEND": "redis",
        "WORKER_REDIS__URL": "redis://127.0.0.1:9",
        "WORKER_JOBS__MODULES": "tests.jobs",
    }
    settings, adapters = wired(redis, tmp_path)
    assert make_enqueue_next(settings, adapters, build_catalog(settings)) is None


def test_e14_on_the_queues_road_no_aws_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from src.interfaces.wiring.adapters import build\n"
        "from src.interfaces.wiring.assemble import build_catalog\n"
        "from src.interfaces.wiring.environment import load\n"
        "from src.interfaces.wiring.worker import build_worker, make_executor\n"
        "settings = load()\n"
        "catalog = build_catalog(settings)\n"
        "adapters = build(settings, catalog)\n"
        "build_worker(settings, adapters, catalog, make_executor(adapters, catalog))\n"
        "print('boto3' in sys.modules)\n"
    )
    environ = {"WORKER_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
