"""The users of docs/redis.md, made as they stand there: all that a worker does is permitted, and nothing else."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError

from src.application.ports.ledger import JobFilter
from src.domain.job import JobState
from tests.adapters.redis_servers import client, own_server
from tests.functional.cron_crowd import crontab
from tests.functional.fleet import ROOT, Fleet, wait_for

LISTENER = "src.interfaces.workers.events.main"
LANES = ("worker:high", "worker:normal", "worker:low")
SETTINGS: Mapping[str, str] = {
    "WORKER_QUEUE__BACKEND": "redis",
    "WORKER_QUEUE__LANES": ",".join(LANES),
    "WORKER_QUEUE__DEAD_LETTER_LIST": "worker:dead_letter",
    "WORKER_LEDGER__BACKEND": "redis",
    "WORKER_LOCK__BACKEND": "redis",
    "WORKER_PROGRESS__BACKEND": "redis",
    "WORKER_EVENTS__SINKS": "redis,stream",
    "WORKER_DATABASE__URL": "postgresql://nobody@127.0.0.1:1/nothing",
}


def users() -> list[list[str]]:
    """The commands of the page, words apart."""
    text = (ROOT / "docs/redis.md").read_text()
    (block,) = re.findall(r"```\n(ACL SETUSER .*?)```", text, re.DOTALL)
    return [shlex.split(command) for command in re.split(r"\n(?=ACL)", block)]


@pytest.fixture
def address() -> Iterator[str]:
    """Of a server with these users."""
    with own_server() as server, client(server.url) as administrator:
        for command in users():
            administrator.execute_command(*command)
        administrator.execute_command("ACL", "LOG", "RESET")
        yield server.url


def of_user(address: str, name: str) -> str:
    return address.replace("redis://", f"redis://{name}:PASSWORD@")


def test_a_worker_a_scheduler_and_a_listener_are_refused_nothing(fleet: Fleet, address: str, tmp_path: Path) -> None:
    fleet.settings = {**SETTINGS, "WORKER_REDIS__URL": of_user(address, "mediaworker")}
    with client(of_user(address, "api")) as api:
        act = {"type": "act", "payload": {"action": "noop", "diary": str(fleet.diary)}}
        refused = {"type": "act", "payload": {"action": "refuse", "diary": str(fleet.diary)}}
        bodies = ({"id": "job-high", **act}, {"id": "job-normal", **refused}, {"id": "job-low", **act})
        for lane, body in zip(LANES, bodies, strict=True):
            api.rpush(lane, json.dumps(body))
        api.rpush("worker:low", "{nonsense")
        assert fleet.drain() == 0
        assert fleet.states() == {
            "job-high": JobState.SUCCEEDED,
            "job-normal": JobState.FAILED,
            "job-low": JobState.SUCCEEDED,
        }
        sent = fleet.states()
        listener, scheduler = fleet.run(LISTENER), fleet.scheduler(**crontab(fleet))
        api.xadd("content.events", {"type": "content.created", "payload": json.dumps({"content_id": "c1"})})
        with client(address) as administrator:
            wait_for(lambda: administrator.pubsub_numsub("content.deleted")[0][1] == 1, 30, "the listener listens")
        api.publish("content.deleted", json.dumps({"content_id": "c2"}))
        wait_for(
            lambda: (
                {"thumbnail", "metadata", "index", "act"}
                <= {job.type for job in fleet.adapters.ledger().list(JobFilter(limit=1000)) if job.id not in sent}
            ),
            40,
            "all heard",
        )
        for process in (listener, scheduler):
            process.send_signal(15)
            assert process.wait(30) == 0
    for arguments in (
        ("doctor",),
        ("status", "job-high"),
        ("jobs", "list"),
        ("jobs", "show", "job-nor"),
        ("queues",),
        ("outbox", "list"),
        ("dlq", "list"),
        ("dlq", "show", "job-normal"),
        ("dlq", "requeue", "job-normal.1"),
        ("dlq", "purge", "--all", "--no-backup"),
    ):
        done = fleet.cli(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    with client(address) as administrator:
        assert administrator.llen("worker:dead_letter") == 2
        assert administrator.xlen("worker.events") == 1
        denied = administrator.execute_command("ACL", "LOG")
        assert denied == [], denied


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "theirs", "1"),
        ("GET", "theirs"),
        ("RPUSH", "video", "x"),
        ("XADD", "other.events", "*", "a", "b"),
        ("EVAL", "return redis.call('GET', 'theirs')", "0"),
        ("PUBLISH", "theirs", "x"),
        ("SUBSCRIBE", "theirs"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("RANDOMKEY",),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("SCRIPT", "FLUSH"),
        ("FUNCTION", "FLUSH"),
        ("SHUTDOWN", "NOSAVE"),
        ("MONITOR",),
    ],
)
def test_nothing_else_is_allowed(address: str, command: tuple[str, ...]) -> None:
    for name in ("mediaworker", "api"):
        with (
            client(of_user(address, name)) as asking,
            pytest.raises((NoPermissionError, redis.ResponseError)) as raised,
        ):
            asking.execute_command(*command)
        assert "permission" in str(raised.value).lower(), raised.value


@pytest.mark.parametrize(
    "command", [("LRANGE", "worker:high", "0", "-1"), ("LPOP", "worker:high"), ("GET", "job:1:lock")]
)
def test_a_producer_reads_nothing(address: str, command: tuple[str, ...]) -> None:
    with client(of_user(address, "api")) as asking, pytest.raises(NoPermissionError):
        asking.execute_command(*command)
