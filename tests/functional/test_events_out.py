"""Other systems are told of the ends of jobs, by real workers, whatever dies in between."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook

from src.application.ports.queue import Envelope
from src.domain.job import JobState
from tests.functional.fleet import Fleet, kill, wait_for
from tests.functional.receivers import Received, receiving
from tests.servers.shared import shared

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[Received]:
    with receiving() as made:
        yield made


@pytest.fixture(params=["database", pytest.param("redis", marks=pytest.mark.chaos)])
def told(request: pytest.FixtureRequest, fleet: Fleet, receiver: Received) -> Fleet:
    """A fleet whose jobs' ends are posted, on either ledger."""
    fleet.settings = {
        "WORKER_EVENTS__SINKS": "log,webhook",
        "WORKER_EVENTS__WEBHOOK_URL": receiver.address,
        "WORKER_EVENTS__WEBHOOK_SECRET": SECRET,
    }
    if request.param == "redis":
        fleet.settings |= {
            "WORKER_REDIS__URL": shared("redis").url,
            "WORKER_LEDGER__BACKEND": "redis",
            "WORKER_LEDGER__NAME": f"ledger-{uuid.uuid4().hex[:8]}",
        }
    return fleet


def ask(fleet: Fleet, name: str, action: str = "noop", seconds: float = 0) -> None:
    payload = {"action": action, "seconds": seconds, "diary": str(fleet.diary)}
    body = {"id": name, "type": "tell", "payload": payload, "created_at": "2026-01-01T00:00:00Z"}
    fleet.adapters.queue_publisher().publish([Envelope(body=json.dumps(body).encode(), key=name)])


def test_e2_a_success_and_a_failure_are_told_once_each_and_signed(told: Fleet, receiver: Received) -> None:
    ask(told, "good")
    ask(told, "bad", "refuse")
    assert told.drain() == 0
    posts = {headers["webhook-id"]: Webhook(SECRET).verify(body, headers) for headers, body in receiver.posts}
    assert len(receiver.posts) == 2
    assert posts["good.1.worker.told"]["content_id"] == "good"
    assert posts["bad.1.worker.job_failed"]["job_id"] == "bad"
    logged = [line["event"] for line in told.events() if line["logger"] == "mediaworker.events"]
    assert sorted(logged) == ["worker.job_failed", "worker.told"]
    assert json.loads(told.cli("outbox", "list", "--json").stdout) == []


def test_i11_events_of_a_worker_that_was_killed_are_sent_by_the_next(told: Fleet, receiver: Received) -> None:
    receiver.answers[:] = [503] * 1000
    ask(told, "good")
    worker = told.start()
    wait_for(lambda: receiver.posts, 30, "the receiver was asked")
    kill(worker)
    assert told.job("good").state is JobState.SUCCEEDED
    (unsent,) = json.loads(told.cli("outbox", "list", "--json").stdout)
    assert (unsent["sink"], unsent["id"]) == ("webhook", "good.1.worker.told")
    receiver.answers.clear()
    receiver.posts.clear()
    told.start()
    wait_for(lambda: receiver.ids == ["good.1.worker.told"], 40, "the next one sent it")
    wait_for(lambda: json.loads(told.cli("outbox", "list", "--json").stdout) == [], 10, "and noted it")


def test_what_a_sink_will_never_take_can_be_purged(fleet: Fleet) -> None:
    fleet.settings = {
        "WORKER_EVENTS__SINKS": "webhook",
        "WORKER_EVENTS__WEBHOOK_URL": "http://127.0.0.1:1/",
        "WORKER_EVENTS__WEBHOOK_SECRET": SECRET,
    }
    ask(fleet, "good")
    assert fleet.drain() == 0
    looked = fleet.cli("outbox", "purge", "webhook", "--json")
    assert json.loads(looked.stdout) == {"sink": "webhook", "unsent": 1, "removed": 0}
    assert fleet.cli("outbox", "list").stdout.count("worker.told") == 1
    done = fleet.cli("outbox", "purge", "webhook", "--yes", "--json")
    assert json.loads(done.stdout) == {"sink": "webhook", "unsent": 1, "removed": 1}
    assert fleet.cli("outbox", "list").stdout.strip() == "Everything was sent."
    assert fleet.cli("outbox", "purge", "webhook", "--yes").returncode == 0, "it is configured"
    for arguments in (("purge", "nosink", "--yes"), ("retry", "--all", "--sink", "nosink")):
        unknown = fleet.cli("outbox", *arguments)
        assert (unknown.returncode, "no sink 'nosink'" in unknown.stderr) == (3, True), unknown.stderr
        assert "known here: webhook" in unknown.stderr
    listed = fleet.cli("outbox", "list", "--sink", "nosink", "--json")
    assert (listed.returncode, listed.stdout.strip(), "no sink 'nosink'" in listed.stderr) == (0, "[]", True)


