"""Events of other systems become jobs, by real listeners on a real Redis, with nothing of ours on the sender's side."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import redis

from src import __version__
from src.application.ports.ledger import DeadLetterFilter, JobFilter
from tests.adapters.redis_servers import client, own_server
from tests.functional.fleet import Fleet, kill, wait_for
from tests.functional.test_health import numbers
from tests.servers.process import answers, free_ports
from tests.servers.shared import shared

LISTENER = "src.interfaces.workers.events.main"


@pytest.fixture
def mark(fleet: Fleet) -> str:
    """In the names of this test's channels and stream."""
    made = uuid.uuid4().hex[:8]
    fleet.settings = {
        "WORKER_REDIS__URL": shared("redis").url,
        "WORKER_EVENTS__CHANNELS": f"{made}:content.created,{made}:cache.warm_request",
        "WORKER_EVENTS__INBOX": f"{made}.events",
    }
    return made


@pytest.fixture
def sender() -> Iterator[redis.Redis]:
    with client() as made:
        yield made


def asked(fleet: Fleet) -> Counter[tuple[str, str]]:
    """{(job type, content): number of jobs}."""
    rows = fleet.adapters.ledger().list(JobFilter(limit=1000))
    return Counter((job.type, str(job.payload["content_id"])) for job in rows)


def test_c4_listeners_that_are_killed_lose_nothing_of_a_stream_and_double_nothing(
    fleet: Fleet, mark: str, sender: redis.Redis
) -> None:
    stream = f"{mark}.events"

    def say(*numbers: int) -> None:
        for number in numbers:
            payload = json.dumps({"content_id": f"c{number}"})
            sender.xadd(stream, {"type": "content.created", "payload": payload})

    say(1, 2)  # before anybody listens
    first = fleet.run(LISTENER, WORKER_ID="listener-1")
    wait_for(lambda: len(asked(fleet)) == 4, 30, "what was said before is heard")
    fleet.run(LISTENER, WORKER_ID="listener-2")
    say(*range(3, 20))
    kill(first)
    say(*range(20, 30))
    fleet.run(LISTENER, WORKER_ID="listener-1")
    wanted = Counter({(kind, f"c{number}"): 1 for number in range(1, 30) for kind in ("thumbnail", "metadata")})
    wait_for(lambda: asked(fleet) == wanted, 30, "each became one job of each type")
    wait_for(lambda: not sender.xpending(stream, "mediaworker")["pending"], 30, "and was answered")
    sender.delete(stream)


def test_c4_of_two_listeners_to_a_channel_one_acts_and_rubbish_is_kept(
    fleet: Fleet, mark: str, sender: redis.Redis
) -> None:
    for number in (1, 2):
        fleet.run(LISTENER, WORKER_ID=f"listener-{number}")
    wait_for(lambda: sender.pubsub_numsub(f"{mark}:cache.warm_request")[0][1] == 2, 30, "both listen")
    sender.publish(f"{mark}:cache.warm_request", '{"content_id": "c1"}')
    sender.publish(f"{mark}:content.created", b"\x80\x04pickled.")
    letters = fleet.adapters.dead_letters()
    wait_for(lambda: asked(fleet) and letters.list(DeadLetterFilter()), 30, "both were heard")
    for process in fleet.processes:
        process.send_signal(15)
    assert [process.wait(20) for process in fleet.processes] == [0, 0]
    assert asked(fleet) == {("cache_warm", "c1"): 1}
    (letter,) = letters.list(DeadLetterFilter())
    assert (letter.body, letter.error.code) == (b"\x80\x04pickled.", "invalid_message")


def test_e13_a_listener_without_redis_is_refused(fleet: Fleet) -> None:
    done = fleet.cli("run", "events")
    assert (done.returncode, "WORKER_REDIS__URL" in done.stderr) == (4, True), done.stderr


def test_e13_a_listener_whose_redis_can_not_be_reached_is_refused(fleet: Fleet) -> None:
    fleet.settings = {"WORKER_REDIS__URL": "redis://127.0.0.1:1/0"}
    done = fleet.cli("run", "events")
    assert (done.returncode, "127.0.0.1:1" in done.stderr) == (4, True), done.stderr


def test_i12_a_listener_tells_of_itself_truthfully(fleet: Fleet) -> None:
    (port,) = free_ports(1)

    def status(page: str) -> int:
        try:
            with urlopen(f"http://127.0.0.1:{port}{page}", timeout=5) as answer:
                return int(answer.status)
        except HTTPError as refused:
            return refused.code
        except OSError:
            return 0

    def ready() -> int:
        return status("/healthz/ready")

    def ups() -> dict[str, float]:
        return {name: found["worker_backend_up", frozenset([name])] for name in ("database", "pubsub", "stream")}

    with own_server() as server, client(server.url) as sender:
        fleet.settings = {"WORKER_REDIS__URL": server.url, "WORKER_HEALTH__PORT": str(port)}
        process = fleet.run("src.interfaces.cli.app", "run", "events")
        wait_for(lambda: ready() == 200, 30, "it is ready")
        sender.xadd("content.events", {"type": "content.created", "payload": '{"content_id": "c1"}'})
        wait_for(lambda: ("worker_events_heard_total", frozenset(["stream"])) in numbers(port), 30, "it counts events")
        found = numbers(port)
        assert found["worker_info", frozenset(["events", __version__])] == 1
        assert found["worker_events_heard_total", frozenset(["stream"])] == 1
        assert found["worker_ready", frozenset()] == 1
        assert ups() == {"database": 1, "pubsub": 1, "stream": 1}
        assert not any(metric.startswith("worker_queue") for metric, _ in found)
        server.kill()
        wait_for(lambda: ready() == 503, 10, "and is not, without Redis")
        wait_for(lambda: numbers(port)["worker_backend_up", frozenset(["stream"])] == 0, 10, "and says why")
        found = numbers(port)
        assert found["worker_ready", frozenset()] == 0
        assert found["worker_backend_up", frozenset(["database"])] == 1
        assert status("/healthz/live") == 200, "a restart would not bring Redis back"
        server.start()
        wait_for(lambda: ready() == 200, 10, "and is again")
        process.terminate()
        assert process.wait(20) == 0
        assert not answers(port)
