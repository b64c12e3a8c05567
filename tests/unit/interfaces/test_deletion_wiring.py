"""The deletion queue is found, and a queue that nobody consumes is told of (lesson 30)."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from src.application.ports.queue import Envelope, QueueDepth
from src.domain.errors import ConfigError, QueueUnavailable
from src.interfaces.cli.doctor import doctor
from src.interfaces.cli.queues import queues
from src.interfaces.wiring import deletions
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.checks import check_backends
from src.interfaces.wiring.deletions import check_deletion, delete_video, deletion_adapters, deletion_queue
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.settings import Settings
from tests.adapters.redis_servers import client
from tests.fakes.clock import FrozenClock
from tests.servers.shared import shared

Made = tuple[Settings, Adapters]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    def made(**more: str) -> Made:
        settings = load({"WORKER_DATA_DIR": str(tmp_path), **more})
        adapters = build(settings, build_catalog(settings))
        check_backends(settings, adapters)
        return settings, adapters

    return made


def ask(settings: Settings, adapters: Adapters) -> None:
    deletion_queue(settings, adapters).enqueue_delete_r2(
        tenant_id=7, video_id=1, file_key="", hls_prefix="tenants/7/video/hls/1/"
    )


def test_the_queue_has_the_name_of_the_setting_and_the_backend_of_the_other(make: Callable[..., Made]) -> None:
    settings, adapters = make()
    around = deletion_adapters(settings, adapters)
    assert around.settings().queue.name == "academy-video-delete-r2"
    ask(settings, adapters)
    assert around.queue_inspector().depth().ready == 1
    assert adapters.queue_inspector().depth().ready == 0
    assert around.database() is adapters.database()


def test_sqs_has_an_address_for_each_queue_and_a_server_one_for_all(make: Callable[..., Made]) -> None:
    sqs = load({"WORKER_QUEUE__BACKEND": "sqs", "WORKER_QUEUE__URL": "https://sqs.eu-west-1.amazonaws.com/1/video"})
    assert deletion_adapters(sqs, build(sqs, build_catalog(sqs))).settings().queue.url is None
    own = load(
        {"WORKER_QUEUE__BACKEND": "sqs", "WORKER_DELETION__QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/del"}
    )
    assert deletion_adapters(own, build(own, build_catalog(own))).settings().queue.url == own.deletion.queue_url
    server = load({"WORKER_QUEUE__BACKEND": "postgres", "WORKER_QUEUE__URL": "postgresql://a@b/c"})
    assert deletion_adapters(server, build(server, build_catalog(server))).settings().queue.url == server.queue.url


def test_one_queue_for_both_is_the_same_queue(make: Callable[..., Made]) -> None:
    settings, adapters = make(WORKER_DELETION__QUEUE_NAME="video")
    ask(settings, adapters)
    assert adapters.queue_inspector().depth().ready == 1


def test_e14_a_ledger_without_videos_says_so() -> None:
    settings = load({"WORKER_LEDGER__BACKEND": "redis", "WORKER_REDIS__URL": "redis://h"})
    with pytest.raises(ConfigError, match="keeps no rows of videos"):
        delete_video(settings, build(settings, build_catalog(settings)))


def test_a_queue_that_nobody_chose_is_looked_at_when_something_waits_in_it(make: Callable[..., Made]) -> None:
    settings, adapters = make()
    assert check_deletion(settings, adapters).startswith("not used: WORKER_DELETION__QUEUE_NAME names none")
    ask(settings, adapters)
    assert "1 ready, 0 in flight, the oldest for" in check_deletion(settings, adapters)
    settings, adapters = make(WORKER_DELETION__UNATTENDED_SECONDS="0.0001")
    with pytest.raises(ConfigError, match="nobody consumes it"):
        check_deletion(settings, adapters)


def test_a_queue_that_nobody_chose_need_not_be_nor_answer(make: Callable[..., Made]) -> None:
    sqs = {"WORKER_QUEUE__BACKEND": "sqs", "WORKER_AWS__ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "k"}
    settings = load(sqs)
    said = check_deletion(settings, build(settings, build_catalog(settings)))
    assert said.startswith("not used: WORKER_DELETION__QUEUE_NAME names none (SQS queue academy-video-delete-r2: ")
    chosen = load({**sqs, "WORKER_DELETION__QUEUE_NAME": "gone"})
    with pytest.raises(QueueUnavailable):
        check_deletion(chosen, build(chosen, build_catalog(chosen)))


def test_queues_show_the_deletion_queue_where_something_waits(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORKER_DATA_DIR", str(tmp_path))

    def shown() -> list[tuple[str, int]]:
        done = CliRunner().invoke(queues, ["--json"], standalone_mode=False)
        return [(row["queue"], row["ready"]) for row in json.loads(done.output)["queues"]]

    settings, adapters = make()
    assert shown() == [("video", 0)]
    ask(settings, adapters)
    assert shown() == [("video", 0), ("academy-video-delete-r2", 1)]
    monkeypatch.setenv("WORKER_QUEUE__NAME", "academy-video-delete-r2")
    assert shown() == [("academy-video-delete-r2", 1)]


def test_lesson_30_requests_that_nobody_takes_are_told_of(make: Callable[..., Made]) -> None:
    settings, adapters = make(
        WORKER_DELETION__QUEUE_NAME="academy-video-delete-r2", WORKER_DELETION__UNATTENDED_SECONDS="0.0001"
    )
    assert "0 ready" in check_deletion(settings, adapters)
    ask(settings, adapters)
    queue = deletion_adapters(settings, adapters).queue()
    assert queue.depth().oldest_ready_seconds is not None
    with pytest.raises(ConfigError, match="nobody consumes it") as told:
        check_deletion(settings, adapters)
    assert "WORKER_QUEUE__NAME=academy-video-delete-r2" in (told.value.fix or "")
    queue.publish([Envelope(body=b"{}", key="second")])
    (taken,) = queue.receive(1, wait_seconds=0, visibility_seconds=60)
    assert "1 ready, 1 in flight" in check_deletion(settings, adapters)
    queue.ack([taken])


class Ageless:
    """As SQS tells: counts, no ages."""

    def __init__(self, *depths: tuple[int, int]) -> None:
        self.depths = list(depths)

    def depth(self) -> QueueDepth:
        ready, in_flight = self.depths.pop(0)
        return QueueDepth(ready=ready, delayed=0, in_flight=in_flight)


@pytest.mark.parametrize(
    ("depths", "warned"),
    [([(3, 0), (3, 0)], True), ([(3, 0), (2, 1)], False), ([(3, 0), (1, 0)], False), ([(3, 1)], False)],
)
def test_lesson_30_a_queue_without_ages_is_looked_at_twice(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch, depths: list[tuple[int, int]], warned: bool
) -> None:
    settings, adapters = make(WORKER_DELETION__QUEUE_NAME="gone")
    clock = FrozenClock()
    around = deletion_adapters(settings, adapters)
    around.queue_inspector.override(Ageless(*depths))
    adapters.clock.override(clock)
    monkeypatch.setattr(deletions, "deletion_adapters", lambda _settings, _adapters: around)
    assert ("warning:" in check_deletion(settings, adapters)) is warned
    assert clock.slept == [3.0][: len(depths) - 1]


def test_doctor_says_so_and_a_containers_health_check_does_not(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = {"WORKER_DELETION__QUEUE_NAME": "gone", "WORKER_DELETION__UNATTENDED_SECONDS": "0.0001"}
    ask(*make(**chosen))
    for name, value in {"WORKER_DATA_DIR": str(tmp_path), **chosen}.items():
        monkeypatch.setenv(name, value)
    for arguments, code, said in (([], 4, True), (["--worker"], 0, False)):
        done = CliRunner().invoke(doctor, arguments, standalone_mode=False)
        assert (done.return_value, "nobody consumes it" in done.output) == (code, said)


def test_lanes_are_lists_of_the_jobs_and_none_of_deletion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is on the list that a worker or the Lambda is told of, and what waits in lanes is no request."""
    mark = uuid.uuid4().hex
    lanes, name = [f"{mark}:high", f"{mark}:low"], f"{mark}:delete"
    environ = {
        "WORKER_DATA_DIR": str(tmp_path),
        "WORKER_REDIS__URL": shared("redis").url,
        "WORKER_QUEUE__BACKEND": "redis",
        "WORKER_QUEUE__LANES": ",".join(lanes),
        "WORKER_DELETION__QUEUE_NAME": name,
        "WORKER_DELETION__UNATTENDED_SECONDS": "0.01",
    }
    settings = load(environ)
    adapters = build(settings, build_catalog(settings))
    check_backends(settings, adapters)
    adapters.queue_publisher().publish([Envelope(body=b"{}", key="1"), Envelope(body=b"{}", key="2")])
    time.sleep(0.05)
    assert "0 ready" in check_deletion(settings, adapters)
    ask(settings, adapters)
    assert client().llen(name) == 1
    assert adapters.queue_inspector().depth().ready == 2
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    shown = CliRunner().invoke(queues, ["--json"], catch_exceptions=False)
    assert {row["queue"]: row["ready"] for row in json.loads(shown.stdout)["queues"]} == {",".join(lanes): 2, name: 1}
    time.sleep(0.05)
    with pytest.raises(ConfigError) as raised:
        check_deletion(settings, adapters)
    assert "without WORKER_QUEUE__LANES" in str(raised.value.fix)


def test_the_name_of_a_queue_with_lanes_counts_for_nothing(tmp_path: Path) -> None:
    """Not even when it is the deletion queue's: the request goes to that list."""
    mark = uuid.uuid4().hex
    settings = load(
        {
            "WORKER_DATA_DIR": str(tmp_path),
            "WORKER_REDIS__URL": shared("redis").url,
            "WORKER_QUEUE__BACKEND": "redis",
            "WORKER_QUEUE__NAME": mark,
            "WORKER_QUEUE__LANES": f"{mark}:high,{mark}:low",
            "WORKER_DELETION__QUEUE_NAME": mark,
        }
    )
    adapters = build(settings, build_catalog(settings))
    ask(settings, adapters)
    assert (client().llen(mark), adapters.queue_inspector().depth().ready) == (1, 0)