def test_f37_what_a_receiver_never_takes_is_listed_sent_again_and_forgotten(fleet: Fleet) -> None:
    fleet.settings = {
        "WORKER_EVENTS__SINKS": "webhook",
        "WORKER_EVENTS__WEBHOOK_URL": "http://127.0.0.1:1/",
        "WORKER_EVENTS__WEBHOOK_SECRET": SECRET,
    }
    for name in ("one", "two"):
        ask(fleet, name)
    assert fleet.drain() == 0
    one, two = "one.1.worker.told", "two.1.worker.told"
    outbox = fleet.adapters.outbox()
    assert {each.hold.tries for each in outbox.kept("webhook", 2) if each.hold} == {0}, (
        "it is the receiver that is away"
    )
    for each in json.loads(fleet.cli("outbox", "list", "--json").stdout):
        assert (each["parked"], each["tries"], each["retry_at"], bool(each["error"])) == (
            False,
            0,
            None,
            True,
        )
    assert fleet.cli("outbox", "list").stdout.count("waits for its sink: ") == 2
    by_itself = fleet.cli("outbox", "retry", one)
    assert (by_itself.returncode, "goes by itself once its sink takes it" in by_itself.stderr) == (0, True)
    some = fleet.cli("outbox", "list", "--limit", "1")
    assert (some.stdout.count("\nwebhook"), "1 of 2 for webhook; --limit shows more" in some.stderr) == (1, True)
    assert fleet.cli("outbox", "list", "--limit", "2").stderr == ""
    none = fleet.cli("outbox", "retry", "--all")
    assert none.stdout.strip() == "0 will be sent again"
    assert "2 more are unsent and not parked" in none.stderr
    for event in (one, two):
        outbox.hold("webhook", event, tries=12, error="webhook answered 500: \x1b[31mno", seconds=None)
    listed = json.loads(fleet.cli("outbox", "list", "--parked", "--json").stdout)
    assert [(each["id"], each["parked"], each["tries"]) for each in listed] == [(one, True, 12), (two, True, 12)]
    shown = fleet.cli("outbox", "list").stdout
    assert "parked after 12 tries: webhook answered 500" in shown
    assert "\x1b" not in shown
    neither = fleet.cli("outbox", "retry")
    assert (neither.returncode, "--all" in neither.stderr) == (2, True)
    unknown = fleet.cli("outbox", "retry", one, "nobody")
    assert (unknown.returncode, "nobody" in unknown.stderr) == (3, True)
    assert [each["id"] for each in json.loads(fleet.cli("outbox", "list", "--parked", "--json").stdout)] == [
        one,
        two,
    ], "half of it is not done"
    again = fleet.cli("outbox", "retry", one, "--json")
    assert json.loads(again.stdout) == [{"sink": "webhook", "id": one}]
    assert [each.event.id for each in outbox.unsent("webhook", 10)] == [one]
    assert json.loads(fleet.cli("outbox", "purge", "webhook", "--parked", "--json").stdout)["parked"] == 1
    assert fleet.cli("outbox", "retry", "--all").stdout.strip() == "1 will be sent again"
    assert [each.event.id for each in outbox.unsent("webhook", 10)] == [one, two]
    assert fleet.cli("outbox", "list", "--parked").stdout.strip() == "Nothing is parked."


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"WORKER_EVENTS__SINKS": "webhook"}, "WEBHOOK_URL"),
        ({"WORKER_EVENTS__SINKS": "redis"}, "REDIS__URL"),
        ({"WORKER_EVENTS__SINKS": "pigeon"}, "'stream', 'webhook'"),
        (
            {
                "WORKER_EVENTS__SINKS": "webhook",
                "WORKER_EVENTS__WEBHOOK_URL": "http://127.0.0.1:1/",
                "WORKER_EVENTS__WEBHOOK_SECRET": "canary",
            },
            "webhook_secret",
        ),
    ],
)
def test_e13_sinks_that_can_not_be_are_refused(fleet: Fleet, settings: dict[str, str], says: str) -> None:
    fleet.settings = settings
    done = fleet.cli("run", "video", "--drain")
    assert (done.returncode, says in done.stderr, "canary" in done.stderr) == (4, True, False), done.stderr
